//! Lays one part of a Job over another, as a strategic merge patch of Kubernetes does. Pure.
//!
//! Promise: what the upper one says wins, even if it is 0, false or empty; everything else of the lower one stays. Objects
//! merge key by key. Containers merge by their name, and so does what is in them. In the other lists that Kubernetes merges
//! by a key, an item replaces the one with the same key, because an item is mostly a choice of one of several fields, as
//! the source of a volume is. All other lists are replaced, and an empty list empties. Null removes a field. Source: the
//! markers `patchMergeKey` of kubernetes `k8s.io/api/core/v1/types.go`.

use serde_json::{Map, Value};

use super::assemble::merge_items;

/// The lists of containers, which merge by name, and each container with its like.
const CONTAINERS: [&str; 2] = ["containers", "initContainers"];
/// The other lists with a key by which Kubernetes merges them.
const KEYED: [(&str, &str); 9] = [
    ("env", "name"),
    ("ports", "containerPort"),
    ("volumeMounts", "mountPath"),
    ("volumeDevices", "devicePath"),
    ("volumes", "name"),
    ("imagePullSecrets", "name"),
    ("hostAliases", "ip"),
    ("resourceClaims", "name"),
    ("ownerReferences", "uid"),
];

/// Returns the lower one with the upper one laid over it.
#[must_use]
pub fn overlay(mut lower: Value, upper: Value) -> Value {
    lay(&mut lower, upper);
    lower
}

fn lay(lower: &mut Value, upper: Value) {
    match (lower, upper) {
        (Value::Object(lower), Value::Object(upper)) => {
            for (field, value) in upper {
                lay_field(lower, field, value);
            }
        }
        (lower, upper) => *lower = upper,
    }
}

fn lay_field(lower: &mut Map<String, Value>, field: String, upper: Value) {
    if upper.is_null() {
        lower.remove(&field);
        return;
    }
    let keyed = KEYED.iter().find(|(list, _)| *list == field);
    match (lower.get_mut(&field), upper) {
        (Some(Value::Array(lower)), Value::Array(upper)) if CONTAINERS.contains(&field.as_str()) => {
            lay_containers(lower, upper);
        }
        (Some(Value::Array(lower)), Value::Array(upper)) if keyed.is_some() => {
            merge_items(lower, keyed.map_or("", |(_, key)| key), &upper);
        }
        (Some(lower @ Value::Object(_)), upper @ Value::Object(_)) => lay(lower, upper),
        (_, upper) => {
            lower.insert(field, upper);
        }
    }
}

fn lay_containers(lower: &mut Vec<Value>, upper: Vec<Value>) {
    if upper.is_empty() {
        lower.clear();
    }
    for container in upper {
        let same = |other: &&mut Value| !container["name"].is_null() && other["name"] == container["name"];
        match lower.iter_mut().find(same) {
            Some(found) => lay(found, container),
            None => lower.push(container),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn pod(spec: &Value) -> Value {
        json!({"spec": {"template": {"spec": spec}}})
    }

    #[test]
    fn lists_merge_by_the_key_of_kubernetes_or_are_replaced() {
        for (lower, upper, expected) in [
            (
                json!({"containers": [{"name": "base", "image": "a:1", "args": ["x"]}, {"name": "side", "image": "s"}]}),
                json!({"containers": [{"name": "base", "image": "b:2"}, {"name": "more", "image": "m"}]}),
                json!({"containers": [{"name": "base", "image": "b:2", "args": ["x"]}, {"name": "side", "image": "s"},
                                   {"name": "more", "image": "m"}]}),
            ),
            (
                json!({"containers": [{"name": "base", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}]}),
                json!({"containers": [{"name": "base", "env": [{"name": "A", "valueFrom": {"fieldRef": {}}}]}]}),
                json!({"containers": [{"name": "base", "env": [{"name": "A", "valueFrom": {"fieldRef": {}}},
                                                             {"name": "B", "value": "2"}]}]}),
            ),
            (
                json!({"volumes": [{"name": "data", "emptyDir": {}}], "tolerations": [{"key": "a"}]}),
                json!({"volumes": [{"name": "data", "configMap": {"name": "c"}}], "tolerations": [{"key": "b"}]}),
                json!({"volumes": [{"name": "data", "configMap": {"name": "c"}}], "tolerations": [{"key": "b"}]}),
            ),
            (
                json!({"nodeSelector": {"disk": "ssd"}, "initContainers": [{"name": "i"}], "hostNetwork": true}),
                json!({"nodeSelector": {"zone": "a"}, "initContainers": [], "hostNetwork": false, "terminationGracePeriodSeconds": 0}),
                json!({"nodeSelector": {"disk": "ssd", "zone": "a"}, "initContainers": [], "hostNetwork": false,
                    "terminationGracePeriodSeconds": 0}),
            ),
            (
                json!({"restartPolicy": "OnFailure", "dnsPolicy": "Default"}),
                json!({"dnsPolicy": null}),
                json!({"restartPolicy": "OnFailure"}),
            ),
        ] {
            assert_eq!(overlay(pod(&lower), pod(&upper)), pod(&expected), "{lower} {upper}");
        }
    }

    fn any_part() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), (0..3_i64).prop_map(Value::from)];
        leaf.prop_recursive(4, 24, 3, |inner| {
            let keys = "spec|template|containers|env|name|tolerations";
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map(keys, inner, 0..3)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_over_a_part_and_a_part_over_itself_change_nothing(part in any_part()) {
            if part.is_object() {
                prop_assert_eq!(&overlay(part.clone(), json!({})), &part);
                prop_assert_eq!(&overlay(json!({}), part.clone()), &part);
            }
        }
    }
}
