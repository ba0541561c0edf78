//! Puts the arguments into the user's Job.
//!
//! The table of `arguments` says where each one goes. The base container is the one that `base_container_name` names, which
//! is put first, else the one named `base`, else the first. Two defaults apply if neither argument nor manifest says
//! anything: `restartPolicy: Never`, and without a manifest and without a limit for each index `backoffLimit: 0`, because
//! Airflow has retries of its own.

use serde_json::{Map, Value, json};

use super::{
    arguments::{Arguments, Merge},
    invalid,
    shape::{Parent, kind_of},
};
use crate::error::Error;

/// Puts the arguments into the user's Job, which was read and checked before.
pub fn assemble(manifest: Option<&Value>, arguments: &Arguments) -> Result<Value, Error> {
    let mut job = manifest.cloned().unwrap_or_else(|| {
        // Kubernetes counts the failed Pods of all indexes against the limit of the Job, too.
        let limit_of_job = !arguments.given("backoff_limit_per_index");
        if limit_of_job { json!({"spec": {"backoffLimit": 0}}) } else { json!({}) }
    });
    refuse_selector(&job)?;
    let root = object(&mut job, "")?;
    root.entry("apiVersion").or_insert_with(|| json!("batch/v1"));
    root.entry("kind").or_insert_with(|| json!("Job"));
    let spec = child(root, "spec", "spec")?;
    put(spec, Parent::Spec, "spec", arguments)?;
    let template = child(spec, "template", "spec.template")?;
    let path = "spec.template.metadata";
    put(child(template, "metadata", path)?, Parent::Metadata, path, arguments)?;
    pod(child(template, "spec", "spec.template.spec")?, arguments)?;
    put(child(root, "metadata", "metadata")?, Parent::Metadata, "metadata", arguments)?;
    Ok(job)
}

/// Refuses a selector: Kubernetes makes one that matches this Job's Pods only.
fn refuse_selector(job: &Value) -> Result<(), Error> {
    let spec = &job["spec"];
    // An empty selector counts as absent, as for kubectl.
    let empty = spec["selector"].as_object().is_none_or(Map::is_empty);
    if empty && spec["manualSelector"] != true {
        return Ok(());
    }
    Err(invalid(
        "spec.selector",
        "a selector chosen by hand",
        "leave out `selector` and `manualSelector`: Kubernetes makes one that matches this Job's Pods only",
    ))
}

/// Puts the arguments that set fields of this object into it.
fn put(object: &mut Map<String, Value>, parent: Parent, path: &str, arguments: &Arguments) -> Result<(), Error> {
    for (argument, given) in arguments.of(parent) {
        let field = argument.field;
        let path = format!("{path}.{field}");
        match (argument.merge, given) {
            (Merge::Keys, Value::Object(given)) => child(object, field, &path)?.extend(given.clone()),
            (Merge::Items(key), Value::Array(given)) => merge_items(list(object, field, &path)?, key, given),
            (Merge::Append, Value::Array(given)) => append(list(object, field, &path)?, given),
            (Merge::Replace | Merge::Keys | Merge::Items(_) | Merge::Append, given) => {
                object.insert(field.to_owned(), given.clone());
            }
        }
    }
    Ok(())
}

fn pod(pod: &mut Map<String, Value>, arguments: &Arguments) -> Result<(), Error> {
    pod.entry("restartPolicy").or_insert_with(|| json!("Never"));
    put(pod, Parent::Pod, "spec.template.spec", arguments)?;
    container(base_container(pod, arguments.base_container_name())?, arguments)
}

/// Finds the base container: the one of the name that the user gave, else the one named `base`, else the first. If there
/// is none, it is made.
pub(super) fn base_container<'a>(
    pod: &'a mut Map<String, Value>,
    name: Option<&str>,
) -> Result<&'a mut Map<String, Value>, Error> {
    const PATH: &str = "spec.template.spec.containers";
    let containers = list(pod, "containers", PATH)?;
    if containers.is_empty() {
        containers.push(json!({"name": name.unwrap_or("base")}));
    }
    if let Some(name) = name.filter(|name| *name != "base") {
        named_first(containers, name)?;
    }
    let base = containers.iter().position(|container| container["name"] == "base").unwrap_or(0);
    let container = object(&mut containers[base], PATH)?;
    container.entry("name").or_insert_with(|| json!("base"));
    Ok(container)
}

/// Puts the container of this name at the beginning, by which everybody knows it as the base container. A single container
/// of another name gets the name.
pub(super) fn named_first(containers: &mut [Value], name: &str) -> Result<(), Error> {
    let refused = |seen: String, hint: &str| Err(invalid("base_container_name", seen, hint));
    let names: Vec<&str> = containers.iter().filter_map(|container| container["name"].as_str()).collect();
    match containers.iter().position(|container| container["name"] == name) {
        Some(_) if names.contains(&"base") => {
            refused(format!("the containers `{name}` and `base`"), "rename `base`: this name means the base container")
        }
        Some(position) => {
            containers[..=position].rotate_right(1);
            Ok(())
        }
        None if containers.len() == 1 => {
            object(&mut containers[0], "spec.template.spec.containers")?.insert("name".to_owned(), json!(name));
            Ok(())
        }
        None => refused(
            format!("no container of this name, but {}", names.join(", ")),
            "give the name of one of the containers of the manifest",
        ),
    }
}

fn container(container: &mut Map<String, Value>, arguments: &Arguments) -> Result<(), Error> {
    const PATH: &str = "spec.template.spec.containers";
    put(container, Parent::BaseContainer, PATH, arguments)?;
    if container.get("image").and_then(Value::as_str).is_none_or(str::is_empty) {
        let name = container["name"].as_str().unwrap_or_default();
        return Err(invalid(
            &format!("{PATH}.image"),
            format!("container `{name}` has no image"),
            "give the argument `image`, or an image in the manifest",
        ));
    }
    Ok(())
}

/// Replaces items with the same key and appends the others; an empty list of the user empties the list.
pub(super) fn merge_items(present: &mut Vec<Value>, key: &str, given: &[Value]) {
    if given.is_empty() {
        present.clear();
    }
    for item in given {
        let same = |other: &Value| !item[key].is_null() && other[key] == item[key];
        match present.iter().position(same) {
            Some(first) => {
                present[first] = item.clone();
                // If a variable stands twice, the last one counts and would win over the argument, so it is removed.
                let later = present.split_off(first + 1);
                present.extend(later.into_iter().filter(|other| !same(other)));
            }
            None => present.push(item.clone()),
        }
    }
}

/// Appends items that are not there yet.
fn append(present: &mut Vec<Value>, given: &[Value]) {
    for item in given {
        if !present.contains(item) {
            present.push(item.clone());
        }
    }
}

pub(super) fn child<'a>(
    parent: &'a mut Map<String, Value>,
    key: &str,
    path: &str,
) -> Result<&'a mut Map<String, Value>, Error> {
    let value = parent.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    object(value, path)
}

pub(super) fn object<'a>(value: &'a mut Value, path: &str) -> Result<&'a mut Map<String, Value>, Error> {
    let kind = kind_of(value);
    value.as_object_mut().ok_or_else(|| invalid(path, format!("{kind} instead of an object"), "correct this field"))
}

pub(super) fn list<'a>(parent: &'a mut Map<String, Value>, key: &str, path: &str) -> Result<&'a mut Vec<Value>, Error> {
    let value = parent.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = json!([]);
    }
    let kind = kind_of(value);
    value.as_array_mut().ok_or_else(|| invalid(path, format!("{kind} instead of a list"), "correct this field"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(arguments: Value) -> Arguments {
        serde_json::from_value(arguments).unwrap()
    }

    fn manifest() -> Value {
        json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "train", "labels": {"team": "a"}},
            "spec": {
                "backoffLimit": 4, "ttlSecondsAfterFinished": 60, "suspend": true, "parallelism": 3, "fieldOfTomorrow": {"x": [1, null]},
                "template": {"spec": {
                    "restartPolicy": "OnFailure", "volumes": [{"name": "data", "emptyDir": {}}],
                    "containers": [
                        {"name": "main", "image": "a:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
                        {"name": "side", "image": "b:1"}
                    ]
                }}
            }
        })
    }

    #[test]
    fn no_argument_leaves_the_manifest_alone() {
        let mut expected = manifest();
        expected["spec"]["template"]["metadata"] = json!({});
        assert_eq!(assemble(Some(&manifest()), &Arguments::default()).unwrap(), expected);
    }

    #[test]
    fn explicit_zero_false_and_empty_win() {
        let arguments =
            json!({"backoff_limit": 0, "suspend": false, "parallelism": 0, "volumes": [], "env_vars": [], "cmds": []});
        let job = assemble(Some(&manifest()), &given(arguments)).unwrap();
        let spec = &job["spec"];
        assert_eq!(
            (&spec["backoffLimit"], &spec["suspend"], &spec["parallelism"]),
            (&json!(0), &json!(false), &json!(0))
        );
        let pod = &spec["template"]["spec"];
        assert_eq!(
            (&pod["volumes"], &pod["containers"][0]["env"], &pod["containers"][0]["command"]),
            (&json!([]), &json!([]), &json!([]))
        );
    }

    #[test]
    fn lists_merge_by_their_keys() {
        let arguments = json!({"env_vars": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]});
        let job = assemble(Some(&manifest()), &given(arguments)).unwrap();
        let expected = json!([{"name": "A", "value": "1"}, {"name": "B", "value": "3"}, {"name": "C", "value": "4"}]);
        assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["env"], expected);
    }

    #[test]
    fn argument_wins_over_a_variable_that_stands_twice() {
        let mut manifest = manifest();
        let twice = json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "A", "value": "3"}]);
        manifest["spec"]["template"]["spec"]["containers"][0]["env"] = twice;
        let arguments = given(json!({"env_vars": [{"name": "A", "value": "4"}]}));
        let job = assemble(Some(&manifest), &arguments).unwrap();
        let expected = json!([{"name": "A", "value": "4"}, {"name": "B", "value": "2"}]);
        assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["env"], expected);
    }

    #[test]
    fn container_named_base_is_the_base_container_wherever_it_stands() {
        let mut manifest = manifest();
        manifest["spec"]["template"]["spec"]["containers"][1]["name"] = json!("base");
        let job = assemble(Some(&manifest), &given(json!({"image": "c:2"}))).unwrap();
        assert_eq!(job["spec"]["template"]["spec"]["containers"][1]["image"], "c:2");
        assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["image"], "a:1");
    }

    #[test]
    fn image_alone_makes_a_whole_job() {
        let job = assemble(None, &given(json!({"image": "a:1", "labels": {"team": "a"}}))).unwrap();
        let expected = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"labels": {"team": "a"}},
            "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": {"team": "a"}}, "spec": {
                "restartPolicy": "Never", "containers": [{"name": "base", "image": "a:1"}]}}}
        });
        assert_eq!(job, expected);
    }

    #[test]
    fn limit_for_each_index_is_not_undone_by_a_limit_for_the_job() {
        let limits = |arguments: Value| assemble(None, &given(arguments)).unwrap()["spec"]["backoffLimit"].clone();
        assert_eq!(limits(json!({"image": "a:1", "backoff_limit_per_index": 2})), Value::Null);
        assert_eq!(limits(json!({"image": "a:1", "backoff_limit_per_index": 2, "backoff_limit": 5})), 5);
    }

    #[test]
    fn selector_that_is_empty_is_none() {
        let mut manifest = manifest();
        manifest["spec"]["selector"] = json!({});
        manifest["spec"]["manualSelector"] = json!(false);
        assemble(Some(&manifest), &Arguments::default()).unwrap();
    }

    #[test]
    fn what_cannot_be_a_job_is_refused_with_its_path() {
        let cases = [
            (json!({"spec": {"manualSelector": true}}), "spec.selector"),
            (json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}}), "spec.selector"),
            (json!({}), "spec.template.spec.containers.image"),
        ];
        for (manifest, path) in cases {
            let error = assemble(Some(&manifest), &Arguments::default()).unwrap_err();
            assert_eq!(error.report().facts["path"], path, "{error}");
        }
    }

    #[test]
    fn base_container_is_the_one_that_is_named_and_comes_first() {
        let containers = |names: &[&str]| {
            let list: Vec<Value> = names.iter().map(|name| json!({"name": name, "image": "a:1"})).collect();
            json!({"spec": {"template": {"spec": {"containers": list}}}})
        };
        let named = |names: &[&str], base: &str| {
            let arguments = given(json!({"base_container_name": base, "image": "b:2"}));
            let job = assemble(Some(&containers(names)), &arguments)?;
            let containers = job["spec"]["template"]["spec"]["containers"].as_array().unwrap().clone();
            let text = |container: &Value| format!("{} {}", container["name"], container["image"]).replace('"', "");
            Ok::<_, Error>(containers.iter().map(text).collect::<Vec<_>>())
        };
        assert_eq!(named(&["proxy", "main", "side"], "main").unwrap(), ["main b:2", "proxy a:1", "side a:1"]);
        assert_eq!(named(&["other"], "main").unwrap(), ["main b:2"]);
        assert_eq!(named(&[], "main").unwrap(), ["main b:2"]);
        assert_eq!(named(&["proxy", "base"], "base").unwrap(), ["proxy a:1", "base b:2"]);
        for (names, words) in [(["a", "b"], "no container of this name"), (["base", "main"], "rename `base`")] {
            let refused = named(&names, "main").unwrap_err();
            assert_eq!(refused.report().facts["path"], "base_container_name");
            assert!(refused.to_string().contains(words), "{refused}");
        }
    }

    #[test]
    fn config_maps_and_secrets_follow_what_is_there() {
        let mut manifest = manifest();
        let settings = json!({"configMapRef": {"name": "settings"}});
        let (more, secret) = (json!({"configMapRef": {"name": "more"}}), json!({"secretRef": {"name": "keys"}}));
        manifest["spec"]["template"]["spec"]["containers"][0]["envFrom"] = json!([settings]);
        let arguments = given(json!({"configmaps": [settings, more], "secrets": [secret]}));
        let job = assemble(Some(&manifest), &arguments).unwrap();
        assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["envFrom"], json!([settings, more, secret]));
    }
}
