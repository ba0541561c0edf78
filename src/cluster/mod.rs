//! Where Jobs run: configuration, credentials, transport, and the one door through which every request goes.
//!
//! Promise: [`Cluster`] connects on first use, rebuilds its client once when the API server answers 401, gives
//! every request a limit in time, and repeats only what may be repeated (see [`retry`]). Its [`kube::Client`]
//! can stand on any tower service, so everything above runs unchanged against a simulated API server.
//! Not here: what a Job is, and when to ask.

mod clock;
mod configuration;
mod connection;
mod pages;
mod proxy;
mod recovery;
mod request;
pub mod retry;
mod token_file;
mod transport;
mod watch;

pub use configuration::{Configuration, Source};
pub use connection::{Cluster, Timing, Trial};
pub(crate) use pages::nullable;
pub use pages::{Page, Pages};
pub use request::{Answer, Failure, Resource, Verb};
pub use watch::{Selector, Start, WatchEvent, watch, watch_as};
