//! The Pod that a Job makes, with only the fields that this crate reads: what its containers are, and what it asks of
//! the cluster.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    api::core::v1::{LocalObjectReference, NodeSelectorTerm},
    apimachinery::pkg::api::resource::Quantity,
};
use serde::{Deserialize, de::IgnoredAny};

use super::quantity::amount;
use crate::unreadable::nullable;

/// The scheduler of a Pod that names none.
pub const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// The Pod that a Job makes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PodTemplate {
    /// Its spec.
    pub spec: Option<TemplateSpec>,
}

/// The spec of that Pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of Kubernetes")]
pub struct TemplateSpec {
    #[serde(deserialize_with = "nullable")]
    pub containers: Vec<TemplateContainer>,
    pub init_containers: Option<Vec<TemplateContainer>>,
    pub image_pull_secrets: Option<Vec<LocalObjectReference>>,
    pub restart_policy: Option<String>,
    pub service_account_name: Option<String>,
    pub termination_grace_period_seconds: Option<i64>,
    pub affinity: Option<Box<TemplateAffinity>>,
    pub node_selector: Option<BTreeMap<String, String>>,
    pub scheduler_name: Option<Box<str>>,
    pub volumes: Option<Vec<TemplateVolume>>,
}

/// A container of that Pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TemplateContainer {
    /// Its name.
    pub name: String,
    /// `Always` for an init container that runs beside the others.
    pub restart_policy: Option<Box<str>>,
    /// Whether it has a readiness probe.
    pub readiness_probe: Option<IgnoredAny>,
    /// What it asks for.
    pub resources: Option<Box<TemplateResources>>,
}

/// What a container asks for, by the name of the resource.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are those of Kubernetes")]
pub struct TemplateResources {
    #[serde(deserialize_with = "nullable")]
    pub limits: BTreeMap<String, Quantity>,
    #[serde(deserialize_with = "nullable")]
    pub requests: BTreeMap<String, Quantity>,
}

/// The affinity of that Pod, as far as it is about nodes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of Kubernetes")]
pub struct TemplateAffinity {
    pub node_affinity: Option<TemplateNodeAffinity>,
}

/// The labels that a node must have.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of Kubernetes")]
pub struct TemplateNodeAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub required: Option<RequiredNodeAffinity>,
}

/// The terms of which a node must meet one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of Kubernetes")]
pub struct RequiredNodeAffinity {
    #[serde(deserialize_with = "nullable")]
    pub node_selector_terms: Vec<NodeSelectorTerm>,
}

/// A volume of that Pod, as far as it names an object that may be missing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of Kubernetes")]
pub struct TemplateVolume {
    pub name: String,
    pub config_map: Option<Box<LocalObjectReference>>,
    pub secret: Option<Box<SecretOfVolume>>,
    pub persistent_volume_claim: Option<Box<ClaimOfVolume>>,
}

/// The Secret of a volume.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of Kubernetes")]
pub struct SecretOfVolume {
    pub secret_name: String,
}

/// The claim of a volume.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of Kubernetes")]
pub struct ClaimOfVolume {
    pub claim_name: String,
}

impl TemplateSpec {
    /// The container that does the work: the one named `base`, else the first.
    pub(crate) fn base_container(&self) -> Option<&TemplateContainer> {
        self.containers.iter().find(|container| container.name == "base").or(self.containers.first())
    }

    /// How much of a resource the Pod asks for: its containers together, or one init container if that asks for more.
    /// Source: <https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers>.
    pub(crate) fn asks_for(&self, resource: &str) -> Option<f64> {
        let sidecar = |container: &&TemplateContainer| container.restart_policy.as_deref() == Some("Always");
        let init = || self.init_containers.iter().flatten();
        let together = self.containers.iter().chain(init().filter(sidecar));
        let sum: f64 = together.filter_map(|container| container.asks_for(resource)).sum();
        let alone = init().filter(|container| !sidecar(container)).filter_map(|container| container.asks_for(resource));
        Some(alone.fold(sum, f64::max)).filter(|amount| *amount > 0.0)
    }

    /// The claims that its volumes name.
    pub(crate) fn claims(&self) -> BTreeSet<&str> {
        let volumes = self.volumes.iter().flatten();
        volumes.filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.as_str())).collect()
    }

    /// The volume of this name.
    pub(crate) fn volume(&self, name: &str) -> Option<&TemplateVolume> {
        self.volumes.iter().flatten().find(|volume| volume.name == name)
    }

    /// The scheduler that it waits for, if that is not the usual one.
    pub(crate) fn other_scheduler(&self) -> Option<&str> {
        self.scheduler_name.as_deref().filter(|name| !name.is_empty() && *name != DEFAULT_SCHEDULER)
    }

    /// Gives back memory that growing lists and values that say nothing have taken.
    pub(super) fn fit(&mut self) {
        self.containers.shrink_to_fit();
        self.init_containers.iter_mut().for_each(Vec::shrink_to_fit);
        self.scheduler_name.take_if(|name| **name == *DEFAULT_SCHEDULER);
        self.affinity.take_if(|affinity| affinity.node_affinity.is_none());
        if let Some(volumes) = &mut self.volumes {
            volumes.retain(|volume| {
                volume.config_map.is_some() || volume.secret.is_some() || volume.persistent_volume_claim.is_some()
            });
            volumes.shrink_to_fit();
        }
        let init = self.init_containers.iter_mut().flatten();
        for container in self.containers.iter_mut().chain(init) {
            container.resources.take_if(|resources| resources.limits.is_empty() && resources.requests.is_empty());
        }
    }
}

impl TemplateContainer {
    /// A limit without a request is one.
    fn asks_for(&self, resource: &str) -> Option<f64> {
        let resources = self.resources.as_ref()?;
        amount(&resources.requests.get(resource).or_else(|| resources.limits.get(resource))?.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pod_asks_for_what_its_containers_ask_for_together_or_for_what_one_init_container_does() {
        let resources = |requests: serde_json::Value| json!({"requests": requests});
        let spec: TemplateSpec = serde_json::from_value(json!({
            "containers": [
                {"name": "base", "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi"}}},
                {"name": "side", "resources": resources(json!({"cpu": "1"}))}],
            "initContainers": [
                {"name": "prepare", "resources": resources(json!({"cpu": "1", "memory": "3Gi"}))},
                {"name": "proxy", "restartPolicy": "Always", "resources": resources(json!({"cpu": "250m"}))}],
        }))
        .unwrap();
        assert_eq!(spec.asks_for("cpu"), Some(1.75));
        assert_eq!(spec.asks_for("memory"), amount("3Gi"));
        assert_eq!(spec.asks_for("nvidia.com/gpu"), None);
    }
}
