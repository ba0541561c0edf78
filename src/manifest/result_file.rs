//! Gives the base container the file of its result, and where that is asked for the sidecar that prints it.
//!
//! Promise: with a sidecar nothing of the user's changes but that one mount is added. Unless its user wants something else,
//! the sidecar runs as the user that the base container runs as, and with the same restrictions, so that it may read the
//! file and no policy refuses it.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::assemble::{base_container, child, list};
use crate::{
    error::Error,
    model::{
        job_result::{RESULT_FILE, RESULT_SIDECAR},
        policies::ResultSource,
        result_frame::{PRINT_AT_THE_END, RESULT_FOLDER},
    },
};

/// The volume that the base container shares with the sidecar.
const VOLUME: &str = "airflow-xcom";
/// Its image where the user names none; it needs a shell.
const IMAGE: &str = "busybox:1.36";

/// What a user wants of the sidecar; what is not given is made to fit the base container.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultSidecar {
    /// Its image.
    #[serde(default)]
    pub image: Option<String>,
    /// Its `resources`.
    #[serde(default)]
    pub resources: Option<Map<String, Value>>,
    /// Its `securityContext`.
    #[serde(default)]
    pub security_context: Option<Map<String, Value>>,
}

/// Puts what the result needs into an assembled Job. The path of the manifest does not count: its user asked for a result.
pub fn put_result_file(job: &mut Value, source: ResultSource, sidecar: &ResultSidecar) -> Result<(), Error> {
    let root = super::assemble::object(job, "")?;
    let template = child(child(root, "spec", "spec")?, "template", "spec.template")?;
    let pod = child(template, "spec", "spec.template.spec")?;
    match source {
        ResultSource::TerminationMessage => {
            base_container(pod, None)?.insert("terminationMessagePath".to_owned(), json!(RESULT_FILE));
        }
        ResultSource::Sidecar => add_sidecar(pod, sidecar)?,
    }
    Ok(())
}

/// What the sidecar asks for: next to nothing, because it sleeps until it prints one file. Beside a base container that has
/// limits it has limits, too, equal to its requests: a Pod of the class Guaranteed stays one, and a quota that demands
/// limits is met.
fn resources(limited: bool) -> Value {
    if !limited {
        return json!({"requests": {"cpu": "1m", "memory": "10Mi"}});
    }
    let both = json!({"cpu": "100m", "memory": "32Mi"});
    json!({"requests": both, "limits": both})
}

fn add_sidecar(pod: &mut Map<String, Value>, sidecar: &ResultSidecar) -> Result<(), Error> {
    let mount = json!({"name": VOLUME, "mountPath": RESULT_FOLDER});
    let base = base_container(pod, None)?;
    let mounts = list(base, "volumeMounts", "spec.template.spec.containers.volumeMounts")?;
    mounts.push(mount.clone());
    let limited = base.get("resources").is_some_and(|resources| resources["limits"].is_object());
    let mut container = json!({
        "name": RESULT_SIDECAR, "image": sidecar.image.as_deref().unwrap_or(IMAGE), "command": ["sh", "-c", PRINT_AT_THE_END],
        "restartPolicy": "Always", "volumeMounts": [mount],
        "resources": sidecar.resources.clone().map_or_else(|| resources(limited), Value::Object),
    });
    let own = sidecar.security_context.clone().map(Value::Object);
    if let Some(security) = own.or_else(|| base.get("securityContext").cloned()) {
        container["securityContext"] = security;
    }
    list(pod, "volumes", "spec.template.spec.volumes")?.push(json!({"name": VOLUME, "emptyDir": {}}));
    // The last one: before the others it would wait for them, and a Pod would count as started too early.
    list(pod, "initContainers", "spec.template.spec.initContainers")?.push(container);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(pod: &Value, source: ResultSource) -> Value {
        put_with(pod, source, &ResultSidecar::default())
    }

    fn put_with(pod: &Value, source: ResultSource, sidecar: &ResultSidecar) -> Value {
        let mut job = json!({"spec": {"template": {"spec": pod}}});
        put_result_file(&mut job, source, sidecar).unwrap();
        job["spec"]["template"]["spec"].clone()
    }

    #[test]
    fn result_is_the_termination_message_of_the_base_container_whatever_path_the_manifest_has() {
        let named = json!({"name": "base", "terminationMessagePath": "/dev/termination-log"});
        let pod = put(&json!({"containers": [{"name": "side"}, named]}), ResultSource::TerminationMessage);
        assert_eq!(pod["containers"][1]["terminationMessagePath"], "/airflow/xcom/return.json");
        assert_eq!(pod["containers"][0], json!({"name": "side"}));
    }

    #[test]
    fn sidecar_has_limits_where_the_base_container_has_some_so_that_the_pod_stays_guaranteed() {
        let both = json!({"cpu": "1", "memory": "1Gi"});
        let base = json!({"name": "base", "resources": {"requests": both, "limits": both}});
        let resources =
            put(&json!({"containers": [base]}), ResultSource::Sidecar)["initContainers"][0]["resources"].clone();
        assert_eq!(resources["requests"], resources["limits"]);
        assert_ne!(resources["limits"], Value::Null);
    }

    #[test]
    fn what_a_user_wants_of_the_sidecar_wins_over_what_fits_the_base_container() {
        let base = json!({"name": "base", "securityContext": {"runAsUser": 1000}, "resources": {"limits": {"cpu": 1}}});
        let wanted = json!({
            "image": "mirror/busybox:1", "resources": {"requests": {"cpu": "5m"}}, "security_context": {"runAsUser": 7},
        });
        let sidecar = serde_json::from_value(wanted).unwrap();
        let pod = put_with(&json!({"containers": [base]}), ResultSource::Sidecar, &sidecar);
        let sidecar = &pod["initContainers"][0];
        assert_eq!(sidecar["image"], "mirror/busybox:1");
        assert_eq!(sidecar["resources"], json!({"requests": {"cpu": "5m"}}));
        assert_eq!(sidecar["securityContext"], json!({"runAsUser": 7}));
    }

    #[test]
    fn sidecar_shares_a_folder_with_the_base_container_and_has_its_restrictions() {
        let security = json!({"runAsUser": 1000, "allowPrivilegeEscalation": false});
        let base =
            json!({"name": "base", "securityContext": security, "volumeMounts": [{"name": "a", "mountPath": "/a"}]});
        let before = json!({"containers": [base], "initContainers": [{"name": "prepare"}], "volumes": [{"name": "a"}]});
        let pod = put(&before, ResultSource::Sidecar);
        let shared = json!({"name": "airflow-xcom", "mountPath": "/airflow/xcom"});
        assert_eq!(pod["containers"][0]["volumeMounts"], json!([{"name": "a", "mountPath": "/a"}, shared]));
        assert_eq!(pod["containers"][0]["terminationMessagePath"], Value::Null);
        assert_eq!(pod["volumes"], json!([{"name": "a"}, {"name": "airflow-xcom", "emptyDir": {}}]));
        assert_eq!(pod["initContainers"][0], json!({"name": "prepare"}));
        let sidecar = &pod["initContainers"][1];
        assert_eq!((&sidecar["name"], &sidecar["restartPolicy"]), (&json!("airflow-xcom-sidecar"), &json!("Always")));
        assert_eq!((&sidecar["securityContext"], &sidecar["volumeMounts"]), (&security, &json!([shared])));
        assert_eq!(sidecar["resources"]["limits"], Value::Null);
    }
}
