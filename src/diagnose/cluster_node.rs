//! What a node offers to the scheduler, to set it beside what a Pod asks for.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm};

use crate::model::quantity::amount;

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterNode {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What Pods may use of it in all, by resource.
    pub allocatable: BTreeMap<String, f64>,
    /// Its taints that keep Pods away, as `key=value:effect`.
    pub taints: Vec<String>,
}

impl ClusterNode {
    /// Reads a Node object.
    #[must_use]
    pub fn of(node: Node) -> Option<Self> {
        let allocatable = node.status.and_then(|status| status.allocatable).unwrap_or_default();
        let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
        let hard = taints.into_iter().filter(|taint| taint.effect != "PreferNoSchedule");
        Some(Self {
            name: node.metadata.name?,
            labels: node.metadata.labels.unwrap_or_default(),
            allocatable: allocatable.into_iter().filter_map(|(name, size)| Some((name, amount(&size.0)?))).collect(),
            taints: hard
                .map(|taint| {
                    let value = taint.value.filter(|value| !value.is_empty());
                    format!("{}{}:{}", taint.key, value.map_or_else(String::new, |v| format!("={v}")), taint.effect)
                })
                .collect(),
        })
    }

    /// How much of a resource Pods may use of it.
    pub(crate) fn size(&self, resource: &str) -> f64 {
        self.allocatable.get(resource).copied().unwrap_or(0.0)
    }

    /// Whether its labels meet one requirement of a node affinity.
    pub(crate) fn meets(&self, wanted: &NodeSelectorRequirement) -> bool {
        let value = self.labels.get(&wanted.key);
        let values = wanted.values.as_deref().unwrap_or_default();
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        let bound = || values.first().and_then(|bound| bound.parse::<i64>().ok());
        match wanted.operator.as_str() {
            "In" => value.is_some_and(|value| values.contains(value)),
            "NotIn" => value.is_none_or(|value| !values.contains(value)),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            "Gt" => number().zip(bound()).is_some_and(|(number, bound)| number > bound),
            "Lt" => number().zip(bound()).is_some_and(|(number, bound)| number < bound),
            // What a later Kubernetes means by another word is not known, so nobody is blamed for it.
            _ => true,
        }
    }
}

/// The requirements of a term about labels.
pub(crate) fn requirements(term: &NodeSelectorTerm) -> impl Iterator<Item = &NodeSelectorRequirement> {
    term.match_expressions.iter().flatten()
}

/// A requirement as people write it: `gpu in (a100, h100)`.
pub(crate) fn in_words(wanted: &NodeSelectorRequirement) -> String {
    let NodeSelectorRequirement { key, operator, values } = wanted;
    let values = values.as_deref().unwrap_or_default();
    match (operator.as_str(), values) {
        ("In", [only]) => format!("{key}={only}"),
        ("Exists", _) => key.clone(),
        ("Gt", [bound]) => format!("{key}>{bound}"),
        ("Lt", [bound]) => format!("{key}<{bound}"),
        ("In", values) => format!("{key} in ({})", values.join(", ")),
        ("NotIn", values) => format!("{key} not in ({})", values.join(", ")),
        (operator, values) => format!("{key} {operator} {}", values.join(", ")).trim_end().to_owned(),
    }
}
