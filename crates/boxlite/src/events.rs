//! What happens in a runtime, for those who listen.

use std::pin::Pin;
use std::task::{Context, Poll};

use boxlite_types::Event;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Events from the moment it was made; ends when the runtime is shut down.
///
/// A listener that falls behind by more than 1,024 events loses the oldest ones. Nothing waits for a listener.
pub struct EventStream {
    events: BoxStream<'static, Event>,
}

impl EventStream {
    /// Listens; a runtime that is shut down has no events.
    pub(crate) fn new(receiver: Option<Receiver<Event>>) -> Self {
        let events = futures::stream::unfold(receiver, |receiver| async move {
            let mut receiver = receiver?;
            loop {
                match receiver.recv().await {
                    Ok(event) => return Some((event, Some(receiver))),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        });
        EventStream { events: Box::pin(events.fuse()) }
    }

    /// Waits for the next event; `None` after the last one, however often it is asked for.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.next().await
    }
}

impl Stream for EventStream {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.events.as_mut().poll_next(context)
    }
}
