//! One watch for all who wait: Jobs and Pods of a namespace, watched once a process, whoever and how many wait.
//!
//! ```text
//!            list + watch            apply, remove, relist          notify, news_since
//! API server ------------> [hub] -------------------------> [index] ------------------> subscriptions
//! ```
//!
//! Promise: the first who waits in a namespace starts one list and watch of our Jobs that nobody has acknowledged and
//! one of our Pods, the last one ends them; while nothing happens nothing else is asked. The index is synchronous and
//! does no I/O. Who is slow holds up nobody: newest states take the place of older ones.
//! Jobs made by others are not among those: [`hubs`] says how they are watched.
//! [`Unattended`] tells which of our Jobs nobody waits for.

mod hub;
mod hubs;
mod index;
mod subscription;
mod unattended;

pub use hubs::Hubs;
pub(crate) use hubs::WatchChoice;
pub(crate) use subscription::Subscription;
pub use unattended::Unattended;
