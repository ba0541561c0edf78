//! One attempt at work, as a handle: it submits, follows, and hands over what happened, event by event.
//!
//! Promise: events come in order, the outcome last and only after the whole log; the attempt can be told at any
//! moment to stop, or to delete its Job, also while the submission is still under way. Log text waits in at most
//! [`logs::BUFFER`] bytes; when nobody takes it, reading pauses.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex as AsyncMutex, mpsc},
    task::JoinHandle,
    time::Instant,
};

pub use super::shared::Event;
use super::{
    acknowledge::{Finish, acknowledge},
    delete,
    follow::{self, Following},
    logs::{self, Positions},
    message::{Message, Say},
    order::Order,
    seen::{JobReference, SeenJob},
    settle::{self, Found},
    shared::Shared,
    sources::Sources,
    subject::Subject,
    submit::{self, Submitted},
};
use crate::{
    cluster::{Cluster, Resource, Verb},
    error::{Error, Report},
};

/// One attempt at work. Dropping it stops following and leaves the Job as it is.
pub struct Run {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
    inbox: AsyncMutex<Inbox>,
}

struct Inbox {
    news: mpsc::UnboundedReceiver<Result<Event, Error>>,
    lines: logs::Receiver,
    /// How far the log was handed over.
    positions: Positions,
    /// The last event, held back until the log is handed over.
    last: Option<Result<Event, Error>>,
}

impl Run {
    /// Starts the attempt. Must run inside a tokio runtime.
    #[must_use]
    pub fn start(cluster: Cluster, order: Order) -> Self {
        let (news, inbox) = mpsc::unbounded_channel();
        let (sink, lines) = logs::channel(logs::BUFFER, order.line_times);
        let shared = Arc::new(Shared::new(cluster, order, news));
        let task = tokio::spawn(attempt(Arc::clone(&shared), sink));
        Self {
            shared,
            task,
            inbox: AsyncMutex::new(Inbox { news: inbox, lines, positions: Positions::default(), last: None }),
        }
    }

    /// The next event; `None` after the last one.
    pub async fn next(&self) -> Option<Result<Event, Error>> {
        let mut inbox = self.inbox.lock().await;
        let Inbox { news, lines, positions, last } = &mut *inbox;
        if last.is_none() {
            tokio::select! {
                biased;
                event = news.recv() => match event {
                    Some(event @ (Err(_) | Ok(Event::Outcome(_)))) => *last = Some(event),
                    other => return other,
                },
                Some(record) = lines.next() => {
                    positions.delivered(&record);
                    return Some(Ok(Event::Log(record)));
                }
            }
        }
        match lines.next().await {
            Some(record) => {
                positions.delivered(&record);
                Some(Ok(Event::Log(record)))
            }
            None => last.take(),
        }
    }

    /// The Job of this attempt, once it has one.
    #[must_use]
    pub fn job(&self) -> Option<JobReference> {
        self.shared.known().job.clone()
    }

    /// Writes that this attempt has reached its verdict, and does what the user wants done with a finished Job.
    /// Returns what there is to say; nothing of it changes the verdict. Before the outcome there is nothing to do.
    pub async fn acknowledge(&self) -> Result<Vec<Message>, Error> {
        let Shared { cluster, order, .. } = &*self.shared;
        let (job, finish) = {
            let known = self.shared.known();
            (known.job.clone(), known.finish)
        };
        let (Some(job), Some(finish)) = (job, finish) else { return Ok(Vec::new()) };
        acknowledge(cluster, &job, &order.attempt.owner(), &order.clean_up(), finish).await
    }

    /// Stops following and deletes the Job this attempt owns; returns what was done once it is gone with its Pods.
    /// `within` limits the confirmation; an API server that does not answer is given [`NO_ANSWER`] more.
    pub async fn delete(&self, within: Duration) -> Result<String, Error> {
        self.task.abort();
        let deadline = Instant::now() + within;
        if let Ok(deleted) = tokio::time::timeout_at(deadline + NO_ANSWER, self.delete_own(deadline)).await {
            return deleted;
        }
        let known = self.shared.known();
        let names = known.job.iter().map(|job| (&job.namespace, &job.name));
        let (namespace, name) = names.chain(known.tried.iter().map(|(n, j)| (n, j))).next().unzip();
        Err(Error::DeletionUnconfirmed(Box::new(
            Report::new("Whether the Job is deleted is not known: the API server does not answer")
                .seen(format!("{} s without an answer", (within + NO_ANSWER).as_secs()))
                .hint("the next try of this task looks for it; or look once it answers and delete it by hand")
                .fact("name", name.cloned())
                .fact("namespace", namespace.cloned()),
        )))
    }

    async fn delete_own(&self, deadline: Instant) -> Result<String, Error> {
        let owner = self.shared.order.attempt.owner();
        let Some(job) = self.find_own(deadline).await? else {
            return Ok("No Job was made by this try: nothing to delete".to_owned());
        };
        let left = deadline.saturating_duration_since(Instant::now());
        delete::delete_owned(&self.shared.cluster, &job, &owner, left).await?;
        Ok(format!("{job} (uid {}) is deleted, and its Pods have ended", job.uid))
    }

    /// The Job of this attempt, also if a POST has left whose answer was never read.
    async fn find_own(&self, deadline: Instant) -> Result<Option<JobReference>, Error> {
        let (job, tried) = {
            let known = self.shared.known();
            (known.job.clone(), known.tried.last().cloned())
        };
        let (None, Some((namespace, name))) = (&job, tried) else { return Ok(job) };
        loop {
            let found = self.shared.cluster.get(Resource::Jobs, &namespace, &name).await.map_err(|failure| {
                failure.into_error(&format!("look for Job `{namespace}/{name}`"), Verb::Get, Resource::Jobs, None)
            })?;
            let seen = found.map(|object| SeenJob::read(&object)).transpose()?;
            match seen {
                Some(seen) if settle::found(&self.shared.order.attempt, &seen) != Found::Foreign => {
                    return Ok(Some(seen.reference));
                }
                Some(_) => return Ok(None),
                // The POST may still be on its way.
                None if Instant::now() + POST_MAY_ARRIVE > deadline => {
                    return Err(Error::DeletionUnconfirmed(Box::new(
                        Report::new(format!(
                            "The creation of Job `{namespace}/{name}` was interrupted before its answer"
                        ))
                        .seen("the Job does not exist, but the request may still arrive")
                        .hint("the next try of this task removes it; or look once more and delete it by hand")
                        .fact("name", name.clone())
                        .fact("namespace", namespace.clone()),
                    )));
                }
                None => tokio::time::sleep(POST_MAY_ARRIVE).await,
            }
        }
    }

    /// Stops following, and gives what somebody else needs to go on.
    pub async fn hand_over(&self) -> Option<Subject> {
        self.task.abort();
        let mut subject = self.shared.order.subject(&self.job()?);
        subject.positions = self.inbox.lock().await.positions.list();
        Some(subject)
    }

    /// Stops following and leaves the Job as it is.
    pub fn close(&self) {
        self.task.abort();
    }
}

/// How much longer than its limit a deletion waits for an answer.
pub(super) const NO_ANSWER: Duration = Duration::from_secs(3);
/// Pause between two looks for a Job whose POST was interrupted.
const POST_MAY_ARRIVE: Duration = Duration::from_millis(500);

impl Drop for Run {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn attempt(shared: Arc<Shared>, sink: logs::Sink) {
    let end = match Box::pin(submit::submit(&shared.cluster, &shared.order, &*shared)).await {
        Err(error) => Err(error),
        Ok(submitted) => {
            let Submitted { job, origin, made_by_try } = submitted;
            shared.known().job = Some(job.reference.clone());
            shared.tell(Ok(Event::Submitted { job: job.reference.clone(), origin, made_by_try }));
            let subject = shared.order.subject(&job.reference);
            let say: Arc<dyn Say> = Arc::clone(&shared) as Arc<dyn Say>;
            let sources = Sources::own(&shared.cluster, &subject, &job, None);
            let following = Following {
                cluster: &shared.cluster,
                subject: &subject,
                positions: Vec::new(),
                say: &say,
                sources,
                sink,
                ration: None,
                gone: false,
            };
            Box::pin(follow::follow(following, job)).await.map(|outcome| {
                shared.known().finish = Some(Finish::of(&outcome));
                Event::Outcome(Box::new(outcome))
            })
        }
    };
    shared.tell(end);
}
