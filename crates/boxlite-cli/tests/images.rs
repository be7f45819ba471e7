//! Images on the command line, against a real registry on a loopback port.

mod support;

use std::process::Stdio;
use std::time::Duration;

use boxlite_testkit::images::{Artifact, Entry, Image, Layer};
use boxlite_testkit::registry::{Auth, Fault, Gate, Registry, Rule, Target};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::Cli;

/// An image of two layers, the second one of about `size` bytes that do not compress.
fn image(size: usize) -> Artifact {
    // SplitMix64: bytes no compressor finds anything in.
    let noise: Vec<u8> = (1..=size as u64)
        .map(|n| {
            let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            ((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 56) as u8
        })
        .collect();
    let layers = [
        Layer::from_entries([Entry::file("etc/os-release", "ID=test\n")]),
        Layer::from_entries([Entry::file("data", noise)]),
    ];
    Image::new(layers).run("Cmd", json!(["/bin/sh"])).build()
}

fn registry_with_app() -> (Registry, Artifact) {
    let registry = Registry::start();
    let artifact = image(200_000);
    registry.push("team/app", "1", &artifact);
    (registry, artifact)
}

/// Waits until the pull has come to the gate, unless it has ended for another reason.
#[track_caller]
fn reached(gate: &Gate, mut ended: impl FnMut() -> bool) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let waiting = gate.clone();
    std::thread::spawn(move || {
        Gate::block_on(waiting.reached());
        // The test may have given up.
        let _ = sender.send(());
    });
    while receiver.recv_timeout(Duration::from_millis(50)).is_err() {
        assert!(!ended(), "the pull ended before it came to the gate");
    }
}

fn is_event(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|event| event["type"] == "pull")
}

#[test]
fn a_pull_says_what_it_does_and_prints_the_reference() {
    let (registry, artifact) = registry_with_app();
    let reference = registry.reference("team/app:1");
    let cli = Cli::new();

    let first = cli.run(&["pull", &reference]);
    assert_eq!((first.code, first.stdout.trim_end()), (0, reference.as_str()), "{first:?}");
    assert!(first.stderr.starts_with(&format!("Pulling {reference}: 2 layers, ")), "{first:?}");
    assert_eq!(first.stderr.matches(": done\n").count(), 2, "{first:?}");
    assert!(first.stderr.contains(&format!("Pulled {reference} in ")), "{first:?}");

    let second = cli.run(&["pull", &reference]);
    assert_eq!((second.code, second.stdout.trim_end()), (0, reference.as_str()), "{second:?}");
    assert!(
        second.stderr.ends_with(&format!("Up to date: {} (2 layers)\n", artifact.digest())),
        "{second:?}"
    );

    let quiet = cli.run(&["pull", "-q", &reference]);
    assert_eq!(
        (quiet.stdout.trim_end(), quiet.stderr.as_str()),
        (artifact.digest().to_string().as_str(), "")
    );
}

#[test]
fn with_json_a_pull_is_events_on_stderr_and_one_document_on_stdout() {
    let (registry, artifact) = registry_with_app();
    let reference = registry.reference("team/app:1");
    let cli = Cli::new().with(&["--format=json"]);
    let ran = cli.run(&["pull", &reference]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let pulled: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(pulled["reference"], reference);
    assert_eq!(pulled["id"], artifact.digest().to_string());
    assert_eq!((pulled["layer_count"].as_u64(), pulled["cached"].as_bool()), (Some(2), Some(false)));
    assert!(pulled["bytes_fetched"].as_u64().unwrap() > 100_000);
    assert!(ran.stderr.lines().count() > 3 && ran.stderr.lines().all(is_event), "{}", ran.stderr);
    let again = cli.json(&["pull", &reference]);
    assert_eq!(again["cached"], true);
}

#[test]
fn images_are_listed_as_a_table_as_ids_and_as_json() {
    let (registry, artifact) = registry_with_app();
    let reference = registry.reference("team/app:1");
    let cli = Cli::new();
    assert_eq!(cli.ok(&["images"]).lines().count(), 1);
    assert_eq!(cli.json(&["images"]), json!([]));

    cli.ok(&["pull", "-q", &reference]);
    cli.ok(&["image", "tag", &reference, "localhost/other:2"]);
    let table = cli.ok(&["images"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["REPOSITORY", "TAG", "IMAGE", "ID", "PLATFORM", "PULLED", "SIZE"]
    );
    let column = lines[0].find("TAG").unwrap();
    for line in &lines[1..] {
        assert_eq!(&line[column - 1..column], " ", "{table}");
        assert!(line[column..].starts_with("1 ") || line[column..].starts_with("2 "), "{table}");
        assert!(line.contains(&artifact.digest().hex()[..12]) && line.ends_with(" kB"), "{table}");
    }
    assert_eq!(cli.ok(&["images", "-q"]), artifact.digest().to_string());

    let list = cli.json(&["images"]);
    assert_eq!(list.as_array().unwrap().len(), 2);
    let held = list.as_array().unwrap().iter().find(|image| image["reference"] == reference).unwrap();
    assert!(held["size_bytes"].as_u64().unwrap() > 100_000);
    assert_eq!(held["tag"], "1");
}

#[test]
fn an_image_is_inspected_tagged_and_removed() {
    let (registry, artifact) = registry_with_app();
    let reference = registry.reference("team/app:1");
    let cli = Cli::new();
    cli.ok(&["pull", "-q", &reference]);

    let details: Value = serde_json::from_str(&cli.ok(&["image", "inspect", &reference])).unwrap();
    assert_eq!(details[0]["id"], artifact.digest().to_string());
    assert_eq!(details[0]["config"]["command"], json!(["/bin/sh"]));
    assert_eq!(details[0]["layers"].as_array().unwrap().len(), 2);

    assert_eq!(cli.ok(&["image", "tag", &reference, "localhost/other:2"]), "localhost/other:2");
    let first = cli.ok(&["image", "rm", &reference]);
    assert_eq!(first, format!("Untagged {reference}"));
    let second = cli.json(&["image", "rm", "localhost/other:2"]);
    assert_eq!(second[0]["deleted"], json!([artifact.digest().to_string()]));
    assert!(second[0]["bytes_freed"].as_u64().unwrap() > 100_000);
    assert_eq!(cli.json(&["images"]), json!([]));
    let usage = cli.json(&["system", "df"]);
    assert_eq!((usage["images"].as_u64(), usage["blob_bytes"].as_u64()), (Some(0), Some(0)), "{usage}");
}

#[test]
fn of_several_targets_each_is_tried_and_each_failure_told() {
    let (registry, _) = registry_with_app();
    let reference = registry.reference("team/app:1");
    let cli = Cli::new();
    cli.ok(&["pull", "-q", &reference]);
    let ran = cli.run(&["image", "rm", "localhost/a:1", &reference, "localhost/b:1"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.starts_with(&format!("Untagged {reference}\n")), "{ran:?}");
    assert_eq!(ran.stderr.matches("error: ").count(), 2, "{ran:?}");
}

#[test]
fn unqualified_names_are_looked_up_where_the_flags_and_the_file_say() {
    let (registry, artifact) = registry_with_app();
    registry.push("library/base", "latest", &artifact);
    let host = registry.host();
    let by_flag = Cli::new().with(&["--registry", &host]);
    assert_eq!(by_flag.ok(&["pull", "-q", "team/app:1"]), artifact.digest().to_string());
    assert_eq!(by_flag.json(&["images"])[0]["reference"], registry.reference("team/app:1"));

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("[[registries]]\nhost = \"{host}\"\nsearch = true\n")).unwrap();
    let by_file = Cli::new().with(&["--config", file.path().to_str().unwrap()]);
    assert_eq!(by_file.ok(&["pull", "-q", "team/app:1"]), artifact.digest().to_string());
}

/// Each bad pull ends in its own code, on one line of JSON, with the exit code 1 and an untouched store.
#[test]
fn each_bad_pull_ends_in_its_own_error() {
    let check = |line: &str, prepare: &dyn Fn(&Registry, &Artifact), code: &str| {
        let (registry, artifact) = registry_with_app();
        prepare(&registry, &artifact);
        let line = line.replace("HOST", &registry.host());
        let cli = Cli::new();
        let words: Vec<&str> = ["--format", "json"].into_iter().chain(line.split(' ')).collect();
        let ran = cli.run(&words);
        assert_eq!((ran.code, ran.stdout.trim_end().trim_start_matches("[]")), (1, ""), "{line}: {ran:?}");
        let error = ran.error();
        assert_eq!(error["code"], code, "{line}: {error}");
        assert!(!error["message"].as_str().unwrap().ends_with('.'), "{line}: {error}");
        assert!(error["operation"].is_string(), "{line}: {error}");
        assert_eq!(cli.json(&["images"]), json!([]), "{line}");
        assert_eq!(cli.json(&["system", "check"])["findings"], json!([]), "{line}");
    };
    let honest = |_: &Registry, _: &Artifact| {};
    check("pull HOST/team/UPPER:1", &honest, "InvalidArgument");
    check("pull HOST/team/app:", &honest, "InvalidArgument");
    check("pull HOST/team/app@sha256:12", &honest, "InvalidArgument");
    check("pull HOST/team/app:missing", &honest, "NotFound");
    check("pull HOST/team/none:1", &honest, "NotFound");
    check("pull HOST/team/app:1 --platform linux/s390x", &honest, "PlatformMismatch");
    check(
        "pull HOST/team/app:1",
        &|registry, artifact| {
            let layer = Target::Blob(artifact.layer_digest(1));
            registry.script(Rule::on(layer).with(Fault::Corrupt(50)));
        },
        "DigestMismatch",
    );
    check("pull HOST/team/app:1", &|registry, _| registry.require(Auth::basic("a", "b")), "Unauthorized");
    check(
        "pull HOST/team/app:1",
        &|registry, _| registry.script(Rule::on(Target::Manifests).with(Fault::Status(404))),
        "NotFound",
    );
    check("image rm HOST/team/app:1", &honest, "NotFound");
    check("image inspect HOST/team/app:1", &honest, "NotFound");
    check("image tag HOST/team/app:1 HOST/b:1", &honest, "NotFound");
    check("image tag HOST/team/app:1 B", &honest, "InvalidArgument");
}

#[test]
fn a_registry_that_is_not_there_is_a_network_error() {
    let host = Registry::start().host();
    let ran = Cli::new().run(&["--format=json", "pull", &format!("{host}/app:1")]);
    assert_eq!((ran.code, &ran.error()["code"]), (1, &json!("Network")), "{ran:?}");
}

/// What `Ctrl-C` does: the pull stops, what came so far stays, the next pull asks for the rest only.
#[test]
fn an_interrupted_pull_leaves_what_the_next_one_goes_on_with() {
    let check = |signal: Signal, code: i32| {
        let registry = Registry::start();
        let artifact = image(4_000_000);
        registry.push("team/app", "1", &artifact);
        let reference = registry.reference("team/app:1");
        let layer = Target::Blob(artifact.layer_digest(1));
        let gate = Gate::new();
        registry.script(Rule::on(layer.clone()).nth(1).with(Fault::HoldAfter(2_000_000, gate.clone())));
        let cli = Cli::new();

        let mut command = cli.command(&["pull", &reference]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        reached(&gate, || child.try_wait().unwrap().is_some());
        // What the registry has sent may still be on its way.
        while cli.json(&["system", "df"])["partial_bytes"].as_u64().unwrap() < 1_000_000 {
            assert!(child.try_wait().unwrap().is_none(), "the pull ended by itself");
        }
        kill_process(Pid::from_raw(child.id() as i32).unwrap(), signal).unwrap();
        let ran: support::Ran = child.wait_with_output().unwrap().into();
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{ran:?}");
        assert!(ran.stderr.contains("error: interrupted"), "{ran:?}");
        Gate::block_on(gate.abandoned());

        assert_eq!(cli.json(&["system", "check"])["findings"], json!([]));
        assert!(cli.json(&["system", "df"])["partial_bytes"].as_u64().unwrap() > 0);
        registry.clear_requests();
        cli.ok(&["pull", "-q", &reference]);
        let requests = registry.requests_for(&layer);
        assert!(requests.iter().all(|request| request.range().is_some()), "{requests:?}");
        assert_eq!(cli.json(&["system", "df"])["partial_bytes"], 0);
    };
    check(Signal::INT, 130);
    check(Signal::TERM, 143);
}

#[test]
fn on_a_terminal_a_pull_draws_bars_and_leaves_one_line() {
    let (registry, artifact) = registry_with_app();
    let gate = Gate::new();
    let layer = Target::Blob(artifact.layer_digest(1));
    registry.script(Rule::on(layer).nth(1).with(Fault::HoldAfter(100_000, gate.clone())));
    let reference = registry.reference("team/app:1");
    let cli = Cli::new();
    let mut terminal = support::pty::Terminal::start(cli.command(&["pull", &reference]));
    terminal.expect(&format!("Pulling {reference}"));
    terminal.expect("layers");
    gate.open();
    terminal.expect(&format!("Pulled {reference}: "));
    terminal.expect(&reference);
    assert_eq!(terminal.wait(), 0);
}

#[test]
fn a_list_whose_reader_has_gone_ends_without_a_word() {
    let cli = Cli::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = cli.command(&["images"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(141), 0), "{output:?}");
}

#[test]
fn an_exported_file_system_is_one_erofs_file() {
    let (registry, _) = registry_with_app();
    let reference = registry.reference("team/app:1");
    let cli = Cli::new();
    cli.ok(&["pull", "-q", &reference]);
    let file = cli.home().with_file_name("app.erofs");
    cli.ok(&["image", "export", &reference, file.to_str().unwrap()]);
    let bytes = std::fs::read(&file).unwrap();
    // EROFS_SUPER_MAGIC_V1 at offset 1024, little endian (Linux, fs/erofs/erofs_fs.h).
    assert_eq!(bytes[1024..1028], 0xe0f5_e1e2_u32.to_le_bytes());
}
