//! Holds a choice that a user makes once for all outcomes, or separately for success and failure.

use serde::{Deserialize, Serialize};

/// The choice after a success, and the choice after any other outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerOutcome<T: Default> {
    /// The choice if the Job succeeded.
    #[serde(default)]
    pub succeeded: T,
    /// The choice if it failed, or if nobody saw it end.
    #[serde(default)]
    pub failed: T,
}

impl<T: Default> PerOutcome<T> {
    /// Turns both choices into values of another type.
    pub fn map<U: Default>(self, change: impl Fn(T) -> U) -> PerOutcome<U> {
        PerOutcome { succeeded: change(self.succeeded), failed: change(self.failed) }
    }
}
