//! Sends the POST, and settles every doubt about it by a GET of the name.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    JobOrigin, Submission, Submitted,
    decide::{self, NameConflict},
    fixed_name::FixedNameClaim,
    name_taken,
    request::Draft,
};
use crate::{
    cluster::{Failure, Pauses, Responder, retry},
    error::{Error, Report},
    job_api::{
        api_call::ApiCall,
        jobs::{find_job, named},
        owner_patch,
    },
    model::{message::Message, observed_job::ObservedJob},
    resource::Object,
    text::Command,
};

/// How long a POST without a clear answer is repeated. A frozen etcd answers after 34 s; an API server restarts
/// in less.
const SUBMIT_FOR: Duration = Duration::from_secs(120);

/// If the Job of a name is acknowledged or deleted, the try takes the next generation of the name, at most this often.
const MOST_NAMES: u32 = 20;

/// Codes of the answers that the API server gives before it stores an object: authentication, authorization, admission,
/// decoding, validation. Source: `NewBadRequest` and its like in kubernetes `apimachinery/pkg/api/errors`.
const BEFORE_STORING: [u16; 9] = [400, 401, 403, 404, 405, 406, 413, 415, 422];

/// What a refused or lost POST means.
enum Reply {
    /// Read the Job by its name; if it is not there, the POST may be repeated for this long.
    Doubt(Duration),
    /// An admission policy does not want our TTL.
    TtlRefused,
    /// The Job is refused for good.
    Refused,
}

/// Only what the API server itself says before it stores anything is a no; after anything else the Job may be there.
fn reply(failure: &Failure, startup_timeout: Duration) -> Reply {
    let status = match failure {
        Failure::Unusable(_) => return Reply::Refused,
        Failure::Status { status, responder: Responder::ApiServer, .. } => status,
        Failure::Status { responder: Responder::Unknown, .. }
        | Failure::Transport { .. }
        | Failure::Unexpected { .. } => {
            return Reply::Doubt(SUBMIT_FOR);
        }
    };
    match status.code {
        403 | 422 if status.message.contains("ttlSecondsAfterFinished") => Reply::TtlRefused,
        // The quota is checked before the name: our own stored Job may be what exceeds it.
        403 if status.message.contains("exceeded quota") => Reply::Doubt(startup_timeout),
        code if BEFORE_STORING.contains(&code) => Reply::Refused,
        _ => Reply::Doubt(SUBMIT_FOR),
    }
}

impl Submission<'_> {
    /// Sends the POST until its Job is there, or cannot be.
    pub(crate) async fn create(&self) -> Result<Submitted, Error> {
        let plan = self.request.ttl_plan();
        let mut ttl = plan.at_creation;
        let mut generation = 0;
        let mut claim = FixedNameClaim::new(*self);
        // Over all names: one that is taken again and again is no reason to ask without a pause.
        let pauses = Pauses::new(self.cluster.next_seed());
        'names: loop {
            let draft = self.request.draft(generation, self.namespace, ttl)?;
            let begin = Instant::now();
            let mut reported = false;
            pauses.soon().await;
            loop {
                self.observer.trying(self.namespace, &draft.name);
                let object = Object::Job(self.namespace, &draft.name);
                let failure = match self.cluster.create(object, &draft.body, self.request.field_validation).await {
                    Ok(object) => match ObservedJob::read(&object) {
                        Ok(seen) => return Ok(self.submitted(seen, JobOrigin::Created)),
                        // The Job may have been stored: a GET of the name shows it.
                        Err(unreadable) => unreadable.into(),
                    },
                    Err(failure) => failure,
                };
                let limit = match reply(&failure, self.request.startup_timeout()) {
                    Reply::Doubt(limit) => limit,
                    Reply::TtlRefused if ttl != plan.longest() => {
                        ttl = plan.longest();
                        self.observer.emit(Message::warning("ttl-capped", format!(
                            "The cluster refuses a TTL of {} s on Jobs ({}); using {}{}",
                            plan.at_creation.unwrap_or_default(),
                            failure.message(),
                            ttl.map_or("none".to_owned(), |seconds| format!("{seconds} s")),
                            // The command line has one try.
                            if self.request.attempt.try_number == 0 {
                                ""
                            } else {
                                ". If this worker dies after the Job ended, its outcome may be cleaned up before the next try \
                                 sees it"
                            },
                        )));
                        continue 'names;
                    }
                    Reply::TtlRefused | Reply::Refused => {
                        // An earlier POST under this name may have made a Job without a clear answer.
                        if !reported {
                            self.observer.refused();
                        }
                        return Err(self.refused(&draft, failure, None));
                    }
                };
                match self.get_again(&draft).await? {
                    Some(seen) if self.request.fixed_name.is_some() => {
                        if !reported && failure.code() == Some(409) {
                            // The refusal is final: no Job of ours can come of this POST.
                            self.observer.refused();
                        }
                        match Box::pin(claim.free(seen)).await? {
                            Some(submitted) => return Ok(submitted),
                            None => continue 'names,
                        }
                    }
                    Some(seen) => match self.settle(&seen).await? {
                        Settled::Ours => return Ok(self.submitted(seen, JobOrigin::Adopted)),
                        Settled::NextName if generation >= MOST_NAMES => return Err(name_taken(self.request, &seen)),
                        Settled::NextName => {
                            generation += 1;
                            continue 'names;
                        }
                    },
                    None if begin.elapsed() >= limit => return Err(self.refused(&draft, failure, Some(limit))),
                    None => {
                        if !reported {
                            reported = true;
                            self.observer.emit(Message::warning(
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
                        let pause = pauses.next().saturating_duration_since(Instant::now());
                        tokio::time::sleep(retry::pause(&failure, Some(pause)).unwrap_or(pause)).await;
                    }
                }
            }
        }
    }

    async fn get_again(&self, draft: &Draft) -> Result<Option<ObservedJob>, Error> {
        find_job(self.cluster, self.namespace, &draft.name).await.map_err(|failure| {
            let job = named(self.namespace, &draft.name);
            ApiCall::CreatedJob(&job).failed(failure, Some(self.cluster.timing().retry_for))
        })
    }

    async fn settle(&self, seen: &ObservedJob) -> Result<Settled, Error> {
        let job = &seen.reference;
        match decide::found(&self.request.attempt, seen) {
            NameConflict::Ours => Ok(Settled::Ours),
            NameConflict::UsedUp => Ok(Settled::NextName),
            NameConflict::AwaitPods => {
                let held = seen.finalizers().join(", ");
                let held = if held.is_empty() { String::new() } else { format!(" (held by {held})") };
                self.await_pods(job, format!("of this very try is being deleted{held}")).await?;
                Ok(Settled::NextName)
            }
            NameConflict::TakenOver(owner) => Err(owner_patch::taken_over(job, &owner)),
            NameConflict::Foreign => Err(name_taken(self.request, seen)),
        }
    }

    fn submitted(&self, job: ObservedJob, origin: JobOrigin) -> Submitted {
        Submitted { job, origin, made_by_try: self.request.attempt.try_number }
    }

    fn refused(&self, draft: &Draft, failure: Failure, limit: Option<Duration>) -> Error {
        if let (Some(400), Some(error)) = (failure.code(), self.request.unknown_fields(&failure.message())) {
            return error;
        }
        let job = named(self.namespace, &draft.name);
        if failure.is_not_found() {
            return Error::ApiRefused(Box::new(
                Report::new(format!("Cannot create {job}: the namespace `{}` does not exist", self.namespace))
                    .seen(format!("404 NotFound: {}", failure.message()))
                    .hint(
                        Command::new(&["kubectl", "create", "namespace"])
                            .name(self.namespace)
                            .comment("or correct the argument namespace"),
                    )
                    .fact("status", 404)
                    .fact("reason", "NotFound"),
            ));
        }
        if failure.has_cause("NamespaceTerminating") {
            return Error::ApiRefused(Box::new(
                Report::new(format!("Cannot create {job}: the namespace `{}` is being deleted", self.namespace))
                    .seen(format!("403 Forbidden: {}", failure.message()))
                    .hint("use another namespace, or wait until it is gone and make it anew")
                    .fact("status", 403)
                    .fact("reason", "NamespaceTerminating"),
            ));
        }
        ApiCall::CreateJob(&job).failed(failure, limit)
    }
}

enum Settled {
    Ours,
    NextName,
}
