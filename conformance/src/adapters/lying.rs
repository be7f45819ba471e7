//! An adapter that is wrong on purpose, in one way at a time: what shows that the driver can fail.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

use super::rust::RustSurface;
use super::serve::{Fault, Progress, Request, Surface};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Lie {
    /// Nothing.
    None,
    /// Every error has the code `Internal`.
    WrongCode,
    /// Every pull says that nothing had to be fetched.
    WrongValue,
    /// Every image is a byte larger than it is.
    WrongNumber,
    /// Every failed operation succeeds with null.
    NoErrors,
    /// Lists are answered twice.
    Twice,
    /// Lists are never answered.
    Silent,
    /// A line that is no message is printed with each list.
    Garbage,
    /// The process dies at the first list.
    Crash,
    /// A file in the home is held open whatever happens.
    KeepsFile,
    /// A partial download in the home stays locked.
    KeepsLock,
    /// The home is made again after it was let go of.
    MakesHome,
    /// A box is left out of every list of boxes.
    HidesBox,
    /// Pulls that fail say so a second later.
    Late,
    /// It says that it can do what the protocol has no word for.
    Boasts,
}

/// How late: clearly more than what the driver puts down to scheduling.
const LATE: Duration = Duration::from_secs(1);

/// The fake engine's surface, with a lie.
pub struct LyingSurface {
    inner: Arc<RustSurface>,
    lie: Lie,
    home: Mutex<PathBuf>,
    kept: Mutex<Vec<std::fs::File>>,
}

impl LyingSurface {
    /// Makes one that tells a lie.
    pub fn new(lie: Lie) -> Arc<Self> {
        let (home, kept) = (Mutex::default(), Mutex::default());
        Arc::new(LyingSurface { inner: RustSurface::with_fake_engine(), lie, home, kept })
    }

    fn home(&self) -> PathBuf {
        self.home.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, name: &str, locked: bool) {
        let path = self.home().join(name);
        let made = std::fs::create_dir_all(path.parent().unwrap_or(&path))
            .and_then(|()| std::fs::File::create(path));
        let Ok(file) = made else { return };
        if locked {
            // Nobody else knows of the file.
            let _ = rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive);
        }
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(file);
    }

    fn twist(&self, operation: &str, answer: Result<Json, Fault>) -> Result<Json, Fault> {
        match (self.lie, answer) {
            (Lie::WrongCode, Err(Fault::Error(mut error))) => {
                error["code"] = "Internal".into();
                Err(Fault::Error(error))
            }
            (Lie::NoErrors, Err(Fault::Error(_))) => Ok(Json::Null),
            (Lie::WrongValue, Ok(mut value)) if operation == "images.pull" => {
                value["cached"] = true.into();
                Ok(value)
            }
            (Lie::WrongNumber, Ok(Json::Array(mut items))) if operation == "images.list" => {
                for item in &mut items {
                    item["size_bytes"] = (item["size_bytes"].as_u64().unwrap_or(0) + 1).into();
                }
                Ok(items.into())
            }
            (Lie::HidesBox, Ok(Json::Array(_))) if operation == "runtime.list" => Ok(json!([])),
            (_, answer) => answer,
        }
    }
}

impl Surface for LyingSurface {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> &'static [&'static str] {
        if self.lie == Lie::Boasts { &["main", "flying"] } else { self.inner.capabilities() }
    }

    async fn perform(
        self: Arc<Self>,
        request: Request,
        progress: Progress,
        cancel: CancellationToken,
    ) -> Result<Json, Fault> {
        let (id, operation) = (request.id, request.op.clone());
        if let Some(home) = request.args["home"].as_str() {
            *self.home.lock().unwrap_or_else(PoisonError::into_inner) = home.into();
        }
        let answer = self.inner.clone().perform(request, progress, cancel).await;
        match (self.lie, operation.as_str()) {
            (Lie::Silent, "images.list") => std::future::pending().await,
            (Lie::Crash, "images.list") => std::process::exit(3),
            (Lie::Twice, "images.list") => println!("{}", json!({ "id": id, "ok": [] })),
            (Lie::Garbage, "images.list") => println!("listing..."),
            (Lie::KeepsFile, "runtime.open") => self.keep("kept", false),
            (Lie::KeepsLock, "runtime.open") => self.keep("ingest/kept.lock", true),
            (Lie::Late, "images.pull") if answer.is_err() => tokio::time::sleep(LATE).await,
            (Lie::MakesHome, "images.list") if answer.is_err() => self.keep("again", false),
            _ => {}
        }
        self.twist(&operation, answer)
    }
}
