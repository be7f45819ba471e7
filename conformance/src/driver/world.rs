//! What surrounds one scenario: its registry, its home, a directory of the host. And how it is cleaned up, without asking
//! the surface that is being tested.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use boxlite::{Error, ErrorCode, ImageOptions, Options, RegistryOptions, Runtime, Transport};
use serde_json::{Value as Json, json};

use crate::registry::{PushedImage, Stage};
use crate::scenario::{BoxGiven, HomeCheck, HomeKind, Scenario, Variables};

/// The image of the box that `given` makes.
pub const BOX_IMAGE: &str = "programs:1";

/// How long cleaning up may take.
const CLEANING: Duration = Duration::from_secs(20);

/// How long a box may run on when the program that owns it has ended; a second is what is promised.
const ORPHANED: Duration = Duration::from_secs(5);

/// What surrounds one scenario.
pub struct World {
    /// Its registry.
    pub stage: Stage,
    /// Its home.
    pub home: PathBuf,
    /// Whose the home is.
    pub kind: HomeKind,
    /// Ids of boxes that were made.
    pub boxes: Vec<String>,
    scratch: tempfile::TempDir,
}

impl World {
    /// Prepares it. `shared_home` is the home of scenarios with boxes, on `surface`s with the fake engine boxes need no machine.
    ///
    /// # Errors
    /// If the description of an image makes no sense, or a directory cannot be made.
    pub fn new(scenario: &Scenario, shared_home: &Path, surface: &str) -> Result<(Self, Variables)> {
        let fake = surface == "fake";
        let kind = if fake { HomeKind::Private } else { scenario.home() };
        let scratch = tempfile::Builder::new().prefix("boxlite-conformance-").tempdir()?;
        let host = scratch.path().join("host");
        std::fs::create_dir(&host)?;
        let home = match kind {
            HomeKind::Shared => shared_home.to_owned(),
            HomeKind::Private => scratch.path().join("home"),
        };
        if kind == HomeKind::Private && scenario.given.r#box.is_some() && !fake {
            share_kernels(shared_home, &home)?;
        }
        for (path, content) in &scenario.given.files {
            let path = host.join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(&host))?;
            std::fs::write(&path, content).with_context(|| path.display().to_string())?;
        }
        let stage = Stage::start();
        let mut variables = Variables::default();
        variables.set("registry", stage.host());
        // What a handle answers that was closed, while its runtime lives and afterwards; a pointer that was freed is no
        // handle any more.
        variables.set("closed", if surface == "c" { "InvalidHandle" } else { "InvalidState" });
        variables.set("closed_stopped", if surface == "c" { "InvalidHandle" } else { "Stopped" });
        // Good as the name of a box in a home that others use too.
        variables.set("unique", format!("u{}", stage.host().rsplit(':').next().unwrap_or_default()));
        variables.set("home", home.display().to_string());
        variables.set("host", host.display().to_string());
        for (name, image) in &scenario.given.images {
            remember(&mut variables, name, &stage.push(name, image)?);
        }
        if scenario.given.r#box.is_some() {
            let image = serde_json::from_value(json!({ "base": "programs" }))?;
            remember(&mut variables, BOX_IMAGE, &stage.push(BOX_IMAGE, &image)?);
        }
        if let Some(auth) = &scenario.given.auth {
            stage.require(Some(auth));
        }
        Ok((World { stage, home, kind, boxes: Vec::new(), scratch }, variables))
    }

    /// Returns the arguments that open the home.
    pub fn open_arguments(&self, registry: &Json) -> Json {
        let mut known = json!({ "host": self.stage.host(), "transport": "http" });
        if let (Some(known), Some(more)) = (known.as_object_mut(), registry.as_object()) {
            known.extend(more.clone());
        }
        json!({ "home": self.home, "registries": [known], "accelerator": "tcg", "retry_delay_ms": 1 })
    }

    /// Carries a `home` step out. `group` is the process group of the adapter.
    ///
    /// # Errors
    /// If what is to be true is not.
    pub fn check_home(&self, check: HomeCheck, group: u32) -> Result<()> {
        match check {
            HomeCheck::Released => {
                let open = super::host::open_files(group, &self.home);
                if let Some(path) = open.first() {
                    bail!(
                        "{} files of the home are still open, one of them `{}`",
                        open.len(),
                        path.display()
                    );
                }
                match super::host::locked_file(&self.home) {
                    Some(path) if self.kind == HomeKind::Private => {
                        bail!("`{}` is still locked", path.display())
                    }
                    _ => Ok(()),
                }
            }
            HomeCheck::Deleted if self.kind == HomeKind::Shared => {
                bail!("a shared home is not to be deleted")
            }
            HomeCheck::Deleted => std::fs::remove_dir_all(&self.home).context("the home cannot be deleted"),
            HomeCheck::Absent if self.home.exists() => bail!("something has made the home again"),
            HomeCheck::Absent => Ok(()),
            HomeCheck::HasPartial if super::host::partials(&self.home) == 0 => {
                bail!("there is no partial download")
            }
            HomeCheck::NoPartial if super::host::partials(&self.home) > 0 => {
                bail!("a partial download is left")
            }
            HomeCheck::HasPartial | HomeCheck::NoPartial => Ok(()),
        }
    }

    /// Removes what the scenario made, and examines a home of its own: whatever a program does, the next open has to find
    /// it sound. Returns what is wrong.
    pub async fn clean(self, deep: bool) -> Option<String> {
        let cleaned = tokio::time::timeout(CLEANING, self.clean_home(deep)).await;
        let fault = match cleaned {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{error:#}")),
            Err(_) => Some("the home could not be cleaned up in time".to_owned()),
        };
        drop(self.scratch);
        fault
    }

    async fn clean_home(&self, deep: bool) -> Result<()> {
        if !self.home.join("boxlite.db").exists() {
            return Ok(());
        }
        let host = self.stage.host();
        let registry =
            RegistryOptions { host: host.clone(), transport: Transport::Http, ..RegistryOptions::default() };
        let images = ImageOptions { registries: vec![registry], ..ImageOptions::default() };
        let options = Options { home: Some(self.home.clone()), images, ..Options::default() };
        let runtime = Runtime::open(options).await.context("the home cannot be opened again")?;
        let ids: Vec<String> = match self.kind {
            HomeKind::Shared => self.boxes.clone(),
            HomeKind::Private => {
                runtime.list().await?.into_iter().map(|found| found.id.to_string()).collect()
            }
        };
        for id in ids {
            match end_box(&runtime, &id).await {
                Err(error) if error.code() != ErrorCode::NotFound => bail!("box {id}: {error}"),
                _ => {}
            }
        }
        match self.kind {
            HomeKind::Shared => {
                for image in runtime.images().list().await? {
                    if image.reference.starts_with(&host) {
                        let _ = runtime.images().remove(&image.reference, true).await;
                    }
                }
            }
            HomeKind::Private if deep => {
                let findings = runtime.check(false).await?.findings;
                if !findings.is_empty() {
                    bail!("the home is not sound afterwards: {findings:?}");
                }
            }
            HomeKind::Private => {}
        }
        runtime.shutdown(Duration::from_secs(5)).await.context("the home")?;
        Ok(())
    }
}

/// Sees to it that a box whose program has ended ends too, unless it was let go, and removes it.
async fn end_box(runtime: &Runtime, id: &str) -> boxlite::Result<()> {
    let made = runtime.get(id).await?;
    // What it ends with, or that it never ran, says nothing here.
    if !made.info().await?.spec.detach && tokio::time::timeout(ORPHANED, made.wait()).await.is_err() {
        return Err(Error::new(ErrorCode::Internal, "it runs on although its owner is gone"));
    }
    runtime.remove(id, true).await
}

/// Lets variables name what was pushed.
pub fn remember(variables: &mut Variables, name: &str, pushed: &PushedImage) {
    variables.set(name, pushed.reference.clone());
    variables.set(format!("{name}#id"), pushed.id.clone());
    variables.set(format!("{name}#digest"), pushed.digest.clone());
    variables.set(format!("{name}#config_digest"), pushed.config_digest.clone());
    variables.set(format!("{name}#size_bytes"), pushed.size_bytes);
    for (number, layer) in pushed.layers.iter().enumerate() {
        variables.set(format!("{name}#layer{number}"), layer.clone());
    }
}

/// Gives a home the kernels of another one, as hard links where that works: a kernel comes from a package archive otherwise.
fn share_kernels(from: &Path, to: &Path) -> Result<()> {
    let kernels = from.join("kernels");
    if !kernels.exists() {
        return Ok(());
    }
    let mut waiting = vec![kernels.clone()];
    while let Some(directory) = waiting.pop() {
        let below = directory.strip_prefix(&kernels).unwrap_or(Path::new(""));
        let copy = to.join("kernels").join(below);
        std::fs::create_dir_all(&copy)?;
        for entry in std::fs::read_dir(&directory)?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_none_or(|extension| extension != "lock") {
                let target = copy.join(entry.file_name());
                std::fs::hard_link(&path, &target).or_else(|_| std::fs::copy(&path, &target).map(|_| ()))?;
            }
        }
    }
    Ok(())
}

/// Returns whether a scenario has a box before its first step, and whether it is to run.
pub fn box_given(scenario: &Scenario) -> (bool, bool) {
    let given = scenario.given.r#box;
    (matches!(given, Some(BoxGiven::Created | BoxGiven::Running)), given == Some(BoxGiven::Running))
}
