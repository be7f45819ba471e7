//! A function of JavaScript that is told what happens while an operation goes on.
//!
//! It is called on the JavaScript thread, by the task that waits for the operation: everything that happened has been told
//! when the promise settles. What a listener throws is no business of the operation: `lib/` catches it before.

use std::future::Future;
use std::rc::Rc;

use futures::StreamExt;
use futures::channel::mpsc::UnboundedReceiver;
use napi::Env;
use napi::bindgen_prelude::{Function, FunctionRef};
use serde::Serialize;

use crate::answer;
use crate::executor::Executor;

/// A function that takes the JSON text of an event.
pub struct Listener {
    executor: Rc<Executor>,
    function: FunctionRef<String, ()>,
}

impl Listener {
    /// Keeps `function` for later.
    pub fn new(env: &Env, function: &Function<'_, String, ()>) -> napi::Result<Self> {
        Ok(Listener { executor: Executor::of(env)?, function: function.create_ref()? })
    }

    fn tell<E: Serialize>(&self, event: E) {
        let env = self.executor.env();
        if let (Ok(text), Ok(function)) = (answer::text(event), self.function.borrow_back(&env)) {
            let _ = function.call(text);
        }
    }
}

/// Waits for `future`, telling the listener of everything that arrives meanwhile.
pub async fn while_telling<E: Serialize, T>(
    listener: Option<Listener>,
    mut events: UnboundedReceiver<E>,
    future: impl Future<Output = T>,
) -> T {
    let Some(listener) = listener else { return future.await };
    let mut future = std::pin::pin!(future);
    let result = loop {
        tokio::select! {
            biased;
            Some(event) = events.next() => listener.tell(event),
            result = &mut future => break result,
        }
    };
    while let Ok(event) = events.try_recv() {
        listener.tell(event);
    }
    result
}
