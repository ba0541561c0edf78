//! Describes an object that does not have the form of its kind.

use serde_json::Value;

use crate::resource::kind::Resource;

/// An object of the API server that does not have the form of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Its kind.
    pub resource: Resource,
    /// Its namespace and name, as far as it says them.
    pub object: String,
    /// What is wrong.
    pub why: String,
}

impl Malformed {
    /// Describes what is wrong with an object.
    #[must_use]
    pub fn new(resource: Resource, object: &Value, why: impl Into<String>) -> Self {
        let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().escape_debug().take(253);
        let object = text("namespace").chain(['/']).chain(text("name")).collect();
        Self { resource, object, why: why.into() }
    }
}
