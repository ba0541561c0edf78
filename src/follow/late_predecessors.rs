//! Ends Jobs of earlier tries whose POST arrived only after the present try had listed its predecessors.

use std::{collections::HashSet, sync::Arc};

use tracing::Instrument;

use crate::{
    cluster::Cluster,
    delete::delete_owned,
    job_api::{
        api_call::ApiCall,
        owner_patch::{self, Written},
    },
    model::{
        conditions,
        handoff::Handoff,
        message::{Message, Say},
        observed_job::ObservedJob,
    },
};

/// The late predecessors that one attempt has met.
#[derive(Debug, Default)]
pub(crate) struct LatePredecessors {
    /// The uids of the Jobs that are being deleted.
    displaced: HashSet<String>,
}

impl LatePredecessors {
    /// Takes in another Job of the same task. If it is a late one of an earlier try, it is deleted in a task of its
    /// own.
    pub fn meet(&mut self, seen: &ObservedJob, cluster: &Cluster, handoff: &Handoff, say: &Arc<dyn Say>) {
        let Handoff { owner: Some(owner), attempt: Some(attempt), .. } = handoff else { return };
        let (Some(marks), Some(try_number)) = (seen.marks.clone(), owner.try_number()) else { return };
        let late = marks.try_number < try_number
            && marks.attempt_digest != *attempt
            && !marks.acknowledged
            && seen.deletion_timestamp().is_none()
            && conditions::decided(&seen.job).is_none()
            && marks.owner.try_number().is_none_or(|owner| owner < try_number)
            && self.displaced.insert(seen.reference.uid.clone());
        if !late {
            return;
        }
        let (cluster, say, within) = (cluster.clone(), Arc::clone(say), handoff.handover_timeout());
        let (job, owner) = (seen.reference.clone(), owner.clone());
        let ending = async move {
            say.say(Message::warning(
                "late-predecessor",
                format!("{job} of try {} appeared only now; it is deleted, this try has its own", marks.try_number),
            ));
            let deleted = match owner_patch::take_over(&cluster, &job, &marks.owner, &owner).await {
                Written::Done(_) => delete_owned(&cluster, &job, &owner, within).await,
                Written::Failed(failure) if failure.is_forbidden() => {
                    delete_owned(&cluster, &job, &marks.owner, within).await
                }
                Written::Gone | Written::OwnedBy(_) => Ok(()),
                Written::Failed(failure) => Err(ApiCall::TakeOver(&job).failed(failure, None)),
            };
            if let Err(error) = deleted {
                say.say(Message::warning("late-predecessor", error.to_string()));
            }
        };
        tokio::spawn(ending.in_current_span());
    }
}
