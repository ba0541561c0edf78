//! The annotation that says which attempt may write to a Job and delete it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::attempt::TaskDigest;

/// `<task digest>/<try number>/<instance>`; the instance comes last, as only it may hold a slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner(String);

impl Owner {
    pub(super) fn new(task: &TaskDigest, try_number: u32, instance: &str) -> Self {
        Self(format!("{task}/{try_number}/{instance}"))
    }

    pub(super) fn read(annotation: &str) -> Self {
        Self(annotation.to_owned())
    }

    /// The try that owns; `None` where the annotation was written by somebody else.
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
