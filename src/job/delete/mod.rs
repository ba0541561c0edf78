//! Deletes Jobs, and knows when they are gone.
//!
//! Promise: "deleted" means that a GET by name finds nothing or another uid, and that no Pod of the Job runs any
//! more, or the error says which may still run, and where. Every DELETE carries the uid and a propagation policy: the
//! default of batch/v1 Jobs orphans the Pods and leaves the work running. A finalizer of somebody else's is never
//! touched.
//!
//! [`owned`] is what an attempt does with its own Job; [`work`] is a person's order: [`order`] says which Jobs it means
//! and [`release`] when a stuck one is freed (both pure), [`job`] sees one Job to its end, [`sightings`] is the one
//! watch they all share, [`pods`] sees the work stop, and [`absent`] what is left where there is no Job.

mod absent;
mod job;
mod order;
mod owned;
mod pods;
mod release;
mod sightings;
mod work;

pub use order::{DeleteOrder, OnlyIf, Propagation, Skip, Target, WaitFor};
pub use owned::{delete_owned, pods_ended};
pub use pods::{CONTROLLER_UID, JOB_NAME, by_controller_uid, of_another};
pub use release::{
    Fingerprint, Freed, OF_GARBAGE_COLLECTOR, ReleasePolicy, Standstill, Stuck, Verdict, fingerprint, release,
    release_message,
};
pub use work::{DeletedJobs, Deletion, News};
