//! Real machines for tests: one home for all of them, so that kernel and template are made once, and a small root.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use boxlite_engine::vm::{Accelerator, VmEngine, VmEngineOptions};
use boxlite_engine::{Engine, Session, StageSink, StartRequest};
use boxlite_types::{BoxId, DiskExtent, DiskLayout, Home, Resources, Result};

use super::{SHIM, agent, patiently};

/// Home of all machines of this build's tests.
pub fn home() -> Home {
    Home::new(Path::new(SHIM).ancestors().nth(2).unwrap().join("test-home"))
}

/// An engine on that home, in software emulation as everywhere in tests.
pub fn engine() -> VmEngine {
    VmEngine::new(VmEngineOptions {
        home: home(),
        agent: agent().to_owned(),
        shim: std::env::var_os("BOXLITE_TEST_SHIM").map_or(SHIM.into(), Into::into),
        qemu: None,
        kernel: None,
        accelerator: Some(Accelerator::Tcg),
    })
}

/// A root with busybox in it, as an EROFS image.
pub fn root() -> DiskLayout {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    let image = IMAGE.get_or_init(|| {
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
        let image = home().root().join(format!("root.{}.erofs", std::process::id()));
        std::fs::create_dir_all(home().root()).unwrap();
        let made = Command::new("mkfs.erofs").arg("--quiet").arg(&image).arg(&tree).status();
        assert!(made.expect("erofs-utils is installed").success());
        image
    });
    let length = std::fs::metadata(image).unwrap().len().next_multiple_of(4096);
    let extent = DiskExtent { path: image.clone(), file_offset: 0, disk_offset: 0, length };
    DiskLayout { size_bytes: length, extents: vec![extent] }
}

/// A box of its own in the common home; removed when dropped.
pub struct VmBox {
    pub id: BoxId,
    pub directory: PathBuf,
    pub resources: Resources,
}

impl VmBox {
    pub fn new() -> Self {
        let mut random = [0; 12];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).unwrap();
        let id = BoxId::from_random(random);
        let directory = home().box_directory(&id);
        std::fs::create_dir_all(&directory).unwrap();
        VmBox { id, directory, resources: Resources { cpus: 1, memory_mib: 256, disk_mib: 128 } }
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
        engine.prepare(&self.resources, std::sync::Arc::new(|_, _| {})).await?;
        patiently(engine.start(self.request(false), stages.clone())).await
    }

    pub async fn start(&self, engine: &VmEngine) -> Session {
        let silent: StageSink = std::sync::Arc::new(|_, _| {});
        self.try_start(engine, &silent).await.unwrap()
    }
}

impl Drop for VmBox {
    fn drop(&mut self) {
        if let Ok(Some(process)) = boxlite_engine::shim::supervisor(&self.directory) {
            super::kill(process.pid);
            let _ = boxlite_engine::shim::reap(&self.directory);
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
