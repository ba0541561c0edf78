//! Says what happens while a deletion is waited for, so that no wait is silent.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{
    message::{Message, MessageSink},
    observed_job::{JobReference, ObservedJob},
};

/// The pause between two messages about a wait.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// A DELETE that has no answer after this long is told.
const UNANSWERED: Duration = Duration::from_secs(2);
/// What Kubernetes gives a Pod whose template says nothing else.
const GRACE_SECONDS: i64 = 30;

/// What runs of a Job as it is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeletionProgress {
    job: String,
    /// How many Pods run or are about to.
    pods: i32,
    /// How long each may take to end.
    grace_seconds: i64,
}

impl DeletionProgress {
    /// As the Job says it.
    pub fn of(job: &ObservedJob) -> Self {
        let spec = job.job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
        let grace = spec.and_then(|spec| spec.termination_grace_period_seconds);
        let pods = job.job.status.as_ref().and_then(|status| status.active).unwrap_or(0);
        Self { job: job.reference.to_string(), pods, grace_seconds: grace.unwrap_or(GRACE_SECONDS) }
    }

    /// Of a Job that is gone, and whose Pods may still run.
    pub fn of_gone(job: &JobReference) -> Self {
        Self { job: job.to_string(), pods: 1, grace_seconds: GRACE_SECONDS }
    }

    /// Once the DELETE is accepted.
    pub fn begun(&self) -> Message {
        let Self { job, pods, grace_seconds } = self;
        let text = match pods {
            0 => format!("{job} is being deleted"),
            1 => format!("{job} is being deleted; its Pod may take up to {grace_seconds} s to end"),
            pods => format!("{job} is being deleted; its {pods} Pods may take up to {grace_seconds} s to end"),
        };
        Message::info("deleting", text)
    }

    /// After so many seconds of waiting.
    fn goes_on(&self, seconds: u64) -> Message {
        let Self { job, pods, grace_seconds } = self;
        let whose = if *pods > 1 { "Pods" } else { "Pod" };
        let late = i64::try_from(seconds).unwrap_or(i64::MAX) > *grace_seconds;
        let text = match (pods, late) {
            (0, _) => format!("{job} is still being deleted after {seconds} s"),
            (_, false) => format!("Waiting for the {whose} of {job} to end: {seconds} s of up to {grace_seconds} s"),
            (_, true) => format!(
                "Still waiting for the {whose} of {job} to end: {seconds} s, although {grace_seconds} s were allowed"
            ),
        };
        Message::info("deleting", text)
    }

    /// Waits for a deletion, and says every so often that it goes on.
    pub async fn told<T>(&self, messages: Option<&dyn MessageSink>, deletion: impl Future<Output = T>) -> T {
        saying(messages, |seconds| self.goes_on(seconds), deletion).await
    }
}

/// Waits until the API server has answered the DELETE of a Job, and says so if it does not.
pub(crate) async fn answered<T>(
    job: &JobReference,
    messages: Option<&dyn MessageSink>,
    delete: impl Future<Output = T>,
) -> T {
    let unanswered = |seconds| {
        let text = format!("The deletion of {job} is asked for; the API server has not answered for {seconds} s");
        Message::info("deleting", text)
    };
    saying_after(UNANSWERED, messages, unanswered, delete).await
}

/// Waits for something, and says every so often what `message` makes of the seconds that have passed.
pub(crate) async fn saying<T>(
    messages: Option<&dyn MessageSink>,
    message: impl Fn(u64) -> Message,
    wait: impl Future<Output = T>,
) -> T {
    saying_after(SAY_EVERY, messages, message, wait).await
}

/// The same, with another pause before the first message.
async fn saying_after<T>(
    mut pause: Duration,
    messages: Option<&dyn MessageSink>,
    message: impl Fn(u64) -> Message,
    wait: impl Future<Output = T>,
) -> T {
    let Some(messages) = messages else { return wait.await };
    let mut wait = std::pin::pin!(wait);
    let begun = Instant::now();
    loop {
        tokio::select! {
            biased;
            end = &mut wait => return end,
            () = tokio::time::sleep(pause) => messages.emit(message(begun.elapsed().as_secs())),
        }
        pause = SAY_EVERY;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::json;

    use super::*;

    fn stopping(active: i32, grace: Option<i64>) -> DeletionProgress {
        let job = json!({"metadata": {"namespace": "etl", "name": "train", "uid": "u"}, "status": {"active": active},
            "spec": {"template": {"spec": {"containers": [], "terminationGracePeriodSeconds": grace}}}});
        DeletionProgress::of(&ObservedJob::read(&job).unwrap())
    }

    #[test]
    fn first_message_says_how_long_the_pods_may_take() {
        let cases = [
            (stopping(1, None), "Job `etl/train` is being deleted; its Pod may take up to 30 s to end"),
            (stopping(5, Some(90)), "Job `etl/train` is being deleted; its 5 Pods may take up to 90 s to end"),
            (stopping(0, Some(90)), "Job `etl/train` is being deleted"),
        ];
        for (stopping, expected) in cases {
            assert_eq!(stopping.begun().text, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn wait_is_said_every_ten_seconds_until_its_end() {
        let said = Mutex::new(Vec::new());
        let messages = |message: Message| said.lock().unwrap().push(message.text);
        stopping(1, Some(15)).told(Some(&messages), tokio::time::sleep(Duration::from_secs(25))).await;
        let expected = [
            "Waiting for the Pod of Job `etl/train` to end: 10 s of up to 15 s",
            "Still waiting for the Pod of Job `etl/train` to end: 20 s, although 15 s were allowed",
        ];
        assert_eq!(*said.lock().unwrap(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn delete_without_an_answer_is_told_soon_and_one_that_is_answered_is_not() {
        let said = Mutex::new(Vec::new());
        let messages = |message: Message| said.lock().unwrap().push(message.text);
        let job = JobReference { namespace: "etl".parse().unwrap(), name: "train".parse().unwrap(), uid: "u".into() };
        answered(&job, Some(&messages), tokio::time::sleep(Duration::from_secs(1))).await;
        assert!(said.lock().unwrap().is_empty());
        answered(&job, Some(&messages), tokio::time::sleep(Duration::from_secs(13))).await;
        let expected = [2, 12].map(|seconds| {
            format!("The deletion of Job `etl/train` is asked for; the API server has not answered for {seconds} s")
        });
        assert_eq!(*said.lock().unwrap(), expected);
    }
}
