//! Selects objects of a kind, by label or by field.

use std::fmt::Display;

/// A selection of objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    /// `labelSelector`, empty for all.
    pub labels: String,
    /// `fieldSelector`, empty for all.
    pub fields: String,
}

impl Selector {
    /// Selects by labels.
    #[must_use]
    pub fn labels(labels: impl Into<String>) -> Self {
        Self { labels: labels.into(), fields: String::new() }
    }

    /// Selects by fields.
    #[must_use]
    pub fn fields(fields: impl Into<String>) -> Self {
        Self { labels: String::new(), fields: fields.into() }
    }

    /// Selects the object of this name.
    #[must_use]
    pub fn name(name: impl Display) -> Self {
        Self::fields(format!("metadata.name={name}"))
    }
}
