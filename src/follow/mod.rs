//! Follows a Job to its outcome: what is seen of it, which messages are written about it, and when it is over.
//!
//! `follower` is the loop. `feed` brings the events, from watches of its own or from [`shared_watch`]. [`announce`],
//! `findings` and `contact` report what happens, each thing once. [`startup_timeout`] and [`sidecar`] decide when
//! waiting has no use any more (both pure). `event_polls` and `last_pods` ask for what no watch brings.

pub mod announce;
pub(crate) mod contact;
pub(crate) mod event_polls;
pub(crate) mod feed;
pub(crate) mod findings;
pub(crate) mod follower;
pub(crate) mod last_pods;
pub(crate) mod late_predecessors;
mod pod_counts;
mod printed_results;
pub mod shared_watch;
pub mod sidecar;
pub mod startup_timeout;
mod workload_reads;
