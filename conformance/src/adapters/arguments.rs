//! The arguments of a request, taken out one by one; what is left over was not understood, and is refused.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::serve::Fault;

/// The arguments of a request.
pub struct Arguments(Map<String, Json>);

impl Arguments {
    /// Takes those of a request.
    pub fn new(arguments: Json) -> Self {
        Arguments(arguments.as_object().cloned().unwrap_or_default())
    }

    /// Takes one that has to be there.
    ///
    /// # Errors
    /// If it is missing, or of another type.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, Fault> {
        self.find(name)?.ok_or_else(|| Fault::Adapter(format!("argument `{name}` is missing")))
    }

    /// Takes one that may be missing or null.
    ///
    /// # Errors
    /// If it is of another type.
    pub fn find<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Fault> {
        match self.0.remove(name) {
            None | Some(Json::Null) => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|error| Fault::Adapter(format!("argument `{name}`: {error}"))),
        }
    }

    /// Takes one whose default is the type's own.
    ///
    /// # Errors
    /// If it is of another type.
    pub fn or_default<T: DeserializeOwned + Default>(&mut self, name: &str) -> Result<T, Fault> {
        Ok(self.find(name)?.unwrap_or_default())
    }

    /// Refuses what was not taken.
    ///
    /// # Errors
    /// If something was not.
    pub fn finish(self) -> Result<(), Fault> {
        match self.0.keys().next() {
            Some(name) => Err(Fault::Adapter(format!("argument `{name}` cannot be honoured"))),
            None => Ok(()),
        }
    }
}
