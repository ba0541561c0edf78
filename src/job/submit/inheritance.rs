//! Settles what earlier tries of the task have left: taken over, used, ended, or left alone.

use std::{collections::BTreeSet, time::Duration};

use super::{Origin, Submission, Submitted};
use crate::{
    cluster::{Failure, Resource, Selector, Verb},
    error::Error,
    identity::{self, JobName, Marks, Owner, TASK},
    job::{
        delete::{self, CONTROLLER_UID, JOB_NAME},
        message::Message,
        order::Policy,
        ownership::{self, Written},
        seen::{JobReference, SeenJob},
        settle::{self, Earlier, Ending, Traits},
    },
};

/// Before Airflow 3.2 a running task that is cleared looks like a retry; its old owner, if it lives, deletes the
/// Job within this time.
const OLD_OWNER_LEAVES_WITHIN: Duration = Duration::from_secs(10);

impl Submission<'_> {
    /// The Job that this try goes on with, if one of its predecessors left one to go on with.
    pub(super) async fn inherit(&self) -> Result<Option<Submitted>, Error> {
        if !self.order.lookup && self.order.known_names.is_empty() {
            return Ok(None);
        }
        let mut jobs = self.earlier_jobs().await?;
        // The newest first: of several unfinished Jobs it is the one to go on with.
        jobs.sort_by_key(|(_, marks)| std::cmp::Reverse(marks.try_number));
        let mut inherited: Option<Submitted> = None;
        for (job, marks) in jobs {
            inherited = self.earlier(job, &marks, inherited).await?;
        }
        if inherited.is_none() && self.order.lookup {
            self.work_without_a_job().await?;
        }
        Ok(inherited)
    }

    /// A Job that is gone may have left Pods within their grace period, and nobody who saw them end: its worker may have
    /// been killed right after the DELETE. Costs one list of Pods.
    async fn work_without_a_job(&self) -> Result<(), Error> {
        let selector = Selector::labels(format!("{TASK}={}", self.order.attempt.task.digest()));
        // Without the right to list Pods the Jobs alone speak.
        let Ok(listed) = self.cluster.list(Resource::Pods, self.namespace, &selector).await else { return Ok(()) };
        let mut jobs = BTreeSet::new();
        for pod in &listed.items {
            let over = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
            let label = |key: &str| pod["metadata"]["labels"][key].as_str().map(str::to_owned);
            if let (false, Some(name), Some(uid)) = (over, label(JOB_NAME), label(CONTROLLER_UID)) {
                jobs.insert((name, uid));
            }
        }
        for (name, uid) in jobs {
            let job = JobReference { namespace: self.namespace.to_owned(), name, uid };
            // A living one is settled by what it is, not by its Pods.
            if self.newest(&job).await?.is_none() {
                self.tell.say(Message::warning(
                    "predecessor-leaving",
                    format!(
                        "{job} of an earlier try is gone: waiting up to {} s for its Pods to end",
                        self.order.handover_timeout_seconds
                    ),
                ));
                self.handover(&job).await?;
            }
        }
        Ok(())
    }

    async fn earlier_jobs(&self) -> Result<Vec<(SeenJob, Marks)>, Error> {
        let selector = Selector::labels(format!("{TASK}={}", self.order.attempt.task.digest()));
        let refused = |failure: Failure| {
            let what = format!("look for Jobs of earlier tries in namespace `{}`", self.namespace);
            failure.into_error(&what, Verb::List, Resource::Jobs, Some(self.cluster.timing().retry_for))
        };
        let listed = self.cluster.list(Resource::Jobs, self.namespace, &selector).await.map_err(refused)?;
        let mut jobs = listed.items.iter().map(SeenJob::read).collect::<Result<Vec<_>, _>>()?;
        let fixed = self.order.fixed_name.is_some().then(|| self.order.name(0));
        let fixed = fixed.as_ref().map(JobName::as_str);
        // A fixed name proves nothing, and whoever has it is settled when the POST meets it.
        let known: Vec<_> = self.order.known_names.iter().filter(|name| Some(name.as_str()) != fixed).collect();
        jobs.retain(|job| Some(job.reference.name.as_str()) != fixed);
        if !self.order.lookup {
            jobs.retain(|job| known.contains(&&job.reference.name));
        }
        for name in known {
            if jobs.iter().all(|job| job.reference.name != *name) {
                // Made under another deployment id: its name alone is what this task wrote down.
                let found = self.cluster.get(Resource::Jobs, self.namespace, name).await.map_err(refused)?;
                jobs.extend(found.map(|object| SeenJob::read(&object)).transpose()?);
            }
        }
        let ours = self.order.attempt.digest();
        Ok(jobs
            .into_iter()
            .filter_map(|job| job.marks.clone().map(|marks| (job, marks)))
            .filter(|(_, marks)| marks.attempt_digest != ours && marks.try_number < self.order.attempt.try_number)
            .collect())
    }

    /// Settles the Job of one earlier try. A second one to go on with would be double work.
    pub(super) async fn earlier(
        &self,
        job: SeenJob,
        marks: &Marks,
        inherited: Option<Submitted>,
    ) -> Result<Option<Submitted>, Error> {
        let same_manifest = marks.manifest_digest == self.order.manifest_digest();
        let mut traits = Traits {
            relation: identity::relation(&self.order.attempt, marks),
            same_manifest,
            end: Ending::of(&job),
            acknowledged: job.acknowledged(),
            terminating: job.deletion_timestamp().is_some(),
            may_patch: self.order.patch_jobs,
        };
        let policy = if inherited.is_some() { Policy::Replace } else { self.order.policy };
        let mut verdict = settle::earlier(policy, traits);
        if verdict == Earlier::TakeOver && !self.order.running_clear_is_visible {
            tokio::time::sleep(OLD_OWNER_LEAVES_WITHIN).await;
            let Some(newest) = self.newest(&job.reference).await? else {
                self.handover(&job.reference).await?;
                return Ok(inherited);
            };
            traits.end = Ending::of(&newest);
            traits.terminating = newest.deletion_timestamp().is_some();
            verdict = settle::earlier(policy, traits);
        }
        match verdict {
            Earlier::TakeOver | Earlier::UseOutcome => {
                let origin = if verdict == Earlier::TakeOver { Origin::TakenOver } else { Origin::OutcomeUsed };
                match self.become_owner(&job.reference, marks).await? {
                    Owned::Yes(job) => Ok(Some(Submitted { job: *job, origin, made_by_try: marks.try_number })),
                    Owned::Gone => {
                        self.handover(&job.reference).await?;
                        Ok(inherited)
                    }
                    Owned::NotAllowed => {
                        let verdict = settle::earlier(policy, Traits { may_patch: false, ..traits });
                        if verdict == Earlier::Discard {
                            self.discard(&job.reference, marks, &marks.owner, same_manifest).await?;
                        }
                        Ok(inherited)
                    }
                }
            }
            Earlier::Discard => {
                let tried = if self.order.patch_jobs {
                    self.become_owner(&job.reference, marks).await?
                } else {
                    Owned::NotAllowed
                };
                let owner = match tried {
                    Owned::Yes(_) => self.order.attempt.owner(),
                    Owned::Gone => {
                        self.handover(&job.reference).await?;
                        return Ok(inherited);
                    }
                    Owned::NotAllowed => marks.owner.clone(),
                };
                self.discard(&job.reference, marks, &owner, same_manifest).await?;
                Ok(inherited)
            }
            Earlier::Leaving => {
                self.tell.say(Message::warning(
                    "predecessor-leaving",
                    format!(
                        "{} of try {} is being deleted: waiting up to {} s for its Pods to end",
                        job.reference, marks.try_number, self.order.handover_timeout_seconds,
                    ),
                ));
                self.handover(&job.reference).await?;
                Ok(inherited)
            }
            Earlier::Leave => Ok(inherited),
        }
    }

    async fn newest(&self, job: &JobReference) -> Result<Option<SeenJob>, Error> {
        ownership::look(self.cluster, job).await.map_err(|failure| {
            failure.into_error(
                &format!("look at {job}"),
                Verb::Get,
                Resource::Jobs,
                Some(self.cluster.timing().retry_for),
            )
        })
    }

    async fn become_owner(&self, job: &JobReference, marks: &Marks) -> Result<Owned, Error> {
        let ours = self.order.attempt.owner();
        match ownership::take_over(self.cluster, job, &marks.owner, &ours).await {
            Written::Done(seen) => Ok(Owned::Yes(seen)),
            Written::Gone => Ok(Owned::Gone),
            Written::OwnedBy(other) if owner_is_newer(&other, self.order.attempt.try_number) => {
                Err(ownership::taken_over(job, &other))
            }
            Written::OwnedBy(other) => match ownership::take_over(self.cluster, job, &other, &ours).await {
                Written::Done(seen) => Ok(Owned::Yes(seen)),
                Written::Gone => Ok(Owned::Gone),
                Written::OwnedBy(other) => Err(ownership::taken_over(job, &other)),
                Written::Failed(failure) => Err(self.cannot_own(job, failure)),
            },
            Written::Failed(failure) if failure.code() == Some(403) => {
                self.tell.say(Message::warning("patch-refused", format!(
                    "{job} of try {} cannot be taken over: {}; without the verb `patch` on jobs.batch a retry starts its work anew",
                    marks.try_number, failure.message(),
                )));
                Ok(Owned::NotAllowed)
            }
            Written::Failed(failure) => Err(self.cannot_own(job, failure)),
        }
    }

    fn cannot_own(&self, job: &JobReference, failure: Failure) -> Error {
        let limit = Some(self.cluster.timing().retry_for);
        failure.into_error(&format!("take over {job}"), Verb::Patch, Resource::Jobs, limit)
    }

    async fn discard(
        &self,
        job: &JobReference,
        marks: &Marks,
        owner: &Owner,
        same_manifest: bool,
    ) -> Result<(), Error> {
        let why = match (identity::relation(&self.order.attempt, marks), self.order.policy, same_manifest) {
            (identity::Relation::Cleared, _, _) => "the task was cleared since",
            (_, Policy::Replace, _) => "reattach=\"replace\"",
            (_, _, false) => {
                "its manifest differs from this try's (a template that contains the try number always differs)"
            }
            _ => "it cannot be taken over",
        };
        self.tell.say(Message::info(
            "predecessor-deleted",
            format!("{job} of try {} is deleted first: {why}", marks.try_number),
        ));
        match delete::delete_owned(self.cluster, job, owner, self.order.handover_timeout()).await {
            Err(error @ Error::DeletionUnconfirmed(_)) if self.order.replace_lost => {
                self.tell.say(Message::warning(
                    "pods-may-still-run",
                    format!("replace_lost=True: going on although\n{error}"),
                ));
                Ok(())
            }
            deleted => deleted,
        }
    }
}

enum Owned {
    Yes(Box<SeenJob>),
    Gone,
    NotAllowed,
}

fn owner_is_newer(owner: &Owner, try_number: u32) -> bool {
    owner.try_number().is_some_and(|theirs| theirs > try_number)
}
