//! What a value is expected to be.
//!
//! Plain YAML stands for itself: a scalar equals, a list matches item by item, a map names the members that matter and
//! leaves the others open. Everything else is a tag:
//!
//! | tag | matches |
//! |---|---|
//! | `!any` | everything that is there and not null |
//! | `!absent` | null, or nothing at all |
//! | `!contains text` | a text with this in it |
//! | `!starts text` | a text that begins so |
//! | `!one_line` | a text of one line, without a period at its end |
//! | `!bytes text` | base64 of this text |
//! | `!bytes_length n` | base64 of so many bytes |
//! | `!at_least n`, `!at_most n` | a number |
//! | `!length pattern` | a list whose length matches |
//! | `!has pattern` | a list one of whose items matches |
//! | `!each pattern` | a list all of whose items match |
//! | `!lacks pattern` | a list none of whose items matches |
//! | `!not pattern` | what does not match it |
//! | `!one_of [patterns]` | what matches one of them |

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;
use serde_norway::Value as Yaml;

use super::variables::Variables;

/// What a value is expected to be.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// Anything but null.
    Any,
    /// Null or nothing.
    Absent,
    /// This, other than text.
    Equal(Json),
    /// This text, after variables are filled in.
    Text(String),
    /// A text with this in it.
    Contains(String),
    /// A text that begins so.
    Starts(String),
    /// A text of one line.
    OneLine,
    /// Base64 of this text.
    Bytes(String),
    /// Base64 of so many bytes.
    BytesLength(u64),
    /// A number not below.
    AtLeast(f64),
    /// A number not above.
    AtMost(f64),
    /// A list of such a length.
    Length(Box<Pattern>),
    /// A list with such an item.
    Has(Box<Pattern>),
    /// A list of such items only.
    Each(Box<Pattern>),
    /// A list without such an item.
    Lacks(Box<Pattern>),
    /// Not this.
    Not(Box<Pattern>),
    /// One of these.
    OneOf(Vec<Pattern>),
    /// A list, item by item.
    List(Vec<Pattern>),
    /// An object with at least these members.
    Map(BTreeMap<String, Pattern>),
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse(Yaml::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

fn parse(yaml: Yaml) -> Result<Pattern, String> {
    Ok(match yaml {
        Yaml::String(text) => Pattern::Text(text),
        Yaml::Sequence(items) => Pattern::List(items.into_iter().map(parse).collect::<Result<_, _>>()?),
        Yaml::Mapping(members) => {
            let mut map = BTreeMap::new();
            for (key, value) in members {
                let key = key.as_str().ok_or_else(|| format!("{key:?} is no name of a member"))?.to_owned();
                map.insert(key, parse(value)?);
            }
            Pattern::Map(map)
        }
        Yaml::Tagged(tagged) => return parse_tagged(&tagged.tag.to_string(), tagged.value),
        scalar => Pattern::Equal(serde_json::to_value(scalar).map_err(|error| error.to_string())?),
    })
}

fn parse_tagged(tag: &str, value: Yaml) -> Result<Pattern, String> {
    let text = || value.as_str().map(str::to_owned).ok_or_else(|| format!("{tag} needs a text"));
    let number = || value.as_f64().ok_or_else(|| format!("{tag} needs a number"));
    Ok(match tag.trim_start_matches('!') {
        "any" => Pattern::Any,
        "absent" => Pattern::Absent,
        "contains" => Pattern::Contains(text()?),
        "one_line" => Pattern::OneLine,
        "starts" => Pattern::Starts(text()?),
        "bytes" => Pattern::Bytes(text()?),
        "bytes_length" => Pattern::BytesLength(number()? as u64),
        "at_least" => Pattern::AtLeast(number()?),
        "at_most" => Pattern::AtMost(number()?),
        "length" => Pattern::Length(Box::new(parse(value)?)),
        "has" => Pattern::Has(Box::new(parse(value)?)),
        "each" => Pattern::Each(Box::new(parse(value)?)),
        "lacks" => Pattern::Lacks(Box::new(parse(value)?)),
        "not" => Pattern::Not(Box::new(parse(value)?)),
        "one_of" => match parse(value)? {
            Pattern::List(items) => Pattern::OneOf(items),
            _ => return Err(format!("{tag} needs a list")),
        },
        _ => return Err(format!("there is no tag `{tag}`")),
    })
}

impl Pattern {
    /// Compares; `Err` says where and how the value differs.
    ///
    /// # Errors
    /// As a sentence for people, if it does not match.
    pub fn check(&self, value: &Json, variables: &Variables) -> Result<(), String> {
        self.check_at("", value, variables)
    }

    /// Returns whether it matches.
    pub fn matches(&self, value: &Json, variables: &Variables) -> bool {
        self.check(value, variables).is_ok()
    }

    fn check_at(&self, path: &str, value: &Json, variables: &Variables) -> Result<(), String> {
        let fail = |expected: String| {
            let place = if path.is_empty() { String::new() } else { format!(" at `{path}`") };
            Err(format!("expected{place} {expected}, got {}", shorten(value)))
        };
        let list =
            || value.as_array().ok_or_else(|| format!("expected a list at `{path}`, got {}", shorten(value)));
        match self {
            Pattern::Any if value.is_null() => fail("something".into()),
            Pattern::Any => Ok(()),
            Pattern::Absent if value.is_null() => Ok(()),
            Pattern::Absent => fail("nothing".into()),
            Pattern::Equal(expected) if expected == value => Ok(()),
            Pattern::Equal(expected) => fail(expected.to_string()),
            Pattern::Text(text) => {
                let expected = variables.fill(text)?;
                if expected == *value || platform_text(value).is_some_and(|text| expected == text.as_str()) {
                    return Ok(());
                }
                fail(expected.to_string())
            }
            Pattern::Contains(part) => {
                let part = variables.fill_text(part)?;
                if value.as_str().is_some_and(|text| text.contains(&part)) {
                    return Ok(());
                }
                fail(format!("a text with `{part}` in it"))
            }
            Pattern::Starts(start) => {
                let start = variables.fill_text(start)?;
                if value.as_str().is_some_and(|text| text.starts_with(&start)) {
                    return Ok(());
                }
                fail(format!("a text that begins with `{start}`"))
            }
            Pattern::OneLine => match value.as_str() {
                Some(text) if !text.is_empty() && !text.contains('\n') && !text.ends_with('.') => Ok(()),
                _ => fail("one line without a period at its end".into()),
            },
            Pattern::Bytes(text) => {
                let expected = variables.fill_text(text)?;
                let bytes = decode(value);
                if bytes.as_deref() == Some(expected.as_bytes()) {
                    return Ok(());
                }
                let got = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                Err(format!("expected at `{path}` the bytes {expected:?}, got {:?}", got.as_deref().map(cut)))
            }
            Pattern::BytesLength(length)
                if decode(value).is_some_and(|bytes| bytes.len() as u64 == *length) =>
            {
                Ok(())
            }
            Pattern::BytesLength(length) => {
                let got = decode(value).map(|bytes| bytes.len());
                Err(format!("expected {length} bytes at `{path}`, got {got:?}"))
            }
            Pattern::AtLeast(least) if value.as_f64().is_some_and(|number| number >= *least) => Ok(()),
            Pattern::AtLeast(least) => fail(format!("at least {least}")),
            Pattern::AtMost(most) if value.as_f64().is_some_and(|number| number <= *most) => Ok(()),
            Pattern::AtMost(most) => fail(format!("at most {most}")),
            Pattern::Length(length) => {
                length.check_at(&format!("{path}.length"), &list()?.len().into(), variables)
            }
            Pattern::Has(item) if list()?.iter().any(|value| item.matches(value, variables)) => Ok(()),
            Pattern::Has(item) => fail(format!("a list with an item like {item:?}")),
            Pattern::Each(item) => list()?.iter().enumerate().try_for_each(|(number, value)| {
                item.check_at(&format!("{path}[{number}]"), value, variables)
            }),
            Pattern::Lacks(item) if list()?.iter().any(|value| item.matches(value, variables)) => {
                fail(format!("no item like {item:?}"))
            }
            Pattern::Lacks(_) => Ok(()),
            Pattern::Not(pattern) if pattern.matches(value, variables) => {
                fail(format!("anything but {pattern:?}"))
            }
            Pattern::Not(_) => Ok(()),
            Pattern::OneOf(patterns) if patterns.iter().any(|pattern| pattern.matches(value, variables)) => {
                Ok(())
            }
            Pattern::OneOf(patterns) => fail(format!("one of {patterns:?}")),
            Pattern::List(patterns) => {
                let values = list()?;
                if values.len() != patterns.len() {
                    return fail(format!("{} items", patterns.len()));
                }
                patterns.iter().zip(values).enumerate().try_for_each(|(number, (pattern, value))| {
                    pattern.check_at(&format!("{path}[{number}]"), value, variables)
                })
            }
            Pattern::Map(members) => {
                if !value.is_object() {
                    return fail("an object".into());
                }
                members.iter().try_for_each(|(name, pattern)| {
                    let member = value.get(name).unwrap_or(&Json::Null);
                    pattern.check_at(&format!("{path}.{name}"), member, variables)
                })
            }
        }
    }
}

/// Reads base64.
pub fn decode(value: &Json) -> Option<Vec<u8>> {
    STANDARD.decode(value.as_str()?).ok()
}

/// Returns the text of a platform given as its object.
fn platform_text(value: &Json) -> Option<String> {
    let part = |name| value.get(name).and_then(Json::as_str);
    let text = format!("{}/{}", part("os")?, part("architecture")?);
    Some(part("variant").map_or(text.clone(), |variant| format!("{text}/{variant}")))
}

fn shorten(value: &Json) -> String {
    cut(&value.to_string())
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(400) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(pattern: &str, value: Json) -> Result<(), String> {
        let pattern: Pattern = serde_norway::from_str(pattern).map_err(|error| error.to_string())?;
        pattern.check(&value, &Variables::default())
    }

    #[test]
    fn plain_values_stand_for_themselves_and_maps_leave_the_rest_open() {
        check("{a: 1, b: [x, null]}", json!({ "a": 1, "b": ["x", null], "c": true })).unwrap();
        assert!(check("{a: 1}", json!({ "a": "1" })).unwrap_err().contains("at `.a` 1, got \"1\""));
        assert!(check("[1]", json!([1, 2])).is_err());
        assert!(check("{a: 1}", json!({})).is_err());
        check("linux/arm64/v8", json!({ "os": "linux", "architecture": "arm64", "variant": "v8" })).unwrap();
    }

    #[test]
    fn each_tag_matches_what_it_says_and_nothing_else() {
        for (pattern, good, bad) in [
            ("!any", json!(0), json!(null)),
            ("!absent", json!(null), json!(0)),
            ("!contains b", json!("abc"), json!("ac")),
            ("!starts ab", json!("abc"), json!("bc")),
            ("!one_line", json!("a"), json!("a.")),
            ("!bytes hi", json!("aGk="), json!("aGkh")),
            ("!bytes_length 2", json!("aGk="), json!("aGkh")),
            ("!at_least 2", json!(2), json!(1)),
            ("!at_most 2", json!(2), json!(3)),
            ("!length 1", json!([0]), json!([])),
            ("!has {a: 1}", json!([{}, { "a": 1 }]), json!([{}])),
            ("!each {a: 1}", json!([{ "a": 1 }]), json!([{ "a": 1 }, {}])),
            ("!lacks 1", json!([0]), json!([0, 1])),
            ("!not a", json!("b"), json!("a")),
            ("!one_of [a, 1]", json!(1), json!("b")),
        ] {
            check(pattern, good).unwrap();
            check(pattern, bad).expect_err(pattern);
        }
        assert!(serde_norway::from_str::<Pattern>("!anything").is_err());
    }
}
