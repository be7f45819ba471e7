//! Requests that are served on threads: see [`crate::jobs`].

use boxlite_protocol::{AgentRequest, Frame, FrameKind, Opened};
use boxlite_types::{Error, ErrorCode, Result};

use super::Agent;
use crate::jobs::Said;
use crate::stream::Work;

impl Agent {
    pub(super) fn start_job(&mut self, _id: u32, _request: AgentRequest) -> Result<()> {
        Err(Error::new(ErrorCode::Unsupported, "this agent cannot do that"))
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
