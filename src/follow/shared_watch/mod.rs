//! Watches the Jobs and Pods of a namespace once in a process, for all waiters, however many there are.
//!
//! ```text
//!            list + watch            apply, remove, relist          notify, events_since
//! API server ------------> [hub] -------------------------> [index] ------------------> subscriptions
//! ```
//!
//! Promise: the first waiter in a namespace starts one list and watch of our Jobs that nobody has acknowledged, and one
//! of our Pods; the last waiter ends them. While nothing happens, no other request is sent. The index is synchronous
//! and does no I/O. A slow waiter holds up no other, because newer states replace older ones. Jobs made by others are
//! not in this watch: [`hubs`] says how they are watched. [`Unattended`] lists our Jobs that nobody waits for.

mod hub;
mod hubs;
mod index;
mod subscription;
mod unattended;

pub use hubs::Hubs;
pub(crate) use hubs::WatchChoice;
pub(crate) use subscription::Subscription;
pub use unattended::Unattended;
