//! Boxes on the command line as far as no machine is needed: made, listed, inspected, removed, refused.

mod support;

use boxlite_testkit::images::{Entry, Image, Layer};
use boxlite_testkit::registry::Registry;
use serde_json::{Value, json};
use support::Cli;

/// A home that holds one image, `app:1`, whose entrypoint is `/entry` and whose command is `a b`.
struct Fixture {
    cli: Cli,
    image: String,
    _registry: Registry,
}

fn fixture() -> Fixture {
    let registry = Registry::start();
    let layer = Layer::from_entries([Entry::file("entry", "#!/bin/sh\n").mode(0o755)]);
    let image = Image::new([layer]).run("Entrypoint", json!(["/entry"])).run("Cmd", json!(["a", "b"]));
    registry.push("app", "1", &image.build());
    let cli = Cli::new();
    let image = registry.reference("app:1");
    Fixture { cli, image, _registry: registry }
}

impl Fixture {
    #[track_caller]
    fn error(&self, line: &str) -> (i32, String) {
        let line = line.replace("IMAGE", &self.image);
        let words: Vec<&str> = ["--format", "json"].into_iter().chain(line.split(' ')).collect();
        let ran = self.cli.run(&words);
        assert_eq!(ran.stdout.trim_end().trim_start_matches("[]"), "", "{line}: {ran:?}");
        (ran.code, ran.error()["code"].as_str().unwrap().to_owned())
    }
}

#[test]
fn a_box_is_made_with_what_the_flags_say() {
    let Fixture { cli, image, _registry } = &fixture();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "# comment\n\nFROM_FILE=1\nA=file\n").unwrap();
    let file = file.path().to_str().unwrap();
    let id = cli.ok(&[
        "create",
        "--name",
        "one",
        "--cpus",
        "2",
        "--memory",
        "2g",
        "--disk-size",
        "512m",
        "-e",
        "A=1",
        "--env-file",
        file,
        "-w",
        "/srv",
        "-u",
        "1000:1000",
        "--hostname",
        "host",
        "--label",
        "x=y",
        "-i",
        image,
        "c",
        "-q",
        "--rm",
    ]);
    let info: Value = serde_json::from_str(&cli.ok(&["inspect", "one"])).unwrap();
    let info = &info[0];
    assert_eq!((info["id"].as_str(), info["state"].as_str()), (Some(id.as_str()), Some("created")));
    let spec = &info["spec"];
    assert_eq!(spec["resources"], json!({ "cpus": 2, "memory_mib": 2048, "disk_mib": 512 }));
    assert_eq!(spec["env"], json!(["A=1", "FROM_FILE=1"]));
    assert_eq!((&spec["cwd"], &spec["user"]), (&json!("/srv"), &json!("1000:1000")));
    assert_eq!((&spec["hostname"], &spec["labels"]), (&json!("host"), &json!(["x=y"])));
    assert_eq!((&spec["detach"], &spec["auto_remove"]), (&json!(true), &json!(false)));
    assert_eq!((&spec["main"]["argv"], &spec["main"]["stdin"]), (&json!(["c", "-q", "--rm"]), &json!(true)));
}

#[test]
fn boxes_are_listed_and_removed() {
    let Fixture { cli, image, _registry } = &fixture();
    let one = cli.ok(&["create", "--name", "one", image]);
    let two = cli.json(&["create", image, "sleep", "1"])["id"].as_str().unwrap().to_owned();
    assert_eq!(cli.ok(&["ps"]).lines().count(), 1);
    let table = cli.ok(&["ps", "-a"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("BOX ID         NAME   IMAGE"), "{table}");
    assert!(lines[1].starts_with(&format!("{two}   -      {image}   sleep 1 ")), "{table}");
    assert!(lines[2].starts_with(&format!("{one}   one    {image} ")), "{table}");
    assert_eq!(cli.ok(&["ls", "-aq"]), format!("{two}\n{one}"));
    assert_eq!(cli.json(&["ps", "-a"])[0]["id"], two);
    let latest: Value = serde_json::from_str(&cli.ok(&["inspect", "--latest"])).unwrap();
    assert_eq!(latest[0]["id"], two);

    assert_eq!(cli.ok(&["rm", "one", &two[..6]]), format!("one\n{}", &two[..6]));
    assert_eq!(cli.json(&["ps", "-a"]), json!([]));
    assert_eq!(cli.json(&["system", "check"])["findings"], json!([]));
}

#[test]
fn what_cannot_be_is_refused_with_its_code() {
    let fixture = fixture();
    let check = |line: &str, code: i32, name: &str| {
        assert_eq!(fixture.error(line), (code, name.to_owned()), "{line}");
    };
    fixture.cli.ok(&["create", "--name", "one", &fixture.image]);
    check("create --name one IMAGE", 1, "AlreadyExists");
    check("create --name a/b IMAGE", 1, "InvalidArgument");
    check("create --cpus 0 IMAGE", 1, "InvalidArgument");
    check("create --cpus 1000 IMAGE", 1, "InvalidArgument");
    check("create --memory 1m IMAGE", 1, "InvalidArgument");
    check("create --memory 900g IMAGE", 1, "InvalidArgument");
    check("create --disk-size 1m IMAGE", 1, "InvalidArgument");
    check("create -e =x IMAGE", 1, "InvalidArgument");
    check("create --env-file /does/not/exist IMAGE", 1, "Storage");
    check("create --pull never 127.0.0.1:1/none:1", 1, "NotFound");
    check("run --pull never 127.0.0.1:1/none:1", 125, "NotFound");
    check("run --name one IMAGE", 125, "AlreadyExists");
    check("run -it IMAGE", 125, "InvalidArgument");
    check("run --entrypoint= IMAGE", 125, "InvalidArgument");
    check("start none", 1, "NotFound");
    check("start -a none", 125, "NotFound");
    check("start -a one two", 125, "InvalidArgument");
    check("stop none", 1, "NotFound");
    check("restart none", 1, "NotFound");
    check("rm none", 1, "NotFound");
    check("logs none", 1, "NotFound");
    check("inspect none", 1, "NotFound");
    check("exec none ls", 125, "NotFound");
    check("exec one ls", 125, "InvalidState");
    check("cp none:/a /tmp", 1, "NotFound");
    check("cp one:/a /tmp", 1, "InvalidState");
    check("cp a b", 1, "InvalidArgument");
    check("cp one:/a one:/b", 1, "InvalidArgument");
    check("--config /does/not/exist ps", 1, "Config");
    assert_eq!(fixture.cli.json(&["ps", "-a"]).as_array().unwrap().len(), 1, "a refused command left a box");
}

#[test]
fn an_image_that_a_box_was_made_of_is_kept_unless_forced() {
    let fixture = fixture();
    fixture.cli.ok(&["create", &fixture.image]);
    assert_eq!(fixture.error("image rm IMAGE"), (1, "InUse".to_owned()));
}

#[test]
fn a_home_that_cannot_be_is_a_storage_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let ran = Cli::at(&file.path().join("home")).run(&["--format", "json", "ps"]);
    assert_eq!((ran.code, &ran.error()["code"]), (1, &json!("Storage")), "{ran:?}");
}

#[test]
fn the_system_tells_of_itself() {
    let Fixture { cli, image, _registry } = &fixture();
    cli.ok(&["create", image]);
    let info = cli.json(&["system", "info"]);
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(info["home"], cli.home().to_str().unwrap());
    assert_eq!((&info["images"], &info["boxes"], &info["running_boxes"]), (&json!(1), &json!(1), &json!(0)));
    let table = cli.ok(&["system", "info"]);
    assert!(table.contains(&format!("home:          {}\n", cli.home().display())), "{table}");

    let report = cli.run(&["doctor"]);
    let document = cli.run(&["--format", "json", "doctor"]);
    assert_eq!(report.code, document.code);
    let document: Value = serde_json::from_str(&document.stdout).unwrap();
    let ready = document["checks"]
        .as_array()
        .unwrap()
        .iter()
        .all(|check| check["ok"] == true || check["required"] == false);
    assert_eq!(report.code, i32::from(!ready), "{report:?}");
    assert!(report.stdout.starts_with("CHECK "), "{report:?}");
    for check in document["checks"].as_array().unwrap() {
        let row = report.stdout.lines().find(|row| row.starts_with(check["name"].as_str().unwrap())).unwrap();
        assert_eq!(row.contains(" ok "), check["ok"].as_bool().unwrap(), "{row}");
    }
    assert_eq!(cli.json(&["kernel", "ls"]), json!([]));
}
