//! Words the requests about a Job and its Pods for errors: "Cannot look at Job `etl/train`: …".
//!
//! Promise: one request has the same words, verb and resource, whichever room sends it.

use std::{fmt::Display, time::Duration};

use crate::{
    cluster::Failure,
    error::Error,
    resource::{Resource, Verb},
};

/// A request and its object: a Job as its reference names it, a Pod, or a scope such as "namespace `etl`".
#[derive(Clone, Copy)]
pub(crate) enum ApiCall<'a> {
    /// POST of a Job.
    CreateJob(&'a dyn Display),
    /// GET of a Job.
    GetJob(&'a dyn Display),
    /// GET of a Job after a POST without a clear answer.
    CreatedJob(&'a dyn Display),
    /// List of the Jobs of a scope.
    ListJobs(&'a dyn Display),
    /// List of the Jobs that earlier tries of a task have left in a scope.
    EarlierJobs(&'a dyn Display),
    /// Watch of a Job.
    WatchJob(&'a dyn Display),
    /// DELETE of a Job.
    DeleteJob(&'a dyn Display),
    /// The second DELETE, which removes the garbage collector's finalizers.
    FreeJob(&'a dyn Display),
    /// PATCH of the owner of a Job.
    TakeOver(&'a dyn Display),
    /// PATCH of the label and the TTL of a Job.
    Acknowledge(&'a dyn Display),
    /// PATCH of a Job that a person asked for.
    PatchJob(&'a dyn Display),
    /// List of the Pods of a Job, or of a scope.
    ListPods(&'a dyn Display),
    /// DELETE of a Pod.
    DeletePod(&'a dyn Display),
}

impl ApiCall<'_> {
    /// The error of this request. `tried_for` says how long the request was repeated, if it was.
    pub fn failed(self, failure: Failure, tried_for: Option<Duration>) -> Error {
        let (what, verb, resource) = self.words();
        failure.into_error(&what, verb, resource, tried_for)
    }

    fn words(self) -> (String, Verb, Resource) {
        match self {
            Self::CreateJob(job) => (format!("create {job}"), Verb::Create, Resource::Jobs),
            Self::GetJob(job) => (format!("look at {job}"), Verb::Get, Resource::Jobs),
            Self::CreatedJob(job) => (format!("see whether {job} was created"), Verb::Get, Resource::Jobs),
            Self::ListJobs(scope) => (format!("list the Jobs of {scope}"), Verb::List, Resource::Jobs),
            Self::EarlierJobs(scope) => {
                (format!("look for Jobs of earlier tries in {scope}"), Verb::List, Resource::Jobs)
            }
            Self::WatchJob(job) => (format!("watch {job}"), Verb::Watch, Resource::Jobs),
            Self::DeleteJob(job) => (format!("delete {job}"), Verb::Delete, Resource::Jobs),
            Self::FreeJob(job) => (format!("free {job}"), Verb::Delete, Resource::Jobs),
            Self::TakeOver(job) => (format!("take over {job}"), Verb::Patch, Resource::Jobs),
            Self::Acknowledge(job) => (format!("acknowledge {job}"), Verb::Patch, Resource::Jobs),
            Self::PatchJob(job) => (format!("change {job}"), Verb::Patch, Resource::Jobs),
            Self::ListPods(of) => (format!("list the Pods of {of}"), Verb::List, Resource::Pods),
            Self::DeletePod(pod) => (format!("delete {pod}"), Verb::Delete, Resource::Pods),
        }
    }
}
