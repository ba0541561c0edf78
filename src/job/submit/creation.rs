//! Sends the POST, and settles every doubt about it by looking at the name.

use std::time::Duration;

use tokio::time::Instant;

use super::{Origin, Submission, Submitted, name_taken, way::Way};
use crate::{
    cluster::{Failure, Resource, Verb, retry},
    error::{Error, Report},
    job::{
        message::Message,
        order::Draft,
        ownership,
        seen::SeenJob,
        settle::{self, Found},
    },
};

/// How long a POST without a clear answer is repeated. A frozen etcd answers after 34 s; an API server restarts
/// in less.
const SUBMIT_FOR: Duration = Duration::from_secs(120);

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

impl Submission<'_> {
    /// Sends the POST until its Job is there, or cannot be.
    pub(super) async fn create(&self) -> Result<Submitted, Error> {
        let plan = self.order.ttl_plan();
        let mut ttl = plan.at_creation;
        let mut generation = 0;
        let mut way = Way::new(*self);
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
                    Some(seen) if self.order.fixed_name.is_some() => {
                        if !told && failure.code() == Some(409) {
                            // A plain no: nothing of ours can come of this POST.
                            self.tell.refused();
                        }
                        match Box::pin(way.free(seen)).await? {
                            Some(submitted) => return Ok(submitted),
                            None => continue 'names,
                        }
                    }
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
                self.handover(job).await?;
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
