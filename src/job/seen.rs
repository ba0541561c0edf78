//! What was seen of a Job at one moment: its reference, our marks on it, and the typed object.

use std::{fmt, mem::take};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    lean::{Job, JobMetadata},
    logs::Delivered,
};
use crate::{
    error::{Error, Report},
    identity::{LOG_POSITIONS, Marks, Owner},
};

/// One Job and no namesake: after creation everything speaks of a Job by this.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobReference {
    /// The Job's namespace.
    pub namespace: String,
    /// The Job's name.
    pub name: String,
    /// The Job's uid; a name alone proves nothing.
    pub uid: String,
}

impl fmt::Display for JobReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job `{}/{}`", self.namespace, self.name)
    }
}

/// A Job as one answer or event showed it.
#[derive(Debug, Clone)]
pub struct SeenJob {
    /// Which Job.
    pub reference: JobReference,
    /// The version of this state, where a watch can continue.
    pub resource_version: String,
    /// What we wrote on it; none on Jobs made by others.
    pub marks: Option<Marks>,
    /// How far its log was delivered, as it was written.
    pub log_positions: Option<Box<str>>,
    /// The object, as far as its type is known.
    pub job: Job,
}

impl SeenJob {
    /// Reads an object of the API server.
    pub fn read(object: &Value) -> Result<Self, Error> {
        let job = Job::deserialize(object).map_err(|error| {
            let metadata = &object["metadata"];
            let text = |key: &str| metadata[key].as_str().unwrap_or_default().to_owned();
            let reference = JobReference { namespace: text("namespace"), name: text("name"), uid: text("uid") };
            Error::ApiUnreachable(Box::new(
                Report::new(format!("The API server's answer about {reference} cannot be read"))
                    .seen(error.to_string()),
            ))
        })?;
        let log_positions = object["metadata"]["annotations"][LOG_POSITIONS].as_str().map(Box::from);
        Ok(Self { marks: Marks::read(object), log_positions, ..Self::of(job) })
    }

    /// A Job of which only what Kubernetes says matters: without our marks.
    #[must_use]
    pub fn of(mut job: Job) -> Self {
        job.fit();
        let JobMetadata { namespace, name, uid, resource_version, .. } = &mut job.metadata;
        let reference = JobReference { namespace: take(namespace), name: take(name), uid: take(uid) };
        Self { reference, resource_version: take(resource_version), marks: None, log_positions: None, job }
    }

    /// What is left of a Job that nobody has seen: its reference.
    #[must_use]
    pub fn gone(job: &JobReference) -> Self {
        Self {
            reference: job.clone(),
            resource_version: String::new(),
            marks: None,
            log_positions: None,
            job: Job::default(),
        }
    }

    /// When its deletion was accepted, if it was.
    #[must_use]
    pub fn deletion_timestamp(&self) -> Option<Timestamp> {
        self.job.metadata.deletion_timestamp.as_ref().map(|time| time.0)
    }

    /// What keeps it from going.
    #[must_use]
    pub fn finalizers(&self) -> &[String] {
        self.job.metadata.finalizers.as_deref().unwrap_or_default()
    }

    /// How far its log was delivered to this owner; what an earlier one has had is not told.
    #[must_use]
    pub fn delivered_to(&self, owner: &Owner) -> Option<Delivered> {
        let delivered = Delivered::read(self.log_positions.as_deref()?)?;
        (delivered.owner.as_ref() == Some(owner)).then_some(delivered)
    }

    /// Whether an attempt has reached its verdict over this Job.
    #[must_use]
    pub fn acknowledged(&self) -> bool {
        self.marks.as_ref().is_some_and(|marks| marks.acknowledged)
    }

    /// Whether it makes no Pods on purpose at present.
    #[must_use]
    pub fn suspended(&self) -> bool {
        self.job.spec.as_ref().and_then(|spec| spec.suspend).unwrap_or(false)
    }
}
