//! Holds a Job as it was seen at one moment: its reference, what an attempt of ours wrote on it, and the typed object.

use std::{fmt, mem::take};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    job::{Job, JobMetadata},
    log_positions::StoredPositions,
};
use crate::{
    error::Report,
    identity::{AttemptMetadata, InvalidName, JobName, LOG_POSITIONS, Namespace, Owner},
    resource::{Malformed, Object, Resource},
    unreadable,
};

/// Identifies one Job, and no other Job of the same name. After the creation all code refers to a Job by this.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobReference {
    /// The Job's namespace.
    pub namespace: Namespace,
    /// The Job's name.
    pub name: JobName,
    /// The Job's uid: a name alone does not identify a Job.
    pub uid: String,
}

impl JobReference {
    /// The object for a request about the Job.
    #[must_use]
    pub fn object(&self) -> Object<'_> {
        Object::Job(&self.namespace, &self.name)
    }

    /// A report about it, which names it in its facts.
    pub(crate) fn report(&self, message: impl Into<String>) -> Report {
        Report::new(message)
            .fact("name", self.name.clone())
            .fact("namespace", self.namespace.clone())
            .fact("uid", self.uid.clone())
    }
}

impl fmt::Display for JobReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job `{}/{}`", self.namespace, self.name)
    }
}

/// The field of a Job that says that it makes no Pods for now. Each of the two also ends the Pods that exist. Source:
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#controlling-parallelism>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// `spec.suspend` is true.
    Suspended,
    /// `spec.parallelism` is 0.
    NoParallelism,
}

/// A Job as one answer or event showed it.
#[derive(Debug, Clone)]
pub struct ObservedJob {
    /// The reference of the Job.
    pub reference: JobReference,
    /// The version of this state, at which a watch can continue.
    pub resource_version: String,
    /// Our labels and annotations on the Job; none on Jobs made by others.
    pub attempt_metadata: Option<AttemptMetadata>,
    /// The annotation about how far the log was delivered, as it was written.
    pub log_positions: Option<Box<str>>,
    /// The object, as far as its type is known.
    pub job: Job,
}

impl ObservedJob {
    /// Reads an object of the API server.
    pub fn read(object: &Value) -> Result<Self, Malformed> {
        let job = unreadable::from_value::<Job>(object)
            .map_err(|error| Malformed::new(Resource::Jobs, object, error.to_string()))?;
        let log_positions = object["metadata"]["annotations"][LOG_POSITIONS].as_str().map(Box::from);
        Ok(Self { attempt_metadata: AttemptMetadata::read(object), log_positions, ..Self::of(job)? })
    }

    /// Makes a Job without our labels and annotations, for use where only the words of Kubernetes matter. It fails if the object does
    /// not say which Job it is.
    pub fn of(mut job: Job) -> Result<Self, Malformed> {
        job.fit();
        let JobMetadata { namespace, name, uid, resource_version, .. } = &mut job.metadata;
        let metadata = json!({"metadata": {"namespace": &*namespace, "name": &*name}});
        let wrong = |why: String| Malformed::new(Resource::Jobs, &metadata, why);
        if uid.is_empty() {
            return Err(wrong("it has no uid".into()));
        }
        let reference = JobReference {
            namespace: namespace.parse().map_err(|invalid: InvalidName| wrong(invalid.to_string()))?,
            name: name.parse().map_err(|invalid: InvalidName| wrong(invalid.to_string()))?,
            uid: take(uid),
        };
        Ok(Self {
            reference,
            resource_version: take(resource_version),
            attempt_metadata: None,
            log_positions: None,
            job,
        })
    }

    /// A stand-in for a Job that nobody has seen: it has only the reference.
    #[must_use]
    pub fn gone(job: &JobReference) -> Self {
        Self {
            reference: job.clone(),
            resource_version: String::new(),
            attempt_metadata: None,
            log_positions: None,
            job: Job::default(),
        }
    }

    /// When the deletion of the Job was accepted, if it was.
    #[must_use]
    pub fn deletion_timestamp(&self) -> Option<Timestamp> {
        self.job.metadata.deletion_timestamp.as_ref().map(|time| time.0)
    }

    /// The finalizers that keep the Job from being removed.
    #[must_use]
    pub fn finalizers(&self) -> &[String] {
        self.job.metadata.finalizers.as_deref().unwrap_or_default()
    }

    /// How far the log was delivered to this owner. The deliveries to an earlier owner do not count.
    #[must_use]
    pub fn delivered_to(&self, owner: &Owner) -> Option<StoredPositions> {
        let delivered = StoredPositions::read(self.log_positions.as_deref()?)?;
        (delivered.owner.as_ref() == Some(owner)).then_some(delivered)
    }

    /// Whether an attempt has reached its verdict over this Job.
    #[must_use]
    pub fn acknowledged(&self) -> bool {
        self.attempt_metadata.as_ref().is_some_and(|attempt_metadata| attempt_metadata.acknowledged)
    }

    /// The queue of Kueue that holds the Job now, if one does.
    #[must_use]
    pub fn held_in_queue(&self) -> Option<&str> {
        let queue = self.job.metadata.labels.queue_name.as_deref()?;
        (self.pause() == Some(Pause::Suspended)).then_some(queue)
    }

    /// The field by which the Job makes no Pods at present, if there is one.
    #[must_use]
    pub fn pause(&self) -> Option<Pause> {
        let spec = self.job.spec.as_ref()?;
        if spec.suspend == Some(true) {
            Some(Pause::Suspended)
        } else if spec.parallelism == Some(0) {
            Some(Pause::NoParallelism)
        } else {
            None
        }
    }
}
