//! What happens in a runtime, for those who listen.

use boxlite_types::Event;

/// Events from the moment it was made; ends when the runtime is shut down.
///
/// A listener that falls behind by more than 1,024 events loses the oldest ones.
pub struct EventStream {}

impl EventStream {
    /// Waits for the next event; `None` after the last one.
    pub async fn next(&mut self) -> Option<Event> {
        unimplemented!()
    }
}
