//! What is to run: edits of the Job that a user wrote, as raw JSON. Pure.
//!
//! Promise: what an argument names wins, also where it is 0, false or empty; what no argument names stays as the
//! user wrote it, fields this crate has never heard of included (a typed Job would drop them); and what cannot
//! become a Job is refused with the path of the field before anything is sent.

mod arguments;
mod assemble;
mod digest;
mod per_outcome;
mod stamp;
mod ttl;

pub use arguments::Arguments;
pub use assemble::assemble;
pub use digest::ManifestDigest;
pub use per_outcome::PerOutcome;
pub use stamp::stamp;
pub use ttl::{Ttl, TtlPlan, manifest_ttl};

use serde_json::Value;

use crate::error::{Error, Report};

/// The namespace that a manifest names.
#[must_use]
pub fn manifest_namespace(manifest: &Value) -> Option<&str> {
    manifest["metadata"]["namespace"].as_str().filter(|namespace| !namespace.is_empty())
}

/// The `completions` of an Indexed Job.
#[must_use]
pub fn indexed_completions(job: &Value) -> Option<u64> {
    let spec = &job["spec"];
    (spec["completionMode"] == "Indexed").then(|| spec["completions"].as_u64()).flatten()
}

fn invalid(path: &str, seen: impl Into<String>, hint: impl Into<String>) -> Error {
    let what = if path.is_empty() {
        "The Job manifest cannot be used".to_owned()
    } else {
        format!("The Job manifest cannot be used: {path}")
    };
    Error::InvalidManifest(Box::new(Report::new(what).seen(seen).hint(hint).fact("path", path)))
}
