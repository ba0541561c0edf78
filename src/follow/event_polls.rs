//! Lists the Events about a Job and its Pods: seldom, and only while they can explain something.
//!
//! Promise: no Events are listed about an object that starts within [`LATE_AFTER`], so a Job that goes well costs no
//! list. Without the right to list Events everything else goes on. Events are listed and not watched, because a watch
//! would cost more than it tells: an Event that explains a wait (a pull, a quota, a mount) stays for an hour.

use std::{collections::BTreeMap, time::Duration};

use futures::channel::mpsc;
use k8s_openapi::api::core::v1::Event;
use tokio::time::Instant;
use tracing::Instrument;

use crate::job_api::events::{EventSubject, list_events};
use crate::{cluster::Cluster, identity::Namespace};

/// Events are listed about an object that has not started for this long.
pub(super) const LATE_AFTER: Duration = Duration::from_secs(2);

/// How often Events are listed while an object does not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Again and again: the follower waits for one Job.
    Steady,
    /// Three times: the follower is one of many. A thousand Jobs that wait for a quota would otherwise list 17 times a
    /// second, and three lists show what holds a Job for longer.
    Beside,
}

impl Pace {
    /// The pause before the next list, after this many lists.
    pub(super) fn pause(self, listed: usize) -> Option<Duration> {
        let seconds: &[u64] = match self {
            Self::Steady => &[0, 2, 4, 8, 15, 30, 60],
            Self::Beside => &[0, 15, 60],
        };
        let last = seconds.last().filter(|_| self == Self::Steady);
        seconds.get(listed).or(last).copied().map(Duration::from_secs)
    }
}

/// Lists Events in tasks of its own, seldom and only while they can explain something.
pub(crate) struct EventLists {
    pace: Pace,

    /// When the next list is due, if one is wanted.
    pub due: Option<Instant>,
    /// Since when Events could explain each object.
    unexplained: BTreeMap<EventSubject, Instant>,
    /// The number of lists since an object is late.
    listed: usize,
    ever_listed: bool,
    outbox: mpsc::UnboundedSender<Vec<Event>>,
    /// The channel on which lists arrive.
    pub inbox: mpsc::UnboundedReceiver<Vec<Event>>,
}

impl EventLists {
    pub fn new(pace: Pace) -> Self {
        let (outbox, inbox) = mpsc::unbounded();
        Self { pace, due: None, unexplained: BTreeMap::new(), listed: 0, ever_listed: false, outbox, inbox }
    }

    /// Plans the next list while Events could explain these objects.
    pub fn plan(&mut self, unexplained: Vec<EventSubject>) {
        let now = Instant::now();
        let before = std::mem::take(&mut self.unexplained);
        let since = |about: EventSubject| (about.clone(), before.get(&about).copied().unwrap_or(now));
        self.unexplained = unexplained.into_iter().map(since).collect();
        let late = self.unexplained.values().min().map(|since| *since + LATE_AFTER);
        self.due = match late {
            Some(late) if late <= now => self.due.or_else(|| self.pace.pause(self.listed).map(|pause| now + pause)),
            _ => {
                self.listed = 0;
                late
            }
        };
    }

    /// Whether Events were ever asked for.
    pub fn were_listed(&self) -> bool {
        self.ever_listed
    }

    /// Asks for the Events about what is late.
    pub fn ask(&mut self, cluster: Cluster, namespace: Namespace) {
        self.due = None;
        self.listed += 1;
        self.ever_listed = true;
        let late = Instant::now().checked_sub(LATE_AFTER);
        let subjects: Vec<_> = self
            .unexplained
            .iter()
            .filter(|(_, since)| Some(**since) <= late)
            .map(|(about, _)| about.clone())
            .collect();
        let outbox = self.outbox.clone();
        let asking = async move {
            let mut events = Vec::new();
            for about in subjects {
                match list_events(&cluster, &namespace, about).await {
                    Ok(more) => events.extend(more),
                    // Events only explain. Without the right to read them everything else goes on.
                    Err(_) => return,
                }
            }
            let _ = outbox.unbounded_send(events);
        };
        tokio::spawn(asking.in_current_span());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When lists are asked for within so many seconds, where these objects do not start; by the uid, each stands for
    /// seconds from and to.
    async fn lists(pace: Pace, seconds: u64, objects: &[(&str, u64, u64)]) -> Vec<u64> {
        let mut events = EventLists::new(pace);
        let begin = Instant::now();
        let mut asked = Vec::new();
        for second in 0..seconds {
            let now = objects.iter().filter(|(_, from, to)| (*from..*to).contains(&second));
            let now: Vec<_> = now.map(|(uid, ..)| EventSubject::from(*uid)).collect();
            events.plan(now.clone());
            if events.due.is_some_and(|due| due <= Instant::now()) {
                asked.push(begin.elapsed().as_secs());
                (events.due, events.listed) = (None, events.listed + 1);
                events.plan(now);
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        asked
    }

    #[tokio::test(start_paused = true)]
    async fn what_starts_soon_is_not_asked_about_however_much_comes_one_after_the_other() {
        assert_eq!(lists(Pace::Steady, 60, &[("job", 0, 1), ("pod", 1, 2)]).await, [0; 0]);
        let pods = ["a", "b", "c", "d", "e"];
        let pods: Vec<_> = pods.iter().zip(0..).map(|(uid, at)| (*uid, at, at + 2)).collect();
        assert_eq!(lists(Pace::Steady, 60, &pods).await, [0; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_late_is_asked_about_with_growing_pauses() {
        let late = [("pod", 0, 1_000)];
        assert_eq!(lists(Pace::Steady, 200, &late).await, [2, 4, 8, 16, 31, 61, 121, 181]);
        assert_eq!(lists(Pace::Steady, 40, &[("pod", 0, 5), ("other", 20, 23)]).await, [2, 4, 22]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_waits_beside_many_others_asks_three_times_however_long_it_takes() {
        assert_eq!(lists(Pace::Beside, 10_000, &[("pod", 0, 10_000)]).await, [2, 17, 77]);
    }
}
