//! One Job that is waited for beside many others: followed by reference, as the task behind a [`Session`](super::Session).

use std::{sync::Arc, time::Duration};

use super::{event::Event, handle::SessionState, outbox::Outbox};
use crate::{
    cluster::{Cluster, Failure, retry},
    error::Error,
    follow::{
        feed::{ASK_EVERY, Feed, FeedEvent},
        follower::{self, Following},
        shared_watch::{Hubs, Subscription, WatchChoice},
    },
    job_api::{api_call::ApiCall, jobs::get_job, refusal_budget::RefusalBudget},
    logs::{self, position_store::PositionStore},
    model::{
        handoff::Handoff,
        log_positions::{SourcePosition, StoredPositions},
        message::{Message, MessageSink},
        observed_job::ObservedJob,
    },
    panics,
    resource::{Resource, Verb},
};

/// Bytes of log text of one Job that may wait to be taken.
const BUFFER: usize = 256 << 10;
/// A watch that does not show the Job for so long is not waited for alone.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);
/// Of one who was never answered, so many answers in a row that no repetition changes are final.
const HOPELESS: u32 = 3;

/// What all waiters of a process share.
#[derive(Clone)]
pub struct SharedWatches {
    /// The watches of one cluster.
    pub hubs: Arc<Hubs>,
    /// Shares of the logs, over all clusters.
    pub quota: Arc<logs::LogQuota>,
}

/// Follows the Job, and puts what happens into the outbox, the end last.
pub(super) async fn wait(
    state: Arc<SessionState>,
    handoff: Arc<Handoff>,
    shared_watches: SharedWatches,
    position_store: Arc<PositionStore>,
) {
    let (sink, lines) = logs::channel(BUFFER, handoff.log_format);
    let SessionState { cluster, outbox, .. } = &*state;
    let messages: Arc<dyn MessageSink> = Arc::clone(outbox) as Arc<dyn MessageSink>;
    let following =
        Box::pin(follow_by_reference(&shared_watches, cluster, &handoff, &messages, &position_store, outbox, sink));
    let keeping = async {
        let refused = position_store.keep(cluster, &handoff, || outbox.moved(), || outbox.positions());
        if let Some(warning) = refused.await {
            messages.emit(warning);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        (end, ()) = async { tokio::join!(panics::caught_in(following), outbox.deliver(lines, Some(&shared_watches.quota))) } => {
            outbox.put(end);
            outbox.end();
        }
        () = keeping => {}
    }
}

async fn follow_by_reference(
    shared_watches: &SharedWatches,
    cluster: &Cluster,
    handoff: &Arc<Handoff>,
    messages: &Arc<dyn MessageSink>,
    position_store: &PositionStore,
    outbox: &Outbox,
    sink: logs::Sink,
) -> Result<Event, Error> {
    let place = shared_watches.hubs.choose_watch(handoff);
    let (job, gone, sources) = Box::pin(begin(cluster, handoff, messages, place)).await?;
    let positions = go_on_from(handoff, &job, position_store, messages).await;
    outbox.set_positions(&positions);
    let quota = Some(Arc::clone(&shared_watches.quota));
    let following = Following { cluster, handoff, positions, messages, sources, sink, quota, gone };
    Box::pin(follower::follow(following, job)).await.map(|outcome| Event::Outcome(Box::new(outcome)))
}

/// The Job's first state, whether it is gone, and where the next ones come from.
async fn begin(
    cluster: &Cluster,
    handoff: &Handoff,
    messages: &Arc<dyn MessageSink>,
    place: WatchChoice,
) -> Result<(Arc<ObservedJob>, bool, Feed), Error> {
    let alone = match place {
        WatchChoice::Alone(alone) => Some(alone),
        WatchChoice::Shared(mut subscription) => match first_seen(&mut subscription, messages).await {
            FirstState::Seen(job) => {
                subscription.rewind();
                return Ok((job, false, Feed::Shared(subscription)));
            }
            FirstState::Missing => {
                let budget = RefusalBudget::of_one_that_worked();
                let Some(job) = existing(cluster, handoff, messages, budget).await? else {
                    let job = Arc::new(ObservedJob::gone(&handoff.job));
                    return Ok((job, true, Feed::Shared(subscription)));
                };
                let mut sources = Feed::Shared(subscription);
                sources.found(&job);
                // Only now: what it has seen tells whether the watch was quicker than the GET.
                if let Feed::Shared(subscription) = &mut sources {
                    subscription.list_pods().await;
                    subscription.rewind();
                }
                return Ok((job, false, sources));
            }
            FirstState::Unwatchable => None,
        },
    };
    let job = existing(cluster, handoff, messages, RefusalBudget::default()).await?;
    let gone = job.is_none();
    let job = job.unwrap_or_else(|| Arc::new(ObservedJob::gone(&handoff.job)));
    let sources = Feed::own(cluster, handoff, &job, alone);
    Ok((job, gone, sources))
}

/// What the watch that all share shows of a Job first.
enum FirstState {
    Seen(Arc<ObservedJob>),
    /// Only a GET tells of it.
    Missing,
    Unwatchable,
}

async fn first_seen(subscription: &mut Subscription, messages: &Arc<dyn MessageSink>) -> FirstState {
    tokio::time::timeout(SHOWN_WITHIN, shown(subscription, messages)).await.unwrap_or(FirstState::Missing)
}

async fn shown(subscription: &mut Subscription, messages: &Arc<dyn MessageSink>) -> FirstState {
    loop {
        match subscription.next().await {
            FeedEvent::Job(job) => return FirstState::Seen(job),
            FeedEvent::Missing | FeedEvent::Unclear(_) => return FirstState::Missing,
            FeedEvent::Refused(Resource::Jobs, _) => return FirstState::Unwatchable,
            FeedEvent::Interrupted(Resource::Jobs, failure) => {
                messages.emit(unreached(&failure));
            }
            FeedEvent::Other(_)
            | FeedEvent::Pod(..)
            | FeedEvent::Pods(_)
            | FeedEvent::PodsWatched
            | FeedEvent::Contact(_)
            | FeedEvent::Refused(..)
            | FeedEvent::Interrupted(..) => {}
        }
    }
}

fn unreached(failure: &Failure) -> Message {
    let text = format!("The API server is not reached: {}; waiting goes on", failure.message());
    Message::warning("watch-interrupted", text)
}

/// The Job's first state as a GET shows it; none where it is gone. Refusals end it as `budget` says, which is that of
/// the requests before this one.
async fn existing(
    cluster: &Cluster,
    handoff: &Handoff,
    messages: &Arc<dyn MessageSink>,
    mut budget: RefusalBudget,
) -> Result<Option<Arc<ObservedJob>>, Error> {
    // Who may list Jobs has not shown that they may get one.
    let mut right = RefusalBudget::default();
    let (mut said, mut hopeless) = (false, 0);
    loop {
        let failure = match get_job(cluster, &handoff.job).await {
            Ok(seen) => return Ok(seen.map(Arc::new)),
            Err(failure) => failure,
        };
        let judge = if failure.is_forbidden() { &mut right } else { &mut budget };
        let answered = matches!(failure, Failure::Status { .. }) && !matches!(failure.code(), Some(401 | 403 | 404));
        hopeless = if answered && !retry::may_repeat(Verb::Get, &failure) { hopeless + 1 } else { 0 };
        if judge.ends_with(&failure) || hopeless >= HOPELESS {
            return Err(ApiCall::GetJob(&handoff.job).failed(failure, None));
        }
        if !std::mem::replace(&mut said, true) {
            messages.emit(unreached(&failure));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Where the log goes on: as it was handed over, or as it was written on the Job since.
async fn go_on_from(
    handoff: &Handoff,
    job: &ObservedJob,
    position_store: &PositionStore,
    messages: &Arc<dyn MessageSink>,
) -> Vec<SourcePosition> {
    let Some(owner) = handoff.owner.as_ref().filter(|_| handoff.get_logs) else {
        return handoff.positions.clone();
    };
    position_store.saw(job, owner).await;
    let Some(delivered) = job.delivered_to(owner) else { return handoff.positions.clone() };
    if !delivered.exact {
        messages.emit(Message::warning(
            "log-repeats",
            "--- who followed this log before ended without a word: some of the lines above may be repeated here ---",
        ));
    }
    StoredPositions::now(owner, handoff.positions.clone(), Some(&delivered), true).positions
}
