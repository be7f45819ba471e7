//! The gate under every interleaving of its callers.
//!
//! Each method of the gate takes its lock once, so an execution of several threads is an order of their method calls. The
//! explorer replays every such order on the real gate: each actor is a list of steps, a step may refuse to run yet
//! (waiting), and after each complete order the invariants of the gate are checked. Unlike loom it runs in every
//! `cargo test`; what it does not explore is the memory model, which the mutex answers for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::*;

/// What one operation of the model went through.
#[derive(Default)]
struct Operation {
    settled: Mutex<Vec<&'static str>>,
    /// Whether the shutdown had returned when it was settled.
    settled_late: AtomicBool,
    world: Mutex<Option<Arc<World>>>,
}

#[derive(Default)]
struct World {
    returned: AtomicBool,
}

impl Operation {
    /// The completion slot: the first settlement counts, later ones are dropped.
    fn settle(&self, how: &'static str) {
        let mut settled = self.settled.lock().unwrap();
        if settled.is_empty() {
            settled.push(how);
            let late = self.world.lock().unwrap().as_ref().unwrap().returned.load(Ordering::SeqCst);
            self.settled_late.store(late, Ordering::SeqCst);
        }
    }
}

impl Abandon for Operation {
    fn abandon(&self) {
        self.settle("stopped");
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// An operation: tries to enter; the rest of its steps are skipped if it is refused.
    Enter,
    /// An operation: completes with its own result.
    Finish,
    /// An operation: gives its pass back.
    Leave,
    /// A shutdown: closes the gate.
    Close,
    /// A shutdown: goes on when the gate is empty.
    AwaitEmpty,
    /// A shutdown: its deadline passed, or the gate is empty: seals it and returns.
    Seal,
}

const OPERATION: &[Step] = &[Step::Enter, Step::Finish, Step::Leave];
const PATIENT_SHUTDOWN: &[Step] = &[Step::Close, Step::AwaitEmpty, Step::Seal];
const HURRIED_SHUTDOWN: &[Step] = &[Step::Close, Step::Seal];

struct Run {
    gate: Arc<Gate<()>>,
    world: Arc<World>,
    operations: Vec<Arc<Operation>>,
    passes: Vec<Option<Pass<()>>>,
    refused: Vec<bool>,
    entered: Vec<bool>,
    at: Vec<usize>,
    closers: usize,
}

impl Run {
    fn new(actors: usize) -> Self {
        let world = Arc::new(World::default());
        let operations: Vec<_> = (0..actors).map(|_| Arc::new(Operation::default())).collect();
        for operation in &operations {
            *operation.world.lock().unwrap() = Some(world.clone());
        }
        Run {
            gate: Gate::new(Arc::new(())),
            world,
            operations,
            passes: (0..actors).map(|_| None).collect(),
            refused: vec![false; actors],
            entered: vec![false; actors],
            at: vec![0; actors],
            closers: 0,
        }
    }

    fn may_run(&self, script: &[Step], actor: usize) -> bool {
        match script.get(self.at[actor]) {
            None => false,
            Some(Step::AwaitEmpty) => self.gate.inside() == 0,
            Some(_) => true,
        }
    }

    fn step(&mut self, step: Step, actor: usize) {
        self.at[actor] += 1;
        match step {
            _ if self.refused[actor] => {}
            Step::Enter => match self.gate.enter(self.operations[actor].clone()) {
                Ok(pass) => {
                    assert!(!self.world.returned.load(Ordering::SeqCst), "entered after shutdown returned");
                    assert_eq!(self.closers, 0, "entered after the gate was closed");
                    self.passes[actor] = Some(pass);
                    self.entered[actor] = true;
                }
                Err(error) => {
                    assert_eq!(error.code(), ErrorCode::Stopped);
                    assert_ne!(self.closers, 0, "refused by an open gate");
                    self.refused[actor] = true;
                }
            },
            Step::Finish => self.operations[actor].settle("finished"),
            Step::Leave => drop(self.passes[actor].take()),
            Step::Close => {
                assert_eq!(self.gate.close(), self.closers == 0, "exactly one closer is the first");
                self.closers += 1;
            }
            Step::AwaitEmpty => assert_eq!(self.gate.inside(), 0),
            Step::Seal => {
                self.gate.seal();
                self.world.returned.store(true, Ordering::SeqCst);
                assert!(self.gate.glance().is_err(), "the value can be reached after the seal");
                for (operation, entered) in self.operations.iter().zip(&self.entered) {
                    let settled = operation.settled.lock().unwrap().len();
                    assert_eq!(
                        settled,
                        usize::from(*entered),
                        "shutdown returned before an operation was settled"
                    );
                }
            }
        }
    }

    fn check_end(&self) {
        for (operation, entered) in self.operations.iter().zip(&self.entered) {
            assert_eq!(operation.settled.lock().unwrap().len(), usize::from(*entered));
            assert!(!operation.settled_late.load(Ordering::SeqCst), "settled after shutdown returned");
        }
        assert_eq!(self.gate.inside(), 0, "somebody is still inside");
    }
}

/// Runs every order of the actors' steps; returns how many there were.
fn explore(scripts: &[&[Step]]) -> usize {
    let mut orders = 0;
    // A prefix of choices is replayed from the beginning: gates cannot be copied, and replaying is cheap.
    let mut pending: Vec<Vec<usize>> = vec![Vec::new()];
    while let Some(prefix) = pending.pop() {
        let mut run = Run::new(scripts.len());
        let mut order = prefix.clone();
        for &actor in &prefix {
            run.step(scripts[actor][run.at[actor]], actor);
        }
        loop {
            let runnable: Vec<usize> =
                (0..scripts.len()).filter(|&actor| run.may_run(scripts[actor], actor)).collect();
            let Some((&first, others)) = runnable.split_first() else { break };
            for &other in others {
                let mut alternative = order.clone();
                alternative.push(other);
                pending.push(alternative);
            }
            order.push(first);
            run.step(scripts[first][run.at[first]], first);
        }
        let finished = (0..scripts.len()).all(|actor| run.at[actor] == scripts[actor].len());
        assert!(finished, "a shutdown waits for ever: {order:?}");
        run.check_end();
        orders += 1;
    }
    orders
}

#[test]
fn every_order_of_two_operations_and_a_patient_shutdown_keeps_the_invariants() {
    assert!(explore(&[OPERATION, OPERATION, PATIENT_SHUTDOWN]) > 500);
}

#[test]
fn every_order_of_two_operations_and_a_shutdown_past_its_deadline_keeps_the_invariants() {
    assert!(explore(&[OPERATION, OPERATION, HURRIED_SHUTDOWN]) > 500);
}

#[test]
fn every_order_of_an_operation_and_concurrent_shutdowns_keeps_the_invariants() {
    assert!(explore(&[OPERATION, PATIENT_SHUTDOWN, HURRIED_SHUTDOWN, HURRIED_SHUTDOWN]) > 500);
}

/// The model can fail: an operation that completes without the slot's first-one-wins rule is caught.
#[test]
#[should_panic(expected = "settled")]
fn the_model_notices_an_operation_that_leaves_before_it_is_settled() {
    explore(&[&[Step::Enter, Step::Leave, Step::Finish], PATIENT_SHUTDOWN]);
}
