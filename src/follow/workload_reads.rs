//! Reads what Kueue says of a Job that waits in one of its queues: seldom, and only while it waits.
//!
//! Promise: a Job that is admitted within [`LATE_AFTER`] costs no read, and a Job that is in no queue costs nothing. Each
//! time the Workload is listed, and the queue is read, too, as long as that is served and allowed. The pauses between reads
//! are those of the lists of Events, because the reason is the same.

use futures::channel::oneshot;
use tokio::time::Instant;
use tracing::Instrument;

use super::event_polls::{LATE_AFTER, Pace};
use crate::{
    cluster::Cluster,
    diagnose::{QueueFacts, collect},
    job_api::workloads::QueuePositions,
    model::observed_job::JobReference,
};

/// Reads it in a task of its own.
pub(crate) struct WorkloadReads {
    pace: Pace,
    /// When the next read is due, if one is wanted.
    pub due: Option<Instant>,
    /// The number of reads since the Job waits; none while it does not.
    reads: Option<usize>,
    answer: Option<oneshot::Receiver<QueueFacts>>,
    positions: QueuePositions,
    /// What is known.
    pub found: QueueFacts,
}

impl WorkloadReads {
    pub fn new(pace: Pace) -> Self {
        let (positions, found) = (QueuePositions::default(), QueueFacts::default());
        Self { pace, due: None, reads: None, answer: None, positions, found }
    }

    /// Plans the next read while the Job waits in a queue; forgets what was read once it does not.
    pub fn plan(&mut self, in_queue: bool) {
        let now = Instant::now();
        match (in_queue, self.reads) {
            (false, Some(_)) => *self = Self { positions: self.positions.clone(), ..Self::new(self.pace) },
            (true, None) => {
                self.reads = Some(0);
                self.due = Some(now + LATE_AFTER);
            }
            (true, Some(reads)) if self.due.is_none() && self.answer.is_none() => {
                self.due = self.pace.pause(reads).map(|pause| now + pause);
            }
            (false, None) | (true, Some(_)) => {}
        }
    }

    /// Asks about a Job in this queue.
    pub fn ask(&mut self, cluster: Cluster, job: JobReference, queue: String) {
        self.asked();
        let (sender, receiver) = oneshot::channel();
        self.answer = Some(receiver);
        let positions = self.positions.clone();
        let asking = async move {
            let _ = sender.send(collect::in_queue(&cluster, &job, &queue, &positions).await);
        };
        tokio::spawn(asking.in_current_span());
    }

    fn asked(&mut self) {
        self.due = None;
        self.reads = self.reads.map(|reads| reads + 1);
    }

    /// Takes the answer in; without a question this never completes. Nothing is lost where it is cancelled.
    pub async fn answered(&mut self) {
        let Some(answer) = &mut self.answer else { return std::future::pending().await };
        let found = answer.await;
        self.answer = None;
        if let Ok(found) = found {
            self.found = found;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn job_that_waits_is_read_with_growing_pauses_and_one_of_many_three_times() {
        for (pace, expected) in [(Pace::Steady, vec![2, 4, 8, 16, 31, 61, 121]), (Pace::Beside, vec![2, 17, 77])] {
            let mut workload = WorkloadReads::new(pace);
            let begin = Instant::now();
            let mut read = Vec::new();
            for second in 0..180 {
                workload.plan((0..150).contains(&second));
                if workload.due.is_some_and(|due| due <= Instant::now()) {
                    read.push(begin.elapsed().as_secs());
                    workload.asked();
                    workload.plan(true);
                }
                tokio::time::advance(Duration::from_secs(1)).await;
            }
            assert_eq!(read, expected);
        }
    }
}
