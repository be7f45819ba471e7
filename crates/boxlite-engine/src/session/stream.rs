//! One request and its answer: windows, queues, outcome.
//!
//! A [`Stream`] is what the reader task fills; a [`StreamHandle`] is what the parts of a process or archive share, and
//! dropping the last of them lets go of the stream. A stream that was let go of still takes what comes, throwing it away
//! and granting credit for it, so that the other side always gets to its end.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use boxlite_protocol::{
    Answer, Channel, Control, Frame, FrameKind, INITIAL_WINDOW_BYTES, MAX_DATA_BYTES, Opened, Outcome,
    WireError,
};
use boxlite_types::Result;
use bytes::Bytes;
use tokio::sync::watch;

use super::connection::Connection;
use super::queue::ByteQueue;

/// Credit is granted in pieces of at least this size: one small frame for a quarter of a window.
const GRANT_BYTES: u32 = INITIAL_WINDOW_BYTES / 4;

/// How far a stream has come.
#[derive(Clone)]
enum Phase {
    Asked,
    Begun(Opened),
    /// It had begun if it says so: a short command is over before anybody looks.
    Over(Option<Opened>, Arc<Outcome>),
}

pub(super) struct Stream {
    id: u32,
    phase: watch::Sender<Phase>,
    channels: Mutex<Channels>,
}

struct Channels {
    stdout: Inbound,
    stderr: Inbound,
    credit: u32,
    writer: Option<Waker>,
    ender: Option<Waker>,
    over: bool,
}

/// One channel from the box.
#[derive(Default)]
struct Inbound {
    queue: ByteQueue,
    /// Bytes taken by the reader for which no credit was granted yet.
    ungranted: u32,
    ended: bool,
    /// Nobody will read any more.
    discarded: bool,
    reader: Option<Waker>,
}

impl Inbound {
    /// Notes that `bytes` left the window, and returns what is to be granted now.
    fn consume(&mut self, bytes: usize) -> u32 {
        self.ungranted += bytes as u32;
        if self.ungranted >= GRANT_BYTES && !self.ended { std::mem::take(&mut self.ungranted) } else { 0 }
    }

    fn discard(&mut self) -> u32 {
        self.discarded = true;
        let queued = self.queue.len();
        self.queue.clear();
        self.consume(queued)
    }

    fn finish(&mut self) {
        self.ended = true;
        self.reader.take().into_iter().for_each(Waker::wake);
    }
}

impl Channels {
    fn inbound(&mut self, channel: Channel) -> Option<&mut Inbound> {
        match channel {
            Channel::Stdin => None,
            Channel::Stdout => Some(&mut self.stdout),
            Channel::Stderr => Some(&mut self.stderr),
        }
    }
}

impl Stream {
    pub(super) fn new(id: u32) -> Self {
        let channels = Channels {
            stdout: Inbound::default(),
            stderr: Inbound::default(),
            credit: INITIAL_WINDOW_BYTES,
            writer: None,
            ender: None,
            over: false,
        };
        Stream { id, phase: watch::Sender::new(Phase::Asked), channels: Mutex::new(channels) }
    }

    /// Takes a data frame, and returns what is to be granted for it; `None` if it is more than the peer may send.
    pub(super) fn receive(&self, channel: Channel, payload: Bytes) -> Option<u32> {
        let mut channels = self.channels.lock().unwrap();
        let inbound = channels.inbound(channel)?;
        if inbound.discarded {
            return Some(inbound.consume(payload.len()));
        }
        let outstanding = inbound.queue.len() + inbound.ungranted as usize + payload.len();
        if outstanding > INITIAL_WINDOW_BYTES as usize || inbound.ended {
            return None;
        }
        inbound.queue.push(payload);
        inbound.reader.take().into_iter().for_each(Waker::wake);
        Some(0)
    }

    pub(super) fn receive_eof(&self, channel: Channel) {
        let mut channels = self.channels.lock().unwrap();
        if let Some(inbound) = channels.inbound(channel) {
            inbound.finish();
        }
    }

    pub(super) fn receive_credit(&self, bytes: u32) {
        let mut channels = self.channels.lock().unwrap();
        channels.credit = channels.credit.saturating_add(bytes);
        channels.writer.take().into_iter().for_each(Waker::wake);
    }

    pub(super) fn begin(&self, opened: Opened) {
        self.phase.send_modify(|phase| {
            if matches!(phase, Phase::Asked) {
                *phase = Phase::Begun(opened);
            }
        });
    }

    /// Ends the stream; only the first outcome counts.
    pub(super) fn end(&self, outcome: Outcome) {
        self.phase.send_modify(|phase| {
            let opened = match phase {
                Phase::Asked => None,
                Phase::Begun(opened) => Some(opened.clone()),
                Phase::Over(..) => return,
            };
            *phase = Phase::Over(opened, Arc::new(outcome));
        });
        let mut channels = self.channels.lock().unwrap();
        channels.over = true;
        channels.stdout.finish();
        channels.stderr.finish();
        channels.writer.take().into_iter().for_each(Waker::wake);
        channels.ender.take().into_iter().for_each(Waker::wake);
    }

    fn ended(&self) -> Option<Arc<Outcome>> {
        match &*self.phase.borrow() {
            Phase::Over(_, outcome) => Some(outcome.clone()),
            _ => None,
        }
    }
}

/// What becomes of the work in the box when nobody here holds its stream any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnDrop {
    /// It goes on; its output and outcome are thrown away.
    Forget,
    /// It is killed.
    Kill,
}

pub(super) struct StreamHandle {
    connection: Arc<Connection>,
    stream: Arc<Stream>,
    on_drop: OnDrop,
}

impl StreamHandle {
    pub(super) fn open(connection: &Arc<Connection>, request: Frame, on_drop: OnDrop) -> Result<Self> {
        let stream = connection.open(request)?;
        Ok(StreamHandle { connection: connection.clone(), stream, on_drop })
    }

    /// Lets the work go on when this is dropped.
    pub(super) fn forget_on_drop(&mut self) {
        self.on_drop = OnDrop::Forget;
    }

    /// Returns whether the work goes on when this is dropped.
    pub(super) fn goes_on(&self) -> bool {
        self.on_drop == OnDrop::Forget
    }

    /// Waits until what was asked for has begun.
    pub(super) async fn opened(&self) -> Result<Opened> {
        let mut phase = self.stream.phase.subscribe();
        let phase = phase.wait_for(|phase| !matches!(phase, Phase::Asked)).await;
        match &*phase.map_err(|_| super::box_stopped())? {
            Phase::Begun(opened) | Phase::Over(Some(opened), _) => Ok(opened.clone()),
            Phase::Over(None, outcome) => Err(match &**outcome {
                Err(error) => error.clone().into(),
                Ok(answer) => unexpected(answer),
            }),
            Phase::Asked => Err(super::box_stopped()),
        }
    }

    /// Waits for the outcome; any number of tasks may.
    pub(super) async fn outcome(&self) -> Result<Answer> {
        let mut phase = self.stream.phase.subscribe();
        let phase = phase.wait_for(|phase| matches!(phase, Phase::Over(..))).await;
        match &*phase.map_err(|_| super::box_stopped())? {
            Phase::Over(_, outcome) => (**outcome).clone().map_err(Into::into),
            _ => Err(super::box_stopped()),
        }
    }

    /// Returns the failure of a stream that has ended with one.
    pub(super) fn failure(&self) -> Option<WireError> {
        self.stream.ended()?.as_ref().as_ref().err().cloned()
    }

    pub(super) fn is_over(&self) -> bool {
        self.stream.ended().is_some()
    }

    pub(super) fn control(&self, control: &Control) {
        if !self.is_over() {
            self.connection.send(&Frame::message(self.stream.id, FrameKind::Control, control));
        }
    }

    /// Waits until the socket has room, so that a caller in a loop cannot queue without bound.
    pub(super) async fn room(&self) {
        std::future::poll_fn(|context| {
            if self.connection.closed().is_cancelled() {
                return Poll::Ready(());
            }
            self.connection.outgoing().poll_room(context)
        })
        .await;
    }

    /// Takes received bytes; ready with `None` at the end of the channel.
    pub(super) fn poll_read(
        &self,
        channel: Channel,
        limit: usize,
        context: &mut Context<'_>,
    ) -> Poll<Option<Bytes>> {
        let (chunk, granted) = {
            let mut channels = self.stream.channels.lock().unwrap();
            let Some(inbound) = channels.inbound(channel) else { return Poll::Ready(None) };
            match inbound.queue.pop(limit) {
                Some(chunk) => {
                    let granted = inbound.consume(chunk.len());
                    (chunk, granted)
                }
                None if inbound.ended => return Poll::Ready(None),
                None => {
                    inbound.reader = Some(context.waker().clone());
                    return Poll::Pending;
                }
            }
        };
        self.grant(channel, granted);
        Poll::Ready(Some(chunk))
    }

    /// Sends at most `bytes.len()` bytes into the box, as many as window and socket allow; ready with `None` when the
    /// stream is over.
    pub(super) fn poll_write(&self, bytes: &[u8], context: &mut Context<'_>) -> Poll<Option<usize>> {
        let mut channels = self.stream.channels.lock().unwrap();
        if channels.over {
            return Poll::Ready(None);
        }
        channels.writer = Some(context.waker().clone());
        if channels.credit == 0 || self.connection.outgoing().poll_room(context).is_pending() {
            return Poll::Pending;
        }
        let count = bytes.len().min(channels.credit as usize).min(MAX_DATA_BYTES);
        channels.credit -= count as u32;
        channels.writer = None;
        drop(channels);
        if count > 0 {
            self.connection.send_data(self.stream.id, Channel::Stdin, &bytes[..count]);
        }
        Poll::Ready(Some(count))
    }

    /// Is ready when the stream is over; one task may wait this way.
    pub(super) fn poll_over(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut channels = self.stream.channels.lock().unwrap();
        if channels.over {
            return Poll::Ready(());
        }
        channels.ender = Some(context.waker().clone());
        Poll::Pending
    }

    pub(super) fn send_eof(&self) {
        if !self.is_over() {
            self.connection.send(&Frame::eof(self.stream.id, Channel::Stdin));
        }
    }

    /// Throws away what is and will be received on a channel.
    pub(super) fn discard(&self, channel: Channel) {
        let granted = self.stream.channels.lock().unwrap().inbound(channel).map_or(0, Inbound::discard);
        self.grant(channel, granted);
    }

    fn grant(&self, channel: Channel, bytes: u32) {
        if bytes > 0 {
            self.connection.send(&Frame::credit(self.stream.id, channel, bytes));
        }
    }
}

impl Drop for StreamHandle {
    fn drop(&mut self) {
        if self.is_over() {
            return;
        }
        if self.on_drop == OnDrop::Kill {
            self.control(&Control::Kill);
        }
        self.discard(Channel::Stdout);
        self.discard(Channel::Stderr);
    }
}

/// The error for an answer that does not belong to its request.
pub(super) fn unexpected(answer: &Answer) -> boxlite_types::Error {
    boxlite_types::Error::new(
        boxlite_types::ErrorCode::Internal,
        format!("the box gave an answer that does not belong to the request: {answer:?}"),
    )
}
