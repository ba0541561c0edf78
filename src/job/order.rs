//! What one attempt is asked to do: the JSON that Python hands over, and the Job it leads to.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::{
    acknowledge::{CleanUp, OnFinish},
    delete::ReleasePolicy,
    seen::JobReference,
    sidecar::OnLingeringSidecar,
    subject::{Subject, Until},
};
use crate::{
    error::{Error, Report},
    identity::{Attempt, FixedName, JobName, RunTime, Slug, annotations, job_name, labels},
    manifest::{
        Arguments, ManifestDigest, PerOutcome, Ttl, TtlPlan, assemble, indexed_completions, manifest_namespace,
        manifest_ttl, stamp,
    },
};

/// What to do with Jobs of earlier tries of the same task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Take over what runs, use what succeeded.
    #[default]
    Reattach,
    /// Delete what runs, use nothing.
    Replace,
    /// Do not look.
    Ignore,
}

/// The order of one attempt.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is one option of the request")]
pub struct Order {
    /// Who asks.
    pub attempt: Attempt,
    /// What the name begins with, in any alphabet.
    pub slug: String,
    /// The whole name, where the user gives it instead: the same for all tries and runs.
    #[serde(default)]
    pub fixed_name: Option<FixedName>,
    /// The time of the run, the same for all its tries.
    pub run_time: DateTime<Utc>,
    /// The namespace; else the manifest's, else the configuration's.
    #[serde(default)]
    pub namespace: Option<String>,
    /// A whole Job as the user wrote it.
    #[serde(default)]
    pub manifest: Option<Value>,
    /// The arguments the user gave.
    #[serde(default)]
    pub arguments: Arguments,
    /// The argument `ttl_seconds_after_finished`, by outcome.
    #[serde(default)]
    pub ttl: PerOutcome<Ttl>,
    /// What becomes of the finished Job, by outcome.
    #[serde(default)]
    pub on_finish: PerOutcome<OnFinish>,
    /// The least TTL while nobody has acknowledged the outcome, in seconds.
    #[serde(default = "seven_days")]
    pub safe_ttl_seconds: u32,
    /// Whether the cluster grants `patch` on Jobs.
    #[serde(default = "yes")]
    pub patch_jobs: bool,
    /// What to do with Jobs of earlier tries.
    #[serde(default)]
    pub policy: Policy,
    /// Whether Jobs of earlier tries can be told apart from those of other deployments.
    #[serde(default = "yes")]
    pub lookup: bool,
    /// Names this task is known to have given to its Jobs, in all its tries.
    #[serde(default)]
    pub known_names: Vec<String>,
    /// How long a Job may take to start.
    #[serde(default = "ten_minutes")]
    pub startup_timeout_seconds: u64,
    /// How long to wait for the Pods of a Job that is being deleted.
    #[serde(default = "one_minute")]
    pub handover_timeout_seconds: u64,
    /// Whether to go on although a Pod on a lost node may still run.
    #[serde(default)]
    pub replace_lost: bool,
    /// Which Jobs that are stuck on the way out are freed, where they have our fixed name.
    #[serde(default)]
    pub release_stuck: ReleasePolicy,
    /// How long nothing must have moved before that.
    #[serde(default = "one_minute")]
    pub release_after_seconds: u64,
    /// What to do where a sidecar keeps a Pod running after its base container has ended.
    #[serde(default)]
    pub on_lingering_sidecar: OnLingeringSidecar,
    /// Whether to read the logs.
    #[serde(default = "yes")]
    pub get_logs: bool,
    /// Whether lines that share a record carry their times.
    #[serde(default = "yes")]
    pub line_times: bool,
    /// Whether a clear of a running task can be told from a retry (Airflow 3.2 and later).
    #[serde(default = "yes")]
    pub running_clear_is_visible: bool,
}

fn seven_days() -> u32 {
    7 * 24 * 3600
}

fn ten_minutes() -> u64 {
    600
}

fn one_minute() -> u64 {
    60
}

fn yes() -> bool {
    true
}

/// A Job ready to be created.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its name.
    pub name: JobName,
    /// The whole object as JSON.
    pub body: Vec<u8>,
}

impl Order {
    /// Reads the JSON text of a request.
    pub fn read(text: &str) -> Result<Self, Error> {
        let order: Self = serde_json::from_str(text).map_err(|error| {
            Error::InvalidManifest(Box::new(Report::new("The request cannot be read").seen(error.to_string())))
        })?;
        if let Some(name) = &order.fixed_name {
            name.check()?;
        }
        Ok(order)
    }

    /// The name for a generation: 0 first, then 1 where that name is used up. A fixed name has no generations.
    #[must_use]
    pub fn name(&self, generation: u32) -> JobName {
        if let Some(name) = &self.fixed_name {
            return JobName::from(name.clone());
        }
        job_name(&self.attempt, &Slug::from(self.slug.as_str()), &RunTime::from(self.run_time), generation)
    }

    /// Where the Job goes.
    #[must_use]
    pub fn namespace(&self, default: &str) -> String {
        let manifest = || self.manifest.as_ref().and_then(manifest_namespace).map(str::to_owned);
        self.namespace.clone().or_else(manifest).unwrap_or_else(|| default.to_owned())
    }

    /// Of what the user wrote, before our edits.
    #[must_use]
    pub fn manifest_digest(&self) -> ManifestDigest {
        ManifestDigest::of(self.manifest.as_ref(), &self.arguments)
    }

    /// The TTL at creation and after the acknowledgement.
    #[must_use]
    pub fn ttl_plan(&self) -> TtlPlan {
        let manifest = self.manifest.as_ref().and_then(manifest_ttl);
        TtlPlan::new(self.ttl, manifest, self.safe_ttl_seconds, self.patch_jobs)
    }

    /// What is to be done after the verdict.
    #[must_use]
    pub fn clean_up(&self) -> CleanUp {
        let TtlPlan { at_creation, after_acknowledgement } = self.ttl_plan();
        CleanUp {
            patch_jobs: self.patch_jobs,
            ttl_at_creation: at_creation,
            ttl: after_acknowledgement,
            on_finish: self.on_finish,
        }
    }

    /// The Job of a generation, with this TTL at creation.
    pub fn draft(&self, generation: u32, namespace: &str, ttl: Option<u32>) -> Result<Draft, Error> {
        let name = self.name(generation);
        let job = assemble(self.manifest.as_ref(), &self.arguments)?;
        if let (Some(fixed), Some(completions)) = (&self.fixed_name, indexed_completions(&job)) {
            fixed.check_indexed(completions)?;
        }
        let labels = labels(&self.attempt);
        let annotations = annotations(&self.attempt, &self.manifest_digest());
        let job = stamp(job, &name, namespace, &labels, &annotations, ttl)?;
        Ok(Draft { name, body: job.to_string().into_bytes() })
    }

    /// What is followed on behalf of this order.
    #[must_use]
    pub fn subject(&self, job: &JobReference) -> Subject {
        Subject {
            job: job.clone(),
            owner: Some(self.attempt.owner()),
            task: Some(self.attempt.task.digest()),
            attempt: (self.policy != Policy::Ignore).then(|| self.attempt.digest()),
            until: Until::Finished,
            get_logs: self.get_logs,
            line_times: self.line_times,
            startup_timeout_seconds: Some(self.startup_timeout_seconds),
            handover_timeout_seconds: self.handover_timeout_seconds,
            on_lingering_sidecar: self.on_lingering_sidecar,
            clean_up: self.clean_up(),
            finish: None,
            positions: Vec::new(),
        }
    }

    /// How long a Job may take to start.
    #[must_use]
    pub fn startup_timeout(&self) -> Duration {
        Duration::from_secs(self.startup_timeout_seconds)
    }

    /// How long to wait for the Pods of a Job that is being deleted.
    #[must_use]
    pub fn handover_timeout(&self) -> Duration {
        Duration::from_secs(self.handover_timeout_seconds)
    }
}
