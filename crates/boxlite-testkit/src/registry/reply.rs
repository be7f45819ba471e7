//! One response: what would be honest, changed by the faults, then put on the wire exactly so.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::fault::Fault;
use super::gate::Gate;

/// A response in the making.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    /// Where a served range starts and ends, if one is.
    range: Option<(usize, usize)>,
    framing: Framing,
    endless: bool,
    endless_headers: bool,
    extra: Bytes,
    head_gate: Option<Gate>,
    gates: Vec<(u64, Gate)>,
    end: End,
    raw: Option<Bytes>,
}

enum Framing {
    Length,
    Declared(String),
    Chunked,
    UntilClose,
}

/// How the connection goes on after the response.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    KeepAlive,
    Cut(u64),
    Reset(u64),
}

/// What became of the connection.
#[derive(PartialEq, Eq)]
pub(super) enum After {
    KeepAlive,
    Close,
    Reset,
}

impl Reply {
    pub(super) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Reply {
            status,
            headers: vec![("Content-Type".into(), content_type.into())],
            body: body.into(),
            range: None,
            framing: Framing::Length,
            endless: false,
            endless_headers: false,
            extra: Bytes::new(),
            head_gate: None,
            gates: Vec::new(),
            end: End::KeepAlive,
            raw: None,
        }
    }

    /// Makes the error body of the distribution specification ("Error Codes").
    pub(super) fn error(status: u16, code: &str) -> Self {
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"the test registry says {code}"}}]}}"#);
        Reply::new(status, "application/json", body)
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.set_header(name, value.into());
        self
    }

    fn set_header(&mut self, name: &str, value: String) {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.headers.push((name.into(), value));
    }

    /// Changes the response as the faults say; `range` and `path` are those of the request.
    pub(super) fn spoil(&mut self, faults: Vec<Fault>, range: Option<&str>, path: &str) {
        let mut range = range.filter(|_| self.status == 200).map(str::to_owned);
        for fault in faults {
            match fault {
                Fault::Status(status) => {
                    let headers = std::mem::take(&mut self.headers);
                    let error =
                        Reply::error(status, if status == 429 { "TOOMANYREQUESTS" } else { "UNKNOWN" });
                    (self.status, self.headers, self.body) = (status, error.headers, error.body);
                    self.headers.extend(headers.into_iter().filter(|(key, _)| key.starts_with("Retry")));
                    range = None;
                }
                Fault::Header(name, value) => self.set_header(name, value),
                Fault::NoHeader(name) => self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name)),
                Fault::Body(body) => self.body = body,
                Fault::Corrupt(offset) => {
                    let mut body = BytesMut::from(self.body.as_ref());
                    if let Some(byte) = body.get_mut(offset as usize) {
                        *byte ^= 0xff;
                    }
                    self.body = body.freeze();
                }
                Fault::DeclaredLength(text) => self.framing = Framing::Declared(text),
                Fault::Chunked => self.framing = Framing::Chunked,
                Fault::UntilClose => self.framing = Framing::UntilClose,
                Fault::CutAfter(bytes) => self.end = End::Cut(bytes),
                Fault::ResetAfter(bytes) => self.end = End::Reset(bytes),
                Fault::HoldAfter(bytes, gate) => self.gates.push((bytes, gate)),
                Fault::HoldHead(gate) => self.head_gate = Some(gate),
                Fault::Extra(bytes) => self.extra = bytes,
                Fault::Endless => (self.endless, self.framing) = (true, Framing::Chunked),
                Fault::EndlessDeclared(length) => {
                    (self.endless, self.framing) = (true, Framing::Declared(length.to_string()));
                }
                Fault::EndlessHeaders => self.endless_headers = true,
                Fault::IgnoreRange => range = None,
                Fault::RangeFrom(start) if range.is_some() => range = Some(format!("bytes={start}-")),
                Fault::RangeFrom(_) => {}
                Fault::Redirect(url) => self.redirect(url),
                Fault::RedirectOrigin(origin) => self.redirect(format!("{origin}{path}")),
                Fault::Raw(bytes) => self.raw = Some(bytes),
                Fault::HangUp => self.raw = Some(Bytes::new()),
            }
        }
        if self.status == 200
            && let Some(range) = range
        {
            self.serve_range(&range);
        }
        self.gates.sort_by_key(|(bytes, _)| *bytes);
    }

    fn redirect(&mut self, url: String) {
        (self.status, self.body) = (307, Bytes::new());
        self.set_header("Location", url);
    }

    /// Serves `bytes=<first>-[<last>]` (RFC 9110, 14.2); other forms are ignored, as the RFC allows.
    fn serve_range(&mut self, range: &str) {
        let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
            return;
        };
        let total = self.body.len();
        let Ok(first) = first.parse::<usize>() else { return };
        let end = last.parse::<usize>().map_or(total, |last| last.saturating_add(1).min(total));
        if first >= total || end <= first {
            *self = Reply::error(416, "RANGE_INVALID").header("Content-Range", format!("bytes */{total}"));
            return;
        }
        self.status = 206;
        self.range = Some((first, end));
        // A fault may have given a range of its own.
        if !self.headers.iter().any(|(key, _)| key.eq_ignore_ascii_case("Content-Range")) {
            self.set_header("Content-Range", format!("bytes {first}-{}/{total}", end - 1));
        }
    }

    /// Writes the response. `sent` is told the bytes of body before each piece goes out.
    pub(super) async fn send(
        self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        with_body: bool,
        mut sent: impl FnMut(u64),
    ) -> io::Result<After> {
        if let Some(gate) = &self.head_gate {
            hold(gate, stream).await?;
        }
        if let Some(raw) = &self.raw {
            stream.write_all(raw).await?;
            return Ok(After::Close);
        }
        let body = self.range.map_or(self.body.clone(), |(first, end)| self.body.slice(first..end));
        stream.write_all(self.head(body.len()).as_bytes()).await?;
        if self.endless_headers {
            loop {
                stream.write_all(b"X-More: and more and more and more and more\r\n").await?;
            }
        }
        stream.write_all(b"\r\n").await?;
        stream.flush().await?;
        if !with_body || self.status == 204 || self.status == 304 {
            return Ok(After::KeepAlive);
        }

        let stop = match self.end {
            End::Cut(bytes) | End::Reset(bytes) => bytes,
            End::KeepAlive => u64::MAX,
        };
        let mut gates = self.gates.iter().peekable();
        let mut position = 0u64;
        let filler = Bytes::from(vec![b'x'; 64 * 1024]);
        while position <= stop {
            while let Some((_, gate)) = gates.next_if(|(bytes, _)| *bytes <= position) {
                stream.flush().await?;
                hold(gate, stream).await?;
            }
            let rest = body.slice((position as usize).min(body.len())..);
            let rest = if rest.is_empty() && self.endless { filler.clone() } else { rest };
            let next_stop = gates.peek().map_or(stop, |(bytes, _)| stop.min(*bytes));
            let length =
                rest.len().min(64 * 1024).min(usize::try_from(next_stop - position).unwrap_or(usize::MAX));
            if length == 0 {
                break;
            }
            position += length as u64;
            sent(position);
            self.write_piece(stream, &rest[..length]).await?;
        }
        match self.end {
            End::Reset(_) => {
                stream.flush().await?;
                return Ok(After::Reset);
            }
            End::Cut(_) => return Ok(After::Close),
            End::KeepAlive => {}
        }
        if matches!(self.framing, Framing::Chunked) {
            stream.write_all(b"0\r\n\r\n").await?;
        }
        stream.write_all(&self.extra).await?;
        stream.flush().await?;
        let broken = !matches!(self.framing, Framing::Length | Framing::Chunked) || !self.extra.is_empty();
        Ok(if broken { After::Close } else { After::KeepAlive })
    }

    async fn write_piece(&self, stream: &mut (impl AsyncWrite + Unpin), piece: &[u8]) -> io::Result<()> {
        let chunked = matches!(self.framing, Framing::Chunked);
        if chunked {
            stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
        }
        stream.write_all(piece).await?;
        if chunked { stream.write_all(b"\r\n").await } else { Ok(()) }
    }

    fn head(&self, length: usize) -> String {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        match &self.framing {
            Framing::Length => head += &format!("Content-Length: {length}\r\n"),
            Framing::Declared(text) => head += &format!("Content-Length: {text}\r\n"),
            Framing::Chunked => head += "Transfer-Encoding: chunked\r\n",
            Framing::UntilClose => head += "Connection: close\r\n",
        }
        head
    }
}

/// Waits at a gate, and gives up if the client does.
async fn hold(gate: &Gate, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    gate.arrive();
    let mut byte = [0];
    tokio::select! {
        () = gate.opened() => Ok(()),
        read = stream.read(&mut byte) => {
            gate.abandon();
            // A client with a response outstanding sends nothing: a byte means as little good as the end.
            read.and_then(|_| Err(io::ErrorKind::ConnectionAborted.into()))
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        307 => "Temporary Redirect",
        401 => "Unauthorized",
        404 => "Not Found",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        _ => "As The Test Wants",
    }
}
