//! Claims about the core, each in a world of its own.

mod deletes;
mod fixed_names;
mod follows;
mod inherits;
mod submits;
mod waits;
