//! Lists the Events about a Job and its Pods: seldom, and only while they can explain something.
//!
//! A watch of Events would cost more than it tells; what explains a wait (a pull, a quota, a mount) stays for an hour.
//! Without the right to list them everything else goes on.

use std::time::Duration;

use futures::channel::mpsc;
use k8s_openapi::api::core::v1::Event;
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::{Cluster, Failure, Resource, Selector};

/// How often Events are listed while nothing runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Again and again, by one who waits for one Job.
    Steady,
    /// Some times, by one who waits beside many others: what holds a Job for longer was seen by then.
    Beside,
}

impl Pace {
    /// The pause before the next list, after so many.
    fn pause(self, asked: usize) -> Option<Duration> {
        let seconds: &[u64] = match self {
            Self::Steady => &[1, 2, 4, 8, 15, 30, 60],
            Self::Beside => &[2, 15, 60],
        };
        let last = seconds.last().filter(|_| self == Self::Steady);
        seconds.get(asked).or(last).copied().map(Duration::from_secs)
    }
}

/// Lists Events beside everything else, seldom and only while they can explain something.
pub(super) struct EventLists {
    pace: Pace,

    /// When the next list is due, if one is wanted.
    pub due: Option<Instant>,
    asked: usize,
    outbox: mpsc::UnboundedSender<Vec<Event>>,
    /// Where lists arrive.
    pub inbox: mpsc::UnboundedReceiver<Vec<Event>>,
}

impl EventLists {
    pub fn new(pace: Pace) -> Self {
        let (outbox, inbox) = mpsc::unbounded();
        Self { pace, due: None, asked: 0, outbox, inbox }
    }

    /// Plans the next list while there is something to explain.
    pub fn plan(&mut self, wanted: bool) {
        if !wanted {
            self.due = None;
            self.asked = 0;
        } else if self.due.is_none() {
            self.due = self.pace.pause(self.asked).map(|pause| Instant::now() + pause);
        }
    }

    /// Asks for the Events about these objects.
    pub fn ask(&mut self, cluster: Cluster, namespace: String, uids: Vec<String>) {
        self.due = None;
        self.asked += 1;
        let outbox = self.outbox.clone();
        tokio::spawn(async move {
            let mut events = Vec::new();
            for uid in uids {
                match list_events(&cluster, &namespace, &uid).await {
                    Ok(more) => events.extend(more),
                    // Events only explain: without the right to read them everything else goes on.
                    Err(_) => return,
                }
            }
            let _ = outbox.unbounded_send(events);
        });
    }
}

/// The Events about one object.
pub(super) async fn list_events(cluster: &Cluster, namespace: &str, uid: &str) -> Result<Vec<Event>, Failure> {
    let selector = Selector::fields(format!("involvedObject.uid={uid}"));
    let listed = cluster.list(Resource::Events, namespace, &selector).await?;
    Ok(listed.items.into_iter().filter_map(|object: Value| serde_json::from_value(object).ok()).collect())
}
