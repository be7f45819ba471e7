//! Completion queues: each completion once, whatever became of the operation.

use std::collections::HashSet;
use std::os::fd::BorrowedFd;
use std::ptr::null_mut;
use std::sync::Mutex;

use boxlite_ffi::boxlite_status::*;
use boxlite_ffi::*;
use boxlite_testkit::registry::{Fault, Gate, Rule, Target};

use crate::world::*;

pub fn new() -> *mut boxlite_queue {
    made(|out, error| unsafe { boxlite_queue_new(out, error) })
}

pub fn bind(operation: *mut boxlite_operation, queue: *mut boxlite_queue, user_data: u64) {
    done(|error| unsafe { boxlite_operation_bind(operation, queue, user_data, error) });
}

pub fn next(queue: *mut boxlite_queue, timeout_ms: i64) -> Result<boxlite_completion, boxlite_status> {
    let size = size_of::<boxlite_completion>();
    let mut completion = boxlite_completion { size, operation: null_mut(), user_data: 0, status: -1 };
    match call(|error| unsafe { boxlite_queue_next(queue, timeout_ms, &mut completion, error) }).0 {
        BOXLITE_OK => Ok(completion),
        failed => Err(failed),
    }
}

fn readable(fd: i32) -> bool {
    // SAFETY: it belongs to a handle that is alive.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let mut polled = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut polled, Some(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
}

#[test]
fn every_operation_completes_once_also_when_freed_or_bound_late() {
    let world = World::new();
    let runtime = world.open();
    let images = images_of(runtime);
    let queue = new();
    let mut handles = Vec::new();
    for number in 0..200 {
        let listing = begin(|o, e| unsafe { boxlite_images_list(images, o, e) });
        if number % 3 == 0 {
            done(|e| unsafe { boxlite_operation_wait(listing, PATIENCE_MS, e) });
        }
        bind(listing, queue, number);
        if number % 2 == 0 {
            assert_eq!(unsafe { boxlite_operation_free(listing) }, BOXLITE_OK);
        } else {
            handles.push(listing);
        }
    }
    let mut seen = HashSet::new();
    for _ in 0..200 {
        let completion = next(queue, PATIENCE_MS).unwrap();
        assert!(seen.insert(completion.user_data), "{completion:?} came twice");
        // Freeing cancels: those may have ended either way.
        assert!(
            completion.status == 0 || completion.user_data.is_multiple_of(2) && completion.status == 32,
            "{completion:?}"
        );
    }
    assert_eq!(next(queue, 0).unwrap_err(), BOXLITE_TIMEOUT);
    for handle in handles {
        assert_eq!(end(handle).0, BOXLITE_OK);
    }
    assert_eq!(unsafe { boxlite_queue_free(queue) }, BOXLITE_OK);
    free(runtime);
}

#[test]
fn the_completions_of_a_shutdown_are_there_when_it_has_ended() {
    let world = World::new();
    let gate = Gate::new();
    world.registry.script(Rule::on(Target::Manifests).with(Fault::HoldAfter(0, gate.clone())));
    let runtime = world.open();
    let images = images_of(runtime);
    let queue = new();
    let reference = world.image();
    for number in 0..50 {
        let pulling = begin(|o, e| pull(images, &reference, o, e));
        bind(pulling, queue, number);
        assert_eq!(unsafe { boxlite_operation_free(pulling) }, BOXLITE_OK);
    }
    let kept = begin(|o, e| pull(images, &reference, o, e));
    bind(kept, queue, 50);
    assert_eq!(shutdown(runtime), BOXLITE_OK);
    let mut seen = HashSet::new();
    while let Ok(completion) = next(queue, 0) {
        assert!(seen.insert(completion.user_data));
        assert!(completion.status == 11 || completion.status == 32, "{completion:?}");
    }
    assert_eq!(seen.len(), 51);
    assert_eq!(end(kept).0, BOXLITE_STOPPED);
    free(runtime);
    assert_eq!(unsafe { boxlite_queue_free(queue) }, BOXLITE_OK);
}

#[test]
fn eight_threads_share_a_queue_and_nothing_comes_twice() {
    let world = World::new();
    let runtime = world.open();
    let images = images_of(runtime);
    let queue = new();
    const COUNT: u64 = 400;
    for number in 0..COUNT {
        let listing = begin(|o, e| unsafe { boxlite_images_list(images, o, e) });
        bind(listing, queue, number);
        assert_eq!(unsafe { boxlite_operation_free(listing) }, BOXLITE_OK);
    }
    let (seen, queue) = (Mutex::new(Vec::new()), queue.addr());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let queue = std::ptr::without_provenance_mut(queue);
                while seen.lock().unwrap().len() < COUNT as usize {
                    if let Ok(completion) = next(queue, 10) {
                        seen.lock().unwrap().push(completion.user_data);
                    }
                }
            });
        }
    });
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..COUNT));
    assert_eq!(unsafe { boxlite_queue_free(std::ptr::without_provenance_mut(queue)) }, BOXLITE_OK);
    free(runtime);
}

#[test]
fn descriptors_are_readable_exactly_while_there_is_something() {
    let world = World::new();
    let gate = Gate::new();
    world.registry.script(Rule::on(Target::Manifests).with(Fault::HoldHead(gate.clone())));
    let runtime = world.open();
    let queue = new();
    let (mut queue_fd, mut fd, mut late) = (-1, -1, -1);
    done(|e| unsafe { boxlite_queue_fd(queue, &mut queue_fd, e) });
    let reference = world.image();
    let pulling = begin(|o, e| pull(images_of(runtime), &reference, o, e));
    done(|e| unsafe { boxlite_operation_fd(pulling, &mut fd, e) });
    bind(pulling, queue, 1);
    assert!(!readable(fd) && !readable(queue_fd));
    assert_eq!(status(|e| unsafe { boxlite_operation_wait(pulling, 0, e) }), BOXLITE_TIMEOUT);
    assert!(!unsafe { boxlite_operation_is_done(pulling) });
    gate.open();
    done(|e| unsafe { boxlite_operation_wait(pulling, PATIENCE_MS, e) });
    assert!(readable(fd) && readable(queue_fd));
    next(queue, 0).unwrap();
    assert!(readable(fd) && !readable(queue_fd));
    let listing = begin(|o, e| unsafe { boxlite_images_list(images_of(runtime), o, e) });
    done(|e| unsafe { boxlite_operation_wait(listing, PATIENCE_MS, e) });
    done(|e| unsafe { boxlite_operation_fd(listing, &mut late, e) });
    assert!(readable(late));
    assert_eq!((end(listing).0, end(pulling).0), (BOXLITE_OK, BOXLITE_OK));
    free(runtime);
    assert_eq!(unsafe { boxlite_queue_free(queue) }, BOXLITE_OK);
}

#[test]
fn a_queue_that_is_freed_sends_its_waiters_back() {
    // Nobody can tell that a thread is asleep in there: it is given more time in each round, so that the queue is freed
    // before it is, while it goes in, and when it has long been.
    for round in 0..200 {
        let queue = new().addr();
        let (sender, receiver) = std::sync::mpsc::channel();
        let waiting = std::thread::spawn(move || {
            sender.send(()).unwrap();
            next(std::ptr::without_provenance_mut(queue), -1).unwrap_err()
        });
        receiver.recv().unwrap();
        (0..round).for_each(|_| std::thread::yield_now());
        assert_eq!(unsafe { boxlite_queue_free(std::ptr::without_provenance_mut(queue)) }, BOXLITE_OK);
        assert_eq!(waiting.join().unwrap(), BOXLITE_INVALID_HANDLE);
    }
}

#[test]
fn an_operation_is_bound_once() {
    let world = World::new();
    let gate = Gate::new();
    world.registry.script(Rule::on(Target::Manifests).with(Fault::HoldHead(gate.clone())));
    let runtime = world.open();
    let queue = new();
    let reference = world.image();
    let pulling = begin(|o, e| pull(images_of(runtime), &reference, o, e));
    bind(pulling, queue, 1);
    let again = status(|e| unsafe { boxlite_operation_bind(pulling, queue, 2, e) });
    assert_eq!(again, BOXLITE_INVALID_STATE);
    gate.open();
    assert_eq!(next(queue, PATIENCE_MS).unwrap().user_data, 1);
    // Nor once it has ended; one that had ended before it was bound is no different.
    let listing = begin(|o, e| unsafe { boxlite_images_list(images_of(runtime), o, e) });
    done(|e| unsafe { boxlite_operation_wait(listing, PATIENCE_MS, e) });
    bind(listing, queue, 3);
    assert_eq!(next(queue, 0).unwrap().user_data, 3);
    for ended in [pulling, listing] {
        let again = status(|e| unsafe { boxlite_operation_bind(ended, queue, 4, e) });
        assert_eq!(again, BOXLITE_INVALID_STATE);
        assert_eq!(next(queue, 0).unwrap_err(), BOXLITE_TIMEOUT);
        assert_eq!(end(ended).0, BOXLITE_OK);
    }
    free(runtime);
    assert_eq!(unsafe { boxlite_queue_free(queue) }, BOXLITE_OK);
}
