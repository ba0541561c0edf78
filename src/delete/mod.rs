//! Deletes Jobs, and knows when they are gone.
//!
//! Promise: "deleted" means that a GET by name finds nothing or another uid, and that no Pod of the Job runs any
//! more, or the error says which may still run, and where. Every DELETE carries the uid and a propagation policy: the
//! default of batch/v1 Jobs orphans the Pods and leaves the work running. A finalizer of somebody else's is never
//! touched.
//!
//! `owned` is what an attempt does with its own Job. `batch` carries out a person's request: `request` says which Jobs
//! are meant and `release` when a stuck one is freed (both pure), `removal` follows one Job until it is gone,
//! `job_watch` is the one watch that all of them share, `pods` follows the Pods until their work has stopped, and
//! `absent` reports what is left where there is no Job. [`remedy`] does what a finding offers.

mod absent;
mod batch;
mod job_watch;
mod owned;
mod pods;
mod release;
pub mod remedy;
mod removal;
mod request;

pub use batch::{DeletedJobs, Deletion, DeletionEvent};
pub use owned::{NO_ANSWER, delete_owned, delete_owned_until, not_known, pods_ended};
pub use release::{
    OF_GARBAGE_COLLECTOR, ReleaseResult, ReleaseVerdict, ResourceVersions, Stuck, StuckDetector, release,
    release_message, resource_versions,
};
pub use request::{DeleteRequest, DeleteTarget, OnlyIf, SkipReason, WaitFor};
