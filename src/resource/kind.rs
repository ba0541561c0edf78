//! Defines the kinds of resources and the verbs, in the words of the API.

/// A verb of a request, as RBAC names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read many.
    List,
    /// Follow changes.
    Watch,
    /// POST.
    Create,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// GET of the subresource `log`.
    Log,
}

impl Verb {
    /// The word that RBAC uses.
    #[must_use]
    pub fn rbac(self) -> &'static str {
        match self {
            Self::Get | Self::Log => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// A version of Kueue's API. What this crate reads is the same in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KueueVersion {
    /// `v1beta1`
    V1Beta1,
    /// `v1beta2`
    V1Beta2,
}

impl KueueVersion {
    /// The word in a path.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::V1Beta1 => "v1beta1",
            Self::V1Beta2 => "v1beta2",
        }
    }
}

/// The kinds of object this crate asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// `jobs.batch`
    Jobs,
    /// `cronjobs.batch`
    CronJobs,
    /// `pods`
    Pods,
    /// `events`
    Events,
    /// `nodes`, which have no namespace.
    Nodes,
    /// `namespaces`, which have no namespace, either.
    Namespaces,
    /// `workloads.kueue.x-k8s.io`, of Kueue.
    Workloads(KueueVersion),
    /// `selfsubjectreviews.authentication.k8s.io`: who am I?
    SelfSubjectReviews,
    /// `selfsubjectaccessreviews.authorization.k8s.io`: may I?
    SelfSubjectAccessReviews,
}

impl Resource {
    /// The kind as an object itself names it.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Jobs => "Job",
            Self::CronJobs => "CronJob",
            Self::Pods => "Pod",
            Self::Events => "Event",
            Self::Nodes => "Node",
            Self::Namespaces => "Namespace",
            Self::Workloads(_) => "Workload",
            Self::SelfSubjectReviews => "SelfSubjectReview",
            Self::SelfSubjectAccessReviews => "SelfSubjectAccessReview",
        }
    }

    /// The word that RBAC and error texts use.
    #[must_use]
    pub fn rbac(self) -> &'static str {
        match self {
            Self::Jobs => "jobs.batch",
            Self::CronJobs => "cronjobs.batch",
            Self::Pods => "pods",
            Self::Events => "events",
            Self::Nodes => "nodes",
            Self::Namespaces => "namespaces",
            Self::Workloads(_) => "workloads.kueue.x-k8s.io",
            Self::SelfSubjectReviews => "selfsubjectreviews.authentication.k8s.io",
            Self::SelfSubjectAccessReviews => "selfsubjectaccessreviews.authorization.k8s.io",
        }
    }
}
