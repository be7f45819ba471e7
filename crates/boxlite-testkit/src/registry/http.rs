//! The little of HTTP/1.1 (RFC 9112) that a registry's clients use: request heads in, percent-decoding. Responses are written
//! by [`reply`](super::reply), which has to be able to write wrong ones.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// No honest client sends a larger head.
const HEAD_LIMIT_BYTES: usize = 64 * 1024;

/// A request, read whole.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Reads the next request; `None` where the client has closed the connection between two.
    pub(super) async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Request>> {
        let mut lines = Vec::new();
        let mut total = 0;
        loop {
            let mut line = String::new();
            let read = stream.read_line(&mut line).await?;
            total += read;
            if read == 0 && lines.is_empty() {
                return Ok(None);
            }
            if read == 0 || total > HEAD_LIMIT_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let line = line.trim_end_matches(['\r', '\n']).to_owned();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let mut words = lines[0].split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers: Vec<(String, String)> = lines[1..]
            .iter()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut request = Request {
            method: method.into(),
            path: decode(path),
            query: query.into(),
            headers,
            body: Vec::new(),
        };
        let length: usize = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        if length > HEAD_LIMIT_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        request.body.resize(length, 0);
        stream.read_exact(&mut request.body).await?;
        Ok(Some(request))
    }
}

/// Returns a parameter of a query or form, decoded.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key) == name).then(|| decode(&value.replace('+', " ")))
    })
}

fn decode(text: &str) -> String {
    let mut bytes = text.as_bytes().iter();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let digits: Option<u8> = (*byte == b'%')
            .then(|| bytes.as_slice().get(..2))
            .flatten()
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match digits {
            Some(value) => {
                bytes.nth(1);
                out.push(value);
            }
            None => out.push(*byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = "service=a%3Ab&scope=repository%3Ax%2Fy%3Apull&z=%zz+1";
        assert_eq!(parameter(query, "scope").as_deref(), Some("repository:x/y:pull"));
        assert_eq!(parameter(query, "z").as_deref(), Some("%zz 1"));
        assert_eq!(parameter(query, "q"), None);
    }
}
