//! A choice that a user makes once for all outcomes, or for good and bad ones apart.

use serde::{Deserialize, Serialize};

/// What holds after a success, and after anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerOutcome<T: Default> {
    /// The Job succeeded.
    #[serde(default)]
    pub succeeded: T,
    /// It failed, or nobody saw it end.
    #[serde(default)]
    pub failed: T,
}

impl<T: Default> PerOutcome<T> {
    /// Each choice turned into another.
    pub fn map<U: Default>(self, change: impl Fn(T) -> U) -> PerOutcome<U> {
        PerOutcome { succeeded: change(self.succeeded), failed: change(self.failed) }
    }
}
