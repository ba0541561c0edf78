//! Deletes Jobs, and knows when they are gone.
//!
//! Promise: "deleted" means that a GET by name finds nothing or another uid, and that no Pod of the Job runs any
//! more, or the error says which may still run, and where. Every DELETE carries the uid and a propagation policy: the
//! default of batch/v1 Jobs orphans the Pods and leaves the work running. A finalizer of somebody else's is never
//! touched.
//!
//! `removal` is the one loop until a Job is gone, for everybody who waits for that: `owned` deletes a Job for the attempt
//! that owns it, `batch` carries out a person's request, [`remedy`] does what a finding offers, and `submit` frees a fixed
//! name. Pure are `deleted_by` (whose deletion it is, and what follows), `request` (which Jobs a person means) and the
//! judgement of `release` (when a stuck one is freed). `job_watch` shows the states of a Job, by a watch that many share or
//! by asking; `pods` follows the Pods until their work has stopped; `absent` reports what is left where there is no Job;
//! `unconfirmed` words the errors about what is still there.

mod absent;
mod batch;
mod deleted_by;
mod job_watch;
mod owned;
mod pods;
mod progress;
mod release;
pub mod remedy;
mod removal;
mod request;
mod unconfirmed;

pub use batch::{DeletedJobs, DeletionListener, delete_jobs};
pub use owned::{NO_ANSWER, delete_owned, delete_owned_until, pods_ended};
pub use release::{OF_GARBAGE_COLLECTOR, ReleaseRule};
pub(crate) use removal::{Removal, Wait, WaitEnd};
pub use request::{DeleteRequest, DeleteTarget, OnlyIf, SkipReason, WaitFor};
pub use unconfirmed::not_known;
