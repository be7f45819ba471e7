//! A session against a hand-made other side: what the real agent never does.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use boxlite_engine::Session;
use boxlite_protocol::{
    AgentRequest, Answer, Channel, Control, Exec, Frame, FrameDecoder, FrameKind, GENERATION, Hello,
    INITIAL_WINDOW_BYTES, MAX_DATA_BYTES, Opened, Outcome, ShimRequest,
};
use boxlite_types::{ErrorCode, ExitStatus};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// The other side of a session.
struct Peer {
    socket: UnixStream,
    decoder: FrameDecoder,
}

impl Peer {
    async fn connect() -> (Session, Peer) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut peer = Peer { socket: theirs, decoder: FrameDecoder::default() };
        let greeting = async {
            let hello = Hello { generation: GENERATION, build: "peer".into() };
            peer.send(&Frame::message(0, FrameKind::Hello, &hello)).await;
            assert_eq!(peer.receive().await.kind, FrameKind::Hello);
        };
        let (session, ()) = tokio::join!(Session::connect(ours), greeting);
        (session.unwrap(), peer)
    }

    async fn send(&mut self, frame: &Frame) {
        let mut bytes = Vec::new();
        frame.encode_into(&mut bytes);
        self.socket.write_all(&bytes).await.unwrap();
    }

    async fn try_receive(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            let mut buffer = [0; 4096];
            match self.socket.read(&mut buffer).await.unwrap_or(0) {
                0 => return None,
                count => self.decoder.push(&buffer[..count]),
            }
        }
    }

    async fn receive(&mut self) -> Frame {
        self.try_receive().await.expect("the session is gone")
    }

    async fn end(&mut self, stream: u32, outcome: Outcome) {
        self.send(&Frame::message(stream, FrameKind::End, &outcome)).await;
    }

    async fn opened(&mut self, stream: u32) {
        self.send(&Frame::message(stream, FrameKind::Opened, &Opened { pid: 5 })).await;
    }
}

fn exec(main: bool) -> Exec {
    Exec {
        argv: vec![b"x".to_vec()],
        env: vec![],
        cwd: vec![],
        user: String::new(),
        tty: None,
        stdin: true,
        timeout_ms: None,
        main,
        detach: false,
    }
}

/// Polls a future once.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn requests_answer_in_any_order_and_the_forgotten_ones_too() {
    let (session, mut peer) = Peer::connect().await;
    let first = session.shim(ShimRequest::Own);
    let mut forgotten = Box::pin(session.request(AgentRequest::Metrics));
    let second = session.shim(ShimRequest::Disown);
    let answers = async {
        let ids = [peer.receive().await.stream, peer.receive().await.stream, peer.receive().await.stream];
        for id in ids.into_iter().rev() {
            peer.end(id, Ok(Answer::Ready { kernel: id.to_string() })).await;
        }
        ids
    };
    assert!(poll_once(&mut forgotten).is_pending());
    drop(forgotten);
    let (first, second, ids) = tokio::join!(first, second, answers);
    assert_eq!(first.unwrap(), Answer::Ready { kernel: ids[1].to_string() });
    assert_eq!(second.unwrap(), Answer::Ready { kernel: ids[2].to_string() });
}

#[tokio::test]
async fn a_command_that_is_over_before_anybody_looks_has_begun_all_the_same() {
    let (session, mut peer) = Peer::connect().await;
    let peer_side = async {
        let id = peer.receive().await.stream;
        let mut bytes = Vec::new();
        Frame::message(id, FrameKind::Opened, &Opened { pid: 5 }).encode_into(&mut bytes);
        Frame::data(id, Channel::Stdout, b"out".to_vec()).encode_into(&mut bytes);
        let outcome: Outcome = Ok(Answer::Exited(ExitStatus::exited(0)));
        Frame::message(id, FrameKind::End, &outcome).encode_into(&mut bytes);
        peer.socket.write_all(&bytes).await.unwrap();
    };
    let (process, ()) = tokio::join!(session.exec(exec(false)), peer_side);
    let mut process = process.unwrap();
    assert_eq!(process.stdout.next_chunk().await.unwrap(), "out");
    assert_eq!(process.stdout.next_chunk().await, None);
    assert!(process.wait().await.unwrap().success());
}

#[tokio::test]
async fn more_than_the_window_cuts_the_connection() {
    let (session, mut peer) = Peer::connect().await;
    let peer_side = async {
        let id = peer.receive().await.stream;
        peer.opened(id).await;
        id
    };
    let (process, id) = tokio::join!(session.exec(exec(false)), peer_side);
    let mut process = process.unwrap();
    let pieces = INITIAL_WINDOW_BYTES as usize / MAX_DATA_BYTES;
    for _ in 0..pieces {
        peer.send(&Frame::data(id, Channel::Stdout, vec![1; MAX_DATA_BYTES])).await;
    }
    // The whole window may be used while nobody reads ...
    assert_eq!(process.stdout.next_chunk().await.unwrap().len(), MAX_DATA_BYTES);
    let credit = peer.receive().await;
    assert_eq!((credit.kind, credit.credit_bytes().unwrap()), (FrameKind::Credit, MAX_DATA_BYTES as u32));
    peer.send(&Frame::data(id, Channel::Stdout, vec![1; MAX_DATA_BYTES])).await;
    assert!(!session.is_closed());
    // ... but not a byte more.
    peer.send(&Frame::data(id, Channel::Stdout, vec![1])).await;
    session.closed().await;
    assert_eq!(process.wait().await.unwrap_err().code(), ErrorCode::Stopped);
}

#[tokio::test]
async fn nonsense_cuts_the_connection() {
    let frames: [&[u8]; 3] = [
        &[0xff; 12],
        &[0, 0, 0, 0, 1, 0, 0, 0, FrameKind::ShimRequest as u8, 0, 0, 0],
        &[1, 0, 0, 0, 1, 0, 0, 0, FrameKind::End as u8, 0, 0, 0, 0xff],
    ];
    for bytes in frames {
        let (session, mut peer) = Peer::connect().await;
        let mut request = Box::pin(session.shim(ShimRequest::Status));
        assert!(poll_once(&mut request).is_pending());
        peer.socket.write_all(bytes).await.unwrap();
        assert_eq!(request.await.unwrap_err().code(), ErrorCode::Stopped, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_dropped_command_is_killed_and_its_output_still_gets_credit() {
    let (session, mut peer) = Peer::connect().await;
    let peer_side = async {
        let id = peer.receive().await.stream;
        peer.opened(id).await;
        for _ in 0..4 {
            peer.send(&Frame::data(id, Channel::Stdout, vec![1; MAX_DATA_BYTES])).await;
        }
        id
    };
    let (process, id) = tokio::join!(session.exec(exec(false)), peer_side);
    drop(process.unwrap());
    let (mut credit, mut killed, mut ended) = (0, false, false);
    while credit < INITIAL_WINDOW_BYTES {
        let frame = peer.receive().await;
        match frame.kind {
            FrameKind::Credit => credit += frame.credit_bytes().unwrap(),
            FrameKind::Control => killed = frame.decode::<Control>().unwrap() == Control::Kill,
            FrameKind::Eof => ended = true,
            other => panic!("{other:?}"),
        }
    }
    assert!(killed && ended);
    peer.end(id, Ok(Answer::Exited(ExitStatus::exited(0)))).await;
}

#[tokio::test]
async fn a_dropped_main_command_goes_on() {
    let (session, mut peer) = Peer::connect().await;
    let peer_side = async {
        let id = peer.receive().await.stream;
        peer.opened(id).await;
    };
    let (process, ()) = tokio::join!(session.exec(exec(true)), peer_side);
    drop(process.unwrap());
    drop(session);
    let mut rest = Vec::new();
    while let Some(frame) = peer.try_receive().await {
        rest.push(frame.kind);
    }
    assert!(!rest.contains(&FrameKind::Control), "{rest:?}");
}

#[tokio::test]
async fn input_stops_at_the_window_and_goes_on_with_credit() {
    let (session, mut peer) = Peer::connect().await;
    let peer_side = async {
        let id = peer.receive().await.stream;
        peer.opened(id).await;
        id
    };
    let (process, id) = tokio::join!(session.exec(exec(false)), peer_side);
    let mut process = process.unwrap();
    let mut stdin = process.stdin.take().unwrap();
    let window = INITIAL_WINDOW_BYTES as usize;
    stdin.write_all(&vec![1; window]).await.unwrap();
    let mut more = Box::pin(stdin.write_all(&[2; 10]));
    assert!(poll_once(&mut more).is_pending());
    peer.send(&Frame::credit(id, Channel::Stdin, 10)).await;
    more.await.unwrap();
    stdin.shutdown().await.unwrap();
    let mut seen = 0;
    loop {
        let frame = peer.receive().await;
        match frame.kind {
            FrameKind::Data => seen += frame.payload.len(),
            FrameKind::Eof => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, window + 10);
}

#[tokio::test]
async fn a_request_too_long_for_a_frame_is_refused_here() {
    let (session, _peer) = Peer::connect().await;
    let long = Exec { env: vec![vec![b'x'; boxlite_protocol::MAX_MESSAGE_BYTES]], ..exec(false) };
    assert_eq!(session.exec(long).await.err().unwrap().code(), ErrorCode::InvalidArgument);
}

#[tokio::test]
async fn the_socket_closes_with_the_last_session_although_handles_live() {
    let (session, mut peer) = Peer::connect().await;
    let peer_side = async {
        let id = peer.receive().await.stream;
        peer.opened(id).await;
    };
    let (process, ()) = tokio::join!(session.exec(exec(false)), peer_side);
    let mut process = process.unwrap();
    let clone = session.clone();
    drop(session);
    assert!(!clone.is_closed());
    drop(clone);
    assert!(peer.try_receive().await.is_none());
    assert_eq!(process.wait().await.unwrap_err().code(), ErrorCode::Stopped);
    let error = process.stdin.take().unwrap().write_all(b"x").await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    assert_eq!(process.stdout.next_chunk().await, None);
}
