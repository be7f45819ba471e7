//! Whether a call ended as its step says.

use serde_json::{Value as Json, json};

use crate::scenario::{Expected, Pattern, Variables};

/// How an operation ended.
pub type Outcome = Result<Json, Json>;

/// Returns `ok`, or the code of an error.
pub fn ending(outcome: &Outcome) -> String {
    match outcome {
        Ok(_) => "ok".to_owned(),
        Err(error) => error["code"].as_str().unwrap_or("an error without a code").to_owned(),
    }
}

impl Expected {
    /// Compares.
    ///
    /// # Errors
    /// As a sentence, if it ended otherwise.
    pub fn check(&self, outcome: &Outcome, variables: &Variables) -> Result<(), String> {
        if let Some(ends) = &self.ends {
            let ending = ending(outcome);
            let allowed = ends.iter().map(|end| variables.fill_text(end)).collect::<Result<Vec<_>, _>>()?;
            if allowed.contains(&ending) {
                return Ok(());
            }
            return Err(format!("expected one of {ends:?}, got {ending}: {}", describe(outcome)));
        }
        match (&self.error, outcome) {
            (Some(expected), Err(error)) => check_error(expected, error, variables),
            (Some(expected), Ok(value)) => Err(format!("expected the error {expected:?}, got {value}")),
            (None, Err(error)) => Err(format!("failed with {error}")),
            (None, Ok(value)) => match &self.ok {
                Some(expected) => expected.check(value, variables),
                None => Ok(()),
            },
        }
    }
}

/// Compares an error; a plain text is its code.
///
/// # Errors
/// As a sentence, if it is another one.
pub fn check_error(expected: &Pattern, error: &Json, variables: &Variables) -> Result<(), String> {
    let compared = match expected {
        Pattern::Map(_) => expected.check(error, variables),
        code => code.check(&error["code"], variables),
    };
    compared.map_err(|difference| format!("{difference} in the error {error}"))
}

/// Checks that items like these occur in this order, whatever lies in between.
///
/// # Errors
/// Naming the first that does not.
pub fn check_order(expected: &[Pattern], items: &[Json], variables: &Variables) -> Result<(), String> {
    let mut left = items.iter();
    for pattern in expected {
        if !left.any(|item| pattern.matches(item, variables)) {
            return Err(format!("nothing like {pattern:?} in its place among {}", json!(items)));
        }
    }
    Ok(())
}

fn describe(outcome: &Outcome) -> String {
    match outcome {
        Ok(value) => value.to_string(),
        Err(error) => error.to_string(),
    }
}
