//! The rules that turn facts into findings: one file for each family of ways to be stuck. Pure.

pub(crate) mod deletion;
pub(crate) mod image;
pub(crate) mod namespace;
pub(crate) mod pods;
pub(crate) mod queue;
pub(crate) mod quiet;
mod refused;
pub(crate) mod restarts;
pub(crate) mod running;
pub(crate) mod startup;
pub(crate) mod unschedulable;
mod volumes;
