//! `unique-k8s-job`: runs Kubernetes Jobs that never get stuck.
//!
//! The first line shows the rooms in the order in which a Job meets them. A room imports only from rooms further down
//! in the list below, which `tests/structure/measures.py` checks:
//!
//! ```text
//! identity + manifest -> submit -> follow (logs, diagnose) -> outcome -> acknowledge or delete
//!
//! bindings     types into Python and back, behind the Cargo feature of that name
//! session      what holds a Job for somebody: an attempt in a worker, a deferred Job in a triggerer
//! follow       from the Job to its outcome; `follow::shared_watch` is the one watch of a process
//! submit       exactly one Job per try
//! delete       until it is gone
//! diagnose     why a Job does not move, or does not go: facts, findings
//! logs         what the containers print: live, all of it, each line once
//! job_api      requests about a Job that several rooms send
//! cluster      where: configuration, credentials, transport, retries, watches
//! manifest     what: edits of the Job that a user wrote, as raw JSON; pure
//! model        what Kubernetes says about a Job, typed and lean; pure
//! resource     what of the API is asked: kinds, verbs, names made into paths, selectors; pure
//! identity     who: an attempt, its Job's name, labels, annotations, owner; pure
//! error, text, unreadable, panics   a report, texts of others as they are shown, what a parser refuses, a panic
//! ```
//!
//! Only `bindings` knows of Python. All time goes through `tokio::time` and all I/O through a [`kube::Client`], so the
//! whole core also runs against a simulated API server in simulated time.

#[cfg(feature = "bindings")]
mod bindings;
pub mod cluster;
pub mod delete;
pub mod diagnose;
pub mod error;
pub mod follow;
pub mod identity;
pub mod job_api;
pub mod logs;
pub mod manifest;
pub mod model;
pub mod panics;
pub mod resource;
pub mod session;
pub mod submit;
pub mod text;
mod unreadable;
