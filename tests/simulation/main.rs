//! The core, unchanged, over a simulated API server in simulated time.
//!
//! For what a real API server cannot be made to do on command: a reply lost before or after its effect, an answer of
//! any code at the n-th request, a stream cut at byte n, a Job that goes unseen. The server is a tower service under a
//! real `kube::Client`; time is tokio's, paused, so a wait of minutes costs nothing; nothing is random but the jitter
//! of pauses, which comes from a seed. What is not simulated panics with the request, so that no test passes by it.
//! Start at [`world::World`]; the claims are in `scenarios`.

mod faults;
mod logs;
mod scenarios;
mod server;
mod store;
mod world;
