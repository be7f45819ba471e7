//! A program that exits without closing anything.

use std::process::Command;

use boxlite_testkit::registry::{Fault, Gate, Rule, Target};
use serde_json::json;

use crate::world::*;

/// Set for the program that exits, to `<home> <registry>`.
const VARIABLE: &str = "BOXLITE_FFI_TEST_EXIT";

#[test]
fn exiting_with_work_in_flight_leaves_nothing_that_the_next_open_does_not_clean_up() {
    if let Ok(given) = std::env::var(VARIABLE) {
        let (home, reference) = given.split_once(' ').unwrap();
        let world = World::new();
        let runtime = world.open_at(std::path::Path::new(home));
        let images = images_of(runtime);
        let reference = c(reference);
        for _ in 0..20 {
            begin(|o, e| pull(images, &reference, o, e));
        }
        println!("in flight");
        // The parent kills nothing: this waits for it to say that the registry has been reached.
        std::io::stdin().read_line(&mut String::new()).unwrap();
        std::process::exit(7);
    }
    let world = World::new();
    let gate = Gate::new();
    world.registry.script(Rule::on(Target::Blobs).with(Fault::HoldAfter(10, gate.clone())));
    let name = "exit::exiting_with_work_in_flight_leaves_nothing_that_the_next_open_does_not_clean_up";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(VARIABLE, format!("{} {}", world.home.path().display(), world.registry.reference("app:1")))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    soon(gate.reached());
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(7));
    world.registry.heal();
    let (runtime, _) = world.open_with_image();
    let check = finish(begin(|o, e| unsafe { boxlite_ffi::boxlite_runtime_check(runtime, false, o, e) }));
    assert_eq!(check["findings"], json!([]));
    free(runtime);
}
