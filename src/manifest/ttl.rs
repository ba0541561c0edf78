//! Decides how long a Job is kept: at least until its outcome is recorded, and then as long as the user said.
//!
//! `ttlSecondsAfterFinished` counts from the Job's end and may delete it within milliseconds. So a Job is created
//! with a safe TTL, the largest that any outcome needs, and gets the one of its outcome with the acknowledgement.

use serde::Deserialize;
use serde_json::Value;

use crate::model::per_outcome::PerOutcome;

/// The TTL after the acknowledgement if nobody named one: one day.
const DEFAULT_SECONDS: u32 = 24 * 3600;

/// The argument `ttl_seconds_after_finished`, for one outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Ttl {
    /// The argument was not given: the manifest's TTL counts, else a day.
    #[default]
    Unset,
    /// `None`: the Job is never cleaned up.
    Never,
    /// Seconds after the Job's end.
    Seconds {
        /// 0 deletes at once.
        seconds: u32,
    },
}

/// The TTLs of the two phases. `None` is no TTL: the Job stays until somebody deletes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TtlPlan {
    /// Written into the Job that is created.
    pub at_creation: Option<u32>,
    /// Written with the acknowledgement, by outcome.
    pub after_acknowledgement: PerOutcome<Option<u32>>,
}

impl TtlPlan {
    /// Computes the TTLs from the argument, the manifest's field, the least TTL before the acknowledgement, and whether
    /// Jobs may be patched at all: if not, the Job is created with the user's TTL.
    #[must_use]
    pub fn new(argument: PerOutcome<Ttl>, manifest: Option<u32>, safe: u32, may_patch: bool) -> Self {
        let after_acknowledgement = argument.map(|ttl| match ttl {
            Ttl::Never => None,
            Ttl::Seconds { seconds } => Some(seconds),
            Ttl::Unset => Some(manifest.unwrap_or(DEFAULT_SECONDS)),
        });
        let wanted = longest(after_acknowledgement);
        let at_creation = if may_patch { wanted.map(|wanted| wanted.max(safe)) } else { wanted };
        Self { at_creation, after_acknowledgement }
    }

    /// The longest TTL that the user asked for, whatever the outcome.
    #[must_use]
    pub fn longest(&self) -> Option<u32> {
        longest(self.after_acknowledgement)
    }
}

/// The longest TTL of all outcomes; no TTL counts as the longest.
fn longest(ttl: PerOutcome<Option<u32>>) -> Option<u32> {
    Some(ttl.succeeded?.max(ttl.failed?))
}

/// The TTL that a checked manifest names.
#[must_use]
pub fn manifest_ttl(manifest: &Value) -> Option<u32> {
    manifest["spec"]["ttlSecondsAfterFinished"].as_u64().and_then(|seconds| u32::try_from(seconds).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAFE: u32 = 604_800;

    fn seconds(seconds: u32) -> Ttl {
        Ttl::Seconds { seconds }
    }

    fn both<T: Copy + Default>(choice: T) -> PerOutcome<T> {
        PerOutcome { succeeded: choice, failed: choice }
    }

    #[test]
    fn plan_is_this_table() {
        let cases = [
            ("nobody names one", Ttl::Unset, None, true, Some(SAFE), Some(86_400)),
            ("the manifest names one", Ttl::Unset, Some(60), true, Some(SAFE), Some(60)),
            ("the argument wins", seconds(0), Some(60), true, Some(SAFE), Some(0)),
            ("longer than safe", seconds(SAFE + 1), None, true, Some(SAFE + 1), Some(SAFE + 1)),
            ("never", Ttl::Never, Some(60), true, None, None),
            ("no patch", seconds(60), None, false, Some(60), Some(60)),
            ("no patch, nobody names one", Ttl::Unset, None, false, Some(86_400), Some(86_400)),
        ];
        for (name, argument, manifest, may_patch, at_creation, after_acknowledgement) in cases {
            let plan = TtlPlan { at_creation, after_acknowledgement: both(after_acknowledgement) };
            assert_eq!(TtlPlan::new(both(argument), manifest, SAFE, may_patch), plan, "{name}");
        }
    }

    #[test]
    fn creation_needs_the_longest_of_all_outcomes() {
        let month = 30 * 86_400;
        let cases = [
            ("both short", seconds(60), seconds(3600), true, Some(SAFE), Some(60), Some(3600)),
            ("a failure kept for long", seconds(60), seconds(month), true, Some(month), Some(60), Some(month)),
            ("a failure kept for ever", seconds(60), Ttl::Never, true, None, Some(60), None),
            ("a success kept for ever", Ttl::Never, seconds(0), true, None, None, Some(0)),
            ("no patch", seconds(60), seconds(3600), false, Some(3600), Some(60), Some(3600)),
            ("no patch, a failure kept for ever", seconds(60), Ttl::Never, false, None, Some(60), None),
            ("one given, the other the default", seconds(60), Ttl::Unset, false, Some(86_400), Some(60), Some(86_400)),
        ];
        for (name, succeeded, failed, may_patch, at_creation, after_success, after_failure) in cases {
            let after_acknowledgement = PerOutcome { succeeded: after_success, failed: after_failure };
            let plan = TtlPlan { at_creation, after_acknowledgement };
            assert_eq!(TtlPlan::new(PerOutcome { succeeded, failed }, None, SAFE, may_patch), plan, "{name}");
        }
    }
}
