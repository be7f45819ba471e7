//! The output of a box's main command, as its shim kept it.

use std::collections::VecDeque;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use boxlite_engine::shim::log::{LogFollower, LogRecord, read_log};
use boxlite_protocol::Channel;
use boxlite_types::{BoxId, Result};
use futures::Stream;
use tokio::sync::mpsc;

use crate::core::Core;
use crate::gate::Gate;
use crate::operation::{Work, run};

/// Pieces that may lie between the log and its reader.
const PIECES: usize = 16;

/// Which part of the log is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Whether to wait for more until the box stops.
    pub follow: bool,
    /// Starts with the last so many lines; with the first one that is kept if `None`.
    pub tail: Option<usize>,
}

/// Where a piece of the log came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogSource {
    /// Stdout, or a terminal.
    Stdout,
    /// Stderr.
    Stderr,
}

/// A piece of the log; pieces end where the command's writes did, not at lines.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LogEntry {
    /// When it was printed, in nanoseconds since the Unix epoch.
    pub at_ns: u64,
    /// Where.
    pub source: LogSource,
    /// What.
    pub bytes: Vec<u8>,
}

impl From<LogRecord> for LogEntry {
    fn from(record: LogRecord) -> Self {
        let source = if record.channel == Channel::Stderr { LogSource::Stderr } else { LogSource::Stdout };
        LogEntry { at_ns: record.time_ns, source, bytes: record.bytes }
    }
}

/// The pieces of a log, oldest first. Dropping it ends the reading.
pub struct LogStream {
    entries: mpsc::Receiver<Result<LogEntry>>,
}

impl LogStream {
    /// Waits for the next piece; `None` after the last one. An error, as `Stopped` when the runtime is shut down, is the
    /// last piece.
    pub async fn next(&mut self) -> Option<Result<LogEntry>> {
        self.entries.recv().await
    }
}

impl Stream for LogStream {
    type Item = Result<LogEntry>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<LogEntry>>> {
        self.entries.poll_recv(context)
    }
}

/// Begins to read the log of a box.
pub(crate) fn logs(gate: &Arc<Gate<Core>>, work: &Work, id: BoxId, options: LogOptions) -> LogStream {
    let (sender, entries) = mpsc::channel(PIECES);
    let gate = gate.clone();
    // An operation of its own, so that shutdown waits for it and tells its reader.
    work.tokio.spawn(async move {
        let (reader, reading) = (sender.clone(), id.clone());
        let read = run(&gate, "box.logs", move |work| async move {
            let reading = send_log(&work, &reading, options, &reader);
            tokio::select! {
                result = work.cancellable(reading) => result,
                () = reader.closed() => Ok(()),
            }
        });
        if let Err(error) = read.await {
            let _ = sender.send(Err(error)).await;
        }
    });
    LogStream { entries }
}

async fn send_log(
    work: &Work,
    id: &BoxId,
    options: LogOptions,
    reader: &mpsc::Sender<Result<LogEntry>>,
) -> Result<()> {
    let directory = work.home.box_directory(id);
    if !directory.exists() {
        // Never started.
        return Ok(());
    }
    let reading = directory.clone();
    let (skip, kept) = work.blocking(move || kept(&reading, options.tail)).await?;
    let tail = kept.len();
    if !options.follow {
        return send(reader, kept).await;
    }
    // The follower starts at the same record, or later by what was written in between the two looks.
    let mut follower = LogFollower::new(&directory, options.tail.map(|_| tail))?;
    let mut cut = skip;
    while let Some(mut record) = follower.next().await? {
        record.bytes.drain(..std::mem::take(&mut cut).min(record.bytes.len()));
        send(reader, [record]).await?;
    }
    Ok(())
}

async fn send(
    reader: &mpsc::Sender<Result<LogEntry>>,
    records: impl IntoIterator<Item = LogRecord>,
) -> Result<()> {
    for record in records {
        if reader.send(Ok(record.into())).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Returns the records that hold the last `tail` lines, with how many bytes were cut off the first one.
fn kept(directory: &Path, tail: Option<usize>) -> Result<(usize, VecDeque<LogRecord>)> {
    let mut records: VecDeque<LogRecord> = read_log(directory, None)?.into();
    let cut = tail.map_or(0, |tail| keep_last_lines(&mut records, tail));
    Ok((cut, records))
}

/// Keeps the last `lines` lines, counted over all records together; a last line without its newline is one.
fn keep_last_lines(records: &mut VecDeque<LogRecord>, lines: usize) -> usize {
    if lines == 0 {
        records.clear();
        return 0;
    }
    let mut ends = 0;
    let mut last = true;
    for index in (0..records.len()).rev() {
        for at in (0..records[index].bytes.len()).rev() {
            if records[index].bytes[at] == b'\n' && !last {
                ends += 1;
                if ends == lines {
                    // The wanted lines begin behind this end of line, which may be the end of its record.
                    if at + 1 == records[index].bytes.len() {
                        records.drain(..=index);
                        return 0;
                    }
                    records.drain(..index);
                    records[0].bytes.drain(..=at);
                    return at + 1;
                }
            }
            last = false;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_counted_across_records() {
        let check = |records: &[&str], lines: usize, expect: &str| {
            let record = |text: &&str| LogRecord {
                time_ns: 0,
                channel: Channel::Stdout,
                bytes: text.as_bytes().to_vec(),
            };
            let mut kept: VecDeque<_> = records.iter().map(record).collect();
            keep_last_lines(&mut kept, lines);
            assert!(kept.iter().all(|record| !record.bytes.is_empty()), "{records:?} {lines}");
            let text: Vec<u8> = kept.into_iter().flat_map(|record| record.bytes).collect();
            assert_eq!(String::from_utf8(text).unwrap(), expect, "{records:?} {lines}");
        };
        check(&["a\nb\nc\n"], 1, "c\n");
        check(&["a\nb\nc\n"], 2, "b\nc\n");
        check(&["a\nb\nc\n"], 9, "a\nb\nc\n");
        check(&["a\nb\nc"], 1, "c");
        check(&["a\n", "b", "b\n", "c\n"], 2, "bb\nc\n");
        check(&["a\n", "b\n"], 1, "b\n");
        check(&["a\n"], 0, "");
        check(&[], 3, "");
        check(&["\n", "\n", "\n"], 2, "\n\n");
    }
}
