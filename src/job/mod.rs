//! A Job's life, a file a stage.
//!
//! ```text
//! order -> submit (settle, ownership) -> follow (view, progress, startup, logs) -> outcome, verdict -> acknowledge
//! ```
//!
//! Deciding is apart from doing: [`settle`], [`outcome`], [`progress`], [`startup`], [`view`] and [`verdict`] are
//! functions of values; [`submit`], [`follow`], [`delete`], [`ownership`] and [`logs`] talk to the cluster.
//! Start at [`run`].

pub mod delete;
mod events;
mod follow;
pub mod logs;
pub mod message;
pub mod order;
pub mod outcome;
pub mod ownership;
pub mod progress;
pub mod run;
pub mod seen;
pub mod settle;
mod shared;
mod sources;
pub mod startup;
pub mod subject;
pub mod submit;
pub mod timeline;
pub mod verdict;
pub mod view;
