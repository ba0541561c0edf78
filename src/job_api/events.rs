//! Lists the Events about one object.

use k8s_openapi::api::core::v1::Event;
use serde_json::Value;

use crate::{
    cluster::{Cluster, Failure},
    identity::Namespace,
    resource::{Resource, Selector},
};

/// The object that Events are about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EventSubject {
    /// The object of this uid.
    Uid(String),
    /// The `PersistentVolumeClaim` of this name.
    Claim(String),
}

impl From<&str> for EventSubject {
    fn from(uid: &str) -> Self {
        Self::Uid(uid.to_owned())
    }
}

/// Lists the Events about one object; those that cannot be read are left out.
pub(crate) async fn list_events(
    cluster: &Cluster,
    namespace: &Namespace,
    about: impl Into<EventSubject>,
) -> Result<Vec<Event>, Failure> {
    let selector = Selector::fields(match about.into() {
        EventSubject::Uid(uid) => format!("involvedObject.uid={uid}"),
        EventSubject::Claim(name) => format!("involvedObject.kind=PersistentVolumeClaim,involvedObject.name={name}"),
    });
    let listed = cluster.list(Resource::Events, namespace, &selector).await?;
    Ok(listed.items.into_iter().filter_map(|object: Value| serde_json::from_value(object).ok()).collect())
}
