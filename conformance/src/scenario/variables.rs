//! Names that stand for what is known only when a scenario runs: `${registry}`, `${home}`, `${host}`, `${n}`, what a step
//! saved, and what was pushed: `${app:1}` is its reference, `${app:1#id}` a field of what the push answered.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use serde_norway::Value as Yaml;

/// The names, and what they stand for.
#[derive(Clone, Debug, Default)]
pub struct Variables(BTreeMap<String, Json>);

impl Variables {
    /// Gives a name its value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Json>) {
        self.0.insert(name.into(), value.into());
    }

    /// Returns a copy with one more name.
    #[must_use]
    pub fn with(&self, name: &str, value: impl Into<Json>) -> Self {
        let mut more = self.clone();
        more.set(name, value);
        more
    }

    /// Fills a text in. A text that is nothing but one name becomes its value, whatever type that has.
    ///
    /// # Errors
    /// If a name stands for nothing.
    pub fn fill(&self, text: &str) -> Result<Json, String> {
        if let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'))
            && !name.contains('}')
        {
            return self.get(name).cloned();
        }
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) =
                after.split_once('}').ok_or_else(|| format!("`{text}` has an open brace too many"))?;
            filled.push_str(before);
            match self.get(name)? {
                Json::String(value) => filled.push_str(value),
                value => filled.push_str(&value.to_string()),
            }
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled.into())
    }

    /// Fills a text in that is to stay one.
    ///
    /// # Errors
    /// If a name stands for nothing.
    pub fn fill_text(&self, text: &str) -> Result<String, String> {
        Ok(match self.fill(text)? {
            Json::String(text) => text,
            value => value.to_string(),
        })
    }

    /// Fills in every text of a document. `!bytes text` becomes base64, `!repeat [text, n]` base64 of the text n times.
    ///
    /// # Errors
    /// If a name stands for nothing, or a tag is unknown.
    pub fn render(&self, template: &Yaml) -> Result<Json, String> {
        Ok(match template {
            Yaml::String(text) => self.fill(text)?,
            Yaml::Sequence(items) => items.iter().map(|item| self.render(item)).collect::<Result<_, _>>()?,
            Yaml::Mapping(members) => {
                let mut object = serde_json::Map::new();
                for (name, value) in members {
                    let name = name.as_str().ok_or_else(|| format!("{name:?} is no name of a member"))?;
                    object.insert(self.fill_text(name)?, self.render(value)?);
                }
                Json::Object(object)
            }
            Yaml::Tagged(tagged) => {
                let tag = tagged.tag.to_string();
                match (tag.trim_start_matches('!'), &tagged.value) {
                    ("bytes", Yaml::String(text)) => STANDARD.encode(self.fill_text(text)?).into(),
                    ("repeat", Yaml::Sequence(items)) => match &items[..] {
                        [Yaml::String(text), Yaml::Number(count)] => {
                            STANDARD.encode(text.repeat(count.as_u64().unwrap_or(0) as usize)).into()
                        }
                        _ => return Err("`!repeat` needs a text and a number".into()),
                    },
                    _ => return Err(format!("an argument has no tag `{tag}`")),
                }
            }
            scalar => serde_json::to_value(scalar).map_err(|error| error.to_string())?,
        })
    }

    fn get(&self, name: &str) -> Result<&Json, String> {
        self.0.get(name).ok_or_else(|| format!("`${{{name}}}` stands for nothing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_values_alone_and_text_in_between() {
        let mut variables = Variables::default();
        variables.set("n", 7);
        variables.set("app:1#id", "sha256:x");
        assert_eq!(variables.fill("${n}").unwrap(), 7);
        assert_eq!(variables.fill("a${n}b${app:1#id}").unwrap(), "a7bsha256:x");
        assert!(variables.fill("${m}").unwrap_err().contains("stands for nothing"));
        let template: Yaml = serde_norway::from_str("{a: [!bytes 'n=${n}', !repeat [x, 2], 1]}").unwrap();
        assert_eq!(variables.render(&template).unwrap(), serde_json::json!({ "a": ["bj03", "eHg=", 1] }));
    }
}
