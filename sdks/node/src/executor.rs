//! The event loop of Node as an executor: futures of the library are polled on the JavaScript thread they belong to.
//!
//! The library does its work on threads of its own; its futures only wait. So they can be polled right where their answers
//! are needed: no thread, no `Send`, and answers arrive in the order in which they were ready. There is one [`Executor`] for
//! each environment of Node (the main thread, and each worker thread).
//!
//! Invariants. A task that holds the event loop keeps Node running until it is over; handles do not. When the environment
//! goes (exit, `process.exit`, a terminated worker), no task survives, and every runtime opened in it is shut down before
//! Node takes the environment apart.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_void;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use boxlite::{CancellationToken, Runtime};
use napi::{Env, check_status, sys};

use crate::wake::{Inbox, TaskWaker};

/// Deadline of the shutdown of a runtime that nobody shut down: closed, let go of, or left open at exit.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The number of an operation that its caller gave up before it began.
pub const GIVEN_UP: u32 = u32::MAX;

/// The executor of one environment of Node.
pub struct Executor {
    env: sys::napi_env,
    inbox: Arc<Inbox>,
    tasks: RefCell<HashMap<u64, Task>>,
    next_key: Cell<u64>,
    /// How many tasks keep Node running.
    holding: Cell<usize>,
    operations: RefCell<HashMap<u32, Operation>>,
    /// Runtimes that are not known to be shut down.
    runtimes: RefCell<HashMap<u64, Runtime>>,
    gone: Cell<bool>,
}

/// Something under way that can be cancelled.
struct Operation {
    token: CancellationToken,
    /// The task that waits for it, once that is known.
    task: Option<u64>,
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    waker: Arc<TaskWaker>,
    holds: bool,
}

thread_local! {
    /// The executors of this thread, one in every Node there is; an embedder may run several environments on a thread.
    static EXECUTORS: RefCell<Vec<Rc<Executor>>> = const { RefCell::new(Vec::new()) };
}

impl Executor {
    /// Returns the executor of an environment, made when it is asked for the first time.
    pub fn of(env: &Env) -> napi::Result<Rc<Executor>> {
        let known = EXECUTORS.with_borrow(|all| all.iter().find(|one| one.env == env.raw()).cloned());
        known.map_or_else(|| Executor::start(env.raw()), Ok)
    }

    fn start(env: sys::napi_env) -> napi::Result<Rc<Executor>> {
        let name = "boxlite";
        let (mut resource, mut function) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: `env` is the environment of the call this happens in, and the text outlives the call.
        check_status!(unsafe {
            sys::napi_create_string_utf8(env, name.as_ptr().cast(), name.len() as isize, &mut resource)
        })?;
        // SAFETY: all pointers are null or valid for the call; `ring` has the signature Node expects.
        check_status!(unsafe {
            sys::napi_create_threadsafe_function(
                env,
                ptr::null_mut(),
                ptr::null_mut(),
                resource,
                0,
                1,
                ptr::null_mut(),
                None,
                ptr::null_mut(),
                Some(ring),
                &mut function,
            )
        })?;
        let executor = Rc::new(Executor {
            env,
            inbox: Inbox::new(function),
            tasks: RefCell::default(),
            next_key: Cell::new(1),
            holding: Cell::new(0),
            operations: RefCell::default(),
            runtimes: RefCell::default(),
            gone: Cell::new(false),
        });
        // SAFETY: the function was made above, on this thread.
        check_status!(unsafe { sys::napi_unref_threadsafe_function(env, function) })?;
        // Hooks run in the reverse order of their registration: this one before the threadsafe function's own.
        // SAFETY: the argument is the environment itself, which is alive until its hooks have run.
        check_status!(unsafe { sys::napi_add_env_cleanup_hook(env, Some(take_apart), env.cast()) })?;
        EXECUTORS.with_borrow_mut(|all| all.push(executor.clone()));
        Ok(executor)
    }

    /// Returns the environment.
    pub fn env(&self) -> Env {
        Env::from_raw(self.env)
    }

    /// Runs a future; what it does before it waits for the first time has been done when this returns. Returns the key of
    /// the task.
    pub fn spawn(self: &Rc<Self>, holds: bool, future: impl Future<Output = ()> + 'static) -> u64 {
        let key = self.key();
        let waker = TaskWaker::new(key, self.inbox.clone());
        if holds {
            self.hold(1);
        }
        self.poll(key, Task { future: Box::pin(future), waker, holds });
        key
    }

    /// Makes the token by which [`Executor::cancel`] ends `operation`; it is cancelled already for [`GIVEN_UP`].
    pub fn cancellable(&self, operation: u32) -> CancellationToken {
        let token = CancellationToken::new();
        if operation == GIVEN_UP {
            token.cancel();
        } else {
            let begun = Operation { token: token.clone(), task: None };
            self.operations.borrow_mut().insert(operation, begun);
        }
        token
    }

    /// Says which task waits for an operation.
    pub fn waits_for(&self, task: u64, operation: u32) {
        if let Some(begun) = self.operations.borrow_mut().get_mut(&operation) {
            begun.task = Some(task);
        }
    }

    /// Forgets an operation that is over.
    pub fn finished(&self, operation: u32) {
        self.operations.borrow_mut().remove(&operation);
    }

    /// Asks an operation to end; the library has been told when this returns.
    pub fn cancel(&self, operation: u32) {
        let begun = self.operations.borrow().get(&operation).map(|begun| (begun.token.clone(), begun.task));
        let Some((token, task)) = begun else { return };
        token.cancel();
        // It passes the request on when it is polled. A turn of the event loop later the work might have won.
        let task = task.and_then(|key| Some((key, self.tasks.borrow_mut().remove(&key)?)));
        if let Some((key, task)) = task {
            self.poll(key, task);
        }
    }

    /// Notes a runtime that has to be shut down before this environment goes. Returns the key for [`Executor::release`].
    pub fn keep(&self, runtime: Runtime) -> u64 {
        let key = self.key();
        self.runtimes.borrow_mut().insert(key, runtime);
        key
    }

    /// Shuts a runtime down that nobody can reach any more. Does not wait, and does not keep Node running.
    pub fn release(self: &Rc<Self>, key: u64) {
        let runtime = self.runtimes.borrow().get(&key).cloned();
        if let (Some(runtime), false) = (runtime, self.gone.get()) {
            let executor = self.clone();
            self.spawn(false, async move {
                // It has a deadline, and nobody to tell about having had to use force.
                let _ = runtime.shutdown(CLOSE_TIMEOUT).await;
                executor.runtimes.borrow_mut().remove(&key);
            });
        }
    }

    fn key(&self) -> u64 {
        let key = self.next_key.get();
        self.next_key.set(key + 1);
        key
    }

    /// Polls one task, and keeps it if it is not over. It is outside of the table meanwhile: it may spawn others.
    fn poll(&self, key: u64, mut task: Task) {
        task.waker.rearm();
        let waker = task.waker.waker();
        let mut context = Context::from_waker(&waker);
        // A promise tells of a panic itself; this keeps any other from unwinding into Node.
        let polled = catch_unwind(AssertUnwindSafe(|| task.future.as_mut().poll(&mut context)));
        if matches!(polled, Ok(Poll::Pending)) && !self.gone.get() {
            self.tasks.borrow_mut().insert(key, task);
        } else if task.holds {
            self.hold(-1);
        }
    }

    /// Polls what can go on.
    fn run(&self) {
        for key in self.inbox.take() {
            let task = self.tasks.borrow_mut().remove(&key);
            if let Some(task) = task {
                let mut scope = ptr::null_mut();
                // SAFETY: this is the thread of the environment, inside of a call from it. Closed below, in order; a scope
                // of its own for each task bounds what a burst of answers keeps alive.
                let opened = unsafe { sys::napi_open_handle_scope(self.env, &mut scope) };
                self.poll(key, task);
                if opened == sys::Status::napi_ok {
                    // SAFETY: opened above.
                    unsafe { sys::napi_close_handle_scope(self.env, scope) };
                }
            }
        }
    }

    /// Counts the tasks that keep Node running, and tells it at the first and after the last.
    fn hold(&self, change: isize) {
        let before = self.holding.get();
        let after = before.saturating_add_signed(change);
        self.holding.set(after);
        let Some(function) = self.inbox.function() else { return };
        // SAFETY: the function is alive while it is in the inbox, and this is the thread of its event loop.
        unsafe {
            match (before, after) {
                (0, 1) => sys::napi_ref_threadsafe_function(self.env, function),
                (1, 0) => sys::napi_unref_threadsafe_function(self.env, function),
                _ => sys::Status::napi_ok,
            };
        }
    }

    /// Ends everything: nobody waits any more, and every runtime lets go of its home.
    fn end(&self) {
        self.gone.set(true);
        let function = self.inbox.close();
        // Outside of the table: what a task drops may come back here.
        drop(std::mem::take(&mut *self.tasks.borrow_mut()));
        let runtimes = std::mem::take(&mut *self.runtimes.borrow_mut());
        let shutdowns = runtimes.values().map(|runtime| runtime.shutdown(CLOSE_TIMEOUT));
        // All at once, so that several take no longer than one.
        futures::executor::block_on(futures::future::join_all(shutdowns));
        if let Some(function) = function {
            // SAFETY: it is out of the inbox, so that nobody else calls it.
            unsafe {
                sys::napi_release_threadsafe_function(function, sys::ThreadsafeFunctionReleaseMode::abort)
            };
        }
    }
}

/// What Node calls on the JavaScript thread after the bell has been rung.
unsafe extern "C" fn ring(
    env: sys::napi_env,
    _function: sys::napi_value,
    _context: *mut c_void,
    _data: *mut c_void,
) {
    // Null when the environment is being taken apart.
    if !env.is_null() {
        let executor = EXECUTORS.with_borrow(|all| all.iter().find(|one| one.env == env).cloned());
        if let Some(executor) = executor {
            executor.run();
        }
    }
}

/// What Node calls before it takes the environment apart.
unsafe extern "C" fn take_apart(env: *mut c_void) {
    let executor = EXECUTORS.with_borrow_mut(|all| {
        let place = all.iter().position(|one| one.env == env.cast())?;
        Some(all.swap_remove(place))
    });
    if let Some(executor) = executor {
        // A defect must not become a crash at exit.
        let _ = catch_unwind(AssertUnwindSafe(|| executor.end()));
    }
}
