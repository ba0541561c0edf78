//! Claims about the core, each in a world of its own.

mod deletes;
mod follows;
mod inherits;
mod submits;
