//! Makes the path and the query of a request, from names that are valid by their types and never from text. Pure.
//!
//! Promise: no text of a user, an object or an answer can change the segments of a path. A segment is a constant of
//! this file or one of the names of [`crate::identity`], and all values in a query are percent-encoded. "All
//! namespaces" is a value of its own, and only code that reads pages accepts it.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    kind::{KueueVersion, Resource},
    selector::Selector,
};
use crate::identity::{ContainerName, CronJobName, JobName, Namespace, NodeName, PodName, QueueName};

/// The characters that are encoded in a query: all but RFC 3986's unreserved ones.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path and the query of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    text: String,
    has_query: bool,
}

/// One object, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object<'a> {
    /// A Job.
    Job(&'a Namespace, &'a JobName),
    /// A `CronJob`.
    CronJob(&'a Namespace, &'a CronJobName),
    /// A Pod.
    Pod(&'a Namespace, &'a PodName),
    /// A node.
    Node(&'a NodeName),
    /// A namespace.
    Namespace(&'a Namespace),
}

impl<'a> Object<'a> {
    /// The kind of the object.
    #[must_use]
    pub fn resource(self) -> Resource {
        match self {
            Self::Job(..) => Resource::Jobs,
            Self::CronJob(..) => Resource::CronJobs,
            Self::Pod(..) => Resource::Pods,
            Self::Node(_) => Resource::Nodes,
            Self::Namespace(_) => Resource::Namespaces,
        }
    }

    /// The namespace of the object; none if its kind has none.
    #[must_use]
    pub fn namespace(self) -> Option<&'a Namespace> {
        match self {
            Self::Job(namespace, _) | Self::CronJob(namespace, _) | Self::Pod(namespace, _) => Some(namespace),
            Self::Node(_) | Self::Namespace(_) => None,
        }
    }

    /// The name of the object.
    #[must_use]
    pub fn name(self) -> &'a str {
        match self {
            Self::Job(_, name) => name.as_str(),
            Self::CronJob(_, name) => name.as_str(),
            Self::Pod(_, name) => name.as_str(),
            Self::Node(name) => name.as_str(),
            Self::Namespace(name) => name.as_str(),
        }
    }
}

/// The namespaces that a survey reads. No code that writes or deletes accepts this type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespaces {
    /// One namespace.
    One(Namespace),
    /// All namespaces.
    All,
}

/// A question that the API server answers to a POST, and stores nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Review {
    /// `SelfSubjectReview`: who am I?
    Subject,
    /// `SelfSubjectAccessReview`: may I?
    Access,
}

impl Review {
    /// The name that error texts use.
    #[must_use]
    pub fn resource(self) -> Resource {
        match self {
            Self::Subject => Resource::SelfSubjectReviews,
            Self::Access => Resource::SelfSubjectAccessReviews,
        }
    }
}

impl Path {
    fn constant(text: String) -> Self {
        Self { text, has_query: false }
    }

    /// The objects of a kind in a namespace.
    #[must_use]
    pub fn collection(resource: Resource, namespace: &Namespace) -> Self {
        Self::under(resource, &format!("/namespaces/{namespace}"))
    }

    /// The objects of a kind in one namespace or all.
    pub(crate) fn survey(resource: Resource, of: &Namespaces) -> Self {
        match of {
            Namespaces::One(namespace) => Self::collection(resource, namespace),
            Namespaces::All => Self::under(resource, ""),
        }
    }

    /// The collection that this object belongs to.
    pub(crate) fn collection_of(object: Object<'_>) -> Self {
        match object.namespace() {
            Some(namespace) => Self::collection(object.resource(), namespace),
            None => Self::under(object.resource(), ""),
        }
    }

    /// One object.
    #[must_use]
    pub fn object(object: Object<'_>) -> Self {
        Self::constant(format!("{}/{}", Self::collection_of(object).text, object.name()))
    }

    /// The log of a container.
    #[must_use]
    pub fn log(namespace: &Namespace, pod: &PodName, container: &ContainerName) -> Self {
        let pod = Self::object(Object::Pod(namespace, pod));
        Self::constant(format!("{}/log", pod.text)).with("container", container.as_str())
    }

    /// The Workloads that wait in a queue of Kueue, in their order, from the first one on: its visibility API.
    pub(crate) fn pending_workloads(
        version: KueueVersion,
        namespace: &Namespace,
        queue: &QueueName,
        most: usize,
    ) -> Self {
        let version = version.as_str();
        let api = format!("/apis/visibility.kueue.x-k8s.io/{version}/namespaces/{namespace}");
        Self::constant(format!("{api}/localqueues/{queue}/pendingworkloads"))
            .with("limit", &most.to_string())
            .with("offset", "0")
    }

    /// The path for a review.
    pub(crate) fn review(review: Review) -> Self {
        Self::under(review.resource(), "")
    }

    /// The path at which the API server reports about itself.
    #[must_use]
    pub fn readiness() -> Self {
        Self::constant("/readyz".to_owned()).with("verbose", "true")
    }

    /// The path at which the API server says which Kubernetes it is.
    pub(crate) fn version() -> Self {
        Self::constant("/version".to_owned())
    }

    /// Makes a path; `namespace_path` is empty or the segments of a namespace.
    fn under(resource: Resource, namespace_path: &str) -> Self {
        Self::constant(match resource {
            Resource::Jobs => format!("/apis/batch/v1{namespace_path}/jobs"),
            Resource::CronJobs => format!("/apis/batch/v1{namespace_path}/cronjobs"),
            Resource::Pods => format!("/api/v1{namespace_path}/pods"),
            Resource::Events => format!("/api/v1{namespace_path}/events"),
            Resource::Nodes => "/api/v1/nodes".into(),
            Resource::Namespaces => "/api/v1/namespaces".into(),
            Resource::Workloads(version) => {
                format!("/apis/kueue.x-k8s.io/{}{namespace_path}/workloads", version.as_str())
            }
            Resource::SelfSubjectReviews => "/apis/authentication.k8s.io/v1/selfsubjectreviews".into(),
            Resource::SelfSubjectAccessReviews => "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".into(),
        })
    }

    /// The same with one more parameter in the query, encoded.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: &str) -> Self {
        let before = if std::mem::replace(&mut self.has_query, true) { '&' } else { '?' };
        let _ = write!(self.text, "{before}{key}={}", utf8_percent_encode(value, ENCODED));
        self
    }

    /// The same, for the selected objects only.
    pub(crate) fn selected(self, selector: &Selector) -> Self {
        let Selector { labels, fields } = selector;
        let mut path = self;
        for (key, value) in [("labelSelector", labels), ("fieldSelector", fields)] {
            if !value.is_empty() {
                path = path.with(key, value);
            }
        }
        path
    }

    /// The text for the request line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_those_of_kubernetes() {
        let namespace: Namespace = "etl".parse().unwrap();
        let (job, pod) = ("train".parse().unwrap(), "train-abc".parse().unwrap());
        let (node, container) = ("node1.example".parse().unwrap(), "base".parse().unwrap());
        let cases = [
            (Path::object(Object::Job(&namespace, &job)), "/apis/batch/v1/namespaces/etl/jobs/train"),
            (Path::object(Object::Pod(&namespace, &pod)), "/api/v1/namespaces/etl/pods/train-abc"),
            (Path::object(Object::Node(&node)), "/api/v1/nodes/node1.example"),
            (Path::object(Object::Namespace(&namespace)), "/api/v1/namespaces/etl"),
            (Path::collection(Resource::Events, &namespace), "/api/v1/namespaces/etl/events"),
            (Path::survey(Resource::Jobs, &Namespaces::All), "/apis/batch/v1/jobs"),
            (Path::survey(Resource::Nodes, &Namespaces::One(namespace.clone())), "/api/v1/nodes"),
            (Path::log(&namespace, &pod, &container), "/api/v1/namespaces/etl/pods/train-abc/log?container=base"),
            (
                Path::pending_workloads(KueueVersion::V1Beta2, &namespace, &"team-a".parse().unwrap(), 500),
                "/apis/visibility.kueue.x-k8s.io/v1beta2/namespaces/etl/localqueues/team-a/pendingworkloads?limit=500&offset=0",
            ),
            (Path::readiness(), "/readyz?verbose=true"),
            (Path::version(), "/version"),
        ];
        for (path, expected) in cases {
            assert_eq!(path.as_str(), expected);
        }
    }

    proptest! {
        #[test]
        fn what_stands_in_a_query_stays_there(labels: String, fields: String, version: String) {
            let namespace: Namespace = "etl".parse().unwrap();
            let selector = Selector { labels: labels.clone(), fields };
            let path = Path::collection(Resource::Jobs, &namespace).with("resourceVersion", &version).selected(&selector);
            let uri: http::Uri = path.as_str().parse().unwrap();
            prop_assert_eq!(uri.path(), "/apis/batch/v1/namespaces/etl/jobs");
            let pairs: Vec<_> = uri.query().unwrap().split('&').map(|pair| pair.split_once('=').unwrap()).collect();
            prop_assert!(pairs.iter().all(|(key, _)| ["resourceVersion", "labelSelector", "fieldSelector"].contains(key)));
            let value = percent_encoding::percent_decode_str(pairs[0].1).decode_utf8().unwrap();
            prop_assert_eq!(value, version);
        }
    }
}
