//! Scenarios: behaviour as data, one idea each, read from `api/scenarios/*.yaml`.
//!
//! A file has an `about` and its `scenarios`; a `given` at its top is the default for each of them. What is misspelled is
//! refused when the file is read, not skipped when it runs.

mod needs;
mod pattern;
mod step;
mod variables;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_norway::Value as Yaml;

use crate::registry::{AuthDescription, ImageDescription};
pub use needs::{CAPABILITIES, Missing, Needs, USUAL};
pub use pattern::{Pattern, decode};
pub use step::*;
pub use variables::Variables;

/// One scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Name of its file, without the ending.
    pub file: String,
    /// The idea, as a sentence.
    pub name: String,
    /// Capabilities it needs besides what its steps show.
    pub needs: Vec<String>,
    /// What there is before the first step.
    pub given: Given,
    /// What happens.
    pub steps: Vec<Step>,
}

/// What there is before the first step.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Given {
    /// Images in the registry, by `repository:tag`.
    pub images: BTreeMap<String, ImageDescription>,
    /// Faults of the registry, once `pulled` is done.
    pub rules: Vec<Yaml>,
    /// Credentials the registry asks for.
    #[serde(deserialize_with = "step::as_json")]
    pub auth: Option<AuthDescription>,
    /// Further fields of what the runtime says of the registry when it is opened, as its credentials.
    pub registry: Yaml,
    /// Whether `runtime` and `images` are open; they are unless this says no.
    pub open: Option<bool>,
    /// Images in the home.
    pub pulled: Vec<String>,
    /// A box called `box`, of the image `programs:1`, which is then pushed and pulled.
    pub r#box: Option<BoxGiven>,
    /// Fields of the `BoxSpec` of `box`.
    pub spec: Yaml,
    /// Files below `${host}`, by path.
    pub files: BTreeMap<String, String>,
    /// Whether the home is shared with others that run at the same time; by default that of a scenario with boxes is, for
    /// their kernel and template.
    pub home: Option<HomeKind>,
}

/// How far the box has come that a scenario begins with.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum BoxGiven {
    /// Its image is held; the box is yet to be made.
    Image,
    /// It is made.
    Created,
    /// It runs.
    Running,
}

/// Whose the home is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum HomeKind {
    /// Empty at first, and this scenario's alone.
    Private,
    /// One for many scenarios, each with its own boxes.
    Shared,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "about")]
    _about: String,
    #[serde(default)]
    given: Yaml,
    scenarios: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    given: Yaml,
    steps: Vec<Step>,
}

/// Reads every scenario of a directory, in the order of names of files and within them.
///
/// # Errors
/// If a file cannot be read, is misspelled, or two scenarios of one file have the same name.
pub fn load(directory: &Path) -> Result<Vec<Scenario>> {
    let entries = std::fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    let mut scenarios: Vec<Scenario> = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for scenario in parse(&file, &text)? {
            if scenarios.iter().any(|other| other.file == scenario.file && other.name == scenario.name) {
                bail!("{file}.yaml: `{}` is there twice", scenario.name);
            }
            scenarios.push(scenario);
        }
    }
    Ok(scenarios)
}

/// Reads the scenarios of one file.
///
/// # Errors
/// If it is misspelled.
pub fn parse(file: &str, text: &str) -> Result<Vec<Scenario>> {
    let parsed: File = serde_norway::from_str(text).with_context(|| format!("{file}.yaml"))?;
    let entries = parsed.scenarios.into_iter().map(|entry| {
        let given = merge(&parsed.given, entry.given);
        let given = match given {
            Yaml::Null => Ok(Given::default()),
            given => serde_norway::from_value(given),
        };
        let given = given.with_context(|| format!("{file}.yaml: `given` of `{}`", entry.name))?;
        let Entry { name, needs, steps, .. } = entry;
        Ok(Scenario { file: file.to_owned(), name, needs, given, steps })
    });
    entries.collect()
}

/// Lays the keys of `over` upon those of `under`.
fn merge(under: &Yaml, over: Yaml) -> Yaml {
    match (under, over) {
        (Yaml::Mapping(under), Yaml::Mapping(over)) => {
            let mut merged = under.clone();
            merged.extend(over);
            Yaml::Mapping(merged)
        }
        (under, Yaml::Null) => under.clone(),
        (_, over) => over,
    }
}

impl Scenario {
    /// Returns `file: name`.
    pub fn title(&self) -> String {
        format!("{}: {}", self.file, self.name)
    }

    /// Returns whose home it runs in.
    pub fn home(&self) -> HomeKind {
        self.given.home.unwrap_or(match self.given.r#box {
            Some(_) => HomeKind::Shared,
            None => HomeKind::Private,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_error(text: &str) -> String {
        format!("{:#}", parse("file", text).unwrap_err())
    }

    #[test]
    fn the_given_of_a_file_is_the_default_of_its_scenarios() {
        let text = "about: x
given: {pulled: [a:1], open: false}
scenarios:
- {name: one, steps: []}
- {name: two, given: {pulled: []}, steps: [{call: images.list, ok: !length 0}]}";
        let scenarios = parse("file", text).unwrap();
        assert_eq!((scenarios[0].given.pulled.len(), scenarios[0].given.open), (1, Some(false)));
        assert_eq!((scenarios[1].given.pulled.len(), scenarios[1].given.open), (0, Some(false)));
    }

    #[test]
    fn what_is_misspelled_is_refused_with_its_place() {
        let step = |step: &str| format!("about: x\nscenarios: [{{name: one, steps: [{step}]}}]");
        assert!(load_error(&step("{call: images.list, okay: 1}")).contains("unknown field `okay`"));
        assert!(load_error(&step("{cal: images.list}")).contains("a step has one of the keys"));
        assert!(load_error(&step("{call: images.list, ok: !length}")).contains("file.yaml"));
        assert!(
            load_error("about: x\ngiven: {box: half}\nscenarios: [{name: a, steps: []}]").contains("`a`")
        );
    }
}
