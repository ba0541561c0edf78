//! Types for what Kubernetes says about a Job, and for what one follower of a Job hands to the next. Pure.
//!
//! Nothing here sends a request, and nothing here imports a room that does.

pub mod conditions;
pub mod container_exit;
pub(crate) mod container_killer;
pub mod failed_log;
mod failure_cause;
pub mod field_managers;
pub mod handoff;
pub mod job;
pub mod job_result;
pub mod job_state;
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
pub mod pod_template;
pub mod policies;
pub mod quantity;
pub mod result_frame;
pub mod snapshot;
pub mod timeline;
pub mod workload;
