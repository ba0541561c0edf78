//! Puts a Job into a queue of Kueue.
//!
//! Promise: the Job is made suspended, so that none of its Pods starts before Kueue admits it, even where Kueue's webhook
//! did not see it. Source: <https://kueue.sigs.k8s.io/docs/tasks/run/jobs/>.

use serde_json::{Value, json};

use super::{
    assemble::{child, object},
    invalid,
};
use crate::{error::Error, identity::QueueName, model::workload::QUEUE_NAME};

/// Puts an assembled Job into this queue.
pub fn put_into_queue(job: &mut Value, queue: &QueueName) -> Result<(), Error> {
    let root = object(job, "")?;
    let spec = child(root, "spec", "spec")?;
    if spec.get("suspend") == Some(&json!(false)) {
        return Err(invalid(
            "spec.suspend",
            "false, although the Job waits in a queue of Kueue (`queue_name`)",
            "leave out `suspend`: Kueue resumes the Job when it admits it",
        ));
    }
    spec.insert("suspend".to_owned(), json!(true));
    let labels = child(child(root, "metadata", "metadata")?, "labels", "metadata.labels")?;
    labels.insert(QUEUE_NAME.to_owned(), json!(queue.as_str()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_in_a_queue_is_made_suspended_and_labelled_and_its_pods_are_not() {
        let mut job = json!({"metadata": {"labels": {"team": "a"}}, "spec": {"template": {"metadata": {}}}});
        put_into_queue(&mut job, &"team-a".parse().unwrap()).unwrap();
        let labels = json!({"team": "a", "kueue.x-k8s.io/queue-name": "team-a"});
        assert_eq!(
            job,
            json!({"metadata": {"labels": labels}, "spec": {"suspend": true, "template": {"metadata": {}}}})
        );
    }

    #[test]
    fn job_that_is_to_start_at_once_cannot_wait_in_a_queue() {
        let mut job = json!({"spec": {"suspend": false}});
        let refused = put_into_queue(&mut job, &"team-a".parse().unwrap()).unwrap_err();
        assert_eq!(refused.report().facts["path"], "spec.suspend");
    }
}
