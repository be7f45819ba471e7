//! Requests that are served on threads: see [`crate::jobs`].

use std::os::fd::{AsFd, OwnedFd};

use boxlite_protocol::{AgentRequest, Channel, Frame, FrameKind, Opened};
use boxlite_types::{Error, ErrorCode, Result};
use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;

use super::{Agent, Part, State};
use crate::failure::{failed, failed_io};
use crate::files::{self, Sources};
use crate::jobs::Said;
use crate::pipes::{Inlet, Outlet};
use crate::stream::{Job, Stream, Work};

impl Agent {
    pub(super) fn start_job(&mut self, id: u32, request: AgentRequest) -> Result<()> {
        let serial = self.new_serial();
        let (mut inlet, mut outlet) = (None, None);
        match request {
            AgentRequest::PutArchive(request) => {
                let (theirs, ours) = pipe()?;
                unblock(&ours)?;
                self.watch(ours.as_fd(), serial, Part::Stdin)?;
                inlet = Some(Inlet::new(ours, false));
                self.jobs.start(serial, move |teller| files::put(&request, theirs, teller))?;
            }
            AgentRequest::GetArchive(request) => {
                let (ours, theirs) = pipe()?;
                unblock(&ours)?;
                self.watch(ours.as_fd(), serial, Part::Stdout)?;
                outlet = Some(Outlet::new(ours, Channel::Stdout));
                self.jobs.start(serial, move |teller| files::get(&request, theirs, teller))?;
            }
            AgentRequest::Stat { path, follow } => {
                self.jobs.start(serial, move |_| files::stat(&path, follow))?;
            }
            AgentRequest::Metrics => {
                let sources = self.sources()?;
                self.jobs.start(serial, move |_| files::metrics(&sources))?;
            }
            AgentRequest::Mount(_)
            | AgentRequest::Rehearse(_)
            | AgentRequest::Setup(_)
            | AgentRequest::Exec(_)
            | AgentRequest::Shutdown { .. } => {
                return Err(Error::new(ErrorCode::Internal, "that is no work for a thread"));
            }
        }
        let stream = Stream {
            id: Some(id),
            work: Work::Job(Job::default()),
            inlet,
            outlets: [outlet, None],
            abandoned: Vec::new(),
        };
        self.streams.insert(serial, stream);
        self.ids.insert(id, serial);
        Ok(())
    }

    fn sources(&self) -> Result<Sources> {
        if let State::Ready(ready) = &self.state
            && let Some(root) = &ready.root
        {
            let again = |fd: &OwnedFd| fd.try_clone().map_err(|error| failed_io("measure", &error));
            return Ok(Sources { proc: again(&root.proc)?, disk: again(&root.disk)? });
        }
        let open = |path: &str| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::open(path, flags, Mode::empty())
                .map_err(|errno| failed(format!("open `{path}`"), errno))
        };
        Ok(Sources { proc: open("/proc")?, disk: open("/")? })
    }

    pub(super) fn hear_jobs(&mut self) {
        for (serial, said) in self.jobs.hear() {
            let Some(stream) = self.streams.get_mut(&serial) else { continue };
            let Work::Job(job) = &mut stream.work else { continue };
            match (said, stream.id) {
                (Said::Begun, Some(id)) => {
                    self.port.send(&Frame::message(id, FrameKind::Opened, &Opened { pid: 0 }));
                }
                (Said::Begun, None) => {}
                (Said::Over(outcome), _) => {
                    job.outcome = Some(if job.cancelled {
                        Err((&Error::new(ErrorCode::Cancelled, "the transfer was given up")).into())
                    } else {
                        outcome
                    });
                    self.settle(serial);
                }
            }
        }
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|errno| failed("make a pipe", errno))
}

/// Makes our end non-blocking; the job's blocks, that is what it has a thread for.
fn unblock(fd: &OwnedFd) -> Result<()> {
    rustix::fs::fcntl_setfl(fd, OFlags::NONBLOCK).map_err(|errno| failed("use a pipe", errno))
}
