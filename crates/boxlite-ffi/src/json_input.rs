//! Specifications that come as JSON: nothing in them is ignored.

use boxlite::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::input::invalid;

/// Reads a specification from JSON. A field that it does not have is refused: what cannot be honoured is not ignored.
///
/// # Errors
/// `InvalidArgument`.
pub(crate) fn parse<T: DeserializeOwned + Serialize>(json: &str, name: &str) -> Result<T> {
    let malformed = |error: serde_json::Error| invalid(format!("`{name}` is malformed: {error}"));
    let given: Value = serde_json::from_str(json).map_err(malformed)?;
    let parsed: T = serde_json::from_str(json).map_err(malformed)?;
    let understood = serde_json::to_value(&parsed).map_err(malformed)?;
    match unknown(&given, &understood, String::new()) {
        Some(path) => Err(invalid(format!("`{name}` has a field `{path}` that does not exist"))),
        None => Ok(parsed),
    }
}

/// Finds a field of `given` that is not in `understood`.
fn unknown(given: &Value, understood: &Value, path: String) -> Option<String> {
    let (Value::Object(given), Value::Object(understood)) = (given, understood) else { return None };
    given.iter().find_map(|(field, value)| {
        let path = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
        match understood.get(field) {
            Some(known) => unknown(value, known, path),
            None => Some(path),
        }
    })
}

#[cfg(test)]
mod tests {
    use boxlite::BoxSpec;

    use super::*;

    #[test]
    fn a_misspelt_field_is_refused_wherever_it_is() {
        let error = |json| parse::<BoxSpec>(json, "spec").unwrap_err().message().to_owned();
        let spec: BoxSpec =
            parse(r#"{"image": "a", "main": {"argv": ["x"], "env": {"ANY": "1"}}}"#, "spec").unwrap();
        assert_eq!(spec.main.unwrap().env["ANY"], "1");
        assert!(error(r#"{"imgae": "a"}"#).contains("`imgae`"));
        assert!(error(r#"{"resources": {"memory": 1}}"#).contains("`resources.memory`"));
        assert!(error(r#"{"main": {"argv": [], "network": 1}}"#).contains("`main.network`"));
        assert!(error("{").contains("malformed"));
    }
}
