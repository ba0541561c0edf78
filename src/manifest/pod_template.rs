//! Puts the Pod template that the installation's `pod_mutation_hook` has left in the place of the Job's own. Pure.
//!
//! Promise: whatever the hook has changed is in the Job, except for what we rely on: our labels and annotations, which
//! container is the base container, and what the result of the Job needs. A hook that has taken away what cannot be put
//! back is refused.

use serde_json::{Map, Value};

use super::{
    assemble::{base_container, child, list, named_first, object},
    invalid,
    stamp::{Stamp, refuse_too_large, stamp_pods},
};
use crate::{
    error::Error,
    identity::PREFIX,
    model::job_result::{RESULT_FILE, RESULT_SIDECAR},
};

const TEMPLATE: &str = "spec.template";
const CONTAINERS: &str = "spec.template.spec.containers";
const INIT_CONTAINERS: &str = "spec.template.spec.initContainers";

/// Puts a changed Pod template into a Job that is stamped.
pub fn put_pod_template(job: &mut Value, changed: &Value, added: &Stamp) -> Result<(), Error> {
    let spec = child(object(job, "")?, "spec", "spec")?;
    let mut own = spec.remove("template").unwrap_or_default();
    let base = base_container(pod_of(&mut own)?, None)?.clone();
    let sidecar = list(pod_of(&mut own)?, "initContainers", INIT_CONTAINERS)?.iter().any(prints_the_result);

    let mut template = changed.clone();
    keep_base_container(pod_of(&mut template)?, &base)?;
    if sidecar {
        keep_sidecar(pod_of(&mut template)?)?;
    }
    let metadata = child(object(&mut template, TEMPLATE)?, "metadata", "spec.template.metadata")?;
    remove_ours(metadata);
    spec.insert("template".to_owned(), template);
    stamp_pods(job, added)?;
    refuse_too_large(job)
}

fn pod_of(template: &mut Value) -> Result<&mut Map<String, Value>, Error> {
    child(object(template, TEMPLATE)?, "spec", "spec.template.spec")
}

/// A container that a hook has put before the base container would be taken for it.
fn keep_base_container(pod: &mut Map<String, Value>, before: &Map<String, Value>) -> Result<(), Error> {
    let name = before["name"].as_str().unwrap_or_default();
    let containers = list(pod, "containers", CONTAINERS)?;
    if !containers.iter().any(|container| container["name"] == name) {
        return Err(removed(CONTAINERS, name));
    }
    if name != "base" {
        named_first(containers, name)?;
    }
    if before.get("terminationMessagePath").is_some_and(|path| path == RESULT_FILE) {
        base_container(pod, None)?.insert("terminationMessagePath".to_owned(), RESULT_FILE.into());
    }
    Ok(())
}

/// Leaves the sidecar the last one: before the others it would wait for them, and a Pod would count as started too early.
fn keep_sidecar(pod: &mut Map<String, Value>) -> Result<(), Error> {
    let containers = list(pod, "initContainers", INIT_CONTAINERS)?;
    let position = containers.iter().position(prints_the_result);
    let position = position.ok_or_else(|| removed(INIT_CONTAINERS, RESULT_SIDECAR))?;
    containers[position..].rotate_left(1);
    Ok(())
}

fn prints_the_result(container: &Value) -> bool {
    container["name"] == RESULT_SIDECAR
}

fn removed(path: &str, name: &str) -> Error {
    invalid(
        path,
        format!("`pod_mutation_hook` has removed or renamed the container `{name}`"),
        "let the hook leave this container",
    )
}

/// Removes our keys, so that they are put back as they were; a hook may have copied or changed them.
fn remove_ours(metadata: &mut Map<String, Value>) {
    for kind in ["labels", "annotations"] {
        if let Some(Value::Object(texts)) = metadata.get_mut(kind) {
            texts.retain(|key, _| !key.starts_with(PREFIX));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn put(own: &Value, changed: &Value) -> Result<Value, Error> {
        let texts = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let added = Stamp {
            labels: texts("unique-k8s-job/task", "t"),
            pod_annotations: texts("unique-k8s-job/dag-id", "etl"),
            offered_labels: texts("dag_id", "etl"),
            ..Stamp::default()
        };
        let mut job = json!({"metadata": {"name": "x"}, "spec": {"backoffLimit": 2, "template": own}});
        put_pod_template(&mut job, changed, &added)?;
        Ok(job)
    }

    fn template(spec: &Value) -> Value {
        json!({"metadata": {"labels": {"unique-k8s-job/task": "t", "dag_id": "etl"}}, "spec": spec})
    }

    #[test]
    fn what_the_hook_has_left_is_in_the_job_and_ours_is_as_it_was() {
        let own = template(&json!({"containers": [{"name": "base", "image": "a:1"}], "hostNetwork": true}));
        for labels in
            [json!({"team": "a"}), json!({"team": "a", "unique-k8s-job/task": "forged", "unique-k8s-job/x": ""})]
        {
            let changed = json!({"metadata": {"labels": labels}, "spec": {
                "containers": [{"name": "side", "image": "s:1"}, {"name": "base", "image": "b:2"}],
                "tolerations": [{"operator": "Exists"}]}});
            let job = put(&own, &changed).unwrap();
            let mut expected = changed;
            expected["metadata"] = json!({"labels": {"team": "a", "unique-k8s-job/task": "t"},
                "annotations": {"unique-k8s-job/dag-id": "etl"}});
            assert_eq!(job["spec"], json!({"backoffLimit": 2, "template": expected}));
            assert_eq!(job["metadata"], json!({"name": "x"}));
        }
        assert_eq!(
            put(&own, &json!({"metadata": null, "spec": own["spec"]})).unwrap()["spec"]["template"]["spec"],
            own["spec"]
        );
    }

    #[test]
    fn base_container_stays_the_base_container_and_keeps_its_result() {
        let main = json!({"name": "main", "image": "a:1", "terminationMessagePath": RESULT_FILE});
        let changed = template(&json!({"containers": [{"name": "side"}, {"name": "main", "image": "a:1"}]}));
        let job = put(&template(&json!({"containers": [main]})), &changed).unwrap();
        assert_eq!(job["spec"]["template"]["spec"]["containers"], json!([main, {"name": "side"}]));
    }

    #[test]
    fn sidecar_of_the_result_stays_the_last_init_container() {
        let (base, sidecar) = (json!({"name": "base"}), json!({"name": RESULT_SIDECAR, "restartPolicy": "Always"}));
        let own = template(&json!({"containers": [base], "initContainers": [sidecar]}));
        let changed =
            template(&json!({"containers": [base], "initContainers": [{"name": "a"}, sidecar, {"name": "b"}]}));
        let job = put(&own, &changed).unwrap();
        assert_eq!(job["spec"]["template"]["spec"]["initContainers"], json!([{"name": "a"}, {"name": "b"}, sidecar]));
    }

    #[test]
    fn hook_that_takes_away_what_is_needed_is_refused() {
        let own = template(&json!({"containers": [{"name": "base"}], "initContainers": [{"name": RESULT_SIDECAR}]}));
        for (spec, path) in [
            (json!({"containers": [{"name": "renamed"}], "initContainers": [{"name": RESULT_SIDECAR}]}), CONTAINERS),
            (json!({"initContainers": [{"name": RESULT_SIDECAR}]}), CONTAINERS),
            (json!({"containers": [{"name": "base"}]}), INIT_CONTAINERS),
            (json!([]), "spec.template.spec"),
        ] {
            let refused = put(&own, &template(&spec)).unwrap_err();
            assert_eq!(refused.report().facts["path"], path, "{refused}");
        }
    }
}
