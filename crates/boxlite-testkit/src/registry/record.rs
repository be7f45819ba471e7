//! What the registry remembers of each request.

/// One request and what was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Query, without the question mark; empty if there is none.
    pub query: String,
    /// Headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body of the request.
    pub body: Vec<u8>,
    /// Number of the connection it came over, from 1.
    pub connection: u64,
    /// Status answered; 0 where something other than HTTP was.
    pub status: u16,
    /// Bytes of body handed to the network so far; the client may have read fewer.
    pub bytes_sent: u64,
}

impl Recorded {
    /// Returns the value of a header, its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns the `Range` asked for.
    pub fn range(&self) -> Option<&str> {
        self.header("range")
    }

    /// Returns the credentials sent.
    pub fn authorization(&self) -> Option<&str> {
        self.header("authorization")
    }

    /// Returns a parameter of the query, percent-decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        super::http::parameter(&self.query, name)
    }
}
