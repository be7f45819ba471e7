//! How commands end: children reaped, keepers heard, deadlines, what is left behind.
//!
//! The rule of the end: a command is over when its process has ended and its output is complete. Complete means that
//! every pipe has reached its end, or, when something left running still holds one (a daemon that a shell started), that
//! all that was written until [`GRACE`] after the end is delivered. Such a thing lives on, and what it writes later is
//! read and thrown away: it neither holds the command's end back nor is killed by writing.

use std::time::{Duration, Instant};

use super::Agent;
use crate::keeper::Said;
use crate::pipes::Outlet;
use crate::stream::{Serial, Stream, Work};
use crate::tree::Tree;

/// Long enough for what a shell has put in the background to write its last words (`exec > >(tee log)`), short enough
/// that a daemon's starter does not seem to hang.
const GRACE: Duration = Duration::from_millis(100);

impl Agent {
    /// Takes the status of every child that has ended. As process 1 of a machine that includes the box's orphans.
    pub(super) fn reap(&mut self) {
        loop {
            let mut status = 0;
            // SAFETY: writes into a local.
            let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
            if pid <= 0 {
                break;
            }
            if let Some(serial) = self.pids.remove(&(pid as u32)) {
                self.exited(serial, status);
            }
        }
        self.uprooted = true;
    }

    pub(super) fn hear_keeper(&mut self, serial: Serial) {
        loop {
            let Some(stream) = self.streams.get_mut(&serial) else { return };
            let Some(running) = stream.running() else { return };
            let Tree::Keeper(keeper) = &running.tree else { return };
            match keeper.hear() {
                Said::Pid(pid) => {
                    running.pid = Some(pid);
                    self.started(serial);
                }
                Said::Status(status) => self.exited(serial, status),
                Said::Nothing => return,
                Said::Gone => {
                    // It was killed from inside the box: as good as a kill of the command.
                    if running.status.is_none() {
                        running.pid.get_or_insert(0);
                        self.exited(serial, libc::SIGKILL);
                    }
                    return;
                }
            }
        }
    }

    fn exited(&mut self, serial: Serial, status: i32) {
        // A program that ended before we saw it begin has begun all the same.
        self.started(serial);
        let Some(stream) = self.streams.get_mut(&serial) else { return };
        let Some(running) = stream.running() else { return };
        running.status = Some(status);
        if let Some(deadline) = running.deadline.take() {
            self.timers.remove(&(deadline, serial));
        }
        // Nobody reads any more; whoever still writes gets its credit, so that it comes to read our output.
        if let Some(inlet) = &mut stream.inlet {
            inlet.close();
            self.feed(serial);
        }
        self.settle(serial);
        let grace = Instant::now() + GRACE;
        if let Some(running) = self.streams.get_mut(&serial).and_then(Stream::running) {
            running.grace = Some(grace);
            self.timers.insert((grace, serial));
        }
    }

    /// Returns when something is to be done next.
    pub(super) fn next_time(&self) -> Option<Instant> {
        self.timers.first().map(|(time, _)| *time).into_iter().chain(self.closing_time()).min()
    }

    /// Does what the time has come for.
    pub(super) fn act_on_time(&mut self) {
        let now = Instant::now();
        while self.timers.first().is_some_and(|(time, _)| *time <= now) {
            let Some((_, serial)) = self.timers.pop_first() else { break };
            let Some(stream) = self.streams.get_mut(&serial) else { continue };
            let Some(running) = stream.running() else { continue };
            if running.deadline.take().is_some() {
                running.timed_out = true;
                running.tree.kill();
            } else if running.grace.take().is_some() {
                stream.outlets.iter_mut().flatten().for_each(Outlet::deliver_the_rest);
                (0..2).for_each(|index| self.take_turn(serial, index));
            }
        }
        self.go_on_closing(now);
    }

    /// Leaves the tree of a stream that is over behind, to be cleared away when everybody has been told.
    pub(super) fn uproot(&mut self, stream: &mut Stream) {
        let ended = crate::stream::Job { outcome: None, cancelled: false };
        if let Work::Command(running) = std::mem::replace(&mut stream.work, Work::Job(ended)) {
            self.left_behind.push(running.tree);
            self.uprooted = true;
        }
    }

    /// Clears trees away in which nothing lives any more.
    pub(super) fn clear_trees(&mut self) {
        if std::mem::take(&mut self.uprooted) {
            self.left_behind.retain_mut(|tree| !tree.clear());
        }
    }
}
