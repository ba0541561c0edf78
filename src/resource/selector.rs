//! Which objects of a kind are meant.

/// Which objects: by label or by field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    /// `labelSelector`, empty for all.
    pub labels: String,
    /// `fieldSelector`, empty for all.
    pub fields: String,
}

impl Selector {
    /// By labels.
    #[must_use]
    pub fn labels(labels: impl Into<String>) -> Self {
        Self { labels: labels.into(), fields: String::new() }
    }

    /// By fields.
    #[must_use]
    pub fn fields(fields: impl Into<String>) -> Self {
        Self { labels: String::new(), fields: fields.into() }
    }
}
