//! Knows which fields Kubernetes has, and where, and suggests what an unknown field may have been meant to be. Pure.
//!
//! The names come from the types of `k8s-openapi`, so there is no list of ours. A newer cluster knows more fields than
//! these types. So only the API server says which fields of a Job are unknown; this file only suggests where they
//! belong.

use k8s_openapi::api::{
    batch::v1::{CronJob, CronJobSpec, Job, JobSpec, JobTemplateSpec, PodFailurePolicy},
    core::v1::{
        Container, EnvVar, EnvVarSource, PodSecurityContext, PodSpec, PodTemplateSpec, ResourceRequirements,
        SecurityContext, Toleration, Volume, VolumeMount,
    },
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Deserializer, de, forward_to_deserialize_any};

use super::user_job::under;

/// The names of the fields of an object.
type Fields = &'static [&'static str];

/// Texts that are at least this similar count as a typing error of each other; 1 means equal. `ttlSecondsAfterFinish`
/// has 0.91.
const ALIKE: f64 = 0.8;

/// The places of a Job that people write in, with the fields that may stand there; `[]` is any item of a list. If two
/// places are equally near, the first is suggested.
fn objects_of_a_job() -> [(&'static str, Fields); 17] {
    const POD: &str = "spec.template.spec";
    [
        ("", fields_of::<Job>()),
        ("metadata", fields_of::<ObjectMeta>()),
        ("spec", fields_of::<JobSpec>()),
        ("spec.podFailurePolicy", fields_of::<PodFailurePolicy>()),
        ("spec.template", fields_of::<PodTemplateSpec>()),
        ("spec.template.metadata", fields_of::<ObjectMeta>()),
        (POD, fields_of::<PodSpec>()),
        ("spec.template.spec.containers[]", fields_of::<Container>()),
        ("spec.template.spec.initContainers[]", fields_of::<Container>()),
        ("spec.template.spec.securityContext", fields_of::<PodSecurityContext>()),
        ("spec.template.spec.tolerations[]", fields_of::<Toleration>()),
        ("spec.template.spec.volumes[]", fields_of::<Volume>()),
        ("spec.template.spec.containers[].env[]", fields_of::<EnvVar>()),
        ("spec.template.spec.containers[].env[].valueFrom", fields_of::<EnvVarSource>()),
        ("spec.template.spec.containers[].volumeMounts[]", fields_of::<VolumeMount>()),
        ("spec.template.spec.containers[].resources", fields_of::<ResourceRequirements>()),
        ("spec.template.spec.containers[].securityContext", fields_of::<SecurityContext>()),
    ]
}

/// The places of a `CronJob` above its Job, and then those of its Job.
fn places_of_a_cron_job() -> Vec<(String, Fields)> {
    let own = [
        ("", fields_of::<CronJob>()),
        ("metadata", fields_of::<ObjectMeta>()),
        ("spec", fields_of::<CronJobSpec>()),
        ("spec.jobTemplate", fields_of::<JobTemplateSpec>()),
        ("spec.jobTemplate.metadata", fields_of::<ObjectMeta>()),
    ];
    let own = own.into_iter().map(|(object_path, fields)| (object_path.to_owned(), fields));
    let inner = objects_of_a_job().into_iter().filter(|(object_path, _)| object_path.starts_with("spec"));
    own.chain(inner.map(|(object_path, fields)| (format!("spec.jobTemplate.{object_path}"), fields))).collect()
}

/// Suggests in words what an unknown field of a Job was meant to be. `job` is the path of the Job in what the user
/// wrote.
pub(super) fn meant_in_a_job(path: &str, job: &str) -> Option<String> {
    let object_paths = objects_of_a_job().map(|(object_path, fields)| (object_path.to_owned(), fields));
    meant(path, &object_paths, job)
}

/// Finds the fields of an object that no `CronJob` has, as paths with suggestions. The API server judges the fields
/// below the spec of its Job.
pub(super) fn unknown_in_a_cron_job(cron_job: &serde_json::Value) -> Vec<(String, Option<String>)> {
    let object_paths = places_of_a_cron_job();
    let mut unknown = Vec::new();
    for (object_path, fields) in
        object_paths.iter().take_while(|(object_path, _)| object_path != "spec.jobTemplate.spec")
    {
        let pointer =
            if object_path.is_empty() { String::new() } else { format!("/{}", object_path.replace('.', "/")) };
        let object = cron_job.pointer(&pointer).and_then(serde_json::Value::as_object);
        for key in object.into_iter().flat_map(serde_json::Map::keys).filter(|key| !fields.contains(&key.as_str())) {
            let path = if object_path.is_empty() { key.clone() } else { format!("{object_path}.{key}") };
            let meant = meant(&path, &object_paths, "");
            unknown.push((path, meant));
        }
    }
    unknown
}

fn meant(path: &str, object_paths: &[(String, Fields)], root: &str) -> Option<String> {
    let path = without_numbers(path);
    let (object_path, key) = path.rsplit_once('.').unwrap_or(("", &path));
    let here = object_paths.iter().find(|(other, _)| other == object_path).map(|(_, fields)| *fields);
    let alike = |field: &&&str| strsim::normalized_damerau_levenshtein(&field.to_lowercase(), &key.to_lowercase());
    let best = here.into_iter().flatten().max_by(|a, b| alike(a).total_cmp(&alike(b)));
    if let Some(field) = best.filter(|field| alike(field) >= ALIKE) {
        return Some(format!("did you mean `{field}`?"));
    }
    let nearest = object_paths
        .iter()
        .filter(|(_, fields)| fields.contains(&key))
        .min_by_key(|(other, _)| steps(object_path, other));
    nearest.map(|(other, _)| match under(root, other) {
        top if top.is_empty() => "it belongs to the top level".to_owned(),
        other => format!("it belongs to `{}`", other.replace("[]", "[...]")),
    })
}

/// Turns `spec.containers[12].env` into `spec.containers[].env`.
fn without_numbers(path: &str) -> String {
    path.chars()
        .scan(false, |inside, letter| {
            *inside = letter == '[' || (*inside && letter != ']');
            Some((letter, *inside))
        })
        .filter(|(letter, inside)| !inside || *letter == '[')
        .map(|(letter, _)| letter)
        .collect()
}

/// The number of levels between two places.
fn steps(a: &str, b: &str) -> usize {
    let levels = |object_path: &str| {
        object_path.split('.').filter(|level| !level.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let (a, b) = (levels(a), levels(b));
    let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    a.len() + b.len() - 2 * same
}

/// The names of the fields that a type reads.
fn fields_of<'de, T: Deserialize<'de>>() -> Fields {
    let mut fields: Fields = &[];
    let _ = T::deserialize(FieldNames(&mut fields));
    fields
}

/// A deserializer that reads nothing, and notes the names of the fields that a type asks for.
struct FieldNames<'a>(&'a mut Fields);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = de::value::Error;

    fn deserialize_any<V: de::Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("only names are read"))
    }

    fn deserialize_struct<V: de::Visitor<'de>>(
        self,
        _: &'static str,
        fields: Fields,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_name_their_fields() {
        assert!(fields_of::<JobSpec>().contains(&"ttlSecondsAfterFinished"));
        assert!(places_of_a_cron_job().iter().all(|(_, fields)| !fields.is_empty()));
        assert!(objects_of_a_job().iter().all(|(_, fields)| !fields.is_empty()));
    }

    #[test]
    fn field_in_the_wrong_place_is_sent_to_the_nearest_right_one() {
        let cases = [
            ("spec.template.spec.backoffLimit", Some("it belongs to `spec`")),
            ("spec.ttlSecondsAfterFinish", Some("did you mean `ttlSecondsAfterFinished`?")),
            ("spec.backofflimit", Some("did you mean `backoffLimit`?")),
            ("ttlSecondsAfterFinished", Some("it belongs to `spec`")),
            ("spec.restartPolicy", Some("it belongs to `spec.template.spec`")),
            ("spec.template.spec.image", Some("it belongs to `spec.template.spec.containers[...]`")),
            ("spec.template.spec.containers[12].nodeSelector", Some("it belongs to `spec.template.spec`")),
            ("spec.template.labels", Some("it belongs to `spec.template.metadata`")),
            (
                "spec.template.spec.containers[0].limits",
                Some("it belongs to `spec.template.spec.containers[...].resources`"),
            ),
            ("metadata.spec", Some("it belongs to the top level")),
            ("spec.zebra", None),
            ("somewhere.else", None),
        ];
        for (path, expected) in cases {
            assert_eq!(meant_in_a_job(path, "").as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn what_no_cron_job_has_is_found_above_the_spec_of_its_job() {
        let cron_job = json!({"kind": "CronJob", "metadata": {"name": "x", "lables": {}}, "spec": {
            "schedule": "@daily", "backoffLimit": 0,
            "jobTemplate": {"ttlSecondsAfterFinished": 3, "metadata": {"labels": {}}, "spec": {"zebra": 1}}}});
        let unknown = unknown_in_a_cron_job(&cron_job);
        let expected = [
            ("metadata.lables", Some("did you mean `labels`?")),
            ("spec.backoffLimit", Some("it belongs to `spec.jobTemplate.spec`")),
            ("spec.jobTemplate.ttlSecondsAfterFinished", Some("it belongs to `spec.jobTemplate.spec`")),
        ];
        assert_eq!(unknown, expected.map(|(path, meant)| (path.to_owned(), meant.map(str::to_owned))));
    }
}
