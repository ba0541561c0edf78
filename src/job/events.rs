//! Lists the Events about a Job and its Pods: seldom, and only while they can explain something.
//!
//! A watch of Events would cost more than it tells; what explains a wait (a pull, a quota, a mount) stays for an hour.
//! Without the right to list them everything else goes on.

use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use serde_json::Value;
use tokio::{sync::mpsc, time::Instant};

use crate::cluster::{Cluster, Failure, Resource, Selector};

/// Pauses between two lists of Events while nothing runs.
const EVENTS_AFTER: [u64; 7] = [1, 2, 4, 8, 15, 30, 60];
/// Lists Events beside everything else, seldom and only while they can explain something.
pub(super) struct EventLists {
    /// When the next list is due, if one is wanted.
    pub due: Option<Instant>,
    asked: usize,
    outbox: mpsc::UnboundedSender<Vec<Event>>,
    /// Where lists arrive.
    pub inbox: mpsc::UnboundedReceiver<Vec<Event>>,
}

impl EventLists {
    pub fn new() -> Self {
        let (outbox, inbox) = mpsc::unbounded_channel();
        Self { due: None, asked: 0, outbox, inbox }
    }

    /// Plans the next list while there is something to explain.
    pub fn plan(&mut self, wanted: bool) {
        if !wanted {
            self.due = None;
            self.asked = 0;
        } else if self.due.is_none() {
            let pause = EVENTS_AFTER[self.asked.min(EVENTS_AFTER.len() - 1)];
            self.due = Some(Instant::now() + Duration::from_secs(pause));
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
            let _ = outbox.send(events);
        });
    }
}

/// The Events about one object.
pub(super) async fn list_events(cluster: &Cluster, namespace: &str, uid: &str) -> Result<Vec<Event>, Failure> {
    let selector = Selector::fields(format!("involvedObject.uid={uid}"));
    let listed = cluster.list(Resource::Events, namespace, &selector).await?;
    Ok(listed.items.into_iter().filter_map(|object: Value| serde_json::from_value(object).ok()).collect())
}
