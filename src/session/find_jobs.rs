//! One look at Jobs that somebody else may have made: which there are, and how those ended that have ended.
//!
//! Promise: reads only. A Job is found by its name, its uid or its labels; a name alone finds whichever Job has it
//! now. An outcome is the terminal condition, never a guess; of failed Jobs it says how their containers ended, as
//! far as there are Pods and a right to list them.
//! Cost: one GET or one LIST; a list of Pods for each of the first failed Jobs; where findings are asked for, what
//! [`examine`] costs for each of the first Jobs that did not succeed.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    cluster::Cluster,
    diagnose::{collect::examine, findings},
    error::{Error, Report},
    identity::{JobName, NameField, Namespace, read_request, refused_as, trimmed_option},
    job_api::{
        api_call::ApiCall,
        jobs::{find_job_or_error, list_jobs},
        pods::lean_pods_of_job,
    },
    model::{
        conditions,
        observed_job::{JobReference, ObservedJob, Pause},
        outcome::Outcome,
        snapshot::JobSnapshot,
    },
    resource::Selector,
};

/// At most this many Jobs are looked into more closely.
const EXPLAINED: usize = 5;

/// Which Jobs are meant: those that fit everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct JobSelector {
    /// Where; else the namespace of the configuration.
    #[serde(default, deserialize_with = "trimmed_option")]
    pub namespace: Option<Namespace>,
    /// The Job of this name.
    #[serde(default, deserialize_with = "trimmed_option")]
    pub name: Option<JobName>,
    /// The Job of this uid.
    #[serde(default)]
    pub uid: Option<String>,
    /// Jobs with these labels, as in `kubectl -l`.
    #[serde(default)]
    pub label_selector: Option<String>,
    /// Whether to find out why Jobs do not move, or failed.
    #[serde(default)]
    pub explain: bool,
}

/// One Job as a look found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundJob {
    /// Which Job.
    pub job: JobReference,
    /// Whether nothing runs until somebody resumes it.
    pub suspended: bool,
    /// Whether its deletion was accepted.
    pub deleting: bool,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
    /// Why it does not move or failed, a paragraph each, most blocking first; empty where that was not asked.
    pub findings: Vec<String>,
}

impl JobSelector {
    /// Reads a request.
    pub fn read(request: &Value) -> Result<Self, Error> {
        let names: [NameField<'_>; 2] = [("/namespace", refused_as::<Namespace>), ("/name", refused_as::<JobName>)];
        let target: Self = read_request(request, "The request cannot be read", &names)?;
        if target.name.is_none() && target.uid.is_none() && target.label_selector.is_none() {
            return Err(Error::Configuration(Box::new(
                Report::new("Which Job is meant is not said").hint("give `name`, `uid` or `label_selector`"),
            )));
        }
        Ok(target)
    }

    fn fits(&self, job: &JobReference) -> bool {
        self.uid.as_ref().is_none_or(|uid| *uid == job.uid) && self.name.as_ref().is_none_or(|name| *name == job.name)
    }

    fn selector(&self) -> Selector {
        let of_name = self.name.as_ref().map(Selector::name).unwrap_or_default();
        Selector { labels: self.label_selector.clone().unwrap_or_default(), ..of_name }
    }
}

/// Looks once. No Job that fits is an empty answer, not an error.
pub async fn find_jobs(cluster: &Cluster, target: &JobSelector) -> Result<Vec<FoundJob>, Error> {
    let namespace = match &target.namespace {
        Some(namespace) => namespace.clone(),
        None => cluster.namespace().await?,
    };
    let mut found = Vec::new();
    let mut explained = 0;
    for job in jobs(cluster, &namespace, target).await?.into_iter().filter(|job| target.fits(&job.reference)) {
        let end = conditions::finished(&job.job);
        let closer = !matches!(end, Some(conditions::JobEnd::Succeeded)) && explained < EXPLAINED;
        explained += usize::from(closer);
        let mut snapshot = JobSnapshot::new(job.clone());
        if closer && end.is_some() {
            // Without the right to list Pods the outcome is the same, and says less.
            if let Ok(pods) = lean_pods_of_job(cluster, &job.reference).await {
                snapshot.relist_pods(pods);
            }
        }
        found.push(FoundJob {
            suspended: job.pause() == Some(Pause::Suspended),
            deleting: job.deletion_timestamp().is_some(),
            outcome: end.map(|_| Outcome::conclude(&snapshot, false)),
            findings: if closer && target.explain { explain(cluster, &job.reference).await } else { Vec::new() },
            job: job.reference,
        });
    }
    Ok(found)
}

async fn explain(cluster: &Cluster, job: &JobReference) -> Vec<String> {
    // What cannot be found out does not keep anybody from waiting.
    examine(cluster, job)
        .await
        .map_or_else(|_| Vec::new(), |facts| findings(&facts).iter().map(ToString::to_string).collect())
}

async fn jobs(cluster: &Cluster, namespace: &Namespace, target: &JobSelector) -> Result<Vec<ObservedJob>, Error> {
    if let (Some(name), None) = (&target.name, &target.label_selector) {
        return Ok(find_job_or_error(cluster, namespace, name).await?.into_iter().collect());
    }
    let listed = list_jobs(cluster, namespace, &target.selector()).await;
    listed.map_err(|failure| ApiCall::ListJobs(&format!("namespace `{namespace}`")).failed(failure, None))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn target_that_names_no_job_is_refused() {
        let refused = JobSelector::read(&json!({"namespace": "etl"})).unwrap_err();
        assert!(refused.to_string().contains("label_selector"), "{refused}");
    }

    #[test]
    fn job_has_to_fit_everything_that_is_given() {
        let target = JobSelector::read(&json!({"name": "train", "uid": "u-1", "later": true})).unwrap();
        let job = |name: &str, uid: &str| JobReference {
            namespace: "etl".parse().unwrap(),
            name: name.parse().unwrap(),
            uid: uid.into(),
        };
        assert!(target.fits(&job("train", "u-1")));
        assert!(!target.fits(&job("train", "u-2")), "a namesake is another Job");
        assert!(!target.fits(&job("other", "u-1")));
    }
}
