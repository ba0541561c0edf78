//! One Job that is waited for beside many others: followed by reference, its events handed over as somebody asks.
//!
//! Promise: nothing is started before the first [`Waiter::poll_ready`]; events come in order, the last one only after
//! the whole log; a poll that is given up loses nothing. What was handed over of the log is known exactly
//! ([`Waiter::positions`]). Dropping it stops following and leaves the Job as it is.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{runtime::Handle, sync::Notify, task::JoinHandle, time::Instant};

use super::{
    delete,
    follow::{self, Following},
    log_keeper::LogKeeper,
    logs::{self, Delivered, Positions, SourcePosition},
    message::{Message, Say},
    ownership::look,
    patience::Patience,
    run::NO_ANSWER,
    seen::SeenJob,
    shared::Event,
    sources::{ASK_EVERY, News, Sources},
    subject::Subject,
    watch::{Hubs, Place, Subscription},
};
use crate::{
    cluster::{Cluster, Failure, Resource, Verb, retry},
    error::{Error, Report},
};

/// At most this many events are handed over at once.
const AT_ONCE: usize = 64;
/// Bytes of log text of one Job that may wait to be taken.
const BUFFER: usize = 256 << 10;
/// At most this many records wait beyond that.
const RECORDS: usize = 8;
/// How long lines are gathered after the last record.
const GATHER: Duration = Duration::from_millis(250);

/// What all waiters of a process share.
#[derive(Clone)]
pub struct WaitingRoom {
    /// The watches of one cluster.
    pub hubs: Arc<Hubs>,
    /// Shares of the logs, over all clusters.
    pub ration: Arc<logs::Ration>,
}

/// A Job that is waited for.
pub struct Waiter {
    room: WaitingRoom,
    subject: Arc<Subject>,
    outbox: Arc<Outbox>,
    keeper: Arc<LogKeeper>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Events on their way out.
#[derive(Default)]
struct Outbox {
    state: Mutex<State>,
    /// Told when events were taken.
    taken: Notify,
    /// Told when lines were.
    moved: Notify,
}

#[derive(Default)]
struct State {
    events: VecDeque<Result<Event, Error>>,
    records: usize,
    waker: Option<Waker>,
    ended: bool,
    /// How far the log was handed over.
    positions: Positions,
}

impl Waiter {
    /// A waiter for this Job.
    #[must_use]
    pub fn new(room: WaitingRoom, subject: Subject) -> Self {
        let outbox = Outbox::default();
        outbox.state().positions = subject.positions.iter().cloned().collect();
        Self {
            room,
            subject: Arc::new(subject),
            outbox: Arc::new(outbox),
            keeper: Arc::default(),
            task: Mutex::default(),
        }
    }

    /// Whether there is something to [`Waiter::take`]. The first call starts the work on `runtime`.
    pub fn poll_ready(&self, context: &mut Context<'_>, runtime: &Handle) -> Poll<()> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| {
            let (room, subject, outbox) = (self.room.clone(), Arc::clone(&self.subject), Arc::clone(&self.outbox));
            runtime.spawn(wait(room, subject, outbox, Arc::clone(&self.keeper)))
        });
        self.outbox.poll_ready(context)
    }

    /// Events, as many as are there; none after the last one, or once this is closed. An error comes alone.
    #[must_use]
    pub fn take(&self) -> Vec<Result<Event, Error>> {
        self.outbox.take()
    }

    /// How far the log was handed over.
    #[must_use]
    pub fn positions(&self) -> Vec<SourcePosition> {
        self.outbox.state().positions.list()
    }

    /// Writes on the Job how far its log was handed over, if it is the attempt's own and there is more than was
    /// written before. Stops following, so that exactly this was handed over. Takes 1.5 s at most.
    pub async fn store_positions(&self) {
        self.close();
        self.keeper.end(self.room.hubs.cluster(), &self.subject, self.positions()).await;
    }

    /// Stops following and leaves the Job as it is.
    pub fn close(&self) {
        if let Some(task) = &*self.task.lock().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
        self.outbox.end();
    }

    /// Stops following and deletes the Job if it is the attempt's own; returns what was done once it is gone with its
    /// Pods. `within` limits the confirmation.
    pub async fn delete(&self, within: Duration) -> Result<String, Error> {
        self.close();
        delete_own(self.room.hubs.cluster(), &self.subject, within).await
    }
}

/// Deletes the Job of a subject if it is its attempt's own.
pub(super) async fn delete_own(cluster: &Cluster, subject: &Subject, within: Duration) -> Result<String, Error> {
    let job = &subject.job;
    let Some(owner) = &subject.owner else {
        return Err(Error::internal(format!("{job} was made by others and was left alone")));
    };
    let deleted = delete::delete_owned(cluster, job, owner, within);
    match tokio::time::timeout_at(Instant::now() + within + NO_ANSWER, deleted).await {
        Ok(deleted) => deleted.map(|()| format!("{job} (uid {}) is deleted, and its Pods have ended", job.uid)),
        Err(_) => Err(Error::DeletionUnconfirmed(Box::new(
            Report::new(format!("Whether {job} is deleted is not known: the API server does not answer"))
                .seen(format!("{} s without an answer", (within + NO_ANSWER).as_secs()))
                .hint("the next try of this task looks for it; or look once it answers and delete it by hand")
                .fact("name", job.name.clone())
                .fact("namespace", job.namespace.clone())
                .fact("uid", job.uid.clone()),
        ))),
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.close();
    }
}

async fn wait(room: WaitingRoom, subject: Arc<Subject>, outbox: Arc<Outbox>, keeper: Arc<LogKeeper>) {
    let (sink, lines) = logs::channel(BUFFER, subject.line_times);
    let say: Arc<dyn Say> = Arc::clone(&outbox) as Arc<dyn Say>;
    let following = Box::pin(follow_by_reference(&room, &subject, &say, &keeper, &outbox, sink));
    let keeping = async {
        let refused =
            keeper.keep(room.hubs.cluster(), &subject, || outbox.moved.notified(), || outbox.state().positions.list());
        if let Some(warning) = refused.await {
            say.say(warning);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        (end, ()) = async { tokio::join!(following, hand_over(lines, &outbox, &room.ration)) } => {
            outbox.put(end);
            outbox.end();
        }
        () = keeping => {}
    }
}

async fn follow_by_reference(
    room: &WaitingRoom,
    subject: &Arc<Subject>,
    say: &Arc<dyn Say>,
    keeper: &LogKeeper,
    outbox: &Outbox,
    sink: logs::Sink,
) -> Result<Event, Error> {
    let cluster = room.hubs.cluster();
    let place = room.hubs.place(subject);
    let (job, gone, sources) = Box::pin(begin(cluster, subject, say, place)).await?;
    let positions = go_on_from(subject, &job, keeper, say).await;
    outbox.state().positions = positions.iter().cloned().collect();
    let ration = Some(Arc::clone(&room.ration));
    let following = Following { cluster, subject, positions, say, sources, sink, ration, gone };
    Box::pin(follow::follow(following, job)).await.map(|outcome| Event::Outcome(Box::new(outcome)))
}

/// The Job's first state, whether it is gone, and where the next ones come from.
async fn begin(
    cluster: &Cluster,
    subject: &Subject,
    say: &Arc<dyn Say>,
    place: Place,
) -> Result<(Arc<SeenJob>, bool, Sources), Error> {
    let alone = match place {
        Place::Alone(alone) => Some(alone),
        Place::Shared(mut subscription) => match first_seen(&mut subscription, say).await {
            First::Seen(job) => {
                subscription.rewind();
                return Ok((job, false, Sources::Shared(subscription)));
            }
            First::Missing => {
                let patience = Patience::of_one_that_worked();
                let Some(job) = existing(cluster, subject, say, patience).await? else {
                    let job = Arc::new(SeenJob::gone(&subject.job));
                    return Ok((job, true, Sources::Shared(subscription)));
                };
                let mut sources = Sources::Shared(subscription);
                sources.found(&job);
                // Only now: what it has seen tells whether the watch was quicker than the GET.
                if let Sources::Shared(subscription) = &mut sources {
                    subscription.list_pods().await;
                    subscription.rewind();
                }
                return Ok((job, false, sources));
            }
            First::Unwatchable => None,
        },
    };
    let job = existing(cluster, subject, say, Patience::default()).await?;
    let gone = job.is_none();
    let job = job.unwrap_or_else(|| Arc::new(SeenJob::gone(&subject.job)));
    let sources = Sources::own(cluster, subject, &job, alone);
    Ok((job, gone, sources))
}

/// What the watch that all share shows of a Job first.
enum First {
    Seen(Arc<SeenJob>),
    Missing,
    Unwatchable,
}

async fn first_seen(subscription: &mut Subscription, say: &Arc<dyn Say>) -> First {
    loop {
        match subscription.next().await {
            News::Job(job) => return First::Seen(job),
            News::Missing => return First::Missing,
            News::Refused(Resource::Jobs, _) => return First::Unwatchable,
            News::Interrupted(Resource::Jobs, failure) => {
                say.say(unreached(&failure));
            }
            News::Other(_)
            | News::Pod(..)
            | News::Pods(_)
            | News::Contact(_)
            | News::Refused(..)
            | News::Interrupted(..) => {}
        }
    }
}

fn unreached(failure: &Failure) -> Message {
    let text = format!("The API server is not reached: {}; waiting goes on", failure.message());
    Message::warning("watch-interrupted", text)
}

/// The Job's first state as a GET shows it; none where it is gone. Refusals end it as `patience` says, which is that of
/// the requests before this one.
async fn existing(
    cluster: &Cluster,
    subject: &Subject,
    say: &Arc<dyn Say>,
    mut patience: Patience,
) -> Result<Option<Arc<SeenJob>>, Error> {
    // Who may list Jobs has not shown that they may get one.
    let mut right = Patience::default();
    let mut said = false;
    loop {
        let failure = match look(cluster, &subject.job).await {
            Ok(seen) => return Ok(seen.map(Arc::new)),
            Err(failure) => failure,
        };
        let judge = if failure.code() == Some(403) { &mut right } else { &mut patience };
        let answered = matches!(failure, Failure::Status { .. }) && !matches!(failure.code(), Some(401 | 403 | 404));
        let hopeless = answered && !retry::may_repeat(Verb::Get, &failure);
        if judge.ends_with(&failure) || hopeless {
            return Err(failure.into_error(&format!("look at {}", subject.job), Verb::Get, Resource::Jobs, None));
        }
        if !std::mem::replace(&mut said, true) {
            say.say(unreached(&failure));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Where the log goes on: as it was handed over, or as it was written on the Job since.
async fn go_on_from(subject: &Subject, job: &SeenJob, keeper: &LogKeeper, say: &Arc<dyn Say>) -> Vec<SourcePosition> {
    let Some(owner) = subject.owner.as_ref().filter(|_| subject.get_logs) else {
        return subject.positions.clone();
    };
    keeper.saw(job, owner).await;
    let Some(delivered) = job.delivered_to(owner) else { return subject.positions.clone() };
    if !delivered.exact {
        say.say(Message::warning(
            "log-repeats",
            "--- who followed this log before ended without a word: some of the lines above may be repeated here ---",
        ));
    }
    Delivered::now(owner, subject.positions.clone(), Some(&delivered), true).positions
}

/// Hands over the log: a line after silence at once, what follows gathered.
async fn hand_over(mut lines: logs::Receiver, outbox: &Outbox, ration: &logs::Ration) {
    let mut last: Option<Instant> = None;
    while lines.wait().await {
        if let Some(last) = last {
            tokio::select! {
                () = tokio::time::sleep_until(last + GATHER) => {}
                () = lines.enough() => {}
            }
        }
        last = Some(Instant::now());
        outbox.room().await;
        ration.record().await;
        if let Some(record) = lines.next().await {
            outbox.put(Ok(Event::Log(record)));
        }
    }
}

impl Outbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, event: Result<Event, Error>) {
        let waker = {
            let mut state = self.state();
            if state.ended {
                return;
            }
            state.records += usize::from(matches!(event, Ok(Event::Log(_))));
            state.events.push_back(event);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn end(&self) {
        let waker = {
            let mut state = self.state();
            state.ended = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits until few records wait to be taken.
    async fn room(&self) {
        while self.state().records >= RECORDS {
            self.taken.notified().await;
        }
    }

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.events.is_empty() && !state.ended {
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn take(&self) -> Vec<Result<Event, Error>> {
        let mut state = self.state();
        let count = state.events.len().min(AT_ONCE);
        // An error ends the list, so that nothing before it is lost with it.
        let errs = state.events.iter().take(count).position(Result::is_err);
        let count = errs.map_or(count, |at| at.max(1));
        let rest = state.events.split_off(count);
        let taken = Vec::from(std::mem::replace(&mut state.events, rest));
        let mut moved = false;
        for event in taken.iter().flatten() {
            if let Event::Log(record) = event {
                moved = true;
                state.records -= 1;
                state.positions.delivered(record);
            }
        }
        drop(state);
        self.taken.notify_one();
        if moved {
            self.moved.notify_one();
        }
        taken
    }
}

impl Say for Outbox {
    fn say(&self, message: Message) {
        self.put(Ok(Event::Message(message)));
    }
}
