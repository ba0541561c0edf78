//! Sends the requests about a Job that several rooms need, each with its error text.

pub(crate) mod api_call;
pub(crate) mod deletes;
pub mod events;
pub mod jobs;
pub(crate) mod last_lines;
pub mod owner_patch;
pub(crate) mod pods;
pub(crate) mod refusable_watch;
pub(crate) mod refusal_budget;
pub(crate) mod warnings;
pub(crate) mod workloads;
