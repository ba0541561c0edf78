//! `unique-k8s-job`: runs Kubernetes Jobs that never get stuck. Start at the modules, in the order a Job meets them.

pub mod cluster;
pub mod error;
