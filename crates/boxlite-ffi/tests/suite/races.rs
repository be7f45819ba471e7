//! Shutdown and free against calls from elsewhere.

use std::ptr::{null_mut, without_provenance_mut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use boxlite_ffi::boxlite_status::*;
use boxlite_ffi::*;
use boxlite_testkit::images::{Entry, Image, Layer};
use boxlite_testkit::registry::{Fault, Gate, Rule, Target};

use crate::queues::{bind, new, next};
use crate::world::*;

#[test]
fn a_shutdown_ends_a_hundred_pulls_in_flight_each_once() {
    let world = World::new();
    for number in 0..10 {
        let layer = Layer::from_entries([Entry::file("f", format!("{number}").repeat(20_000))]);
        world.registry.push(&format!("many{number}"), "1", &Image::new([layer]).build());
    }
    for round in 0..rounds() {
        let home = tempfile::tempdir().unwrap();
        let gate = Gate::new();
        world.registry.heal();
        // Rounds differ in how far the pulls have come: bodies held at some byte that each of them has, manifests held, or
        // nothing held.
        let byte = round as u64 % 64;
        match round % 3 {
            0 => world.registry.script(Rule::on(Target::Blobs).with(Fault::HoldAfter(byte, gate.clone()))),
            1 => world.registry.script(Rule::on(Target::Manifests).with(Fault::HoldAfter(0, gate.clone()))),
            _ => gate.open(),
        }
        let runtime = world.open_at(home.path());
        let (images, queue) = (images_of(runtime), new());
        let pulls: Vec<_> = (0..100)
            .map(|number| {
                let reference = c(&world.registry.reference(&format!("many{}:1", number % 10)));
                let pulling = begin(|o, e| pull(images, &reference, o, e));
                bind(pulling, queue, number);
                pulling
            })
            .collect();
        if round % 3 != 2 {
            soon(gate.reached());
        }
        // Half of the rounds shut down, the others free.
        if round % 2 == 0 {
            assert_eq!(shutdown(runtime), BOXLITE_OK);
        }
        free(runtime);
        std::fs::remove_dir_all(home.path()).unwrap();
        gate.open();
        let mut seen = [0; 100];
        while let Ok(completion) = next(queue, 0) {
            assert!(completion.status == 0 || completion.status == 11, "{completion:?}");
            seen[completion.user_data as usize] += 1;
        }
        assert_eq!(seen, [1; 100]);
        for pulling in pulls {
            assert!(unsafe { boxlite_operation_is_done(pulling) });
            assert!(matches!(end(pulling).0, BOXLITE_OK | BOXLITE_STOPPED));
        }
        assert_eq!(list(images), BOXLITE_STOPPED);
        assert!(!home.path().exists(), "something made it again");
        unsafe {
            assert_eq!(boxlite_images_free(images), BOXLITE_OK);
            assert_eq!(boxlite_queue_free(queue), BOXLITE_OK);
        }
    }
}

#[test]
fn free_races_use_from_eight_threads() {
    let world = World::new();
    for _ in 0..rounds() * 4 {
        let runtime = world.open();
        let images = images_of(runtime);
        let queue = new();
        let (runtime_value, images_value, queue_value) = (runtime.addr(), images.addr(), queue.addr());
        let (over, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (over, calls) = (&over, &calls);
                scope.spawn(move || {
                    let images: *mut boxlite_images = without_provenance_mut(images_value);
                    let runtime: *mut boxlite_runtime = without_provenance_mut(runtime_value);
                    while !over.load(Ordering::Relaxed) {
                        let mut same = null_mut();
                        let got = call(|e| unsafe { boxlite_runtime_images(runtime, &mut same, e) }).0;
                        assert!(
                            matches!(got, BOXLITE_OK | BOXLITE_STOPPED | BOXLITE_INVALID_HANDLE),
                            "{got:?}"
                        );
                        let mut operation = null_mut();
                        let begun = call(|e| unsafe { boxlite_images_list(images, &mut operation, e) }).0;
                        if begun == BOXLITE_OK {
                            if thread % 2 == 0 {
                                let bound = call(|e| unsafe {
                                    boxlite_operation_bind(
                                        operation,
                                        without_provenance_mut(queue_value),
                                        0,
                                        e,
                                    )
                                });
                                assert!(matches!(bound.0, BOXLITE_OK | BOXLITE_INVALID_HANDLE), "{bound:?}");
                            }
                            let ended = end(operation).0;
                            assert!(matches!(ended, BOXLITE_OK | BOXLITE_STOPPED), "{ended:?}");
                        } else {
                            assert!(matches!(begun, BOXLITE_STOPPED | BOXLITE_INVALID_HANDLE), "{begun:?}");
                        }
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            while calls.load(Ordering::Relaxed) < 40 {
                std::thread::yield_now();
            }
            assert_eq!(unsafe { boxlite_queue_free(queue) }, BOXLITE_OK);
            free(runtime);
            assert_eq!(list(images), BOXLITE_STOPPED);
            assert_eq!(unsafe { boxlite_images_free(images) }, BOXLITE_OK);
            let before = calls.load(Ordering::Relaxed);
            while calls.load(Ordering::Relaxed) < before + 16 {
                std::thread::yield_now();
            }
            over.store(true, Ordering::Relaxed);
        });
        assert_eq!(list(images), BOXLITE_INVALID_HANDLE);
    }
}

#[test]
fn a_handle_freed_by_eight_threads_is_freed_once() {
    for _ in 0..rounds() * 40 {
        let queue = new().addr();
        let freed = AtomicUsize::new(0);
        let start = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    match unsafe { boxlite_queue_free(without_provenance_mut(queue)) } {
                        BOXLITE_OK => freed.fetch_add(1, Ordering::Relaxed),
                        other => {
                            assert_eq!(other, BOXLITE_INVALID_HANDLE);
                            0
                        }
                    };
                });
            }
        });
        assert_eq!(freed.into_inner(), 1);
    }
}

#[test]
fn shutdowns_from_many_threads_all_get_the_same_answer() {
    let world = World::new();
    let runtime = world.open();
    let value = runtime.addr();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(shutdown(without_provenance_mut(value)), BOXLITE_OK));
        }
    });
    free(runtime);
}
