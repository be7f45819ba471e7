//! One stream of the protocol as the agent sees it: a command with its pipes, or a job on a thread with its pipe.

use std::os::fd::OwnedFd;
use std::time::Instant;

use boxlite_protocol::{Answer, Channel, Outcome};
use boxlite_types::ExitStatus;

use crate::command::Command;
use crate::pipes::{Inlet, Outlet};
use crate::tree::Tree;

/// Index of a stream that is never used twice, unlike the ids of the protocol.
pub(crate) type Serial = u64;

/// A stream and what it needs.
pub(crate) struct Stream {
    /// Its id in the protocol; `None` once its end was sent and only things left running remain.
    pub(crate) id: Option<u32>,
    pub(crate) work: Work,
    pub(crate) inlet: Option<Inlet>,
    /// Standard output and error; each goes when it has delivered everything.
    pub(crate) outlets: [Option<Outlet>; 2],
    /// Pipes that processes left behind still hold.
    pub(crate) abandoned: Vec<Outlet>,
}

/// What a stream is about.
pub(crate) enum Work {
    Command(Running),
    Job(Job),
}

/// A command, from its fork until its end was told.
pub(crate) struct Running {
    pub(crate) tree: Tree,
    /// `None` until a keeper tells it.
    pub(crate) pid: Option<u32>,
    /// While the child has not become the program: where it reports what keeps it from that.
    pub(crate) starting: Option<Starting>,
    /// Wait status, once it has ended.
    pub(crate) status: Option<i32>,
    /// When it is killed.
    pub(crate) deadline: Option<Instant>,
    /// When output of what it left running is no longer waited for.
    pub(crate) grace: Option<Instant>,
    pub(crate) timed_out: bool,
    /// The terminal, to change its size.
    pub(crate) terminal: Option<OwnedFd>,
}

pub(crate) struct Starting {
    pub(crate) failure: OwnedFd,
    pub(crate) command: Command,
    /// The program runs; only its process id is not known yet.
    pub(crate) begun: bool,
}

/// Work on a thread.
#[derive(Default)]
pub(crate) struct Job {
    pub(crate) outcome: Option<Outcome>,
    pub(crate) cancelled: bool,
}

impl Stream {
    /// Returns the outcome, once everything before it was sent.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        if self.outlets.iter().any(Option::is_some) {
            return None;
        }
        match &self.work {
            Work::Job(job) => job.outcome.clone(),
            Work::Command(Running { starting: Some(_), .. }) => None,
            Work::Command(running) => {
                running.status.map(|status| Ok(Answer::Exited(running.exit_status(status))))
            }
        }
    }

    pub(crate) fn outlet(&mut self, channel: Channel) -> Option<&mut Outlet> {
        self.outlets[slot(channel)?].as_mut()
    }

    pub(crate) fn running(&mut self) -> Option<&mut Running> {
        match &mut self.work {
            Work::Command(running) => Some(running),
            Work::Job(_) => None,
        }
    }
}

impl Running {
    fn exit_status(&self, status: i32) -> ExitStatus {
        ExitStatus {
            code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
            signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
            oom_killed: self.tree.oom_killed(),
            timed_out: self.timed_out,
        }
    }
}

/// Returns the index of a channel among the outlets.
pub(crate) fn slot(channel: Channel) -> Option<usize> {
    match channel {
        Channel::Stdin => None,
        Channel::Stdout => Some(0),
        Channel::Stderr => Some(1),
    }
}
