use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use boxlite_types::Home;

use super::*;
use crate::vm::machine::Accelerator;

#[test]
fn everything_a_state_depends_on_changes_its_key() {
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name);
    for name in ["vmlinux", "initramfs", "another"] {
        fs::write(path(name), name).unwrap();
    }
    let home = Home::new("/home");
    let key = |change: &dyn Fn(&mut MachineSpec), version: &str| {
        let mut spec =
            MachineSpec { kernel: path("vmlinux"), initramfs: path("initramfs"), ..MachineSpec::example() };
        change(&mut spec);
        directory(&home, &spec, version).unwrap()
    };
    let mut keys = vec![
        key(&|_| {}, "7.2.0"),
        key(&|_| {}, "7.2.1"),
        key(&|spec| spec.kernel_release = "6.2".into(), "7.2.0"),
        key(&|spec| spec.initramfs = path("another"), "7.2.0"),
        key(&|spec| spec.accelerator = Accelerator::Kvm, "7.2.0"),
        key(&|spec| spec.cpus = 2, "7.2.0"),
        key(&|spec| spec.memory_mib = 256, "7.2.0"),
        key(&|spec| spec.tsc_khz += 1, "7.2.0"),
    ];
    assert_eq!(keys[0], key(&|spec| spec.template = Some("/x".into()), "7.2.0"));
    fs::write(path("vmlinux"), "installed anew").unwrap();
    keys.push(key(&|_| {}, "7.2.0"));
    let count = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), count);
}

/// A template as it lies on disk, last used `age` ago.
fn template(root: &Path, name: &str, age: Duration) -> PathBuf {
    let directory = root.join(name);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(MEMORY_FILE), [1; 4096]).unwrap();
    fs::write(directory.join(STATE_FILE), b"state").unwrap();
    let meta = Meta {
        spec: MachineSpec::example(),
        qemu_version: "7.2.0".into(),
        memory_bytes: 4096,
        state_bytes: 5,
        state_digest: state_digest(&directory).unwrap(),
        root: None,
    };
    fs::write(directory.join(META_FILE), serde_json::to_vec(&meta).unwrap()).unwrap();
    File::open(directory.join(META_FILE)).unwrap().set_modified(SystemTime::now() - age).unwrap();
    directory
}

#[test]
fn a_damaged_template_is_not_ready() {
    let root = tempfile::tempdir().unwrap();
    let check = |damage: fn(&Path), ready: bool| {
        let directory = template(root.path(), "t", Duration::ZERO);
        damage(&directory);
        assert_eq!(is_ready(&directory), ready);
    };
    check(|_| {}, true);
    check(|directory| fs::write(directory.join(STATE_FILE), b"stale").unwrap(), false);
    check(|directory| fs::write(directory.join(STATE_FILE), b"stat").unwrap(), false);
    check(|directory| fs::write(directory.join(MEMORY_FILE), [1; 4095]).unwrap(), false);
    check(|directory| fs::remove_file(directory.join(MEMORY_FILE)).unwrap(), false);
    check(|directory| fs::write(directory.join(META_FILE), b"{}").unwrap(), false);
    check(condemn, false);
}

#[test]
fn templates_out_of_use_are_removed_and_others_kept() {
    let root = tempfile::tempdir().unwrap();
    let made = template(root.path(), "made", UNUSED * 2);
    let used = template(root.path(), "used", Duration::from_secs(100));
    let unused = template(root.path(), "unused", UNUSED + Duration::from_secs(60));
    let condemned = template(root.path(), "condemned", Duration::ZERO);
    condemn(&condemned);
    fs::create_dir(root.path().join("disks")).unwrap();
    prune(root.path(), &made);
    assert!(made.exists() && used.exists() && root.path().join("disks").exists());
    assert!(!unused.exists() && !condemned.exists());

    for number in 0..KEPT as u64 {
        template(root.path(), &format!("more-{number}"), Duration::from_secs(number));
    }
    prune(root.path(), &made);
    let left =
        fs::read_dir(root.path()).unwrap().filter(|e| e.as_ref().unwrap().path().join(MEMORY_FILE).exists());
    assert_eq!(left.count(), KEPT);
    assert!(!used.exists(), "the least recently used goes first");
}

#[test]
fn a_use_is_noted() {
    let root = tempfile::tempdir().unwrap();
    let directory = template(root.path(), "t", TOUCH_INTERVAL * 2);
    assert!(is_ready(&directory));
    let modified = fs::metadata(directory.join(META_FILE)).unwrap().modified().unwrap();
    assert!(modified.elapsed().unwrap() < TOUCH_INTERVAL);
}

#[test]
fn templates_with_a_root_have_places_of_their_own_and_go_with_their_image() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::new(root.path());
    let templates = home.templates();
    let plain = template(&templates, "plain", Duration::from_secs(10_000));
    for number in 0..KEPT_MOUNTED as u64 + 3 {
        template(&templates, &format!("key-{number}.unique"), Duration::from_secs(number));
    }
    let notes = ["old.seen", "new.seen"].map(|name| templates.join(name));
    notes.iter().for_each(|note| fs::write(note, b"").unwrap());
    let long_ago = SystemTime::now() - UNUSED * 2;
    File::options().write(true).open(&notes[0]).unwrap().set_modified(long_ago).unwrap();
    prune(&templates, &templates.join("key-0.unique"));
    assert_eq!(notes.each_ref().map(|note| note.exists()), [false, true]);
    assert!(plain.exists(), "those with a root do not push it out");
    let left = |number: usize| templates.join(format!("key-{number}.unique")).exists();
    assert_eq!((left(0), left(KEPT_MOUNTED - 1), left(KEPT_MOUNTED)), (true, true, false));

    let image = root.path().join("image");
    fs::write(&image, b"root").unwrap();
    let extent =
        boxlite_types::DiskExtent { path: image.clone(), file_offset: 0, disk_offset: 0, length: 4096 };
    let layout = DiskLayout { size_bytes: 4096, extents: vec![extent] };
    describe(&templates.join("key-1.unique"), &MachineSpec::example(), "7.2.0", Some(&layout)).unwrap();
    forget_images(&home);
    assert!(left(1));
    fs::remove_file(&image).unwrap();
    forget_images(&home);
    assert!(!left(1) && left(2) && plain.exists());
}

#[test]
fn an_image_gets_a_template_when_it_was_started_often_enough() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::new(root.path());
    fs::create_dir_all(home.templates()).unwrap();
    let due = || mounted::is_due(&home, "key").unwrap();
    assert_eq!([due(), due(), due(), due(), due()], [false, false, false, true, true]);
    mounted::give_up(&home, "key", &Error::new(ErrorCode::Engine, "no"));
    assert!(!due());
    assert!(!mounted::is_due(&home, "other").unwrap());
}
