//! Templates: made once, found bad when they are, made anew when something changes.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::atomic::{AtomicU32, Ordering};

use boxlite_engine::vm::snapshot::{MEMORY_FILE, STATE_FILE};
use boxlite_engine::vm::{MachineSpec, PlainSpawn, Spawn, VmmCommand, VmmProcess, boot, template};
use boxlite_types::Result;

use crate::{TestHome, blank};

/// Counts the VMMs it starts.
#[derive(Default)]
struct Counting(AtomicU32);

impl Spawn for Counting {
    fn spawn(&self, command: VmmCommand) -> Result<VmmProcess> {
        self.0.fetch_add(1, Ordering::Relaxed);
        PlainSpawn.spawn(command)
    }
}

#[test]
fn whoever_wants_the_same_template_at_once_gets_one() {
    let home = TestHome::new();
    let (spec, version) = (home.spec(), home.qemu().version);
    let directory = template::directory(&home.home, &spec, &version).unwrap();
    assert!(!template::is_ready(&directory));
    let spawn = Counting::default();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| template::make(&directory, &spec, &version, &spawn, &blank::serve).unwrap());
        }
    });
    assert!(template::is_ready(&directory));
    assert_eq!(spawn.0.load(Ordering::Relaxed), 2, "one machine that boots and one that proves the restore");

    let spec = MachineSpec { template: Some(directory.clone()), ..spec };
    let machine = boot::start(&spec, &home.disk("box"), &PlainSpawn, &blank::serve).unwrap();
    assert!(machine.from_template);
    drop(machine);
    // A machine of another shape has a template of its own.
    let other = MachineSpec { memory_mib: 192, ..spec };
    let other_directory = template::directory(&home.home, &other, &version).unwrap();
    assert!(!template::is_ready(&other_directory));
    template::make(&other_directory, &other, &version, &PlainSpawn, &blank::serve).unwrap();
    assert!(template::is_ready(&other_directory) && template::is_ready(&directory));
    let unfinished = fs::read_dir(home.home.templates().join("making")).unwrap().count();
    assert_eq!(unfinished, 0, "nothing is left of the making");
}

#[test]
fn a_corrupted_template_is_found_out_and_made_anew() {
    let home = TestHome::new();
    let (spec, version) = (home.spec(), home.qemu().version);
    let directory = template::directory(&home.home, &spec, &version).unwrap();
    let make = || template::make(&directory, &spec, &version, &PlainSpawn, &blank::serve).unwrap();
    let restored = MachineSpec { template: Some(directory.clone()), ..spec.clone() };
    make();
    let first = fs::metadata(directory.join(MEMORY_FILE)).unwrap().ino();

    // A damaged state is seen before anything is started from it.
    let state = fs::OpenOptions::new().write(true).open(directory.join(STATE_FILE)).unwrap();
    state.write_all_at(b"damage", 1000).unwrap();
    assert!(!template::is_ready(&directory));
    make();
    assert!(template::is_ready(&directory));
    assert_ne!(fs::metadata(directory.join(MEMORY_FILE)).unwrap().ino(), first);

    // Damaged memory is seen when the machine does not come up; the box gets a cold one, and the template goes.
    let memory = fs::OpenOptions::new().write(true).open(directory.join(MEMORY_FILE)).unwrap();
    let length = memory.metadata().unwrap().len();
    memory.set_len(0).unwrap();
    memory.set_len(length).unwrap();
    assert!(template::is_ready(&directory), "its length and state are right");
    let machine = boot::start(&restored, &home.disk("box"), &PlainSpawn, &blank::serve).unwrap();
    assert!(!machine.from_template);
    drop(machine);
    assert!(!template::is_ready(&directory));
    make();
    let machine = boot::start(&restored, &home.disk("box"), &PlainSpawn, &blank::serve).unwrap();
    assert!(machine.from_template);
}
