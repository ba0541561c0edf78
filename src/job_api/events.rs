//! Lists the Events about one object.

use k8s_openapi::api::core::v1::Event;
use serde_json::Value;

use crate::{
    cluster::{Cluster, Failure},
    identity::Namespace,
    resource::{Resource, Selector},
};

/// Lists the Events about one object; those that cannot be read are left out.
pub(crate) async fn list_events(cluster: &Cluster, namespace: &Namespace, uid: &str) -> Result<Vec<Event>, Failure> {
    let selector = Selector::fields(format!("involvedObject.uid={uid}"));
    let listed = cluster.list(Resource::Events, namespace, &selector).await?;
    Ok(listed.items.into_iter().filter_map(|object: Value| serde_json::from_value(object).ok()).collect())
}
