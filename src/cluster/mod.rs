//! Reaches the cluster in which Jobs run: configuration, credentials, transport, and the one handle through which every
//! request goes.
//!
//! Promise: [`Cluster`] connects on first use, rebuilds its client once when the API server answers 401 or its
//! certificate is not accepted any more, gives every request a time limit, and repeats only requests that may be
//! repeated (see [`retry`]). Its [`kube::Client`] can stand on any tower service, so everything above runs unchanged
//! against a simulated API server. This room does not know what a Job is, nor when to send a request.

mod answer;
mod bounded_file;
mod cause;
mod certificate;
mod clock;
mod configuration;
mod connection;
mod credentials;
mod impersonation;
mod kubeconfig;
mod masking;
mod pages;
mod pauses;
mod plugin;
mod proxy;
mod read_ahead;
mod recovery;
mod request;
mod request_log;
pub mod retry;
mod secret;
mod settings;
mod tls;
mod token_file;
mod transport;
mod trust;
mod tunnel;
mod validation;
mod warnings;
mod watch;

pub use cause::Cause;
pub use configuration::{Configuration, Source};
pub use connection::{Cluster, DryRun, Timing};
pub use pages::{Page, Pages};
pub use pauses::Pauses;
pub use request::{Answer, Failure, Responder};
pub use secret::Secret;
pub use watch::{Start, WatchEvent, watch, watch_as};
