use boxlite_protocol::{
    Control, Exec, GENERATION, Hello, INITIAL_WINDOW_BYTES, MAX_DATA_BYTES, Opened, ShimRequest,
};
use boxlite_types::ExitStatus;
use proptest::prelude::*;

use super::*;

fn exec(main: bool) -> AgentRequest {
    AgentRequest::Exec(Exec {
        argv: vec![b"true".to_vec()],
        env: vec![],
        cwd: b"/".to_vec(),
        user: String::new(),
        tty: None,
        stdin: true,
        timeout_ms: None,
        main,
        detach: false,
    })
}

/// A mux with its far ends played by the test.
struct Rig {
    mux: Mux,
}

impl Rig {
    fn new() -> Self {
        Rig { mux: Mux::new("test".into(), FrameDecoder::default(), 2) }
    }

    fn client(&mut self) -> ClientId {
        let id = self.mux.connect();
        let hello = Hello { generation: GENERATION, build: String::new() };
        self.send(id, Frame::message(0, FrameKind::Hello, &hello)).unwrap();
        assert_eq!(self.heard(id)[0].kind, FrameKind::Hello);
        id
    }

    fn send(&mut self, id: ClientId, frame: Frame) -> Result<(), ClientFault> {
        let mut bytes = Vec::new();
        frame.encode_into(&mut bytes);
        self.mux.hear_client(id, &bytes)
    }

    fn say(&mut self, frame: Frame) -> Result<(), AgentFault> {
        let mut bytes = Vec::new();
        frame.encode_into(&mut bytes);
        self.mux.hear_agent(&bytes)
    }

    /// What a client has been sent since it was asked last.
    fn heard(&mut self, id: ClientId) -> Vec<Frame> {
        let bytes = self.mux.client_pending(id).to_vec();
        self.mux.client_wrote(id, bytes.len());
        frames(&bytes)
    }

    /// What the agent has been sent since it was asked last.
    fn asked(&mut self) -> Vec<Frame> {
        let bytes = self.mux.agent_pending().to_vec();
        self.mux.agent_wrote(bytes.len());
        frames(&bytes)
    }

    fn events(&mut self) -> Vec<MuxEvent> {
        std::iter::from_fn(|| self.mux.next_event()).collect()
    }

    /// Has a client run a command, and returns the number it got on the agent channel.
    fn run(&mut self, id: ClientId, number: u32, main: bool) -> u32 {
        self.send(id, Frame::message(number, FrameKind::AgentRequest, &exec(main))).unwrap();
        let stream = self.asked()[0].stream;
        self.say(Frame::message(stream, FrameKind::Opened, &Opened { pid: 9 })).unwrap();
        assert_eq!(self.heard(id)[0].stream, number);
        stream
    }
}

fn frames(bytes: &[u8]) -> Vec<Frame> {
    let mut decoder = FrameDecoder::default();
    decoder.push(bytes);
    std::iter::from_fn(|| decoder.next_frame().unwrap()).collect()
}

fn data(stream: u32, length: usize) -> Frame {
    Frame::data(stream, Channel::Stdout, vec![b'x'; length])
}

#[test]
fn an_agent_that_sends_and_never_reads_is_at_fault_before_memory_is_full() {
    let mut rig = Rig::new();
    let client = rig.client();
    let stream = rig.run(client, 1, true);
    rig.mux.disconnect(client);
    rig.asked();
    while rig.mux.agent_pending().len() < 2 * MOST_AGENT_BYTES {
        rig.say(data(stream, 1)).unwrap();
        // In place of the millions of credits that this would take.
        rig.mux.agent_out.push(&data(stream, MAX_DATA_BYTES));
    }
    assert!(rig.say(data(stream, 1)).is_err());
}

#[test]
fn an_agent_that_speaks_out_of_turn_is_at_fault() {
    let check = |says: fn(u32) -> Vec<Frame>| {
        let mut rig = Rig::new();
        let client = rig.client();
        let stream = rig.run(client, 1, false);
        let mut frames = says(stream);
        let last = frames.pop().unwrap();
        frames.into_iter().for_each(|frame| rig.say(frame).unwrap());
        assert!(rig.say(last.clone()).is_err(), "{last:?}");
    };
    check(|_| vec![data(77, 1)]);
    check(|stream| vec![data(stream, 0)]);
    check(|stream| vec![Frame::data(stream, Channel::Stdin, vec![1])]);
    check(|stream| vec![Frame::message(stream, FrameKind::Opened, &Opened { pid: 9 })]);
    check(|stream| vec![Frame::eof(stream, Channel::Stdout), data(stream, 1)]);
    check(|stream| vec![Frame::eof(stream, Channel::Stderr), Frame::eof(stream, Channel::Stderr)]);
    check(|stream| vec![Frame::eof(stream, Channel::Stdin)]);
    check(|stream| vec![Frame::credit(stream, Channel::Stdin, 1)]);
    check(|stream| vec![Frame::credit(stream, Channel::Stdout, 1)]);
    check(|stream| vec![Frame::message(stream, FrameKind::Control, &Control::Kill)]);
    check(|stream| vec![Frame::message(stream, FrameKind::AgentRequest, &AgentRequest::Metrics)]);
    check(|stream| vec![Frame { payload: vec![0xff; 3], ..Frame::message(stream, FrameKind::End, &()) }]);
    check(|_| vec![Frame::message(0, FrameKind::Control, &Control::Kill)]);
    check(|_| {
        let hello = Hello { generation: GENERATION + 1, build: String::new() };
        vec![Frame::message(0, FrameKind::Hello, &hello)]
    });
    check(|stream| {
        let end = Frame::message(stream, FrameKind::End, &Outcome::Ok(Answer::Done));
        vec![end.clone(), end]
    });
    // One byte more than the window, however it is cut.
    check(|stream| {
        let whole = INITIAL_WINDOW_BYTES as usize / MAX_DATA_BYTES;
        (0..whole).map(|_| data(stream, MAX_DATA_BYTES)).chain([data(stream, 1)]).collect()
    });
}

#[test]
fn a_client_that_breaks_the_protocol_is_at_fault_and_the_agent_hears_nothing_of_it() {
    let check = |frame: fn() -> Frame| {
        let mut rig = Rig::new();
        let client = rig.client();
        rig.run(client, 1, false);
        assert!(rig.send(client, frame()).is_err(), "{:?}", frame());
        assert_eq!(rig.asked(), []);
    };
    check(|| Frame::message(1, FrameKind::AgentRequest, &exec(false)));
    check(|| Frame::message(0, FrameKind::AgentRequest, &exec(false)));
    check(|| Frame::message(5, FrameKind::AgentRequest, &"nonsense"));
    check(|| Frame::message(5, FrameKind::Opened, &Opened { pid: 1 }));
    check(|| Frame::message(5, FrameKind::End, &Outcome::Ok(Answer::Done)));
    check(|| data(1, 10));
    check(|| Frame::credit(1, Channel::Stdin, 10));
    check(|| Frame::credit(1, Channel::Stdout, u32::MAX));
    check(|| Frame { payload: vec![1], ..Frame::credit(1, Channel::Stdout, 1) });
    check(|| Frame::message(1, FrameKind::Control, &[7u8; 9]));
}

#[test]
fn a_client_has_to_greet_first_and_in_our_generation() {
    let mut rig = Rig::new();
    let silent = rig.mux.connect();
    assert!(rig.send(silent, Frame::message(1, FrameKind::AgentRequest, &exec(false))).is_err());
    let other = rig.mux.connect();
    let hello = Hello { generation: GENERATION + 1, build: String::new() };
    assert!(rig.send(other, Frame::message(0, FrameKind::Hello, &hello)).is_err());
}

#[test]
fn input_beyond_its_window_is_a_fault() {
    let mut rig = Rig::new();
    let client = rig.client();
    rig.run(client, 1, false);
    for _ in 0..INITIAL_WINDOW_BYTES as usize / MAX_DATA_BYTES {
        rig.send(client, Frame::data(1, Channel::Stdin, vec![0; MAX_DATA_BYTES])).unwrap();
    }
    assert!(rig.send(client, Frame::data(1, Channel::Stdin, vec![0])).is_err());
}

#[test]
fn only_the_shim_sets_up_and_shuts_down() {
    let mut rig = Rig::new();
    let client = rig.client();
    let shutdown = AgentRequest::Shutdown { grace_ms: 0 };
    rig.send(client, Frame::message(1, FrameKind::AgentRequest, &shutdown)).unwrap();
    assert_eq!(rig.asked(), []);
    let outcome: Outcome = rig.heard(client)[0].decode().unwrap();
    assert_eq!(outcome.unwrap_err().code, ErrorCode::InvalidState.number());
}

#[test]
fn a_lost_client_has_its_commands_killed_and_drained() {
    let mut rig = Rig::new();
    let client = rig.client();
    let stream = rig.run(client, 1, false);
    rig.say(data(stream, 1000)).unwrap();
    rig.mux.disconnect(client);
    let asked = rig.asked();
    assert!(asked.contains(&Frame::credit(stream, Channel::Stdout, 1000)), "{asked:?}");
    assert!(asked.contains(&Frame::message(stream, FrameKind::Control, &Control::Kill)), "{asked:?}");
    assert!(asked.contains(&Frame::eof(stream, Channel::Stdin)), "{asked:?}");
    // From then on what it still writes is granted at once, so that it gets to its end.
    rig.say(data(stream, 500)).unwrap();
    assert_eq!(rig.asked(), [Frame::credit(stream, Channel::Stdout, 500)]);
    assert_eq!(rig.events(), []);
}

#[test]
fn a_detached_command_outlives_its_client_and_ends_unheard() {
    let mut rig = Rig::new();
    let client = rig.client();
    let AgentRequest::Exec(command) = exec(false) else { panic!() };
    let request = AgentRequest::Exec(Exec { stdin: false, detach: true, ..command });
    rig.send(client, Frame::message(1, FrameKind::AgentRequest, &request)).unwrap();
    let stream = rig.asked()[0].stream;
    rig.say(Frame::message(stream, FrameKind::Opened, &Opened { pid: 7 })).unwrap();
    rig.mux.disconnect(client);
    assert_eq!(rig.asked(), []);
    let end = Outcome::Ok(Answer::Exited(ExitStatus::exited(3)));
    rig.say(Frame::message(stream, FrameKind::End, &end)).unwrap();
    assert_eq!(rig.events(), []);
}

#[test]
fn the_main_command_outlives_its_client_and_is_still_heard() {
    let mut rig = Rig::new();
    let client = rig.client();
    let stream = rig.run(client, 1, true);
    rig.mux.disconnect(client);
    assert_eq!(rig.asked(), []);
    rig.say(data(stream, 3)).unwrap();
    assert_eq!(rig.events(), [MuxEvent::MainOutput(Channel::Stdout, b"xxx".to_vec())]);
    let end = Outcome::Ok(Answer::Exited(ExitStatus::exited(3)));
    rig.say(Frame::message(stream, FrameKind::End, &end)).unwrap();
    assert_eq!(rig.events(), [MuxEvent::MainEnded(3, "main command exited".into())]);
}

#[test]
fn a_client_that_attaches_can_send_a_whole_window_although_the_agent_has_not_read_the_last() {
    let mut rig = Rig::new();
    let first = rig.client();
    let stream = rig.run(first, 1, true);
    let window = INITIAL_WINDOW_BYTES as usize;
    let fill = |rig: &mut Rig, id, number| {
        for _ in 0..window / MAX_DATA_BYTES {
            rig.send(id, Frame::data(number, Channel::Stdin, vec![0; MAX_DATA_BYTES])).unwrap();
        }
    };
    let bytes = |frames: Vec<Frame>| frames.iter().map(|frame| frame.payload.len()).sum::<usize>();
    fill(&mut rig, first, 1);
    assert_eq!(bytes(rig.asked()), window);
    rig.mux.disconnect(first);

    let second = rig.client();
    rig.send(second, Frame::message(4, FrameKind::ShimRequest, &ShimRequest::Attach)).unwrap();
    assert_eq!(rig.heard(second), [Frame::message(4, FrameKind::Opened, &Opened { pid: 9 })]);
    rig.asked();
    fill(&mut rig, second, 4);
    assert_eq!(rig.asked(), [], "the agent's window is full");
    rig.say(Frame::credit(stream, Channel::Stdin, INITIAL_WINDOW_BYTES)).unwrap();
    assert_eq!(bytes(rig.asked()), window);
    assert_eq!(rig.heard(second), [], "what the first client had sent is not granted to the second");
    rig.say(Frame::credit(stream, Channel::Stdin, 10)).unwrap();
    assert_eq!(rig.heard(second), [Frame::credit(4, Channel::Stdin, 10)]);
}

#[test]
fn the_end_of_input_waits_for_the_input_before_it() {
    let mut rig = Rig::new();
    let first = rig.client();
    let stream = rig.run(first, 1, true);
    for _ in 0..INITIAL_WINDOW_BYTES as usize / MAX_DATA_BYTES {
        rig.send(first, Frame::data(1, Channel::Stdin, vec![0; MAX_DATA_BYTES])).unwrap();
    }
    rig.mux.disconnect(first);
    let second = rig.client();
    rig.send(second, Frame::message(1, FrameKind::ShimRequest, &ShimRequest::Attach)).unwrap();
    rig.asked();
    rig.send(second, Frame::data(1, Channel::Stdin, b"last".to_vec())).unwrap();
    rig.send(second, Frame::eof(1, Channel::Stdin)).unwrap();
    assert_eq!(rig.asked(), []);
    rig.say(Frame::credit(stream, Channel::Stdin, 100)).unwrap();
    let expect = [Frame::data(stream, Channel::Stdin, b"last".to_vec()), Frame::eof(stream, Channel::Stdin)];
    assert_eq!(rig.asked(), expect);
}

#[test]
fn whoever_waits_for_the_end_is_told_of_it_last() {
    let mut rig = Rig::new();
    let client = rig.client();
    rig.run(client, 1, false);
    rig.send(client, Frame::message(2, FrameKind::ShimRequest, &ShimRequest::Kill)).unwrap();
    assert_eq!(rig.events(), [MuxEvent::Kill]);
    assert_eq!(rig.heard(client), []);
    rig.mux.finish();
    let outcomes: Vec<(u32, Outcome)> =
        rig.heard(client).iter().map(|frame| (frame.stream, frame.decode().unwrap())).collect();
    assert_eq!(outcomes[0].0, 1);
    assert_eq!(outcomes[0].1.as_ref().unwrap_err().code, ErrorCode::Stopped.number());
    assert_eq!(outcomes[1], (2, Ok(Answer::Done)));
}

proptest! {
    /// Whatever an agent sends, byte by byte or frame by frame, ends in a fault or in nothing: never in a panic, and never
    /// in more bytes for a client than its windows allow.
    #[test]
    fn no_bytes_of_an_agent_get_anywhere(
        frames in prop::collection::vec((0u32..4, 0u8..12, 0u8..4, prop::collection::vec(any::<u8>(), 0..200)), 0..50),
        cut in 1usize..100,
    ) {
        let mut rig = Rig::new();
        let client = rig.client();
        rig.run(client, 1, true);
        let mut bytes = Vec::new();
        for (stream, kind, channel, payload) in frames {
            bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&stream.to_le_bytes());
            bytes.extend_from_slice(&[kind, channel, 0, 0]);
            bytes.extend_from_slice(&payload);
        }
        for chunk in bytes.chunks(cut) {
            if rig.mux.hear_agent(chunk).is_err() {
                break;
            }
        }
        prop_assert!(rig.mux.client_pending(client).len() <= bytes.len());
    }
}
