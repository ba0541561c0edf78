//! One look at Jobs that somebody else may have made: which there are, and how those ended that have ended.
//!
//! Promise: reads only. A Job is found by its name, its uid or its labels; a name alone finds whichever Job has it
//! now. An outcome is the terminal condition, never a guess; of failed Jobs it says how their containers ended, as
//! far as there are Pods and a right to list them.
//! Cost: one GET or one LIST; a list of Pods for each of the first failed Jobs; where findings are asked for, what
//! [`examine`] costs for each of the first Jobs that did not succeed.

use serde::{Deserialize, Serialize};

use super::{
    delete::by_controller_uid,
    diagnosis::findings,
    examine::examine,
    outcome,
    seen::{JobReference, SeenJob},
    verdict::Outcome,
    view::{View, lean_pod},
};
use crate::{
    cluster::{Cluster, Resource, Selector, Verb},
    error::{Error, Report},
};

/// At most this many Jobs are looked into more closely.
const EXPLAINED: usize = 5;

/// Which Jobs are meant: those that fit everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Target {
    /// Where; else the namespace of the configuration.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The Job of this name.
    #[serde(default)]
    pub name: Option<String>,
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
pub struct Found {
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

impl Target {
    /// Reads the JSON text of a request.
    pub fn read(text: &str) -> Result<Self, Error> {
        let target: Self = serde_json::from_str(text).map_err(|error| {
            Error::Configuration(Box::new(Report::new("The request cannot be read").seen(error.to_string())))
        })?;
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
        Selector {
            labels: self.label_selector.clone().unwrap_or_default(),
            fields: self.name.as_ref().map(|name| format!("metadata.name={name}")).unwrap_or_default(),
        }
    }
}

/// Looks once. No Job that fits is an empty answer, not an error.
pub async fn look(cluster: &Cluster, target: &Target) -> Result<Vec<Found>, Error> {
    let namespace = match &target.namespace {
        Some(namespace) => namespace.clone(),
        None => cluster.namespace().await?,
    };
    let mut found = Vec::new();
    let mut explained = 0;
    for job in jobs(cluster, &namespace, target).await?.into_iter().filter(|job| target.fits(&job.reference)) {
        let end = outcome::finished(&job.job);
        let closer = !matches!(end, Some(outcome::End::Succeeded)) && explained < EXPLAINED;
        explained += usize::from(closer);
        let mut view = View::new(job.clone());
        if closer && end.is_some() {
            let pods = by_controller_uid(&job.reference);
            // Without the right to list Pods the outcome is the same, and says less.
            if let Ok(listed) = cluster.list(Resource::Pods, &namespace, &pods).await {
                view.relist_pods(listed.items.into_iter().filter_map(lean_pod));
            }
        }
        found.push(Found {
            suspended: job.suspended(),
            deleting: job.deletion_timestamp().is_some(),
            outcome: end.map(|_| Outcome::conclude(&view, false)),
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

async fn jobs(cluster: &Cluster, namespace: &str, target: &Target) -> Result<Vec<SeenJob>, Error> {
    let objects = if let (Some(name), None) = (&target.name, &target.label_selector) {
        let what = format!("look at Job `{namespace}/{name}`");
        let found = cluster.get(Resource::Jobs, namespace, name).await;
        found.map_err(|failure| failure.into_error(&what, Verb::Get, Resource::Jobs, None))?.into_iter().collect()
    } else {
        let what = format!("list the Jobs in namespace `{namespace}`");
        let listed = cluster.list(Resource::Jobs, namespace, &target.selector()).await;
        listed.map_err(|failure| failure.into_error(&what, Verb::List, Resource::Jobs, None))?.items
    };
    objects.iter().map(SeenJob::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_that_names_no_job_is_refused() {
        let refused = Target::read(r#"{"namespace": "etl"}"#).unwrap_err();
        assert!(refused.to_string().contains("label_selector"), "{refused}");
    }

    #[test]
    fn job_has_to_fit_everything_that_is_given() {
        let target = Target::read(r#"{"name": "train", "uid": "u-1", "later": true}"#).unwrap();
        let job = |name: &str, uid: &str| JobReference { namespace: "etl".into(), name: name.into(), uid: uid.into() };
        assert!(target.fits(&job("train", "u-1")));
        assert!(!target.fits(&job("train", "u-2")), "a namesake is another Job");
        assert!(!target.fits(&job("other", "u-1")));
    }
}
