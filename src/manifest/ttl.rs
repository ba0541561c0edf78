//! How long a Job is kept: until its outcome is recorded, and from then on as the user said.
//!
//! `ttlSecondsAfterFinished` counts from the Job's end and may delete it within milliseconds. So a Job is created
//! with a safe TTL, and gets the user's with the acknowledgement.

use serde::Deserialize;
use serde_json::Value;

/// After the acknowledgement, where nobody named a TTL: one day.
const DEFAULT_SECONDS: u32 = 24 * 3600;

/// The argument `ttl_seconds_after_finished`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Ttl {
    /// Not given: the manifest's, else a day.
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

/// The two phases. `None` means no TTL, or no change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TtlPlan {
    /// Written into the Job that is created.
    pub at_creation: Option<u32>,
    /// Written with the acknowledgement.
    pub after_acknowledgement: Option<u32>,
}

impl TtlPlan {
    /// From the argument, the manifest's field, the least TTL before the acknowledgement, and whether Jobs may be
    /// patched at all: where not, the user's TTL has to be there from the beginning.
    #[must_use]
    pub fn new(argument: Ttl, manifest: Option<u32>, safe: u32, may_patch: bool) -> Self {
        let wanted = match argument {
            Ttl::Never => None,
            Ttl::Seconds { seconds } => Some(seconds),
            Ttl::Unset => Some(manifest.unwrap_or(DEFAULT_SECONDS)),
        };
        let at_creation = if may_patch { wanted.map(|wanted| wanted.max(safe)) } else { wanted };
        Self { at_creation, after_acknowledgement: wanted }
    }
}

/// The TTL that a manifest names.
#[must_use]
pub fn manifest_ttl(manifest: &Value) -> Option<u32> {
    manifest["spec"]["ttlSecondsAfterFinished"].as_u64().and_then(|seconds| u32::try_from(seconds).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_is_this_table() {
        const SAFE: u32 = 604_800;
        let seconds = |seconds| Ttl::Seconds { seconds };
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
            let plan = TtlPlan { at_creation, after_acknowledgement };
            assert_eq!(TtlPlan::new(argument, manifest, SAFE, may_patch), plan, "{name}");
        }
    }
}
