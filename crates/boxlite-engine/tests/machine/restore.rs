//! Booting, saving and restoring.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use boxlite_engine::vm::{
    Machine, MachineSpec, Memory, PlainSpawn, Spawn, VmmCommand, VmmProcess, boot, snapshot,
};
use boxlite_protocol::{AgentRequest, Answer, Frame, FrameDecoder, FrameKind, GENERATION, Outcome, Setup};
use boxlite_types::{Error, ErrorCode, Result};

use crate::{TestHome, blank};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// Makes a machine a box without a root, and returns the release of its kernel.
fn set_up(machine: &mut Machine) -> String {
    let setup = Setup {
        entropy: vec![7; 64],
        realtime_ns: 1_700_000_000_000_000_000,
        hostname: "box".into(),
        machine_id: "0".repeat(32),
        root: None,
    };
    let mut bytes = Vec::new();
    Frame::message(1, FrameKind::AgentRequest, &AgentRequest::Setup(setup)).encode_into(&mut bytes);
    machine.agent.write_all(&bytes).unwrap();
    machine.agent.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let (mut decoder, mut chunk) = (FrameDecoder::default(), [0; 4096]);
    loop {
        if let Some(frame) = decoder.next_frame().unwrap() {
            assert_eq!((frame.stream, frame.kind), (1, FrameKind::End));
            let outcome: Outcome = frame.decode().unwrap();
            let Ok(Answer::Ready { kernel }) = outcome else { panic!("{outcome:?}") };
            return kernel;
        }
        let length = machine.agent.read(&mut chunk).unwrap();
        assert_ne!(length, 0, "the agent is gone");
        decoder.push(&chunk[..length]);
    }
}

#[test]
fn a_machine_boots_cold_and_its_agent_answers() {
    let home = TestHome::new();
    for cpus in [1, 2] {
        let spec = MachineSpec { cpus, ..home.spec() };
        let mut machine = boot::start(&spec, &home.disk("cold"), &PlainSpawn, &blank::serve).unwrap();
        assert!(!machine.from_template);
        assert_eq!(machine.hello.generation, GENERATION);
        assert_eq!(set_up(&mut machine), spec.kernel_release);
        println!("cold, {cpus} processors: {:?}", machine.timings);
    }
}

#[test]
fn a_saved_machine_is_restored_again_and_again() {
    let home = TestHome::new();
    // A large memory costs nothing that is not touched.
    let spec = MachineSpec { memory_mib: 16384, ..home.spec() };
    let saved = tempfile::tempdir().unwrap();
    let memory = saved.path().join(snapshot::MEMORY_FILE);
    std::fs::File::create(&memory).unwrap().set_len(u64::from(spec.memory_mib) << 20).unwrap();
    let mut machine =
        boot::cold_boot(&spec, &home.disk("saved"), &Memory::Recorded(memory), &PlainSpawn, &blank::serve)
            .unwrap();
    let began = Instant::now();
    snapshot::save(&mut machine.qmp, saved.path(), soon()).unwrap();
    println!("saved in {:?}", began.elapsed());
    drop(machine);

    let mut together = Vec::new();
    for number in 0..10 {
        let disk = home.disk(&number.to_string());
        let mut machine = boot::restore(&spec, saved.path(), &disk, &PlainSpawn, &blank::serve).unwrap();
        assert!(machine.from_template);
        assert_eq!(set_up(&mut machine), spec.kernel_release);
        println!("restored: {:?}, {} KiB", machine.timings, proportional_kib(machine.process.pid()));
        // All run at the same time, out of the same file, which none of them changes.
        together.push(machine);
    }
    for machine in &mut together {
        assert_eq!(machine.process.wait(Duration::ZERO), None, "it still runs");
    }
}

fn proportional_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn the_last_words_of_a_vmm_are_in_the_error() {
    let home = TestHome::new();
    let spec = MachineSpec { kernel: "/nowhere/vmlinux".into(), ..home.spec() };
    let error = boot::start(&spec, &home.disk("box"), &PlainSpawn, &blank::serve).err().unwrap();
    assert_eq!(error.code(), ErrorCode::Engine);
    assert!(error.message().contains("exited with code 1"), "{error:?}");
    assert!(error.message().contains("/nowhere/vmlinux"), "{error:?}");

    let spec = MachineSpec { qemu: "/nowhere/qemu".into(), ..home.spec() };
    let error = boot::start(&spec, &home.disk("box"), &PlainSpawn, &blank::serve).err().unwrap();
    assert!(error.message().contains("/nowhere/qemu"), "{error:?}");
}

/// Starts the VMM with one argument changed.
struct Changed(&'static str, &'static str);

impl Spawn for Changed {
    fn spawn(&self, mut command: VmmCommand) -> Result<VmmProcess> {
        for argument in &mut command.arguments {
            if argument.to_str().is_some_and(|argument| argument.contains(self.0)) {
                *argument = argument.to_str().unwrap().replace(self.0, self.1).into();
            }
        }
        PlainSpawn.spawn(command)
    }
}

#[test]
fn a_guest_that_panics_ends_its_machine_instead_of_waiting_for_the_deadline() {
    let home = TestHome::new();
    let error =
        boot::start(&home.spec(), &home.disk("box"), &Changed("quiet", "rdinit=/none"), &blank::serve)
            .err()
            .unwrap();
    assert_eq!(error.code(), ErrorCode::Engine);
    assert!(error.message().starts_with("the virtual machine exited"), "{error:?}");
}

/// Refuses.
struct Refusing;

impl Spawn for Refusing {
    fn spawn(&self, _command: VmmCommand) -> Result<VmmProcess> {
        Err(Error::new(ErrorCode::ResourceExhausted, "no processes left"))
    }
}

#[test]
fn a_vmm_that_cannot_be_started_says_so_itself() {
    let home = TestHome::new();
    let error = boot::start(&home.spec(), &home.disk("box"), &Refusing, &blank::serve).err().unwrap();
    assert_eq!(error.message(), "no processes left");
}

#[tokio::test]
async fn the_clock_of_a_guest_does_not_fall_back_to_its_ticks() {
    let vm_box = crate::common::vm::VmBox::new();
    let session = vm_box.start(&crate::common::vm::engine()).await;
    let source = "cat /sys/devices/system/clocksource/clocksource0/current_clocksource";
    let clock = crate::common::output(&session, source).await;
    assert!(clock.starts_with("tsc"), "{clock}");
}
