//! A Job's life, a file a stage.
//!
//! ```text
//! order -> submit (settle, ownership) -> follow (view, progress, startup, logs) -> outcome, verdict -> acknowledge
//! ```
//!
//! Deciding is apart from doing: [`settle`], [`outcome`], [`progress`], [`startup`], [`view`] and [`verdict`] are
//! functions of values; [`submit`], [`follow`], [`look`], [`delete`], [`ownership`] and [`logs`] talk to the cluster.
//! Beside the stages, [`diagnosis`] tells why a Job does not move or go, from the facts that [`examine`] gathers.
//! Start at [`run`].

pub mod acknowledge;
pub mod delete;
pub mod diagnosis;
mod events;
pub mod examine;
mod explained;
pub mod fixed_name;
mod follow;
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
