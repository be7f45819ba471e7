//! `boxlite logs`.

use std::io::Write;

use boxlite::{LogEntry, LogOptions, LogSource};
use clap::Args;
use serde_json::json;

use crate::arguments::Format;
use crate::errors::Failure;
use crate::output::time::rfc3339;
use crate::session::Session;

/// Prints what the command of a box has printed, each on the stream it was printed on
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name, id or unique beginning of an id
    #[arg(value_name = "BOX")]
    pub name: String,
    /// Wait for more until the box stops
    #[arg(short, long)]
    pub follow: bool,
    /// Begin with the last so many lines
    #[arg(short = 'n', long, value_name = "LINES")]
    pub tail: Option<usize>,
    /// Begin each line with the time it was written
    #[arg(short, long)]
    pub timestamps: bool,
}

/// Prints the log, byte for byte unless timestamps or JSON are asked for.
pub async fn execute(arguments: Arguments, session: &mut Session) -> Result<u8, Failure> {
    let runtime = session.runtime.clone();
    let options = LogOptions { follow: arguments.follow, tail: arguments.tail };
    let format = session.format;
    let print = async {
        let mut log = runtime.get(&arguments.name).await?.logs(options).await?;
        let mut printer = Printer { timestamps: arguments.timestamps, ..Printer::default() };
        while let Some(entry) = log.next().await {
            match format {
                Format::Json => print_object(&entry?)?,
                Format::Table => printer.print(&entry?)?,
            }
        }
        Ok(0)
    };
    session.interrupts.cancelling(print).await
}

/// One line of JSON for each piece; bytes that are no UTF-8 are replaced.
fn print_object(entry: &LogEntry) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(&entry.bytes);
    let object = json!({ "at": rfc3339(entry.at_ns), "source": entry.source, "text": text });
    crate::output::print(format_args!("{object}\n"))
}

/// Remembers for both streams whether a line has begun, since a piece of the log may end inside of one.
#[derive(Default)]
struct Printer {
    timestamps: bool,
    inside_line: [bool; 2],
}

impl Printer {
    fn print(&mut self, entry: &LogEntry) -> Result<(), Failure> {
        let bytes = if self.timestamps { self.stamped(entry) } else { entry.bytes.clone() };
        let written = match entry.source {
            LogSource::Stdout => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(&bytes).and_then(|()| stdout.flush())
            }
            LogSource::Stderr => std::io::stderr().write_all(&bytes),
        };
        written.map_err(Failure::stdout)
    }

    fn stamped(&mut self, entry: &LogEntry) -> Vec<u8> {
        let inside_line = &mut self.inside_line[usize::from(entry.source == LogSource::Stderr)];
        let stamp = rfc3339(entry.at_ns);
        let mut bytes = Vec::with_capacity(entry.bytes.len() + stamp.len() + 1);
        for line in entry.bytes.split_inclusive(|byte| *byte == b'\n') {
            if !*inside_line {
                bytes.extend_from_slice(stamp.as_bytes());
                bytes.push(b' ');
            }
            bytes.extend_from_slice(line);
            *inside_line = line.last() != Some(&b'\n');
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_stamped_once_however_it_was_written() {
        let mut printer = Printer { timestamps: true, ..Printer::default() };
        let mut stamped = |source, text: &str| {
            let entry = LogEntry { at_ns: 0, source, bytes: text.as_bytes().to_vec() };
            String::from_utf8(printer.stamped(&entry)).unwrap().replace("1970-01-01T00:00:00.000000Z", "@")
        };
        assert_eq!(stamped(LogSource::Stdout, "a\nb"), "@ a\n@ b");
        assert_eq!(stamped(LogSource::Stderr, "x\n"), "@ x\n");
        assert_eq!(stamped(LogSource::Stdout, "b\n\nc"), "b\n@ \n@ c");
    }
}
