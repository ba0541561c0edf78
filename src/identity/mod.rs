//! Who asks for a Job: attempts, the names of their Jobs, the marks on them, and their order. Pure.
//!
//! Promise: the same attempt always has the same name, and two attempts never share one, across deployments too.
//! All digests are SHA-256 over length-prefixed fields, a purpose and a version, so no two lists of fields can be
//! confused. A golden table of names guards the algorithm: changing it would lose Jobs that run during an upgrade.

mod attempt;
mod deployment;
mod digest;
mod fixed_name;
mod marks;
mod name;
mod owner;
mod succession;

pub use attempt::{Attempt, AttemptDigest, TaskDigest, TaskIdentity};
pub use deployment::deployment_digest;
pub use fixed_name::FixedName;
pub use marks::{ACKNOWLEDGED, LOG_POSITIONS, MANAGED_BY, Marks, OWNER, PREFIX, TASK, annotations, describe, labels};
pub use name::{JobName, RunTime, Slug, job_name};
pub use owner::Owner;
pub use succession::{Relation, relation};
