//! Creates the one Job of an attempt, or finds that it has one already.
//!
//! Promise: whatever is lost or refused on the way, an attempt has at most one unfinished Job, because its name
//! is fixed before the first POST and every doubt is settled by looking at that name. A first try sends one POST
//! and asks nothing before it. Jobs of earlier tries are taken over, used, or ended as [`super::settle`] says;
//! an object that is not provably ours is never touched.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::{
    delete,
    message::{Message, Say},
    order::{Draft, Order, Policy},
    ownership::{self, Written},
    seen::{JobReference, SeenJob},
    settle::{self, Earlier, Ending, Found, Traits},
};
use crate::{
    cluster::{Cluster, Failure, Resource, Selector, Verb, retry},
    error::{Error, Report},
    identity::{self, Marks, Owner, TASK},
};

/// How long a POST without a clear answer is repeated. A frozen etcd answers after 34 s; an API server restarts
/// in less.
const SUBMIT_FOR: Duration = Duration::from_secs(120);
/// Before Airflow 3.2 a running task that is cleared looks like a retry; its old owner, if it lives, deletes the
/// Job within this time.
const OLD_OWNER_LEAVES_WITHIN: Duration = Duration::from_secs(10);

/// How an attempt came to its Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// By its own POST.
    Created,
    /// It had made it before: the reply was lost, or the try was started twice.
    Adopted,
    /// From an earlier try, still running.
    TakenOver,
    /// From an earlier try, finished well but never acknowledged.
    OutcomeUsed,
}

/// A Job that this attempt owns.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// Its state.
    pub job: SeenJob,
    /// How it came to be ours.
    pub origin: Origin,
    /// The try that made it.
    pub made_by_try: u32,
}

/// What a submission tells while it goes on.
pub trait Tell: Say {
    /// A POST under this name is about to leave: from now on a Job of ours may exist.
    fn trying(&self, namespace: &str, name: &str);
    /// That POST was refused for good: no Job can come of it.
    fn refused(&self);
}

/// Gives the attempt its Job.
pub async fn submit(cluster: &Cluster, order: &Order, tell: &dyn Tell) -> Result<Submitted, Error> {
    let namespace = order.namespace(&cluster.namespace().await?);
    // What is wrong with the manifest is said before anything is asked or deleted.
    order.draft(0, &namespace, order.ttl_plan().at_creation)?;
    if order.attempt.try_number > 1 && order.policy != Policy::Ignore {
        let inherited = Box::pin(Inheritance { cluster, order, namespace: &namespace, tell }.settle()).await?;
        if let Some(submitted) = inherited {
            return Ok(submitted);
        }
    }
    Creation { cluster, order, namespace: &namespace, tell }.create().await
}

struct Creation<'a> {
    cluster: &'a Cluster,
    order: &'a Order,
    namespace: &'a str,
    tell: &'a dyn Tell,
}

/// What a refused or lost POST means.
enum Reply {
    /// Look whether the Job is there; if not, the POST may be repeated for this long.
    Doubt(Duration),
    /// An admission policy does not want our TTL.
    TtlRefused,
    /// No, for good.
    Refused,
}

fn reply(failure: &Failure, startup_timeout: Duration) -> Reply {
    let message = failure.message();
    match failure.code() {
        None if matches!(failure, Failure::Unusable(_)) => Reply::Refused,
        Some(403 | 422) if message.contains("ttlSecondsAfterFinished") => Reply::TtlRefused,
        // The quota is checked before the name: our own stored Job may be what exceeds it.
        Some(403) if message.contains("exceeded quota") => Reply::Doubt(startup_timeout),
        Some(code) if code != 409 && !retry::TRANSIENT.contains(&code) => Reply::Refused,
        Some(_) | None => Reply::Doubt(SUBMIT_FOR),
    }
}

impl Creation<'_> {
    async fn create(&self) -> Result<Submitted, Error> {
        let plan = self.order.ttl_plan();
        let mut ttl = plan.at_creation;
        let mut generation = 0;
        'names: loop {
            let draft = self.order.draft(generation, self.namespace, ttl)?;
            let begin = Instant::now();
            let mut pauses = retry::backoff(self.cluster.next_seed(), None);
            let mut told = false;
            loop {
                self.tell.trying(self.namespace, draft.name.as_str());
                let failure = match self.cluster.create(Resource::Jobs, self.namespace, &draft.body).await {
                    Ok(object) => return Ok(self.submitted(SeenJob::read(&object)?, Origin::Created)),
                    Err(failure) => failure,
                };
                let limit = match reply(&failure, self.order.startup_timeout()) {
                    Reply::Doubt(limit) => limit,
                    Reply::TtlRefused if ttl != plan.longest() => {
                        ttl = plan.longest();
                        self.tell.say(Message::warning("ttl-capped", format!(
                            "The cluster refuses a TTL of {} s on Jobs ({}); using {}. If this worker dies after the Job \
                             ended, its outcome may be cleaned up before the next try sees it",
                            plan.at_creation.unwrap_or_default(),
                            failure.message(),
                            ttl.map_or("none".to_owned(), |seconds| format!("{seconds} s")),
                        )));
                        continue 'names;
                    }
                    Reply::TtlRefused | Reply::Refused => {
                        // Unless an earlier POST under this name got no clear answer.
                        if !told {
                            self.tell.refused();
                        }
                        return Err(self.refused(&draft, failure, None));
                    }
                };
                match self.look(&draft).await? {
                    Some(seen) => match self.settle(&seen).await? {
                        Settled::Ours => return Ok(self.submitted(seen, Origin::Adopted)),
                        Settled::NextName => {
                            generation += 1;
                            continue 'names;
                        }
                    },
                    None if begin.elapsed() >= limit => return Err(self.refused(&draft, failure, Some(limit))),
                    None => {
                        if !told {
                            told = true;
                            self.tell.say(Message::warning(
                                "create-retried",
                                format!(
                                    "Job `{}/{}` is not stored yet: {}; trying again for up to {} s",
                                    self.namespace,
                                    draft.name.as_str(),
                                    failure.message(),
                                    limit.as_secs(),
                                ),
                            ));
                        }
                        let pause = retry::pause(&failure, pauses.next()).unwrap_or(retry::LONGEST_PAUSE);
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        }
    }

    async fn look(&self, draft: &Draft) -> Result<Option<SeenJob>, Error> {
        let found = self.cluster.get(Resource::Jobs, self.namespace, draft.name.as_str()).await;
        let object = found.map_err(|failure| {
            let what = format!("see whether Job `{}/{}` was created", self.namespace, draft.name.as_str());
            failure.into_error(&what, Verb::Get, Resource::Jobs, Some(self.cluster.timing().retry_for))
        })?;
        object.map(|object| SeenJob::read(&object)).transpose()
    }

    async fn settle(&self, seen: &SeenJob) -> Result<Settled, Error> {
        let job = &seen.reference;
        match settle::found(&self.order.attempt, seen) {
            Found::Ours => Ok(Settled::Ours),
            Found::UsedUp => Ok(Settled::NextName),
            Found::Leaving => {
                let held = seen.finalizers().join(", ");
                let held = if held.is_empty() { String::new() } else { format!(" (held by {held})") };
                self.tell.say(Message::warning(
                    "predecessor-leaving",
                    format!(
                        "{job} of this very try is being deleted{held}: waiting up to {} s for its Pods to end",
                        self.order.handover_timeout_seconds,
                    ),
                ));
                handover(self.cluster, self.order, job, self.tell).await?;
                Ok(Settled::NextName)
            }
            Found::TakenOver(owner) => Err(ownership::taken_over(job, &owner)),
            Found::Foreign => Err(name_taken(self.order, seen)),
        }
    }

    fn submitted(&self, job: SeenJob, origin: Origin) -> Submitted {
        Submitted { job, origin, made_by_try: self.order.attempt.try_number }
    }

    fn refused(&self, draft: &Draft, failure: Failure, limit: Option<Duration>) -> Error {
        let name = format!("`{}/{}`", self.namespace, draft.name.as_str());
        if failure.code() == Some(404) {
            return Error::ApiRefused(Box::new(
                Report::new(format!("Cannot create Job {name}: the namespace `{}` does not exist", self.namespace))
                    .seen(format!("404 NotFound: {}", failure.message()))
                    .hint(format!("`kubectl create namespace {}`, or correct the argument `namespace`", self.namespace))
                    .fact("status", 404)
                    .fact("reason", "NotFound"),
            ));
        }
        if failure.has_cause("NamespaceTerminating") {
            return Error::ApiRefused(Box::new(
                Report::new(format!("Cannot create Job {name}: the namespace `{}` is being deleted", self.namespace))
                    .seen(format!("403 Forbidden: {}", failure.message()))
                    .hint("use another namespace, or wait until it is gone and make it anew")
                    .fact("status", 403)
                    .fact("reason", "NamespaceTerminating"),
            ));
        }
        failure.into_error(&format!("create Job {name}"), Verb::Create, Resource::Jobs, limit)
    }
}

enum Settled {
    Ours,
    NextName,
}

fn name_taken(order: &Order, seen: &SeenJob) -> Error {
    let job = &seen.reference;
    let theirs = seen
        .marks
        .as_ref()
        .map_or_else(|| "nobody we know: it carries none of our annotations".to_owned(), identity::describe);
    Error::NameTaken(Box::new(
        Report::new(format!("{job} exists and belongs to another attempt; it was left untouched"))
            .seen(format!("its owner: {theirs}"))
            .seen(format!("we are: {}", order.attempt.describe()))
            .hint("if two Airflow deployments share this namespace, give each its own `[unique_k8s_job] deployment_id`")
            .fact("name", job.name.clone())
            .fact("namespace", job.namespace.clone())
            .fact("uid", job.uid.clone()),
    ))
}

/// Waits until the Pods of a Job that is on its way out have ended.
async fn handover(cluster: &Cluster, order: &Order, job: &JobReference, tell: &dyn Tell) -> Result<(), Error> {
    match delete::pods_ended(cluster, job, Instant::now() + order.handover_timeout()).await {
        Err(error @ Error::DeletionUnconfirmed(_)) if order.replace_lost => {
            tell.say(Message::warning("pods-may-still-run", format!("replace_lost=True: going on although\n{error}")));
            Ok(())
        }
        ended => ended,
    }
}

/// Settles the Jobs of earlier tries.
struct Inheritance<'a> {
    cluster: &'a Cluster,
    order: &'a Order,
    namespace: &'a str,
    tell: &'a dyn Tell,
}

impl Inheritance<'_> {
    /// The Job that this try goes on with, if one of its predecessors left one to go on with.
    async fn settle(&self) -> Result<Option<Submitted>, Error> {
        if !self.order.lookup && self.order.known_names.is_empty() {
            return Ok(None);
        }
        let mut jobs = self.earlier_jobs().await?;
        // The newest first: of several unfinished Jobs it is the one to go on with.
        jobs.sort_by_key(|(_, marks)| std::cmp::Reverse(marks.try_number));
        let mut inherited: Option<Submitted> = None;
        for (job, marks) in jobs {
            inherited = self.one(job, &marks, inherited).await?;
        }
        Ok(inherited)
    }

    async fn earlier_jobs(&self) -> Result<Vec<(SeenJob, Marks)>, Error> {
        let selector = Selector::labels(format!("{TASK}={}", self.order.attempt.task.digest()));
        let refused = |failure: Failure| {
            let what = format!("look for Jobs of earlier tries in namespace `{}`", self.namespace);
            failure.into_error(&what, Verb::List, Resource::Jobs, Some(self.cluster.timing().retry_for))
        };
        let listed = self.cluster.list(Resource::Jobs, self.namespace, &selector).await.map_err(refused)?;
        let mut jobs = listed.items.iter().map(SeenJob::read).collect::<Result<Vec<_>, _>>()?;
        let known = &self.order.known_names;
        if !self.order.lookup {
            jobs.retain(|job| known.contains(&job.reference.name));
        }
        for name in known {
            if jobs.iter().all(|job| &job.reference.name != name) {
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

    async fn one(&self, job: SeenJob, marks: &Marks, inherited: Option<Submitted>) -> Result<Option<Submitted>, Error> {
        let same_manifest = marks.manifest_digest == self.order.manifest_digest();
        let mut traits = Traits {
            relation: identity::relation(&self.order.attempt, marks),
            same_manifest,
            end: Ending::of(&job),
            acknowledged: job.acknowledged(),
            terminating: job.deletion_timestamp().is_some(),
            may_patch: self.order.patch_jobs,
        };
        // A second one to go on with would be double work.
        let policy = if inherited.is_some() { Policy::Replace } else { self.order.policy };
        let mut verdict = settle::earlier(policy, traits);
        if verdict == Earlier::TakeOver && !self.order.running_clear_is_visible {
            tokio::time::sleep(OLD_OWNER_LEAVES_WITHIN).await;
            let Some(newest) = self.look(&job.reference).await? else { return Ok(inherited) };
            traits.end = Ending::of(&newest);
            traits.terminating = newest.deletion_timestamp().is_some();
            verdict = settle::earlier(policy, traits);
        }
        match verdict {
            Earlier::TakeOver | Earlier::UseOutcome => {
                let origin = if verdict == Earlier::TakeOver { Origin::TakenOver } else { Origin::OutcomeUsed };
                match self.become_owner(&job.reference, marks).await? {
                    Owned::Yes(job) => Ok(Some(Submitted { job: *job, origin, made_by_try: marks.try_number })),
                    Owned::Gone => Ok(inherited),
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
                    Owned::Gone => return Ok(inherited),
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
                handover(self.cluster, self.order, &job.reference, self.tell).await?;
                Ok(inherited)
            }
            Earlier::Leave => Ok(inherited),
        }
    }

    async fn look(&self, job: &JobReference) -> Result<Option<SeenJob>, Error> {
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
