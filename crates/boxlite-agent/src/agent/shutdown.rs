//! The end of a box: everything is asked to end, then made to, then the disk is left clean.

use std::time::{Duration, Instant};

use boxlite_protocol::Answer;
use rustix::process::Signal;

use super::{Agent, State};
use crate::Place;
use crate::setup::Ready;
use crate::stream::{Stream, Work};

/// How long what was killed may take to be gone; a process that hangs in the kernel must not hang the box.
const KILL_WAIT: Duration = Duration::from_secs(2);

/// How long a host may take for output that is still undelivered when every process is gone.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// How often is looked whether everything is gone, besides at every end of a child.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A shutdown under way.
pub(super) struct Closing {
    id: u32,
    ready: Option<Ready>,
    killed: bool,
    /// Every process is gone.
    silent: bool,
    /// When the next step is taken even if something is left.
    deadline: Instant,
    look: Instant,
}

impl Agent {
    pub(super) fn close(&mut self, id: u32, grace_ms: u32) {
        let ready = match std::mem::replace(&mut self.state, State::Fresh) {
            State::Ready(ready) => Some(ready),
            _ => None,
        };
        self.signal_everything(Signal::TERM);
        let now = Instant::now();
        let deadline = now + Duration::from_millis(grace_ms.into());
        self.state = State::Closing(Closing { id, ready, killed: false, silent: false, deadline, look: now });
    }

    pub(super) fn closing_time(&self) -> Option<Instant> {
        match &self.state {
            State::Closing(closing) => Some(closing.deadline.min(closing.look)),
            _ => None,
        }
    }

    /// Takes the next step of a shutdown when its time has come or nothing is left to wait for.
    pub(super) fn go_on_closing(&mut self, now: Instant) {
        if !matches!(self.state, State::Closing(_)) {
            return;
        }
        let gone = self.processes_gone();
        let told = !self
            .streams
            .values()
            .any(|stream| stream.id.is_some() && matches!(stream.work, Work::Command(_)));
        let State::Closing(closing) = &mut self.state else { return };
        closing.look = now + LOOK_AGAIN;
        if gone && !closing.silent {
            closing.silent = true;
            closing.deadline = now + LAST_WORDS;
        }
        if !(gone && told) && now < closing.deadline {
            return;
        }
        if !gone && !closing.killed {
            closing.killed = true;
            closing.deadline = now + KILL_WAIT;
            self.signal_everything(Signal::KILL);
            return;
        }
        if let Some(root) = closing.ready.as_ref().and_then(|ready| ready.root.as_ref()) {
            root.close();
        }
        let id = closing.id;
        self.answer(id, Answer::Done);
        self.done = true;
    }

    fn signal_everything(&mut self, signal: Signal) {
        if let Place::Machine = self.place {
            // Every process but this one.
            // SAFETY: sends a signal; process 1 is not among the receivers of its own broadcast.
            unsafe { libc::kill(-1, signal.as_raw()) };
            return;
        }
        for stream in self.streams.values_mut() {
            let Some(running) = stream.running() else { continue };
            if signal == Signal::KILL { running.tree.kill() } else { running.signal(signal.as_raw()) }
        }
        // What was left behind has no group that could be asked.
        self.left_behind.iter_mut().for_each(|tree| tree.kill());
    }

    /// Returns whether no process of the box is left.
    fn processes_gone(&mut self) -> bool {
        self.left_behind.retain_mut(|tree| !tree.clear());
        match self.place {
            // Orphans are our children: with none left, nobody is.
            Place::Machine => {
                let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
                // SAFETY: asks without a place to write to, and reaps nothing.
                unsafe { libc::waitid(libc::P_ALL, 0, std::ptr::null_mut(), options) < 0 }
            }
            Place::Host => {
                let running = |stream: &Stream| matches!(&stream.work, Work::Command(running) if running.status.is_none());
                self.left_behind.is_empty() && !self.streams.values().any(running)
            }
        }
    }
}
