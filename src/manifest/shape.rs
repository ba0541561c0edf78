//! Checks the shapes of the fields that we read, write over or merge into, before anything is done with them. Pure.
//!
//! Promise: afterwards each of these fields is absent or of its type. Null is absent, as for the API server. Text that
//! is a whole number counts as that number, because templates render to text. A number such as `120.0` counts as
//! kubectl reads it. The name of the Job loses the spaces around it. Any other value of a wrong type is refused with
//! its path and, unless it may be a secret, its value. So is a label or the key of an annotation that Kubernetes would
//! refuse: its own answer to that is a 422 about the whole Job. Fields that are not named here stay as the user wrote them, and
//! the API server judges them. Sources: the types of kubernetes `pkg/apis/batch` and `core`, and `ValidateJobSpec` for
//! what may not be negative.

use serde_json::{Map, Value};

use super::invalid;
use crate::{
    error::Error,
    identity::{
        LABEL_KEY_RULE, LABEL_VALUE_RULE, annotation_key_fault, label_key_fault, label_value_fault, safe_label_value,
    },
};

/// At most this many characters of a refused value are shown.
const SHOWN: usize = 80;
const LARGEST_32: u64 = i32::MAX as u64;
const LARGEST_64: u64 = i64::MAX as u64;

/// The shape of a field.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Text,
    /// A text without spaces around it.
    Name,
    /// Texts by key; a null among them is an empty text for the API server.
    Texts,
    /// Texts by key that Kubernetes takes as labels.
    Labels,
    /// The same for annotations, whose values may be any text.
    Annotations,
    Flag,
    /// A whole number from 0 to this.
    Whole(u64),
    Object,
    /// A list of objects; nulls among its items are absent.
    Objects,
    List,
}

type Shapes = &'static [(&'static str, Shape)];

const ROOT: Shapes =
    &[("apiVersion", Shape::Text), ("kind", Shape::Text), ("metadata", Shape::Object), ("spec", Shape::Object)];
const METADATA: Shapes = &[
    ("name", Shape::Name),
    ("generateName", Shape::Name),
    ("namespace", Shape::Name),
    ("labels", Shape::Labels),
    ("annotations", Shape::Annotations),
];
/// The fields of a template's metadata. The API server puts no name and no namespace of a template into a Pod, so those
/// two stay as they are.
const TEMPLATE_METADATA: Shapes = &[("labels", Shape::Labels), ("annotations", Shape::Annotations)];
const SPEC: Shapes = &[
    ("ttlSecondsAfterFinished", Shape::Whole(LARGEST_32)),
    ("backoffLimit", Shape::Whole(LARGEST_32)),
    ("backoffLimitPerIndex", Shape::Whole(LARGEST_32)),
    ("maxFailedIndexes", Shape::Whole(LARGEST_32)),
    ("completions", Shape::Whole(LARGEST_32)),
    ("parallelism", Shape::Whole(LARGEST_32)),
    ("activeDeadlineSeconds", Shape::Whole(LARGEST_64)),
    ("completionMode", Shape::Text),
    ("podFailurePolicy", Shape::Object),
    ("successPolicy", Shape::Object),
    ("podReplacementPolicy", Shape::Text),
    ("managedBy", Shape::Text),
    ("suspend", Shape::Flag),
    ("manualSelector", Shape::Flag),
    ("selector", Shape::Object),
    ("template", Shape::Object),
];
const TEMPLATE: Shapes = &[("metadata", Shape::Object), ("spec", Shape::Object)];
const POD: Shapes = &[
    ("restartPolicy", Shape::Text),
    ("serviceAccountName", Shape::Text),
    ("nodeSelector", Shape::Texts),
    ("affinity", Shape::Object),
    ("tolerations", Shape::List),
    ("volumes", Shape::Objects),
    ("imagePullSecrets", Shape::Objects),
    ("containers", Shape::Objects),
    ("initContainers", Shape::Objects),
    ("securityContext", Shape::Object),
    ("terminationGracePeriodSeconds", Shape::Whole(LARGEST_64)),
    ("automountServiceAccountToken", Shape::Flag),
    ("priorityClassName", Shape::Text),
    ("runtimeClassName", Shape::Text),
    ("schedulerName", Shape::Text),
    ("hostNetwork", Shape::Flag),
    ("hostAliases", Shape::Objects),
    ("hostname", Shape::Text),
    ("subdomain", Shape::Text),
    ("dnsPolicy", Shape::Text),
    ("dnsConfig", Shape::Object),
];
const CONTAINER: Shapes = &[
    ("name", Shape::Text),
    ("image", Shape::Text),
    ("imagePullPolicy", Shape::Text),
    ("command", Shape::List),
    ("args", Shape::List),
    ("env", Shape::Objects),
    ("envFrom", Shape::List),
    ("volumeMounts", Shape::Objects),
    ("resources", Shape::Object),
    ("ports", Shape::Objects),
    ("securityContext", Shape::Object),
    ("terminationMessagePolicy", Shape::Text),
];

/// The object of a Job that a field stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parent {
    /// `metadata`, of the Job and of its Pods.
    Metadata,
    /// `spec` of the Job.
    Spec,
    /// `spec` of its Pods.
    Pod,
    /// The container named `base`, else the first.
    BaseContainer,
}

impl Parent {
    fn shape(self, field: &str) -> Option<Shape> {
        let fields = match self {
            Self::Metadata => TEMPLATE_METADATA,
            Self::Spec => SPEC,
            Self::Pod => POD,
            Self::BaseContainer => CONTAINER,
        };
        Some(fields.iter().find(|(key, _)| *key == field)?.1)
    }
}

/// Checks a value for a field; an error calls it `name`.
pub(super) fn check_field(parent: Parent, field: &str, value: &mut Value, name: &str) -> Result<(), Error> {
    let shape = parent.shape(field);
    shape.map_or(Ok(()), |shape| shape.check(value).map_err(|wrong| wrong.refused(name)))
}

#[cfg(test)]
pub(super) fn is_checked(parent: Parent, field: &str) -> bool {
    parent.shape(field).is_some()
}

/// Checks a Job. `written_path` turns the path of a field into the one under which the user wrote it.
pub(super) fn check(job: &mut Map<String, Value>, written_path: &dyn Fn(&str) -> String) -> Result<(), Error> {
    at(job, ROOT, "", written_path)?;
    if let Some(metadata) = below(job, "metadata") {
        at(metadata, METADATA, "metadata", written_path)?;
    }
    let Some(spec) = below(job, "spec") else { return Ok(()) };
    at(spec, SPEC, "spec", written_path)?;
    let Some(template) = below(spec, "template") else { return Ok(()) };
    at(template, TEMPLATE, "spec.template", written_path)?;
    if let Some(metadata) = below(template, "metadata") {
        at(metadata, TEMPLATE_METADATA, "spec.template.metadata", written_path)?;
    }
    let Some(pod) = below(template, "spec") else { return Ok(()) };
    at(pod, POD, "spec.template.spec", written_path)?;
    let containers = pod.get_mut("containers").and_then(Value::as_array_mut);
    for (number, container) in containers.into_iter().flatten().enumerate() {
        if let Some(container) = container.as_object_mut() {
            at(container, CONTAINER, &format!("spec.template.spec.containers[{number}]"), written_path)?;
        }
    }
    Ok(())
}

/// Checks the same fields of the metadata of another object.
pub(super) fn check_metadata(
    metadata: &mut Map<String, Value>,
    written_path: &dyn Fn(&str) -> String,
) -> Result<(), Error> {
    at(metadata, METADATA, "metadata", written_path)
}

fn below<'a>(object: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    object.get_mut(key)?.as_object_mut()
}

fn at(
    object: &mut Map<String, Value>,
    fields: Shapes,
    path: &str,
    written_path: &dyn Fn(&str) -> String,
) -> Result<(), Error> {
    for (key, shape) in fields {
        let Some(value) = object.get_mut(*key) else { continue };
        if value.is_null() {
            object.remove(*key);
            continue;
        }
        let path = if path.is_empty() { (*key).to_owned() } else { format!("{path}.{key}") };
        shape.check(value).map_err(|wrong| wrong.refused(&written_path(&path)))?;
    }
    Ok(())
}

/// A value that is not of the type of its field.
struct Wrong {
    /// The key or the number in a list, where it is not the whole value.
    below: String,
    seen: String,
    next: String,
}

impl Wrong {
    fn new(value: &Value, wanted: &str, next: &str) -> Self {
        Self::with(&told(value), wanted, next)
    }

    fn with(shown: &str, wanted: &str, next: &str) -> Self {
        Self { below: String::new(), seen: format!("{shown} instead of {wanted}"), next: next.to_owned() }
    }

    fn refused(self, path: &str) -> Error {
        let Self { below, seen, next } = self;
        invalid(&format!("{path}{below}"), seen, next)
    }
}

impl Shape {
    fn check(self, value: &mut Value) -> Result<(), Wrong> {
        let correct = "correct this field";
        match self {
            Self::Text if value.is_string() => Ok(()),
            Self::Text => Err(Wrong::new(value, "a text", quotes(value))),
            Self::Name => match value.as_str() {
                Some(text) => {
                    *value = text.trim().into();
                    Ok(())
                }
                None => Err(Wrong::new(value, "a text", quotes(value))),
            },
            Self::Texts | Self::Labels | Self::Annotations => {
                let Some(entries) = value.as_object() else {
                    return Err(Wrong::new(value, "an object of texts", correct));
                };
                entries.iter().find_map(|(key, value)| self.entry(key, value)).map_or(Ok(()), Err)
            }
            Self::Flag if value.is_boolean() => Ok(()),
            Self::Flag => Err(Wrong::with(&shown(value), "true or false", "write true or false, without quotes")),
            Self::Whole(largest) => {
                let Some(number) = whole(value).filter(|number| *number <= largest) else {
                    let next = "give a whole number, 0 or more, or leave the field out";
                    return Err(Wrong::with(&shown(value), "a whole number, 0 or more", next));
                };
                *value = number.into();
                Ok(())
            }
            Self::Object if value.is_object() => Ok(()),
            Self::Object => Err(Wrong::new(value, "an object", correct)),
            Self::List if value.is_array() => Ok(()),
            Self::List | Self::Objects if !value.is_array() => Err(Wrong::new(value, "a list", correct)),
            Self::List => Ok(()),
            Self::Objects => {
                let items = value.as_array_mut().expect("checked above");
                items.retain(|item| !item.is_null());
                let wrong = items.iter().enumerate().find(|(_, item)| !item.is_object());
                wrong.map_or(Ok(()), |(number, item)| {
                    let wrong = Wrong::new(item, "an object", correct);
                    Err(Wrong { below: format!("[{number}]"), ..wrong })
                })
            }
        }
    }
}

impl Shape {
    /// What is wrong with one entry of an object of texts.
    fn entry(self, key: &str, value: &Value) -> Option<Wrong> {
        if !value.is_string() && !value.is_null() {
            return Some(Wrong { below: format!("[{key}]"), ..Wrong::new(value, "a text", quotes(value)) });
        }
        match self {
            Self::Labels => label(key, value.as_str().unwrap_or_default()),
            Self::Annotations => annotation_key_fault(key).map(|fault| {
                let seen = format!("Kubernetes takes no annotation with the key {}: {fault}", shown(&key.into()));
                Wrong { below: format!("[{key}]"), seen, next: format!("give {LABEL_KEY_RULE}") }
            }),
            _ => None,
        }
    }
}

/// What Kubernetes would refuse of a label. The value of a label is no secret: whoever may read the Job sees it.
fn label(key: &str, value: &str) -> Option<Wrong> {
    let (seen, next) = if let Some(fault) = label_key_fault(key) {
        (
            format!("Kubernetes takes no label with the key {}: {fault}", shown(&key.into())),
            format!("give {LABEL_KEY_RULE}"),
        )
    } else {
        let fault = label_value_fault(value)?;
        let safe = safe_label_value(value);
        (
            format!("Kubernetes refuses the value {} of the label `{key}`: {fault}", shown(&value.into())),
            format!(
                "give {LABEL_VALUE_RULE}, such as `{safe}`; an annotation takes any text, and the ids of the task are \
                 labels already (docs/labels.md)"
            ),
        )
    };
    Some(Wrong { below: format!("[{key}]"), seen, next })
}

/// The whole number that a value is, or is the text of. A `float` without a fraction is one for kubectl, which writes
/// it without its point.
fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            let float = number.as_f64().filter(|float| float.fract() == 0.0 && *float >= 0.0)?;
            format!("{float:.0}").parse().ok()
        }),
        Value::String(text) => {
            let digits = text.trim();
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
        }
        _ => None,
    }
}

fn quotes(value: &Value) -> &'static str {
    if value.is_number() || value.is_boolean() { "put it in quotes" } else { "give a text, or leave the field out" }
}

/// A value, where that is a number, true or false; else what it is: texts and objects may hold a secret.
pub(super) fn told(value: &Value) -> String {
    match value {
        Value::Bool(_) | Value::Number(_) => shown(value),
        other => kind_of(other).to_owned(),
    }
}

/// What a value is, in words.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A value of a field that holds no secret in JSON, its beginning where it is long.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        None => format!("`{text}`"),
        Some((end, _)) => format!("`{}...`", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(mut job: Value) -> Result<Value, Error> {
        check(job.as_object_mut().unwrap(), &str::to_owned)?;
        Ok(job)
    }

    #[test]
    fn whole_numbers_count_however_a_template_wrote_them() {
        for (given, counts) in [
            (json!(120), Some(120)),
            (json!(0), Some(0)),
            (json!("120"), Some(120)),
            (json!(" 120\n"), Some(120)),
            (json!(120.0), Some(120)),
            (json!(i32::MAX), Some(i32::MAX)),
            (json!(-1), None),
            (json!("-1"), None),
            (json!(-1.0), None),
            (json!(1.5), None),
            (json!("1.5"), None),
            (json!(""), None),
            (json!("a day"), None),
            (json!({}), None),
            (json!([]), None),
            (json!(true), None),
            (json!(2_147_483_648_u64), None),
            (json!(1e300), None),
            (json!("99999999999999999999999"), None),
        ] {
            let job = checked(json!({"spec": {"ttlSecondsAfterFinished": given}}));
            if let Some(number) = counts {
                assert_eq!(job.unwrap()["spec"]["ttlSecondsAfterFinished"], number, "{given}");
                continue;
            }
            let error = job.unwrap_err();
            assert_eq!(error.report().facts["path"], "spec.ttlSecondsAfterFinished", "{given}");
            assert!(error.to_string().contains(&given.to_string()), "{error}");
        }
    }

    #[test]
    fn null_is_absent_in_every_field_that_is_read_or_set() {
        let nulls =
            |fields: Shapes| fields.iter().map(|(key, _)| ((*key).to_owned(), Value::Null)).collect::<Map<_, _>>();
        let mut pod = nulls(POD);
        pod.insert("containers".into(), json!([null, nulls(CONTAINER), null]));
        let mut template = nulls(TEMPLATE);
        template.insert("metadata".into(), nulls(TEMPLATE_METADATA).into());
        template.insert("spec".into(), pod.into());
        let mut spec = nulls(SPEC);
        spec.insert("template".into(), template.into());
        let mut job = nulls(ROOT);
        job.insert("metadata".into(), nulls(METADATA).into());
        job.insert("spec".into(), spec.into());
        let expected = json!({"metadata": {}, "spec": {"template": {"metadata": {}, "spec": {"containers": [{}]}}}});
        assert_eq!(checked(job.into()).unwrap(), expected);
        assert_eq!(checked(nulls(ROOT).into()).unwrap(), json!({}));
    }

    #[test]
    fn wrong_type_is_refused_with_its_path_and_its_value() {
        let template = |template: Value| json!({"spec": {"template": template}});
        let container = |field: Value| template(json!({"spec": {"containers": [{}, field]}}));
        for (job, path, value) in [
            (json!({"metadata": []}), "metadata", "a list"),
            (json!({"metadata": {"namespace": 20261}}), "metadata.namespace", "20261"),
            (json!({"metadata": {"name": 7}}), "metadata.name", "7"),
            (json!({"metadata": {"generateName": true}}), "metadata.generateName", "true"),
            (json!({"metadata": {"labels": ["a"]}}), "metadata.labels", "a list"),
            (json!({"metadata": {"labels": {"version": 1.5}}}), "metadata.labels[version]", "1.5"),
            (json!({"metadata": {"annotations": {"a/b": {}}}}), "metadata.annotations[a/b]", "an object"),
            (json!({"spec": 3}), "spec", "3"),
            (json!({"spec": {"selector": "x"}}), "spec.selector", "a text"),
            (json!({"spec": {"manualSelector": "true"}}), "spec.manualSelector", "\"true\""),
            (template(json!("x")), "spec.template", "a text"),
            (template(json!({"metadata": {"labels": {"a": 1}}})), "spec.template.metadata.labels[a]", "1"),
            (template(json!({"spec": {"restartPolicy": ["Never"]}})), "spec.template.spec.restartPolicy", "a list"),
            (template(json!({"spec": {"containers": {}}})), "spec.template.spec.containers", "an object"),
            (template(json!({"spec": {"volumes": ["data"]}})), "spec.template.spec.volumes[0]", "a text"),
            (container(json!({"image": 3})), "spec.template.spec.containers[1].image", "3"),
            (container(json!({"env": {"A": "1"}})), "spec.template.spec.containers[1].env", "an object"),
            (container(json!({"env": ["A=1"]})), "spec.template.spec.containers[1].env[0]", "a text"),
        ] {
            let error = checked(job.clone()).unwrap_err();
            assert_eq!(error.report().facts["path"], path, "{job}");
            assert!(error.report().seen[0].contains(value), "{error}");
        }
    }

    #[test]
    fn label_that_kubernetes_refuses_is_refused_with_its_value_the_rule_and_a_value_that_it_takes() {
        let run = "manual__2026-11-29T03:33:37+00:00";
        for (job, path) in [
            (json!({"metadata": {"labels": {"run": run}}}), "metadata.labels[run]"),
            (
                json!({"spec": {"template": {"metadata": {"labels": {"run": run}}}}}),
                "spec.template.metadata.labels[run]",
            ),
        ] {
            let error = checked(job).unwrap_err();
            assert_eq!(error.report().facts["path"], path);
            let text = error.to_string();
            for part in [run, "label `run`", "it has `:`", "at most 63", "`manual__2026-11-29T0333370000-6abf37b64`"] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
        for (labels, fault) in [
            (json!({"my team": "a"}), "\"my team\"`: it has ` `"),
            (json!({"": "a"}), "it has no name"),
            (json!({"a": "x".repeat(64)}), "it has 64 characters"),
        ] {
            let text = checked(json!({"metadata": {"labels": labels}})).unwrap_err().to_string();
            assert!(text.contains(fault), "{text}");
        }
        let notes = |notes: Value| checked(json!({"metadata": {"annotations": notes}}));
        assert!(notes(json!({"a b": "password"})).is_err_and(|error| !error.to_string().contains("password")));
        assert!(notes(json!({"note": run, "empty": null})).is_ok());
        assert!(checked(json!({"metadata": {"labels": {"run": "A-z_0.9", "none": null, "a.b/c": ""}}})).is_ok());
    }

    #[test]
    fn long_value_is_cut_and_what_may_be_a_secret_is_not_shown() {
        let error = checked(json!({"spec": {"backoffLimit": "x".repeat(5000)}})).unwrap_err().to_string();
        assert!(error.len() < 400, "{error}");
        for env in [json!({"PASSWORD": "hunter2"}), json!(["PASSWORD=hunter2"]), json!("hunter2")] {
            let job = json!({"spec": {"template": {"spec": {"containers": [{"env": env}]}}}});
            let error = checked(job).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
