//! `unique-k8s-job`: runs Kubernetes Jobs that never get stuck.
//!
//! The map of the house, in the order in which a Job meets its rooms:
//!
//! - [`identity`] who: an attempt, its Job's name, labels, annotations, owner. Pure.
//! - [`manifest`] what: edits of the Job that a user wrote, as raw JSON. Pure.
//! - [`cluster`] where: configuration, credentials, transport, retries, watches.
//! - [`job`] a Job's life, a file a stage: submit, follow, logs, outcome, acknowledge, delete.
//! - `bindings` types into Python and back, behind the Cargo feature of that name.
//!
//! Nothing above `bindings` knows of Python. All time goes through `tokio::time` and all I/O through a
//! [`kube::Client`], so the whole core also runs against a simulated API server in simulated time.

#[cfg(feature = "bindings")]
mod bindings;
pub mod cluster;
pub mod error;
pub mod identity;
pub mod job;
pub mod manifest;
