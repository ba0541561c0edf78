//! Kinds of resources and what is done to them, in the words of the API.

/// What is asked of the API server, by the names of its RBAC.
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
    /// As RBAC spells it.
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
    /// `namespaces`, which have none, either.
    Namespaces,
    /// `selfsubjectreviews.authentication.k8s.io`: who am I?
    SelfSubjectReviews,
    /// `selfsubjectaccessreviews.authorization.k8s.io`: may I?
    SelfSubjectAccessReviews,
}

impl Resource {
    /// As an object says it of itself.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Jobs => "Job",
            Self::CronJobs => "CronJob",
            Self::Pods => "Pod",
            Self::Events => "Event",
            Self::Nodes => "Node",
            Self::Namespaces => "Namespace",
            Self::SelfSubjectReviews => "SelfSubjectReview",
            Self::SelfSubjectAccessReviews => "SelfSubjectAccessReview",
        }
    }

    /// As RBAC and error texts spell it.
    #[must_use]
    pub fn rbac(self) -> &'static str {
        match self {
            Self::Jobs => "jobs.batch",
            Self::CronJobs => "cronjobs.batch",
            Self::Pods => "pods",
            Self::Events => "events",
            Self::Nodes => "nodes",
            Self::Namespaces => "namespaces",
            Self::SelfSubjectReviews => "selfsubjectreviews.authentication.k8s.io",
            Self::SelfSubjectAccessReviews => "selfsubjectaccessreviews.authorization.k8s.io",
        }
    }
}
