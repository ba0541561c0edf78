//! Settles what earlier tries of the task have left: taken over, used, ended, or left alone.

use std::{collections::BTreeSet, time::Duration};

use super::{
    JobOrigin, Submission, Submitted,
    decide::{self, PredecessorAction, PredecessorEnd, PredecessorFacts},
};
use crate::{
    cluster::Failure,
    delete,
    error::Error,
    identity::{self, AttemptMetadata, JobName, Owner, TASK},
    job_api::{
        api_call::ApiCall,
        jobs::{find_job, get_job, list_jobs},
        owner_patch::{self, Written},
        pods::list_pods,
    },
    model::{
        message::Message,
        observed_job::{JobReference, ObservedJob},
        pod::{CONTROLLER_UID, JOB_NAME, phase_is_terminal},
        policies::PredecessorPolicy,
    },
    resource::Selector,
};

/// Before Airflow 3.2 a running task that is cleared looks like a retry; its old owner, if it lives, deletes the
/// Job within this time.
const OLD_OWNER_LEAVES_WITHIN: Duration = Duration::from_secs(10);

impl Submission<'_> {
    /// The Job that this try goes on with, if one of its predecessors left one to go on with.
    pub(crate) async fn inherit(&self) -> Result<Option<Submitted>, Error> {
        if !self.request.lookup && self.request.known_names.is_empty() {
            return Ok(None);
        }
        let mut jobs = self.earlier_jobs().await?;
        // The newest first: of several unfinished Jobs it is the one to go on with.
        jobs.sort_by_key(|(_, metadata)| std::cmp::Reverse(metadata.try_number));
        let mut inherited: Option<Submitted> = None;
        for (job, metadata) in jobs {
            inherited = self.earlier(job, &metadata, inherited).await?;
        }
        if inherited.is_none() && self.request.lookup {
            self.work_without_a_job().await?;
        }
        Ok(inherited)
    }

    /// A Job that is gone may have left Pods within their grace period, and nobody who saw them end: its worker may have
    /// been killed right after the DELETE. Costs one list of Pods.
    async fn work_without_a_job(&self) -> Result<(), Error> {
        // Without the right to list Pods the Jobs alone speak.
        let Ok(pods) = list_pods(self.cluster, self.namespace, &self.of_task()).await else { return Ok(()) };
        let mut jobs = BTreeSet::new();
        for pod in pods.iter().filter(|pod| !phase_is_terminal(pod)) {
            let label = |key: &str| pod.metadata.labels.as_ref()?.get(key);
            let name = label(JOB_NAME).and_then(|name| name.parse::<JobName>().ok());
            if let (Some(name), Some(uid)) = (name, label(CONTROLLER_UID)) {
                jobs.insert((name, uid.clone()));
            }
        }
        for (name, uid) in jobs {
            let job = JobReference { namespace: self.namespace.clone(), name, uid };
            // A living one is settled by what it is, not by its Pods.
            if self.newest(&job).await?.is_none() {
                self.await_pods(&job, "of an earlier try is gone".to_owned()).await?;
            }
        }
        Ok(())
    }

    /// Selects the Jobs and Pods of all tries of the task.
    fn of_task(&self) -> Selector {
        Selector::labels(format!("{TASK}={}", self.request.attempt.task.digest()))
    }

    async fn earlier_jobs(&self) -> Result<Vec<(ObservedJob, AttemptMetadata)>, Error> {
        let scope = format!("namespace `{}`", self.namespace);
        let refused = |failure: Failure| self.cannot(ApiCall::EarlierJobs(&scope), failure);
        let mut jobs = list_jobs(self.cluster, self.namespace, &self.of_task()).await.map_err(refused)?;
        let fixed = self.request.fixed_name.is_some().then(|| self.request.name(0));
        // A fixed name proves nothing. The POST finds out who has it.
        let known: Vec<_> = self.request.known_names.iter().filter(|name| Some(*name) != fixed.as_ref()).collect();
        jobs.retain(|job| Some(&job.reference.name) != fixed.as_ref());
        if !self.request.lookup {
            jobs.retain(|job| known.contains(&&job.reference.name));
        }
        for name in known {
            if jobs.iter().all(|job| job.reference.name != *name) {
                // The Job has another deployment id: this task knows it only by the name that it stored.
                jobs.extend(find_job(self.cluster, self.namespace, name).await.map_err(refused)?);
            }
        }
        let ours = self.request.attempt.digest();
        Ok(jobs
            .into_iter()
            .filter_map(|job| job.attempt_metadata.clone().map(|metadata| (job, metadata)))
            .filter(|(_, metadata)| {
                metadata.attempt_digest != ours && metadata.try_number < self.request.attempt.try_number
            })
            .collect())
    }

    /// Settles the Job of one earlier try. A second one to go on with would be double work.
    pub(crate) async fn earlier(
        &self,
        job: ObservedJob,
        metadata: &AttemptMetadata,
        inherited: Option<Submitted>,
    ) -> Result<Option<Submitted>, Error> {
        let same_manifest = metadata.manifest_digest == self.request.manifest_digest();
        let mut traits = PredecessorFacts {
            relation: identity::relation(&self.request.attempt, metadata),
            same_manifest,
            end: PredecessorEnd::of(&job),
            acknowledged: job.acknowledged(),
            terminating: job.deletion_timestamp().is_some(),
            may_patch: self.request.patch_jobs,
        };
        let policy = if inherited.is_some() { PredecessorPolicy::Replace } else { self.request.policy };
        let mut verdict = decide::earlier(policy, traits);
        if verdict == PredecessorAction::TakeOver && !self.request.running_clear_is_visible {
            tokio::time::sleep(OLD_OWNER_LEAVES_WITHIN).await;
            let Some(newest) = self.newest(&job.reference).await? else {
                self.pods_ended(&job.reference).await?;
                return Ok(inherited);
            };
            traits.end = PredecessorEnd::of(&newest);
            traits.terminating = newest.deletion_timestamp().is_some();
            verdict = decide::earlier(policy, traits);
        }
        match verdict {
            PredecessorAction::TakeOver | PredecessorAction::UseOutcome => {
                let origin =
                    if verdict == PredecessorAction::TakeOver { JobOrigin::TakenOver } else { JobOrigin::OutcomeUsed };
                match self.become_owner(&job.reference, metadata).await? {
                    Owned::Yes(job) => Ok(Some(Submitted { job: *job, origin, made_by_try: metadata.try_number })),
                    Owned::Gone => {
                        self.pods_ended(&job.reference).await?;
                        Ok(inherited)
                    }
                    Owned::NotAllowed => {
                        let verdict = decide::earlier(policy, PredecessorFacts { may_patch: false, ..traits });
                        if verdict == PredecessorAction::Discard {
                            self.discard(&job.reference, metadata, &metadata.owner, same_manifest).await?;
                        }
                        Ok(inherited)
                    }
                }
            }
            PredecessorAction::Discard => {
                let tried = if self.request.patch_jobs {
                    self.become_owner(&job.reference, metadata).await?
                } else {
                    Owned::NotAllowed
                };
                let owner = match tried {
                    Owned::Yes(_) => self.request.attempt.owner(),
                    Owned::Gone => {
                        self.pods_ended(&job.reference).await?;
                        return Ok(inherited);
                    }
                    Owned::NotAllowed => metadata.owner.clone(),
                };
                self.discard(&job.reference, metadata, &owner, same_manifest).await?;
                Ok(inherited)
            }
            PredecessorAction::AwaitPods => {
                self.await_pods(&job.reference, format!("of try {} is being deleted", metadata.try_number)).await?;
                Ok(inherited)
            }
            PredecessorAction::Keep => Ok(inherited),
        }
    }

    pub(crate) async fn newest(&self, job: &JobReference) -> Result<Option<ObservedJob>, Error> {
        get_job(self.cluster, job).await.map_err(|failure| self.cannot(ApiCall::GetJob(job), failure))
    }

    async fn become_owner(&self, job: &JobReference, metadata: &AttemptMetadata) -> Result<Owned, Error> {
        let ours = self.request.attempt.owner();
        match owner_patch::take_over(self.cluster, job, &metadata.owner, &ours).await {
            Written::Done(seen) => Ok(Owned::Yes(seen)),
            Written::Gone => Ok(Owned::Gone),
            Written::OwnedBy(other) if owner_is_newer(&other, self.request.attempt.try_number) => {
                Err(owner_patch::taken_over(job, &other))
            }
            Written::OwnedBy(other) => match owner_patch::take_over(self.cluster, job, &other, &ours).await {
                Written::Done(seen) => Ok(Owned::Yes(seen)),
                Written::Gone => Ok(Owned::Gone),
                Written::OwnedBy(other) => Err(owner_patch::taken_over(job, &other)),
                Written::Failed(failure) => Err(self.cannot(ApiCall::TakeOver(job), failure)),
            },
            Written::Failed(failure) if failure.is_forbidden() => {
                self.observer.emit(Message::warning("patch-refused", format!(
                    "{job} of try {} cannot be taken over: {}; without the verb `patch` on jobs.batch a retry starts its work anew",
                    metadata.try_number, failure.message(),
                )));
                Ok(Owned::NotAllowed)
            }
            Written::Failed(failure) => Err(self.cannot(ApiCall::TakeOver(job), failure)),
        }
    }

    async fn discard(
        &self,
        job: &JobReference,
        metadata: &AttemptMetadata,
        owner: &Owner,
        same_manifest: bool,
    ) -> Result<(), Error> {
        let why = match (identity::relation(&self.request.attempt, metadata), self.request.policy, same_manifest) {
            (identity::Relation::Cleared, _, _) => "the task was cleared since",
            (_, PredecessorPolicy::Replace, _) => "reattach=\"replace\"",
            (_, _, false) => {
                "its manifest differs from this try's (a template that contains the try number always differs)"
            }
            _ => "it cannot be taken over",
        };
        self.observer.emit(Message::info(
            "predecessor-deleted",
            format!("{job} of try {} is deleted first: {why}", metadata.try_number),
        ));
        self.confirmed(delete::delete_owned(self.cluster, job, owner, self.request.handover_timeout()).await)
    }
}

enum Owned {
    Yes(Box<ObservedJob>),
    Gone,
    NotAllowed,
}

fn owner_is_newer(owner: &Owner, try_number: u32) -> bool {
    owner.try_number().is_some_and(|theirs| theirs > try_number)
}
