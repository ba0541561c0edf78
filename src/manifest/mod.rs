//! Edits the Job that a user wrote, as raw JSON. Pure.
//!
//! Promise: an argument wins, even if it is 0, false or empty. All other fields stay as the user wrote them, even those
//! that this crate does not know (a typed Job would drop them). A manifest that cannot become a Job is refused with the
//! path of the field before anything is sent.
//!
//! [`overlay()`] lays parts of a Job over each other, [`UserJob`] finds the Job in the manifest and checks it, `assemble` puts
//! the arguments into it, `result_file` what its result needs, `queue` what Kueue needs, `stamp` adds our name, labels and TTL,
//! `pod_template` what a hook of the installation has changed.

mod arguments;
mod assemble;
mod fields;
mod overlay;
mod pod_template;
mod queue;
mod result_file;
mod shape;
mod stamp;
mod ttl;
mod unknown_fields;
mod user_job;

pub use arguments::{ARGUMENTS, Argument, ArgumentForm, Arguments};
pub use assemble::assemble;
pub use overlay::overlay;
pub use pod_template::put_pod_template;
pub use queue::put_into_queue;
pub use result_file::{ResultSidecar, put_result_file};
pub use stamp::{Stamp, replaced_labels, stamp};
pub use ttl::{Ttl, TtlPlan, manifest_ttl};
pub use unknown_fields::{UnknownField, not_known, unknown_fields};
pub use user_job::{RunnableKind, UserJob};

use serde_json::Value;

use crate::{
    error::{Error, Report},
    identity::{InvalidName, Namespace},
};

/// The namespace that a checked manifest names; an empty one counts as absent, as with kubectl.
pub fn manifest_namespace(manifest: &Value) -> Result<Option<Namespace>, Error> {
    let text = manifest["metadata"]["namespace"].as_str().filter(|text| !text.is_empty());
    let named = |invalid: InvalidName| invalid.of("metadata.namespace").in_manifest();
    text.map(|text| text.parse().map_err(named)).transpose()
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
