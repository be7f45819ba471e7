//! The adapter over crate `boxlite`: machines, or the fake engine of the testkit.
//!
//! Each operation is one call of the library. Cancelling is dropping its future, except for a pull, which takes a token and
//! says how it ended.

mod boxes;
mod executions;
mod handles;
mod images;
mod runtimes;
mod testing;

use std::sync::Arc;

use boxlite_testkit::engine::FakeEngine;
use serde_json::Value as Json;
use tokio_util::sync::CancellationToken;

use super::arguments::Arguments;
use super::serve::{Fault, Progress, Request, Surface};
use handles::Handles;

/// Crate `boxlite`.
pub struct RustSurface {
    engine: Option<Arc<FakeEngine>>,
    handles: Handles,
    holds: testing::Holds,
}

impl RustSurface {
    /// Adapts the library with real machines.
    pub fn with_machines() -> Arc<Self> {
        RustSurface::new(None)
    }

    /// Adapts the library with the fake engine: fast, and stages of a start can be held or fail.
    pub fn with_fake_engine() -> Arc<Self> {
        RustSurface::new(Some(FakeEngine::new()))
    }

    fn new(engine: Option<Arc<FakeEngine>>) -> Arc<Self> {
        Arc::new(RustSurface { engine, handles: Handles::default(), holds: testing::Holds::default() })
    }

    async fn dispatch(
        &self,
        request: Request,
        progress: Progress,
        cancel: CancellationToken,
    ) -> Result<Json, Fault> {
        let mut arguments = Arguments::new(request.args.clone());
        let kind = request.op.split_once('.').map_or("", |(kind, _)| kind);
        match kind {
            "runtime" | "kernels" => self.runtime(&request, &mut arguments).await,
            "images" => self.images(&request, &mut arguments, progress, cancel).await,
            "box" => self.boxes(&request, &mut arguments).await,
            "execution" => self.execution(&request, &mut arguments).await,
            "events" | "logs" => self.next(&request).await,
            "test" | "fake" => self.test(&request, &mut arguments).await,
            _ => Err(unknown(&request)),
        }
        .and_then(|value| arguments.finish().map(|()| value))
    }
}

impl Surface for RustSurface {
    fn name(&self) -> &'static str {
        if self.engine.is_some() { "fake" } else { "rust" }
    }

    fn capabilities(&self) -> &'static [&'static str] {
        const BOTH: [&str; 6] = ["progress", "cancel", "identity", "gc", "fork", "main"];
        const FAKE: [&str; 7] = with(BOTH, "fake");
        const MACHINES: [&str; 8] = with(with::<6, 7>(BOTH, "vm"), "tty");
        if self.engine.is_some() { &FAKE } else { &MACHINES }
    }

    async fn perform(
        self: Arc<Self>,
        request: Request,
        progress: Progress,
        cancel: CancellationToken,
    ) -> Result<Json, Fault> {
        let answers_itself = request.op == "images.pull";
        let given_up = cancel.clone();
        tokio::select! {
            biased;
            () = given_up.cancelled(), if !answers_itself => Err(Fault::cancelled()),
            answer = self.dispatch(request, progress, cancel) => answer,
        }
    }
}

const fn with<const N: usize, const M: usize>(
    known: [&'static str; N],
    more: &'static str,
) -> [&'static str; M] {
    let mut all = [more; M];
    let mut place = 0;
    while place < N {
        all[place] = known[place];
        place += 1;
    }
    all
}

fn unknown(request: &Request) -> Fault {
    Fault::Adapter(format!("there is no operation `{}`", request.op))
}

fn to_json(value: impl serde::Serialize) -> Result<Json, Fault> {
    serde_json::to_value(value).map_err(|error| Fault::Adapter(error.to_string()))
}
