//! Defines the parameter `fieldValidation` of a request that makes an object.

use serde::Deserialize;

/// What the API server does with fields of a Job that it does not know.
/// Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldValidation {
    /// It refuses the Job and names all such fields, as with kubectl.
    #[default]
    Strict,
    /// It drops the fields, with a warning for each.
    Warn,
    /// It drops the fields without a word.
    Ignore,
}

impl FieldValidation {
    /// The word of the parameter `fieldValidation`.
    #[must_use]
    pub fn parameter(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Warn => "Warn",
            Self::Ignore => "Ignore",
        }
    }
}
