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
        message::{Message, MessageSink},
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
    pub fn meet(&mut self, seen: &ObservedJob, cluster: &Cluster, handoff: &Handoff, messages: &Arc<dyn MessageSink>) {
        let Handoff { owner: Some(owner), attempt: Some(attempt), .. } = handoff else { return };
        let (Some(metadata), Some(try_number)) = (seen.attempt_metadata.clone(), owner.try_number()) else { return };
        let late = metadata.try_number < try_number
            && metadata.attempt_digest != *attempt
            && !metadata.acknowledged
            && seen.deletion_timestamp().is_none()
            && conditions::decided(&seen.job).is_none()
            && metadata.owner.try_number().is_none_or(|owner| owner < try_number)
            && self.displaced.insert(seen.reference.uid.clone());
        if !late {
            return;
        }
        let (cluster, messages, within) = (cluster.clone(), Arc::clone(messages), handoff.handover_timeout());
        let (job, owner) = (seen.reference.clone(), owner.clone());
        let ending = async move {
            messages.emit(Message::warning(
                "late-predecessor",
                format!("{job} of try {} appeared only now; it is deleted, this try has its own", metadata.try_number),
            ));
            let deleted = match owner_patch::take_over(&cluster, &job, &metadata.owner, &owner).await {
                Written::Done(_) => delete_owned(&cluster, &job, &owner, within).await,
                Written::Failed(failure) if failure.is_forbidden() => {
                    delete_owned(&cluster, &job, &metadata.owner, within).await
                }
                Written::Gone | Written::OwnedBy(_) => Ok(()),
                Written::Failed(failure) => Err(ApiCall::TakeOver(&job).failed(failure, None)),
            };
            if let Err(error) = deleted {
                messages.emit(Message::warning("late-predecessor", error.to_string()));
            }
        };
        tokio::spawn(ending.in_current_span());
    }
}
