//! Real machines for tests: one home for all of them, so that kernel and template are made once, and a small root.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use boxlite_engine::vm::{Accelerator, VmEngine, VmEngineOptions};
use boxlite_engine::{Engine, Session, StageSink, StartRequest};
use boxlite_types::{BoxId, DiskExtent, DiskLayout, Home, Resources, Result};

use super::{SHIM, agent, from_environment, patiently};

/// Home of all machines of this build's tests; another test process may be given one of its own.
pub fn home() -> Home {
    let common = || Path::new(SHIM).ancestors().nth(2).unwrap().join("test-home");
    Home::new(from_environment("BOXLITE_TEST_HOME").unwrap_or_else(common))
}

/// An engine on that home, in software emulation as everywhere in tests.
pub fn engine() -> VmEngine {
    engine_with(false)
}

/// As [`engine`], one that keeps a spare machine or does not.
pub fn engine_with(spare_machine: bool) -> VmEngine {
    VmEngine::new(VmEngineOptions {
        home: home(),
        agent: agent().to_owned(),
        shim: from_environment("BOXLITE_TEST_SHIM").unwrap_or_else(|| SHIM.into()),
        qemu: None,
        kernel: None,
        accelerator: Some(Accelerator::Tcg),
        spare_machine,
    })
}

/// A root with busybox in it, as an EROFS image.
pub fn root() -> DiskLayout {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    let image = IMAGE.get_or_init(|| from_environment("BOXLITE_TEST_ROOT").unwrap_or_else(make_root));
    let length = std::fs::metadata(image).unwrap().len().next_multiple_of(4096);
    let extent = DiskExtent { path: image.clone(), file_offset: 0, disk_offset: 0, length };
    DiskLayout { size_bytes: length, extents: vec![extent] }
}

fn make_root() -> PathBuf {
    let scratch = tempfile::Builder::new().prefix("boxlite-shim-root-").tempdir().unwrap();
    let tree = scratch.path().join("tree");
    for directory in ["bin", "etc", "tmp", "root", "proc", "sys", "dev"] {
        std::fs::create_dir_all(tree.join(directory)).unwrap();
    }
    std::fs::copy("/bin/busybox", tree.join("bin/busybox")).expect("busybox is installed");
    let applets = Command::new("/bin/busybox").arg("--list").output().unwrap().stdout;
    for applet in String::from_utf8(applets).unwrap().lines().filter(|applet| *applet != "busybox") {
        std::os::unix::fs::symlink("busybox", tree.join("bin").join(applet)).unwrap();
    }
    let big: Vec<u8> = (0..4_000_000u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(tree.join("big"), big).unwrap();
    std::fs::create_dir_all(home().root()).unwrap();
    let image = home().root().join("root.erofs");
    let unfinished = home().root().join(format!("root.erofs.{}", std::process::id()));
    let made = Command::new("mkfs.erofs").arg("--quiet").arg(&unfinished).arg(&tree).status();
    assert!(made.expect("erofs-utils is installed").success());
    std::fs::rename(&unfinished, &image).unwrap();
    image
}

/// A home and root that are not the common ones.
pub struct Place {
    pub home: PathBuf,
    pub root: PathBuf,
}

/// A box of its own; removed when dropped by the process that made it.
pub struct VmBox {
    pub id: BoxId,
    pub directory: PathBuf,
    pub resources: Resources,
    made_here: bool,
}

impl VmBox {
    pub fn new() -> Self {
        let mut random = [0; 12];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).unwrap();
        let directory = home().box_directory(&BoxId::from_random(random));
        std::fs::create_dir_all(&directory).unwrap();
        Self::of(&directory, true)
    }

    /// A box that another process has made.
    pub fn at(directory: &Path) -> Self {
        Self::of(directory, false)
    }

    fn of(directory: &Path, made_here: bool) -> Self {
        VmBox {
            id: directory.file_name().unwrap().to_str().unwrap().parse().unwrap(),
            directory: directory.to_owned(),
            resources: Resources { cpus: 1, memory_mib: 256, disk_mib: 128 },
            made_here,
        }
    }

    /// The same box in another home.
    pub fn moved_to(&self, place: &Place) -> Self {
        let directory = Home::new(&place.home).box_directory(&self.id);
        std::fs::create_dir_all(&directory).unwrap();
        Self::of(&directory, true)
    }

    pub fn request(&self, detach: bool) -> StartRequest {
        StartRequest {
            id: self.id.clone(),
            directory: self.directory.clone(),
            root: root(),
            resources: self.resources,
            hostname: self.id.to_string(),
            detach,
        }
    }

    pub async fn try_start(&self, engine: &VmEngine, stages: &StageSink) -> Result<Session> {
        // Making a kernel and a template takes longer than anything that is waited for with patience.
        engine.prepare(&self.resources, Arc::new(|_, _| {})).await?;
        patiently(engine.start(self.request(false), stages.clone())).await
    }

    pub async fn start(&self, engine: &VmEngine) -> Session {
        self.try_start(engine, &(Arc::new(|_, _| {}) as StageSink)).await.unwrap()
    }

    /// Waits until no shim supervises the box.
    pub async fn stopped(&self) {
        while boxlite_engine::shim::supervisor(&self.directory).unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until no process has the disk of the box open: a VMM that was left behind would.
    pub async fn disk_closed(&self) {
        let disk = self.directory.join("disk");
        let is_open = || {
            let processes = std::fs::read_dir("/proc").unwrap().flatten();
            let mut files =
                processes.filter_map(|process| std::fs::read_dir(process.path().join("fd")).ok()).flatten();
            files.any(|file| {
                file.is_ok_and(|file| std::fs::read_link(file.path()).is_ok_and(|open| open == disk))
            })
        };
        while is_open() {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for VmBox {
    fn drop(&mut self) {
        if !self.made_here {
            return;
        }
        if let Ok(Some(process)) = boxlite_engine::shim::supervisor(&self.directory) {
            super::kill(process.pid);
            let _ = boxlite_engine::shim::reap(&self.directory);
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
