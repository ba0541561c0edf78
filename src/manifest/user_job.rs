//! Finds the one Job in what a user gives: a Job, a `CronJob`, or a list that holds one of them. Pure.
//!
//! Promise: no part of it is left out without a word. From a `CronJob` the same Job is made as by `kubectl create job
//! --from`: its `jobTemplate`, once, with the labels and annotations of the template. Two Jobs, and objects beside the
//! Job, are refused by their names, because only one Job would be made. Source: `createJobFromCronJob` in kubernetes
//! `kubectl/pkg/cmd/create/create_job.go`.

use serde_json::{Map, Value, json};

use super::{
    fields, invalid,
    shape::{self, shown, told},
    unknown_fields::UnknownField,
};
use crate::{error::Error, text::Command};

/// The annotation that kubectl writes on a Job that somebody has made from a `CronJob`.
const INSTANTIATE: &str = "cronjob.kubernetes.io/instantiate";
/// At most this many objects of a list are named.
const NAMED: usize = 10;

/// The Job that a user means.
#[derive(Debug, Clone, PartialEq)]
pub struct UserJob {
    /// The Job. The fields that we read or write over are checked; all others are as they were written.
    pub job: Value,
    /// Its name in the manifest, or the beginning of one; for a `CronJob`, the name of the `CronJob`.
    pub name: Option<String>,
    /// The path of the Job in what was given: empty, `items[3]`, or `spec.jobTemplate`.
    pub prefix: String,
    /// The kind of the object.
    pub kind: RunnableKind,
    /// Fields that no `CronJob` has. The API server judges those of the Job.
    pub unknown: Vec<UnknownField>,
}

/// The kinds that can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunnableKind {
    /// A Job, which is run as it is.
    Job,
    /// A `CronJob`, whose `jobTemplate` is run once.
    CronJob,
}

/// One object that the user gave.
struct GivenObject {
    /// The path of the object in what was given: empty, or `items[3]`.
    prefix: String,
    object: Value,
    kind: Option<RunnableKind>,
}

impl UserJob {
    /// Finds the Job of a manifest, and checks it.
    pub fn read(manifest: Value) -> Result<Self, Error> {
        let mut objects = Vec::new();
        flatten(manifest, String::new(), None, &mut objects)?;
        let GivenObject { prefix, object, kind } = the_one(objects)?;
        let Value::Object(object) = object else {
            return Err(invalid(&prefix, "it is not an object", "give one Job: a dict, or YAML with `kind: Job`"));
        };
        match kind {
            Some(RunnableKind::CronJob) => Self::of_cron_job(object, &prefix),
            Some(RunnableKind::Job) => Self::of_job(object, &prefix),
            None => Err(not_runnable(&object, &prefix)),
        }
    }

    fn of_job(mut job: Map<String, Value>, prefix: &str) -> Result<Self, Error> {
        only(&job, &["batch/v1"], prefix)?;
        shape::check(&mut job, &|path| under(prefix, path))?;
        let name = name(&job);
        Ok(Self { job: job.into(), name, prefix: prefix.to_owned(), kind: RunnableKind::Job, unknown: Vec::new() })
    }

    fn of_cron_job(mut cron_job: Map<String, Value>, prefix: &str) -> Result<Self, Error> {
        only(&cron_job, &["batch/v1", "batch/v1beta1"], prefix)?;
        let mut own = cron_job.remove("metadata").filter(|own| !own.is_null()).unwrap_or_else(|| json!({}));
        let Some(metadata) = own.as_object_mut() else {
            return Err(invalid(&under(prefix, "metadata"), format!("{} instead of an object", told(&own)), CORRECT));
        };
        shape::check_metadata(metadata, &|path| under(prefix, path))?;
        let name = metadata.get("name").and_then(Value::as_str).map(str::to_owned);
        let namespace = metadata.get("namespace").cloned();
        cron_job.insert("metadata".into(), own);
        let cron_job = Value::from(cron_job);
        let unknown = fields::unknown_in_a_cron_job(&cron_job);
        let unknown =
            unknown.into_iter().map(|(path, meant)| UnknownField { path: under(prefix, &path), meant }).collect();
        let mut template = object_at(&cron_job, "spec", prefix)?
            .and_then(|spec| object_at(spec, "jobTemplate", &under(prefix, "spec")).transpose())
            .transpose()?
            .cloned()
            .ok_or_else(|| {
                let path = under(prefix, "spec.jobTemplate");
                invalid(&path, "it is not there", "give the CronJob a `jobTemplate`: that is what is run")
            })?;
        let at = |path: &str| match path.strip_prefix("spec.jobTemplate.") {
            Some(_) => under(prefix, path),
            None => under(prefix, &format!("spec.jobTemplate.{path}")),
        };
        let mut job = Map::from_iter([
            ("apiVersion".to_owned(), json!("batch/v1")),
            ("kind".to_owned(), json!("Job")),
            ("metadata".to_owned(), template["metadata"].take()),
            ("spec".to_owned(), template["spec"].take()),
        ]);
        shape::check(&mut job, &at)?;
        let template = job.remove("metadata").unwrap_or_default();
        let mut annotations = Map::from_iter([(INSTANTIATE.to_owned(), json!("manual"))]);
        annotations.extend(template["annotations"].as_object().cloned().unwrap_or_default());
        let mut metadata = Map::from_iter([("annotations".to_owned(), Value::from(annotations))]);
        metadata.extend(template["labels"].as_object().map(|labels| ("labels".to_owned(), json!(labels))));
        metadata.extend(namespace.map(|namespace| ("namespace".to_owned(), namespace)));
        job.insert("metadata".into(), metadata.into());
        let prefix = under(prefix, "spec.jobTemplate");
        Ok(Self { job: job.into(), name, prefix, kind: RunnableKind::CronJob, unknown })
    }
}

const CORRECT: &str = "correct this field";

/// A field that is an object, or absent.
fn object_at<'a>(parent: &'a Value, key: &str, prefix: &str) -> Result<Option<&'a Value>, Error> {
    match &parent[key] {
        Value::Null => Ok(None),
        object @ Value::Object(_) => Ok(Some(object)),
        other => Err(invalid(&under(prefix, key), format!("{} instead of an object", told(other)), CORRECT)),
    }
}

/// The name of a Job in its manifest, with which its real name begins.
fn name(job: &Map<String, Value>) -> Option<String> {
    let metadata = job.get("metadata")?;
    let text = |key: &str| metadata[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    text("name").or_else(|| text("generateName"))
}

pub(super) fn under(prefix: &str, path: &str) -> String {
    match (prefix, path) {
        ("", path) => path.to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, path) => format!("{prefix}.{path}"),
    }
}

/// The objects of a list, and of the lists in it; an object that is no list counts as itself.
fn flatten(
    value: Value,
    prefix: String,
    default: Option<RunnableKind>,
    objects: &mut Vec<GivenObject>,
) -> Result<(), Error> {
    let of_items = match value["kind"].as_str() {
        Some("List") => None,
        Some("JobList") => Some(RunnableKind::Job),
        Some("CronJobList") => Some(RunnableKind::CronJob),
        kind => {
            let kind = match kind {
                Some("Job") => Some(RunnableKind::Job),
                Some("CronJob") => Some(RunnableKind::CronJob),
                None if value["kind"].is_null() => default.or(prefix.is_empty().then_some(RunnableKind::Job)),
                _ => None,
            };
            objects.push(GivenObject { prefix, object: value, kind });
            return Ok(());
        }
    };
    match value {
        Value::Object(mut list) => match list.remove("items").unwrap_or_default() {
            Value::Null => Ok(()),
            Value::Array(items) => {
                items.into_iter().enumerate().filter(|(_, item)| !item.is_null()).try_for_each(|(number, item)| {
                    flatten(item, under(&prefix, &format!("items[{number}]")), of_items, objects)
                })
            }
            other => Err(invalid(&under(&prefix, "items"), format!("{} instead of a list", told(&other)), CORRECT)),
        },
        _ => Ok(()),
    }
}

/// The only object, if there is exactly one and it can be run.
fn the_one(mut objects: Vec<GivenObject>) -> Result<GivenObject, Error> {
    const ONE: &str = "give exactly one Job or CronJob; others are tasks of their own";
    if objects.len() == 1 {
        return Ok(objects.swap_remove(0));
    }
    if objects.is_empty() {
        return Err(invalid("items", "no object at all", ONE));
    }
    let runnable = objects.iter().filter(|object| object.kind.is_some()).count();
    match runnable {
        0 => Err(invalid("items", format!("no Job among {}", named(objects.iter())), ONE)),
        1 => {
            let beside = named(objects.iter().filter(|object| object.kind.is_none()));
            let apply =
                Command::new(&["kubectl", "apply", "-f", "FILE"]).comment("and leave the Job alone in the manifest");
            Err(invalid("items", format!("beside the Job: {beside}, which would not be made"), apply))
        }
        _ => {
            let jobs = named(objects.iter().filter(|object| object.kind.is_some()));
            Err(invalid("items", format!("{runnable} that could be run: {jobs}"), ONE))
        }
    }
}

/// Writes objects as `Job "load", ConfigMap "settings"`.
fn named<'a>(objects: impl Iterator<Item = &'a GivenObject>) -> String {
    let names: Vec<_> = objects.map(|GivenObject { object, prefix, .. }| describe(object, prefix)).collect();
    let more = names.len().saturating_sub(NAMED);
    let names = names.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
    if more == 0 { names } else { format!("{names} and {more} more") }
}

fn describe(object: &Value, prefix: &str) -> String {
    let short = |value: &Value| value.as_str().map(|text| text.chars().take(63).collect::<String>());
    let kind = short(&object["kind"]).unwrap_or_else(|| "an object without a kind".to_owned());
    let name = short(&object["metadata"]["name"]).or_else(|| short(&object["metadata"]["generateName"]));
    name.map_or_else(|| format!("{kind} ({prefix})"), |name| format!("{kind} `{name}`"))
}

fn only(object: &Map<String, Value>, versions: &[&str], prefix: &str) -> Result<(), Error> {
    match object.get("apiVersion") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(version)) if versions.contains(&version.as_str()) => Ok(()),
        Some(other) => Err(invalid(&under(prefix, "apiVersion"), shown(other), "use `apiVersion: batch/v1`")),
    }
}

fn not_runnable(object: &Map<String, Value>, prefix: &str) -> Error {
    let kind = object.get("kind").unwrap_or(&Value::Null);
    let next = match kind.as_str() {
        Some("Pod" | "PodTemplate") => {
            "give a Job, which sees to it that its Pod ends and is cleaned up: put the Pod's spec under \
             spec.template.spec of a `kind: Job`"
        }
        Some("Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController") => {
            "it never ends, so no task can wait for its end: put its spec.template into a `kind: Job`, with \
             `restartPolicy: Never`"
        }
        _ => "only a Job, a CronJob, or a List with one of them can be run",
    };
    invalid(&under(prefix, "kind"), shown(kind), next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(manifest: Value) -> Result<UserJob, Error> {
        UserJob::read(manifest)
    }

    fn job(name: &str) -> Value {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"zebra": [null]}})
    }

    fn list(items: impl Into<Value>) -> Value {
        let items = items.into();
        json!({"apiVersion": "v1", "kind": "List", "items": items})
    }

    fn cron_job() -> Value {
        json!({
            "apiVersion": "batch/v1", "kind": "CronJob",
            "metadata": {"name": "nightly", "namespace": " etl ", "labels": {"of": "cron-job"}, "annotations": null},
            "spec": {"schedule": "@daily", "suspend": true, "jobTemplate": {
                "metadata": {"labels": {"of": "template"}, "annotations": {"a": "b"}},
                "spec": {"backoffLimit": "2", "fieldOfTomorrow": 1}}}
        })
    }

    #[test]
    fn job_stays_as_it_is_and_names_itself() {
        let read = read(job("load")).unwrap();
        assert_eq!((read.job, read.kind), (job("load"), RunnableKind::Job));
        assert_eq!(read.name.as_deref(), Some("load"));
        for (metadata, name) in [
            (json!({"generateName": "nightly-etl-"}), Some("nightly-etl-")),
            (json!({"name": "a", "generateName": "b-"}), Some("a")),
            (json!({"name": "", "generateName": " b- "}), Some("b-")),
            (json!({"name": null}), None),
            (json!(null), None),
        ] {
            assert_eq!(UserJob::read(json!({"metadata": metadata})).unwrap().name.as_deref(), name, "{metadata}");
        }
    }

    #[test]
    fn cron_job_gives_the_job_that_kubectl_makes_of_it() {
        for version in ["batch/v1", "batch/v1beta1"] {
            let mut cron_job = cron_job();
            cron_job["apiVersion"] = json!(version);
            let read = read(cron_job).unwrap();
            let expected = json!({
                "apiVersion": "batch/v1", "kind": "Job",
                "metadata": {"namespace": "etl", "labels": {"of": "template"},
                             "annotations": {"cronjob.kubernetes.io/instantiate": "manual", "a": "b"}},
                "spec": {"backoffLimit": 2, "fieldOfTomorrow": 1}
            });
            assert_eq!(read.job, expected);
            assert_eq!((read.name.as_deref(), read.kind), (Some("nightly"), RunnableKind::CronJob));
            assert_eq!(read.unknown, []);
        }
    }

    #[test]
    fn what_is_misspelled_or_misplaced_in_a_cron_job_is_found() {
        let mut cron_job = cron_job();
        cron_job["spec"]["jobTemplate"]["ttlSecondsAfterFinished"] = json!(60);
        let unknown = read(list(json!([cron_job]))).unwrap().unknown;
        assert_eq!(unknown[0].path, "items[0].spec.jobTemplate.ttlSecondsAfterFinished");
        assert_eq!(unknown[0].meant.as_deref(), Some("it belongs to `spec.jobTemplate.spec`"));
    }

    #[test]
    fn list_with_one_that_can_be_run_is_that_one() {
        let expected = read(job("load")).unwrap();
        for (given, prefix) in [
            (list(json!([job("load")])), "items[0]"),
            (list(json!([null, job("load"), null])), "items[1]"),
            (list(json!([list(json!([])), list(json!([job("load")]))])), "items[1].items[0]"),
            (json!({"kind": "JobList", "items": [job("load")]}), "items[0]"),
        ] {
            assert_eq!(read(given).unwrap(), UserJob { prefix: prefix.to_owned(), ..expected.clone() });
        }
        let mut bare = cron_job();
        bare.as_object_mut().unwrap().remove("kind");
        let of_list = read(json!({"kind": "CronJobList", "items": [bare]})).unwrap();
        assert_eq!(
            (&of_list.job, of_list.prefix.as_str()),
            (&read(cron_job()).unwrap().job, "items[0].spec.jobTemplate")
        );
    }

    #[test]
    fn what_is_not_one_job_is_refused_by_its_names() {
        let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}});
        let cases = [
            (json!([]), "", "not an object"),
            (json!("x"), "", "not an object"),
            (json!({"kind": "Pod"}), "kind", "spec.template.spec"),
            (json!({"kind": "Deployment"}), "kind", "never ends"),
            (json!({"kind": "Workflow"}), "kind", "only a Job, a CronJob"),
            (json!({"kind": 3}), "kind", "`3`"),
            (json!({"kind": "Job", "apiVersion": "batch/v1beta1"}), "apiVersion", "batch/v1`"),
            (json!({"kind": "CronJob", "apiVersion": "batch/v2alpha1"}), "apiVersion", "batch/v1`"),
            (json!({"kind": "CronJob", "spec": {"schedule": "@daily"}}), "spec.jobTemplate", "not there"),
            (json!({"kind": "CronJob", "spec": 3}), "spec", "`3`"),
            (json!({"kind": "CronJob", "metadata": 3}), "metadata", "`3`"),
            (json!({"kind": "CronJob", "metadata": {"namespace": 3}}), "metadata.namespace", "`3`"),
            (
                json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": 3}}}}}),
                "spec.jobTemplate.spec.template.spec",
                "`3`",
            ),
            (list(json!(null)), "items", "no object"),
            (list(json!({})), "items", "instead of a list"),
            (list(json!([settings])), "items[0].kind", "ConfigMap"),
            (list(json!([settings, settings])), "items", "no Job among ConfigMap `settings`, ConfigMap `settings`"),
            (list(json!([settings, job("load")])), "items", "beside the Job: ConfigMap `settings`"),
            (list(json!([job("load"), cron_job()])), "items", "Job `load`, CronJob `nightly`"),
            (list(json!([job("a"), job("b"), settings])), "items", "Job `a`, Job `b`"),
            (list(json!([{"kind": "Job", "metadata": {"namespace": 3}}])), "items[0].metadata.namespace", "`3`"),
            (list(json!(vec![job("x"); 50])), "items", "and 40 more"),
        ];
        for (manifest, path, words) in cases {
            let error = read(manifest).unwrap_err();
            assert_eq!(error.report().facts["path"], path, "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
