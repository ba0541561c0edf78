//! What holds a Job for somebody: an attempt in a worker, or a deferred Job in a triggerer.
//!
//! Start at [`attempt`], which submits and follows, or at [`waiter`], which follows what an attempt has handed over.
//! [`resumed`] ends what a waiter began; `acknowledge` writes the verdict on the Job. [`find_jobs`] only reads;
//! [`patch_job`] changes a Job for a person.

pub(crate) mod acknowledge;
pub mod attempt;
pub mod find_jobs;
mod outbox;
pub mod patch_job;
pub mod resumed;
mod shared;
pub mod waiter;

pub use shared::Event;
