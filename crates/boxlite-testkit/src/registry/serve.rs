//! Accepts connections and answers their requests: honestly, then spoiled as the script says.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::content::Resource;
use super::http::Request;
use super::record::Recorded;
use super::reply::{After, Reply};
use super::{Shared, lock};

/// Runs until `stopped` is told, or its sender gone.
pub(super) fn run(
    listener: std::net::TcpListener,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a tokio runtime");
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).expect("a listener");
        tokio::select! {
            _ = stopped => {}
            () = accept(listener, tls, shared) => {}
        }
    });
    // Dropping the runtime drops every connection where it stands.
    runtime.shutdown_timeout(Duration::ZERO);
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    for number in 1.. {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (tls, shared) = (tls.clone(), shared.clone());
        tokio::spawn(async move {
            // A client that breaks off is what many tests are about, so no error here is worth a word.
            let _ = match tls {
                None => converse(stream, number, &shared, |stream| stream).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => converse(stream, number, &shared, |stream| stream.get_ref().0).await,
                    Err(error) => Err(error),
                },
            };
        });
    }
}

/// Answers requests until one side closes. `socket` finds the TCP socket below TLS.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    number: u64,
    shared: &Shared,
    socket: impl Fn(&S) -> &TcpStream,
) -> io::Result<()> {
    socket(&stream).set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(request) = Request::read(&mut stream).await? {
        let range = request.header("range").map(str::to_owned);
        let place = record(shared, &request, number);
        let mut reply = answer(shared, &request);
        let faults = lock(&shared.script).faults(&request.method, &request.path);
        reply.spoil(faults, range.as_deref(), &request.path);
        update(shared, &place, |record| record.status = reply.status);
        let with_body = request.method != "HEAD";
        let last = request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        match reply
            .send(&mut stream, with_body, |bytes| update(shared, &place, |r| r.bytes_sent = bytes))
            .await?
        {
            After::KeepAlive if !last => {}
            After::KeepAlive | After::Close => break,
            After::Reset => {
                // With a linger time of zero, closing sends RST (socket(7), SO_LINGER).
                rustix::net::sockopt::set_socket_linger(socket(stream.get_ref()), Some(Duration::ZERO))?;
                return Ok(());
            }
        }
    }
    tokio::io::AsyncWriteExt::shutdown(&mut stream).await
}

/// Where a record stands: its index, and its request to notice that the list was cleared meanwhile.
struct Place {
    index: usize,
    connection: u64,
    path: String,
}

fn record(shared: &Shared, request: &Request, connection: u64) -> Place {
    let mut requests = lock(&shared.requests);
    requests.push(Recorded {
        method: request.method.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        headers: request.headers.clone(),
        body: request.body.clone(),
        connection,
        status: 0,
        bytes_sent: 0,
    });
    Place { index: requests.len() - 1, connection, path: request.path.clone() }
}

fn update(shared: &Shared, place: &Place, change: impl FnOnce(&mut Recorded)) {
    let mut requests = lock(&shared.requests);
    let found = requests.get_mut(place.index);
    if let Some(record) = found.filter(|r| r.connection == place.connection && r.path == place.path) {
        change(record);
    }
}

fn answer(shared: &Shared, request: &Request) -> Reply {
    if request.path == "/token" {
        let tokens = lock(&shared.tokens).clone();
        return match tokens.map(|tokens| tokens.answer(request)) {
            None => Reply::error(404, "NOT_FOUND"),
            Some(None) => Reply::error(401, "UNAUTHORIZED"),
            Some(Some(body)) => Reply::new(200, "application/json", body),
        };
    }
    let resource = Resource::parse(&request.path);
    if resource.is_none() && request.path != "/v2/" && request.path != "/v2" {
        return Reply::error(404, "NOT_FOUND");
    }
    let repository = resource.as_ref().map(Resource::repository);
    let auth = lock(&shared.auth).clone();
    if let Some(Err(challenge)) =
        auth.map(|auth| auth.check(request.header("authorization"), repository, &shared.origin))
    {
        return Reply::error(401, "UNAUTHORIZED").header("WWW-Authenticate", challenge);
    }
    if request.method != "GET" && request.method != "HEAD" {
        return Reply::error(405, "UNSUPPORTED");
    }
    let content = lock(&shared.content);
    match resource {
        None => Reply::new(200, "application/json", "{}"),
        Some(Resource::Tags { repository }) => {
            let body = json!({ "name": repository, "tags": content.tags(repository) });
            Reply::new(200, "application/json", body.to_string())
        }
        Some(Resource::Manifest { repository, reference }) => match content.manifest(repository, reference) {
            Some((media_type, digest, bytes)) => {
                Reply::new(200, &media_type, bytes).header("Docker-Content-Digest", digest.to_string())
            }
            None => Reply::error(404, "MANIFEST_UNKNOWN"),
        },
        Some(Resource::Blob { repository, digest }) => match content.blob(repository, digest) {
            Some(bytes) => Reply::new(200, "application/octet-stream", bytes)
                .header("Docker-Content-Digest", digest)
                .header("Accept-Ranges", "bytes"),
            None => Reply::error(404, "BLOB_UNKNOWN"),
        },
    }
}
