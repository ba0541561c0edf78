//! What holds a Job for somebody: an attempt in a worker, or a deferred Job in a triggerer.
//!
//! Start at [`Session`], the one handle. Who follows its Job is `attempt`, which submits it, or [`waiter`], which goes on by
//! reference with what an attempt has handed over. `outbox` is the queue of events on their way out; `acknowledge` writes the
//! verdict on the Job; [`Work`] is a deletion under way. [`find_jobs`] only reads; [`patch_job`] changes a Job for a person.

pub(crate) mod acknowledge;
mod attempt;
mod event;
pub mod find_jobs;
mod handle;
mod outbox;
pub mod patch_job;
pub mod waiter;
mod work;

pub use event::Event;
pub use handle::Session;
pub use work::Work;
