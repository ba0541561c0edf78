//! Writes the messages about a watch that is interrupted and works again. Pure.
//!
//! Promise: the first interruption and its end are reported as they happen. Further interruptions within
//! [`SUMMED_UP_EVERY`] are counted and reported together, and a lasting one is reported again at that interval. So the
//! log is never silent about a lost watch, and never gets a line a second.

use std::time::Duration;

use tokio::time::Instant;

use crate::{cluster::Failure, model::message::Message, resource::Resource};

/// How often interruptions are summed up.
const SUMMED_UP_EVERY: Duration = Duration::from_secs(600);

/// The state of the watch of one resource.
#[derive(Debug)]
pub(crate) struct Contact {
    resource: Resource,
    lost: bool,
    /// A request beside it was answered since it was interrupted last.
    answered_beside: bool,
    /// Whether the loss was reported; then the return is reported, too.
    loss_reported: bool,
    /// The reason of the last interruption.
    why: String,
    /// The interruptions since the last message that were not reported.
    unreported: u32,
    /// When interruptions are summed up; none while there is nothing to sum up.
    due: Option<Instant>,
}

impl Contact {
    pub fn new(resource: Resource) -> Self {
        Self {
            resource,
            lost: false,
            answered_beside: false,
            loss_reported: false,
            why: String::new(),
            unreported: 0,
            due: None,
        }
    }

    /// The watch was interrupted.
    pub fn lost(&mut self, failure: &Failure) -> Option<Message> {
        self.why = failure.message();
        self.answered_beside = false;
        if std::mem::replace(&mut self.lost, true) {
            return None;
        }
        if self.due.is_some() {
            self.unreported += 1;
            return None;
        }
        self.due = Some(Instant::now() + SUMMED_UP_EVERY);
        self.loss_reported = true;
        let text = format!(
            "The watch of {} is interrupted: {}; it goes on as soon as the API server answers",
            self.resource.rbac(),
            self.why
        );
        Some(Message::warning("watch-interrupted", text))
    }

    /// The watch works.
    pub fn found(&mut self) -> Option<Message> {
        self.lost = false;
        std::mem::take(&mut self.loss_reported)
            .then(|| Message::info("watch-resumed", format!("The watch of {} works again", self.resource.rbac())))
    }

    /// Whether the watch is interrupted.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// It was asked for what it tells by a request beside it.
    pub fn asked_beside(&mut self, answered: bool) {
        self.answered_beside = answered;
    }

    /// Whether nothing tells how it is now.
    pub fn is_blind(&self) -> bool {
        self.lost && !self.answered_beside
    }

    /// When [`Contact::sum_up`] has something to do.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The message about interruptions that were not reported, once it is due.
    pub fn sum_up(&mut self) -> Option<Message> {
        let due = self.due.filter(|due| *due <= Instant::now())?;
        let (watch, why, minutes) = (self.resource.rbac(), &self.why, SUMMED_UP_EVERY.as_secs() / 60);
        let unreported = std::mem::take(&mut self.unreported);
        let text = match (unreported, self.lost) {
            (0, false) => {
                self.due = None;
                return None;
            }
            (0, true) => format!("The watch of {watch} has not worked for {minutes} min: {why}"),
            (1, false) => format!("The watch of {watch} was interrupted once more in the last {minutes} min: {why}"),
            (times, false) => {
                format!("The watch of {watch} was interrupted {times} times in the last {minutes} min: {why}")
            }
            (times, true) => format!(
                "The watch of {watch} was interrupted {times} times in the last {minutes} min, and does not work now: {why}"
            ),
        };
        self.due = Some(due + SUMMED_UP_EVERY);
        self.loss_reported = self.lost;
        Some(Message::warning("watch-interrupted", text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut() -> Failure {
        Failure::transport("connection reset")
    }

    async fn pass(contact: &mut Contact, time: Duration) -> Vec<String> {
        let end = Instant::now() + time;
        let mut said = Vec::new();
        while let Some(due) = contact.due().filter(|due| *due <= end) {
            tokio::time::sleep_until(due).await;
            said.extend(contact.sum_up().map(|message| message.text));
        }
        tokio::time::sleep_until(end).await;
        said
    }

    #[tokio::test(start_paused = true)]
    async fn first_interruption_and_its_end_are_said_and_those_that_follow_are_counted() {
        let mut contact = Contact::new(Resource::Jobs);
        assert_eq!(contact.lost(&cut()).unwrap().code, "watch-interrupted");
        assert_eq!(contact.lost(&cut()), None, "it lasts");
        assert_eq!(contact.found().unwrap().code, "watch-resumed");
        for _ in 0..40 {
            assert_eq!(contact.lost(&cut()), None);
            assert_eq!(contact.found(), None);
        }
        let said = pass(&mut contact, Duration::from_secs(601)).await;
        assert_eq!(said, ["The watch of jobs.batch was interrupted 40 times in the last 10 min: connection reset"]);
        assert!(pass(&mut contact, Duration::from_secs(3600)).await.is_empty(), "it is over");
        assert!(contact.lost(&cut()).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn interruption_that_lasts_is_said_every_ten_minutes() {
        let mut contact = Contact::new(Resource::Jobs);
        contact.lost(&cut());
        let said = pass(&mut contact, Duration::from_secs(3600)).await;
        assert_eq!(said.len(), 6, "{said:?}");
        assert!(contact.found().is_some());
    }
}
