//! Templates with the root of an image mounted: made for an image that is started often, right for boxes that are new, and
//! never used for one that has a disk of its own. (Most tests of `shim_vm` run on such a template as well.)

mod common;

use std::path::{Path, PathBuf};

use boxlite_engine::vm::snapshot::MEMORY_FILE;
use boxlite_engine::vm::{VmEngine, mounted, template};
use boxlite_engine::{Engine, Session, StartRequest};
use boxlite_protocol::{Answer, ShimRequest};
use boxlite_types::DiskLayout;
use common::vm::{VmBox, engine, home, root};
use common::{output, patiently};

/// An image of its own: the common one under another name, so that nobody else starts it.
struct Image {
    layout: DiskLayout,
    directory: tempfile::TempDir,
}

impl Image {
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("boxlite-mounted-").tempdir().unwrap();
        let mut layout = root();
        let path = directory.path().join("root.erofs");
        std::fs::copy(&layout.extents[0].path, &path).unwrap();
        layout.extents[0].path = path;
        Image { layout, directory }
    }

    async fn start(&self, engine: &VmEngine, vm_box: &VmBox) -> Session {
        engine.prepare(&vm_box.resources, std::sync::Arc::new(|_, _| {})).await.unwrap();
        let request = StartRequest { root: self.layout.clone(), ..vm_box.request(false) };
        patiently(engine.start(request, std::sync::Arc::new(|_, _| {}))).await.unwrap()
    }

    /// Starts boxes until one has come out of a template of the image, and returns that template.
    async fn started_before(&self, engine: &VmEngine) -> PathBuf {
        for _ in 0..mounted::STARTS_BEFORE {
            let vm_box = VmBox::new();
            let session = self.start(engine, &vm_box).await;
            assert!(!is_mounted(&template_of(&session).await));
        }
        let vm_box = VmBox::new();
        let session = self.start(engine, &vm_box).await;
        let template = template_of(&session).await;
        assert!(is_mounted(&template), "{}", template.display());
        template
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.directory.path());
        template::forget_images(&home());
    }
}

/// Which template the machine of a box came out of: that whose memory it has mapped.
async fn template_of(session: &Session) -> PathBuf {
    let Answer::Status(status) = session.shim(ShimRequest::Status).await.unwrap() else { panic!() };
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", status.vmm_pid)).unwrap();
    // Its jail sees it at another path, which ends the same.
    let mapped = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let memory = mapped.map(Path::new).find(|path| path.ends_with(MEMORY_FILE)).expect("a template");
    let name = memory.parent().unwrap().file_name().unwrap();
    home().templates().join(name)
}

fn is_mounted(template: &Path) -> bool {
    template.file_name().unwrap().to_str().unwrap().contains('.')
}

async fn stop(session: &Session) {
    patiently(session.shim(ShimRequest::Stop { timeout_ms: 20_000 })).await.unwrap();
}

#[tokio::test]
async fn boxes_of_a_mounted_template_are_boxes_of_their_own() {
    let (engine, image) = (engine(), Image::new());
    let template = image.started_before(&engine).await;
    let boxes = [VmBox::new(), VmBox::new()];
    let sessions = [image.start(&engine, &boxes[0]).await, image.start(&engine, &boxes[1]).await];
    let script = "cat /etc/machine-id /etc/hostname; hostname; head -c 32 /dev/urandom | od -An -tx1; \
                  grep -c $(hostname) /etc/hosts >&2";
    let mut said = Vec::new();
    for session in &sessions {
        assert_eq!(template_of(session).await, template);
        said.push(output(session, script).await);
    }
    for (one, two) in said[0].lines().zip(said[1].lines()) {
        assert_ne!(one, two, "{said:?}");
    }
    for (vm_box, said) in boxes.iter().zip(&said) {
        let names: Vec<&str> = said.lines().skip(1).take(2).collect();
        assert_eq!(names, [vm_box.id.as_str(), vm_box.id.as_str()]);
    }
    output(&sessions[0], "echo mine > /root/file; sync").await;
    assert_eq!(output(&sessions[1], "ls /root").await, "");
    // Neither has changed what the next one gets.
    let third = VmBox::new();
    let session = image.start(&engine, &third).await;
    assert_eq!(output(&session, "ls /root; cmp /big /big && echo whole").await, "whole\n");
}

#[tokio::test]
async fn what_a_machine_remembers_of_its_disk_is_what_is_on_it() {
    let (engine, image) = (engine(), Image::new());
    image.started_before(&engine).await;
    let vm_box = VmBox::new();
    let session = image.start(&engine, &vm_box).await;
    assert!(is_mounted(&template_of(&session).await));
    let work = "mkdir /data; for i in $(seq 300); do echo $i > /data/$i; done; rm -r /bin/wget; \
                dd if=/dev/zero of=/zeros bs=1M count=40 2>/dev/null; echo new > /etc/hosts; sync";
    output(&session, work).await;
    let look =
        "ls /data | wc -l; cat /data/299; test -e /bin/wget || echo gone; wc -c < /zeros; cat /etc/hosts";
    let expect = "300\n299\ngone\n41943040\nnew\n";
    assert_eq!(output(&session, look).await, expect);
    // Killed: its own disk is mounted anew, in a machine that remembers nothing.
    patiently(session.shim(ShimRequest::Kill)).await.unwrap();
    let session = image.start(&engine, &vm_box).await;
    assert!(!is_mounted(&template_of(&session).await));
    assert!(output(&session, look).await.starts_with("300\n299\ngone\n41943040\n"));
    stop(&session).await;
    let disk = vm_box.directory.join("disk");
    let check = std::process::Command::new("e2fsck").args(["-f", "-n"]).arg(&disk).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
}

#[tokio::test]
async fn a_mounted_template_that_is_damaged_costs_no_more_than_its_use() {
    let (engine, image) = (engine(), Image::new());
    let template = image.started_before(&engine).await;
    let memory = std::fs::OpenOptions::new().write(true).open(template.join(MEMORY_FILE)).unwrap();
    let length = memory.metadata().unwrap().len();
    memory.set_len(0).unwrap();
    memory.set_len(length).unwrap();
    let vm_box = VmBox::new();
    let session = image.start(&engine, &vm_box).await;
    assert_eq!(output(&session, "cat /etc/hostname").await, format!("{}\n", vm_box.id));
    assert!(!template::is_ready(&template));
}

#[tokio::test]
async fn a_template_goes_with_its_image_and_with_a_change_of_it() {
    let (engine, image) = (engine(), Image::new());
    let template = image.started_before(&engine).await;
    let plain = home().templates().join("plain");
    let before = mounted::key(&plain, &image.layout, 128).unwrap();
    assert_ne!(mounted::key(&plain, &image.layout, 129).unwrap(), before);
    assert_ne!(mounted::key(&home().templates().join("other"), &image.layout, 128).unwrap(), before);
    let path = image.layout.extents[0].path.clone();
    let file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_ne!(mounted::key(&plain, &image.layout, 128).unwrap(), before);
    template::forget_images(&home());
    assert!(template.exists());
    std::fs::remove_file(&path).unwrap();
    assert!(mounted::key(&plain, &image.layout, 128).is_err());
    template::forget_images(&home());
    assert!(!template.exists());
}
