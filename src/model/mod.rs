//! What Kubernetes says about a Job, typed and lean, and what travels between those who follow it. Pure.
//!
//! Nothing here asks a cluster, and nothing here imports what does the work.

pub mod conditions;
pub mod container_exit;
pub(crate) mod container_killer;
mod failure_cause;
pub mod handoff;
pub mod job;
pub mod lingering;
pub(crate) mod log_position;
pub(crate) mod log_positions;
pub mod message;
pub mod observed_job;
pub mod outcome;
pub(crate) mod per_outcome;
pub mod pod;
pub mod pod_end;
pub(crate) mod pod_reason;
pub mod policies;
pub mod snapshot;
pub mod timeline;
