//! A Job's life, a file a stage.
//!
//! ```text
//! order -> submit (settle, ownership) -> follow (view, progress, startup, logs) -> outcome, verdict -> acknowledge
//! ```
//!
//! Start at [`run`], an attempt in a worker, or at [`waiter`], a deferred Job in a triggerer. Both follow a [`subject`],
//! through `sources` of news that are watches of their own or the one [`watch`] that all waiters share; [`resumed`] ends
//! what a waiter began, and `log_keeper` stores how far its log was delivered.
//!
//! For a person's orders: [`delete`] any Job, [`look`] at it, [`examine`] it into facts from which [`diagnosis`] tells why
//! it does not move or go, [`remedy`] what can be done about that from here, and [`rights`] what the identity may do.
//!
//! Deciding is apart from doing: [`settle`], [`fixed_name`], [`outcome`], [`sidecar`], [`progress`], [`startup`], [`view`],
//! [`verdict`] and [`diagnosis`] are functions of values.

pub mod acknowledge;
pub mod delete;
pub mod diagnosis;
mod events;
pub mod examine;
mod explained;
pub mod fixed_name;
mod follow;
mod last_pods;
mod late_predecessors;
pub mod lean;
mod log_keeper;
pub mod logs;
pub mod look;
pub mod message;
pub mod order;
pub mod outcome;
pub mod ownership;
mod patience;
pub mod progress;
pub mod remedy;
pub mod resumed;
pub mod rights;
pub mod run;
pub mod seen;
pub mod settle;
mod shared;
pub mod sidecar;
mod sources;
pub mod startup;
pub mod subject;
pub mod submit;
pub mod timeline;
pub mod verdict;
pub mod view;
pub mod waiter;
pub mod watch;
