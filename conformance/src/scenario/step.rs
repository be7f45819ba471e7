//! The steps of a scenario, and which keys each kind has. A key that is unknown is refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_norway::Value as Yaml;

use super::pattern::Pattern;
use crate::registry::{AuthDescription, ImageDescription, RuleDescription};

/// One step. Its first key says which kind it is.
#[derive(Clone, Debug)]
pub enum Step {
    /// Asks the adapter for an operation.
    Call(Call),
    /// Runs a command in a box to its end: `box.exec`, `execution.write`, `execution.output`.
    Run(Run),
    /// Waits for what a call left in the background.
    Await(Await),
    /// Asks for a call in the background to be given up.
    Cancel(Cancel),
    /// Leaves a call in the background for the adapter to end with.
    Forget(Forget),
    /// Changes what the registry has and does.
    Registry(RegistryStep),
    /// Waits for, or opens, a gate of the registry.
    Gate(GateStep),
    /// Looks at what the registry was asked.
    Requests(RequestsStep),
    /// Looks at the home, or deletes it.
    Home(HomeStep),
    /// Looks at a file of the host.
    File(FileStep),
    /// Reads the output of a command.
    Read(ReadStep),
    /// Reads a stream of events or of a log.
    Drain(DrainStep),
}

/// How a call is to end. Without any of these it has to succeed.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// It succeeds with this.
    pub ok: Option<Pattern>,
    /// It fails with this: a code, or a map of the error's fields.
    pub error: Option<Pattern>,
    /// It ends in one of these ways: `ok`, or a code.
    pub ends: Option<Vec<String>>,
}

/// `call`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The operation.
    pub call: String,
    /// The handle it is about; by default the one named like the kind of handle.
    pub on: Option<String>,
    /// The handle it makes; by default named like the kind of handle.
    #[serde(rename = "as")]
    pub made: Option<String>,
    /// Arguments.
    #[serde(default)]
    pub with: Yaml,
    /// It succeeds with this.
    pub ok: Option<Pattern>,
    /// It fails with this.
    pub error: Option<Pattern>,
    /// It ends in one of these ways.
    pub ends: Option<Vec<String>>,
    /// Fields of the answer to keep as variables: name by field; `.` is the whole answer.
    #[serde(default)]
    pub save: BTreeMap<String, String>,
    /// Does not wait: `await` does, under this name.
    pub background: Option<String>,
    /// Asks so many times at once, with `${n}` from 0; only in the background.
    pub times: Option<usize>,
    /// Asks again, as long as it ends in this way: `ok`, or a code.
    pub again_while: Option<String>,
    /// Asks again until it succeeds with this.
    pub until: Option<Pattern>,
    /// Longest time it may take, in milliseconds.
    pub within_ms: Option<u64>,
    /// Progress events that have to occur, in this order.
    pub progress: Option<Vec<Pattern>>,
}

/// `run`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Program and arguments: a list, or one text that is split at blanks.
    pub run: Words,
    /// The box; `box` by default.
    pub on: Option<String>,
    /// Further fields of the `ExecSpec`.
    #[serde(default)]
    pub with: Yaml,
    /// Bytes for its stdin, as `!bytes text`; there is none without it.
    pub stdin: Option<Yaml>,
    /// What it prints on stdout.
    pub stdout: Option<String>,
    /// What it prints on stderr.
    pub stderr: Option<String>,
    /// Its exit code; 0 if nothing else is expected.
    pub code: Option<i32>,
    /// The whole answer, for what the three above cannot say.
    pub ok: Option<Pattern>,
    /// It fails, at its start or before its end.
    pub error: Option<Pattern>,
}

/// A command line.
#[derive(Clone, Debug)]
pub struct Words(pub Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Line(String),
            List(Vec<String>),
        }
        Ok(Words(match Form::deserialize(deserializer)? {
            Form::Line(line) => line.split_whitespace().map(str::to_owned).collect(),
            Form::List(words) => words,
        }))
    }
}

/// `await`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Await {
    /// The background call, or calls: each of them is to end like this, `${n}` being its number.
    #[serde(rename = "await")]
    pub awaited: String,
    /// It succeeds with this.
    pub ok: Option<Pattern>,
    /// It fails with this.
    pub error: Option<Pattern>,
    /// It ends in one of these ways.
    pub ends: Option<Vec<String>>,
}

/// `cancel`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// The background call.
    pub cancel: String,
}

/// `forget`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forget {
    /// The background call.
    pub forget: String,
}

/// `registry`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryStep {
    /// What to do.
    pub registry: RegistryChange,
}

/// What changes about the registry; in the order of the fields.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryChange {
    /// Takes all faults back.
    pub heal: bool,
    /// Serves more images.
    pub push: BTreeMap<String, ImageDescription>,
    /// Loses a blob.
    pub remove_blob: Option<String>,
    /// More faults.
    pub rules: Vec<Yaml>,
    /// Asks for credentials.
    #[serde(deserialize_with = "as_json")]
    pub auth: Option<AuthDescription>,
    /// Forgets what it was asked so far.
    pub forget_requests: bool,
}

/// `gate`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateStep {
    /// Its name.
    pub gate: String,
    /// Waits until so many responses are held there.
    pub reached: Option<usize>,
    /// Waits until a client has hung up on a response held there.
    #[serde(default)]
    pub abandoned: bool,
    /// Lets everything pass.
    #[serde(default)]
    pub open: bool,
}

/// `requests`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestsStep {
    /// Which: as the target of a rule.
    pub requests: Yaml,
    /// How many there were.
    pub count: Option<Pattern>,
    /// The last of them: `method`, `path`, `range`, `authorization`, `status`.
    pub last: Option<Pattern>,
}

/// `home`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomeStep {
    /// What is to be true of it, or done.
    pub home: HomeCheck,
    /// Where it takes a moment: how long that may be, in milliseconds.
    pub within_ms: Option<u64>,
}

/// What is to be true of a home, or done with it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum HomeCheck {
    /// The adapter has no file of it open, and no lock in it is held.
    Released,
    /// It is deleted now, and that works.
    Deleted,
    /// It does not exist: nothing has made it again.
    Absent,
    /// It holds a partial download.
    HasPartial,
    /// It holds no partial download.
    NoPartial,
}

/// `file`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileStep {
    /// Its path.
    pub file: String,
    /// What it holds.
    pub content: Option<String>,
    /// What it points to.
    pub link: Option<String>,
    /// Whether it is missing.
    #[serde(default)]
    pub absent: bool,
}

/// `read`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadStep {
    /// `stdout` or `stderr`.
    pub read: String,
    /// The execution; `execution` by default.
    pub on: Option<String>,
    /// Reads until it has exactly this.
    pub until: Option<String>,
    /// Reads to the end, which has to be this.
    pub all: Option<String>,
    /// Fails with this, before or after some bytes.
    pub error: Option<Pattern>,
}

/// `drain`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainStep {
    /// `events` or `logs`: which kind of stream.
    pub drain: StreamKind,
    /// The stream; named like the kind by default.
    pub on: Option<String>,
    /// Stops after the first item like this; at the end of the stream without it.
    pub until: Option<Pattern>,
    /// Items that have to occur, in this order.
    pub order: Option<Vec<Pattern>>,
    /// Of a log: all bytes that were printed on stdout.
    pub stdout: Option<String>,
    /// Of a log: all bytes that were printed on stderr.
    pub stderr: Option<String>,
    /// The stream ends with this error.
    pub error: Option<Pattern>,
}

/// A kind of stream.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum StreamKind {
    /// Of a runtime.
    Events,
    /// Of a box.
    Logs,
}

impl StreamKind {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            StreamKind::Events => "events",
            StreamKind::Logs => "logs",
        }
    }
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        const KINDS: [&str; 12] = [
            "call", "run", "await", "cancel", "forget", "registry", "gate", "requests", "home", "file",
            "read", "drain",
        ];
        let yaml = Yaml::deserialize(deserializer)?;
        let kind = KINDS.into_iter().find(|kind| yaml.get(*kind).is_some());
        let kind =
            kind.ok_or_else(|| D::Error::custom(format!("a step has one of the keys {}", KINDS.join(", "))))?;
        fn of<T: serde::de::DeserializeOwned, E: Error>(yaml: Yaml) -> Result<T, E> {
            serde_norway::from_value(yaml).map_err(E::custom)
        }
        let step: Result<Step, D::Error> = match kind {
            "call" => of(yaml).map(Step::Call),
            "run" => of(yaml).map(Step::Run),
            "await" => of(yaml).map(Step::Await),
            "cancel" => of(yaml).map(Step::Cancel),
            "forget" => of(yaml).map(Step::Forget),
            "registry" => of(yaml).map(Step::Registry),
            "gate" => of(yaml).map(Step::Gate),
            "requests" => of(yaml).map(Step::Requests),
            "home" => of(yaml).map(Step::Home),
            "file" => of(yaml).map(Step::File),
            "read" => of(yaml).map(Step::Read),
            _ => of(yaml).map(Step::Drain),
        };
        step.map_err(|error| D::Error::custom(format!("in a `{kind}` step: {error}")))
    }
}

impl Step {
    /// Says in a few words which step it is.
    pub fn title(&self) -> String {
        match self {
            Step::Call(call) => call.call.clone(),
            Step::Run(run) => format!("run {}", run.run.0.join(" ")),
            Step::Await(step) => format!("await {}", step.awaited),
            Step::Cancel(step) => format!("cancel {}", step.cancel),
            Step::Forget(step) => format!("forget {}", step.forget),
            Step::Registry(_) => "registry".into(),
            Step::Gate(step) => format!("gate {}", step.gate),
            Step::Requests(_) => "requests".into(),
            Step::Home(step) => format!("home {:?}", step.home),
            Step::File(step) => format!("file {}", step.file),
            Step::Read(step) => format!("read {}", step.read),
            Step::Drain(step) => format!("drain {}", step.drain.as_str()),
        }
    }
}

/// Reads what is spelled as JSON has it: an enumeration as a map with one member, where YAML would have a tag.
///
/// # Errors
/// If it is misspelled.
pub fn as_json<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(
    deserializer: D,
) -> Result<T, D::Error> {
    use serde::de::Error;
    let json = serde_json::Value::deserialize(deserializer)?;
    serde_json::from_value(json).map_err(D::Error::custom)
}

/// Fills variables into a rule and reads it.
///
/// # Errors
/// If a variable is unknown or the rule makes no sense.
pub fn rule(yaml: &Yaml, variables: &super::Variables) -> Result<RuleDescription, String> {
    serde_json::from_value(variables.render(yaml)?).map_err(|error| format!("in a rule: {error}"))
}
