//! Claims about the core, each in a world of its own.

mod debug_log;
mod deletes;
mod fixed_names;
mod follows;
mod inherits;
mod lies;
mod manifests;
mod paths;
mod queues;
mod submits;
mod waits;
