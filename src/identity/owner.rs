//! Defines the annotation that says which attempt may write to a Job and delete it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::attempt::TaskDigest;

/// The value `<task digest>/<try number>/<instance>`. The instance comes last, because only it may have a slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner(String);

impl Owner {
    pub(super) fn new(task: &TaskDigest, try_number: u32, instance: &str) -> Self {
        Self(format!("{task}/{try_number}/{instance}"))
    }

    pub(super) fn read(annotation: &str) -> Self {
        Self(annotation.to_owned())
    }

    /// The try that owns the Job; `None` if somebody else wrote the annotation.
    #[must_use]
    pub fn try_number(&self) -> Option<u32> {
        self.0.split('/').nth(1)?.parse().ok()
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
