//! Jobs of lower tries whose POST arrived only after their successor had looked: they are the successor's to end.

use std::{collections::HashSet, sync::Arc};

use super::{
    delete::delete_owned,
    message::{Message, Say},
    outcome,
    ownership::{self, Written},
    seen::SeenJob,
    subject::Subject,
};
use crate::cluster::{Cluster, Resource, Verb};

/// Those that one attempt has met.
#[derive(Debug, Default)]
pub(super) struct LatePredecessors {
    /// The uids of those that are being deleted.
    displaced: HashSet<String>,
}

impl LatePredecessors {
    /// Another Job of the same task is there: it is deleted, beside everything else, if it is a late one of a lower try.
    pub fn meet(&mut self, seen: &SeenJob, cluster: &Cluster, subject: &Subject, say: &Arc<dyn Say>) {
        let Subject { owner: Some(owner), attempt: Some(attempt), .. } = subject else { return };
        let (Some(marks), Some(try_number)) = (seen.marks.clone(), owner.try_number()) else { return };
        let late = marks.try_number < try_number
            && marks.attempt_digest != *attempt
            && !marks.acknowledged
            && seen.deletion_timestamp().is_none()
            && outcome::decided(&seen.job).is_none()
            && marks.owner.try_number().is_none_or(|owner| owner < try_number)
            && self.displaced.insert(seen.reference.uid.clone());
        if !late {
            return;
        }
        let (cluster, say, within) = (cluster.clone(), Arc::clone(say), subject.handover_timeout());
        let (job, owner) = (seen.reference.clone(), owner.clone());
        tokio::spawn(async move {
            say.say(Message::warning(
                "late-predecessor",
                format!("{job} of try {} appeared only now; it is deleted, this try has its own", marks.try_number),
            ));
            let deleted = match ownership::take_over(&cluster, &job, &marks.owner, &owner).await {
                Written::Done(_) => delete_owned(&cluster, &job, &owner, within).await,
                Written::Failed(failure) if failure.code() == Some(403) => {
                    delete_owned(&cluster, &job, &marks.owner, within).await
                }
                Written::Gone | Written::OwnedBy(_) => Ok(()),
                Written::Failed(failure) => {
                    Err(failure.into_error(&format!("take over {job}"), Verb::Patch, Resource::Jobs, None))
                }
            };
            if let Err(error) = deleted {
                say.say(Message::warning("late-predecessor", error.to_string()));
            }
        });
    }
}
