//! What one attempt is asked to do, as Python hands it over, and the Job it leads to.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    error::{Error, Report},
    identity::{
        Attempt, CronJobName, FixedName, JobName, NameField, Namespace, QueueName, RunTime, Slug, annotations,
        invalid_name_in, job_name, labels, manifest_digest::ManifestDigest, pod_annotations, refused_as, search_labels,
        trimmed_option,
    },
    manifest::{
        Arguments, ResultSidecar, RunnableKind, Stamp, Ttl, TtlPlan, UserJob, assemble, indexed_completions,
        manifest_namespace, manifest_ttl, not_known, overlay, put_into_queue, put_pod_template, put_result_file,
        replaced_labels, stamp, unknown_fields,
    },
    model::{
        handoff::Handoff,
        message::Message,
        observed_job::JobReference,
        per_outcome::PerOutcome,
        policies::{
            CleanUp, LogFormat, LogSources, OnFinish, OnLingeringSidecar, PredecessorPolicy, ReleasePolicy,
            ResultSource, Until,
        },
    },
    resource::FieldValidation,
    unreadable,
};

use super::marking::Marking;

/// The order of one attempt.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is one option of the request")]
pub struct JobRequest {
    /// Who asks.
    pub attempt: Attempt,
    /// What the name begins with, in any alphabet; else what the manifest is named.
    #[serde(default)]
    pub slug: Option<String>,
    /// What it begins with where neither says anything.
    #[serde(default)]
    pub default_slug: String,
    /// The whole name, where the user gives it instead: the same for all tries and runs.
    #[serde(default, deserialize_with = "trimmed_option")]
    pub fixed_name: Option<FixedName>,
    /// The time of the run, the same for all its tries.
    pub run_time: DateTime<Utc>,
    /// The namespace; else the manifest's, else the configuration's.
    #[serde(default, deserialize_with = "trimmed_option")]
    pub namespace: Option<Namespace>,
    /// What the user wrote: a whole Job, or what one is made from. Once it is read, the Job.
    #[serde(default)]
    pub manifest: Option<Value>,
    /// Parts of a Job that are laid over the manifest, in this order, before it is read.
    #[serde(default)]
    pub overlays: Vec<Value>,
    /// The `CronJob` in the cluster whose Job is run, instead of a manifest.
    #[serde(default, deserialize_with = "trimmed_option")]
    pub from_cron_job: Option<CronJobName>,
    /// The Pod template that the installation's hook has made of the one that would be sent; none if it has no hook. Like
    /// the marking it is not the user's, so it does not count when a retry compares manifests.
    #[serde(default)]
    pub pod_template: Option<Value>,
    /// What becomes of a manifest with fields that are not known.
    #[serde(default)]
    pub field_validation: FieldValidation,
    /// The arguments the user gave.
    #[serde(default)]
    pub arguments: Arguments,
    /// The argument `ttl_seconds_after_finished`, by outcome.
    #[serde(default)]
    pub ttl: PerOutcome<Ttl>,
    /// What becomes of the finished Job, by outcome.
    #[serde(default)]
    pub on_finish: PerOutcome<OnFinish>,
    /// The least TTL while nobody has acknowledged the outcome, in seconds.
    #[serde(default = "seven_days")]
    pub safe_ttl_seconds: u32,
    /// Whether the cluster grants `patch` on Jobs.
    #[serde(default = "yes")]
    pub patch_jobs: bool,
    /// The labels and annotations that the installation wants on every Job and its Pods.
    #[serde(default)]
    pub marking: Marking,
    /// What to do with Jobs of earlier tries.
    #[serde(default)]
    pub policy: PredecessorPolicy,
    /// Whether Jobs of earlier tries can be told apart from those of other deployments.
    #[serde(default = "yes")]
    pub lookup: bool,
    /// Names this task is known to have given to its Jobs, in all its tries.
    #[serde(default)]
    pub known_names: Vec<JobName>,
    /// How long a Job may take to start, in seconds.
    #[serde(default = "ten_minutes")]
    pub startup_timeout_seconds: u32,
    /// How long the init containers of a Pod may run, in seconds; none for no limit.
    #[serde(default)]
    pub init_timeout_seconds: Option<u32>,
    /// The queue of Kueue that the Job waits in; none if it does not.
    #[serde(default, deserialize_with = "trimmed_option")]
    pub queue_name: Option<QueueName>,
    /// How long the Job may wait in a queue of Kueue, in seconds; none for no limit.
    #[serde(default)]
    pub queue_timeout_seconds: Option<u32>,
    /// How long to wait for the Pods of a Job that is being deleted, in seconds.
    #[serde(default = "one_minute")]
    pub handover_timeout_seconds: u32,
    /// Whether to go on although a Pod on a lost node may still run.
    #[serde(default)]
    pub replace_lost: bool,
    /// Which Jobs that are stuck on the way out are freed, where they have our fixed name.
    #[serde(default)]
    pub release_stuck: ReleasePolicy,
    /// How long nothing must have moved before that, in seconds.
    #[serde(default = "one_minute")]
    pub release_after_seconds: u32,
    /// What to do where a sidecar keeps a Pod running after its base container has ended.
    #[serde(default)]
    pub on_lingering_sidecar: OnLingeringSidecar,
    /// Where the result of the Job is read from; none if it is not.
    #[serde(default)]
    pub result: Option<ResultSource>,
    /// The sidecar that prints the result, where one does.
    #[serde(default)]
    pub result_sidecar: ResultSidecar,
    /// Whether to read the logs.
    #[serde(default = "yes")]
    pub get_logs: bool,
    /// Of which containers.
    #[serde(default)]
    pub container_logs: LogSources,
    /// Of which init containers.
    #[serde(default)]
    pub init_container_logs: LogSources,
    /// How the lines of the containers look.
    #[serde(default)]
    pub log_format: LogFormat,
    /// Whether a clear of a running task can be told from a retry (Airflow 3.2 and later).
    #[serde(default = "yes")]
    pub running_clear_is_visible: bool,
    /// The name in the manifest, or the beginning of one.
    #[serde(skip)]
    given_name: Option<String>,
    /// Where the Job stands in what the user wrote: empty, `items[1]`, or `spec.jobTemplate`.
    #[serde(skip)]
    prefix: String,
    /// What there is to say of what was made of the manifest.
    #[serde(skip)]
    said: Vec<Message>,
}

fn seven_days() -> u32 {
    7 * 24 * 3600
}

fn ten_minutes() -> u32 {
    600
}

fn one_minute() -> u32 {
    60
}

fn yes() -> bool {
    true
}

/// Why a request could not be read, if it is for a name in it.
fn invalid_name(request: &Value) -> Option<Error> {
    let names: [NameField<'_>; 3] = [
        ("/namespace", refused_as::<Namespace>),
        ("/from_cron_job", refused_as::<CronJobName>),
        ("/queue_name", refused_as::<QueueName>),
    ];
    let invalid = invalid_name_in(request, &names);
    let fixed = || request["fixed_name"].as_str()?.trim().parse::<FixedName>().err();
    invalid.map(|invalid| invalid.in_manifest()).or_else(fixed)
}

/// A Job ready to be created.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its name.
    pub name: JobName,
    /// The whole object as JSON.
    pub body: Vec<u8>,
}

impl JobRequest {
    /// Reads a request.
    pub fn read(request: &Value) -> Result<Self, Error> {
        let mut wanted: Self = unreadable::from_value(request).map_err(|error| {
            invalid_name(request).unwrap_or_else(|| {
                Error::InvalidManifest(Box::new(Report::new("The request cannot be read").seen(error.to_string())))
            })
        })?;
        wanted.marking.check()?;
        wanted.arguments.check()?;
        let overlays = std::mem::take(&mut wanted.overlays);
        let parts = wanted.manifest.take().into_iter().chain(overlays);
        match (parts.reduce(overlay), &wanted.from_cron_job) {
            (Some(_), Some(name)) => Err(Error::Configuration(Box::new(
                Report::new("`manifest` and `from_cron_job` both say what is run")
                    .seen(format!("from_cron_job is `{name}`"))
                    .hint("give one of them; arguments such as image and env_vars win over either")
                    .fact("path", "from_cron_job"),
            ))),
            (Some(manifest), None) => {
                let given = UserJob::read(manifest)?;
                if given.kind == RunnableKind::CronJob {
                    let named = given.name.as_ref().map_or_else(String::new, |name| format!(" `{name}`"));
                    wanted.said.push(Message::info(
                        "cron-job-once",
                        format!("The manifest is a CronJob{named}: its jobTemplate is run once, now; its schedule is not made"),
                    ));
                }
                wanted.with_job(given)
            }
            (None, _) => Ok(wanted),
        }
    }

    /// The same request for this Job.
    fn with_job(mut self, given: UserJob) -> Result<Self, Error> {
        // Before anything is asked: also where the argument is stronger.
        manifest_namespace(&given.job)?;
        match self.field_validation {
            _ if given.unknown.is_empty() => {}
            FieldValidation::Strict => return Err(not_known(&given.unknown)),
            FieldValidation::Warn => {
                let warned = given.unknown.iter().map(|field| Message::warning("unknown-field", field.describe()));
                self.said.extend(warned);
            }
            FieldValidation::Ignore => {}
        }
        for (label, value) in replaced_labels(&given.job, &labels(&self.attempt)) {
            self.said.push(Message::info(
                "label-replaced",
                format!("The label `{label}` is ours: `{value}` of the manifest is replaced"),
            ));
        }
        self.given_name = given.name;
        self.prefix = given.prefix;
        self.manifest = Some(given.job);
        Ok(self)
    }

    /// The same request for the Job of this `CronJob`, as the API server has it.
    pub(crate) fn with_cron_job(&self, namespace: &Namespace, cron_job: Value) -> Result<Self, Error> {
        let mut given = UserJob::read(cron_job)?;
        // It is stored, so it has no other fields than its API server knows.
        given.unknown.clear();
        given.prefix.clear();
        let mut wanted = self.clone();
        let name = given.name.as_deref().unwrap_or_default();
        wanted.said.push(Message::info(
            "cron-job-once",
            format!("The Job is made from the jobTemplate of CronJob `{namespace}/{name}`, as it is now"),
        ));
        wanted.with_job(given)
    }

    /// The refusal of a Job for fields that its API server does not know, where its message says so.
    pub(crate) fn unknown_fields(&self, message: &str) -> Option<Error> {
        Some(not_known(&unknown_fields(message, &self.prefix)?))
    }

    /// What there is to say before the Job is made.
    #[must_use]
    pub fn said(&self) -> &[Message] {
        &self.said
    }

    fn slug(&self) -> Slug {
        let cron_job = self.from_cron_job.as_ref().map(CronJobName::as_str);
        let given = [self.slug.as_deref(), self.given_name.as_deref(), cron_job];
        let given = given.into_iter().flatten().find(|text| !text.trim().is_empty());
        Slug::from(given.unwrap_or(&self.default_slug))
    }

    /// The name for a generation: 0 first, then 1 where that name is used up. A fixed name has no generations.
    #[must_use]
    pub fn name(&self, generation: u32) -> JobName {
        if let Some(name) = &self.fixed_name {
            return JobName::from(name.clone());
        }
        job_name(&self.attempt, &self.slug(), &RunTime::from(self.run_time), generation)
    }

    /// Where the Job goes, as far as argument and manifest say.
    pub fn namespace(&self) -> Result<Option<Namespace>, Error> {
        match (&self.namespace, &self.manifest) {
            (Some(namespace), _) => Ok(Some(namespace.clone())),
            (None, Some(manifest)) => manifest_namespace(manifest),
            (None, None) => Ok(None),
        }
    }

    /// Of what the user wrote, before our edits.
    #[must_use]
    pub fn manifest_digest(&self) -> ManifestDigest {
        let (manifest, arguments) = (self.manifest.as_ref(), &self.arguments);
        match (self.result, &self.queue_name) {
            // As it was before there were results and queues, so that an upgrade takes over its Jobs.
            (None, None) => ManifestDigest::of(manifest, arguments),
            // A Job that was made without a place for its result has none.
            (Some(result), None) => ManifestDigest::of(manifest, &(arguments, result)),
            (result, Some(queue)) => ManifestDigest::of(manifest, &(arguments, result, queue)),
        }
    }

    /// The TTL at creation and after the acknowledgement.
    #[must_use]
    pub fn ttl_plan(&self) -> TtlPlan {
        let manifest = self.manifest.as_ref().and_then(manifest_ttl);
        TtlPlan::new(self.ttl, manifest, self.safe_ttl_seconds, self.patch_jobs)
    }

    /// What is to be done after the verdict.
    #[must_use]
    pub fn clean_up(&self) -> CleanUp {
        let TtlPlan { at_creation, after_acknowledgement } = self.ttl_plan();
        CleanUp {
            patch_jobs: self.patch_jobs,
            ttl_at_creation: at_creation,
            ttl: after_acknowledgement,
            on_finish: self.on_finish,
        }
    }

    /// The Job of a generation, with this TTL at creation.
    pub fn draft(&self, generation: u32, namespace: &Namespace, ttl: Option<u32>) -> Result<Draft, Error> {
        let name = self.name(generation);
        let mut job = assemble(self.manifest.as_ref(), &self.arguments)?;
        if let Some(source) = self.result {
            put_result_file(&mut job, source, &self.result_sidecar)?;
        }
        if let Some(queue) = &self.queue_name {
            put_into_queue(&mut job, queue)?;
        }
        if let (Some(fixed), Some(completions)) = (&self.fixed_name, indexed_completions(&job)) {
            fixed.check_indexed(completions)?;
        }
        let metadata = Stamp {
            labels: labels(&self.attempt),
            job_labels: search_labels(&self.attempt),
            annotations: annotations(&self.attempt, &self.manifest_digest()),
            pod_annotations: pod_annotations(&self.attempt),
            offered_labels: self.marking.labels(&self.attempt),
            offered_annotations: self.marking.default_annotations.clone(),
        };
        let mut job = stamp(job, &name, namespace, &metadata, ttl)?;
        if let Some(template) = &self.pod_template {
            put_pod_template(&mut job, template, &metadata)?;
        }
        Ok(Draft { name, body: job.to_string().into_bytes() })
    }

    /// What is followed on behalf of this request.
    #[must_use]
    pub fn handoff(&self, job: &JobReference) -> Handoff {
        Handoff {
            job: job.clone(),
            owner: Some(self.attempt.owner()),
            task: Some(self.attempt.task.digest()),
            attempt: (self.policy != PredecessorPolicy::Ignore).then(|| self.attempt.digest()),
            until: Until::Finished,
            get_logs: self.get_logs,
            container_logs: self.container_logs.clone(),
            init_container_logs: self.init_container_logs.clone(),
            log_format: self.log_format,
            startup_timeout_seconds: Some(self.startup_timeout_seconds),
            init_timeout_seconds: self.init_timeout_seconds,
            queue_timeout_seconds: self.queue_timeout_seconds,
            handover_timeout_seconds: self.handover_timeout_seconds,
            on_lingering_sidecar: self.on_lingering_sidecar,
            result: self.result,
            clean_up: self.clean_up(),
            finish: None,
            positions: Vec::new(),
        }
    }

    /// How long a Job may take to start.
    #[must_use]
    pub fn startup_timeout(&self) -> Duration {
        Duration::from_secs(self.startup_timeout_seconds.into())
    }

    /// How long to wait for the Pods of a Job that is being deleted.
    #[must_use]
    pub fn handover_timeout(&self) -> Duration {
        Duration::from_secs(self.handover_timeout_seconds.into())
    }

    /// How long nothing must have moved before a Job that is stuck on the way out is freed.
    #[must_use]
    pub fn release_after(&self) -> Duration {
        Duration::from_secs(self.release_after_seconds.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn request(changes: &Value) -> Result<JobRequest, Error> {
        let mut request = json!({
            "attempt": {"deployment": "prod", "dag_id": "etl", "run_id": "r", "task_id": "train", "map_index": -1,
                        "try_number": 1, "instance": "i"},
            "default_slug": "train", "run_time": "2026-01-01T06:00:00Z",
        });
        json_patch::merge(&mut request, changes);
        // A merge patch drops what is null, which a manifest may well be in places.
        if let Some(manifest) = changes.get("manifest") {
            request["manifest"] = manifest.clone();
        }
        JobRequest::read(&request)
    }

    fn stamped(request: &JobRequest) -> Result<Value, Error> {
        let namespace = request.namespace()?.unwrap_or_else(|| "default".parse().unwrap());
        let draft = request.draft(0, &namespace, request.ttl_plan().at_creation)?;
        Ok(serde_json::from_slice(&draft.body).unwrap())
    }

    fn job() -> Value {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "load"},
               "spec": {"template": {"spec": {"containers": [{"name": "base", "image": "a:1"}]}}}})
    }

    fn cron_job() -> Value {
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly", "uid": "u"},
               "spec": {"schedule": "@daily", "jobTemplate": {"spec": job()["spec"]}}})
    }

    #[test]
    fn name_begins_with_what_is_nearest_to_the_user() {
        let generated = json!({"metadata": {"generateName": "nightly-etl-"}});
        for (changes, slug) in [
            (json!({}), "train-2"),
            (json!({"slug": null, "manifest": null}), "train-2"),
            (json!({"slug": "  "}), "train-2"),
            (json!({"slug": " mine "}), "mine-2"),
            (json!({"manifest": job()}), "load-2"),
            (json!({"manifest": generated}), "nightly-etl-2"),
            (json!({"manifest": cron_job()}), "nightly-2"),
            (json!({"manifest": {"metadata": {"name": "  "}}}), "train-2"),
            (json!({"slug": "mine", "manifest": job()}), "mine-2"),
            (json!({"from_cron_job": " nightly "}), "nightly-2"),
            (json!({"slug": "mine", "from_cron_job": "nightly"}), "mine-2"),
        ] {
            let name = request(&changes).unwrap().name(0);
            assert!(name.as_str().starts_with(slug), "{changes}: {}", name.as_str());
        }
    }

    #[test]
    fn spaces_around_a_name_are_no_part_of_it() {
        let order = request(&json!({"namespace": " etl\n", "fixed_name": "\tload "})).unwrap();
        assert_eq!(order.namespace().unwrap().unwrap().as_str(), "etl");
        assert_eq!(order.name(0).as_str(), "load");
        let of_manifest = request(&json!({"manifest": {"metadata": {"namespace": " etl "}}})).unwrap();
        assert_eq!(of_manifest.namespace().unwrap().unwrap().as_str(), "etl");
        for (changes, path) in [
            (json!({"namespace": "  "}), "namespace"),
            (json!({"namespace": "../x"}), "namespace"),
            (json!({"from_cron_job": "a b"}), "from_cron_job"),
            (json!({"fixed_name": " A "}), "name"),
            (json!({"manifest": {"metadata": {"namespace": "a/b"}}}), "metadata.namespace"),
            (json!({"manifest": {"metadata": {"namespace": 20261}}}), "metadata.namespace"),
        ] {
            assert_eq!(request(&changes).unwrap_err().report().facts["path"], path, "{changes}");
        }
    }

    #[test]
    fn cron_job_is_run_by_its_template_and_the_log_says_so() {
        let order = request(&json!({"manifest": cron_job(), "arguments": {"image": "b:2"}})).unwrap();
        let of_cluster = request(&json!({"from_cron_job": "nightly", "arguments": {"image": "b:2"}})).unwrap();
        let of_cluster = of_cluster.with_cron_job(&"etl".parse().unwrap(), cron_job()).unwrap();
        for order in [order, of_cluster] {
            let job = stamped(&order).unwrap();
            assert_eq!(job["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"], "manual");
            assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["image"], "b:2");
            assert!(job["metadata"].get("ownerReferences").is_none() && job["metadata"].get("uid").is_none());
            assert!(order.said()[0].text.contains("jobTemplate"), "{:?}", order.said());
        }
        let both = request(&json!({"manifest": job(), "from_cron_job": "nightly"})).unwrap_err();
        assert_eq!((both.class(), &both.report().facts["path"]), ("ConfigurationError", &json!("from_cron_job")));
    }

    #[test]
    fn unknown_field_of_a_cron_job_is_refused_told_or_ignored() {
        let mut manifest = cron_job();
        manifest["spec"]["backoffLimit"] = json!(0);
        let order = |validation: &str| request(&json!({"manifest": manifest, "field_validation": validation}));
        let told = |order: JobRequest| order.said().iter().any(|said| said.code == "unknown-field");
        assert_eq!(order("strict").unwrap_err().report().facts["fields"], json!(["spec.backoffLimit"]));
        let message = "strict decoding error: unknown field \"spec.template.spec.backoffLimit\"";
        let inner = request(&json!({"manifest": cron_job()})).unwrap().unknown_fields(message).unwrap();
        let path = "spec.jobTemplate.spec.template.spec.backoffLimit";
        assert_eq!(inner.report().facts["path"], path);
        assert!(inner.to_string().contains("it belongs to `spec.jobTemplate.spec`"), "{inner}");
        assert!(told(order("warn").unwrap()));
        assert!(!told(order("ignore").unwrap()));
    }

    #[test]
    fn label_of_ours_that_somebody_else_has_set_is_replaced_and_told() {
        let mut manifest = job();
        manifest["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "Helm"});
        let order = request(&json!({"manifest": manifest})).unwrap();
        assert!(order.said()[0].text.contains("`Helm`"), "{:?}", order.said());
    }

    #[test]
    fn pod_template_of_a_hook_is_sent_under_the_same_digest() {
        let own = request(&json!({"manifest": job(), "queue_name": "q"})).unwrap();
        let before = stamped(&own).unwrap();
        let mut template = before["spec"]["template"].clone();
        template["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
        let changed = JobRequest { pod_template: Some(template.clone()), ..own.clone() };
        assert_eq!(changed.manifest_digest(), own.manifest_digest());
        let mut expected = before;
        expected["spec"]["template"] = template;
        assert_eq!(stamped(&changed).unwrap(), expected);
    }

    /// Fields that we read, write over or merge into, and some that we have never heard of.
    const FIELDS: [&str; 34] = [
        "/kind",
        "/metadata",
        "/metadata/name",
        "/metadata/generateName",
        "/metadata/namespace",
        "/metadata/labels",
        "/metadata/labels/team",
        "/metadata/labels/app.kubernetes.io~1managed-by",
        "/metadata/annotations",
        "/metadata/annotations/note",
        "/metadata/finalizers",
        "/metadata/zebra",
        "/spec",
        "/spec/ttlSecondsAfterFinished",
        "/spec/backoffLimit",
        "/spec/completions",
        "/spec/suspend",
        "/spec/selector",
        "/spec/manualSelector",
        "/spec/podFailurePolicy",
        "/spec/zebra",
        "/spec/template",
        "/spec/template/metadata",
        "/spec/template/metadata/labels",
        "/spec/template/spec/restartPolicy",
        "/spec/template/spec/volumes",
        "/spec/template/spec/tolerations",
        "/spec/template/spec/zebra",
        "/spec/template/spec/containers",
        "/spec/template/spec/containers/0/name",
        "/spec/template/spec/containers/0/image",
        "/spec/template/spec/containers/0/env",
        "/spec/template/spec/containers/0/zebra",
        "/status",
    ];

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-2_i64..200).prop_map(Value::from),
            prop::sample::select(vec![json!(120.0), json!(1.5), json!(1e300), json!(4_294_967_296_u64)]),
            "[a-z]{1,8}|[0-9]{1,4}| x |\\PC{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("name|value|[a-z]{1,4}", inner, 0..3)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    /// Writes where there is a place for it.
    fn put(job: &mut Value, pointer: &str, value: Value) {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        if let Some(Value::Object(parent)) = job.pointer_mut(parent) {
            parent.insert(key.replace("~1", "/"), value);
        }
    }

    /// Where the Job that is sent says something else than the user did, of which he was told nothing.
    fn lost(given: &Value, sent: Option<&Value>, path: &str, order: &JobRequest) -> Option<String> {
        let same_number = |given: &Value, sent: &Value| {
            let text = given.as_str().map(str::trim);
            let given = given.as_f64().or_else(|| text?.parse().ok());
            path.starts_with("/spec/") && given.is_some() && given == sent.as_f64()
        };
        match (given, sent) {
            // Absent, or what we set where nothing is said.
            (Value::Null, _) => None,
            // What it begins with is in the name, which is told; so is a label of ours that replaces another's.
            (Value::String(_), _) if path == "/metadata/name" || path == "/metadata/generateName" => None,
            (Value::String(_), _) if path.ends_with("/labels/app.kubernetes.io~1managed-by") => {
                let told = order.said().iter().any(|said| said.code == "label-replaced");
                (!told).then(|| path.to_owned())
            }
            (Value::String(text), Some(Value::String(namespace))) if path == "/metadata/namespace" => {
                let same = text.trim() == namespace || (text.trim().is_empty() && namespace == "default");
                (!same).then(|| path.to_owned())
            }
            (given, _) if path == "/spec/ttlSecondsAfterFinished" => {
                let kept = order.ttl_plan().after_acknowledgement.failed.map(Value::from).unwrap_or_default();
                (!same_number(given, &kept)).then(|| path.to_owned())
            }
            (Value::Object(given), Some(Value::Object(sent))) => given.iter().find_map(|(key, value)| {
                lost(value, sent.get(key), &format!("{path}/{}", key.replace('/', "~1")), order)
            }),
            (Value::Array(given), Some(Value::Array(sent))) => {
                let there = |items: &[Value]| items.iter().filter(|item| !item.is_null()).cloned().collect::<Vec<_>>();
                let (given, sent) = (there(given), there(sent));
                let missing = (given.len() != sent.len() && !given.is_empty()).then(|| path.to_owned());
                missing.or_else(|| {
                    given
                        .iter()
                        .zip(&sent)
                        .find_map(|(given, sent)| lost(given, Some(sent), &format!("{path}/0"), order))
                })
            }
            (given, Some(sent)) if given == sent || same_number(given, sent) => None,
            _ => Some(path.to_owned()),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn every_field_of_a_users_job_is_sent_as_it_is_or_the_user_is_told(
            edits in prop::collection::vec((prop::sample::select(&FIELDS[..]), any_value()), 1..4),
        ) {
            let mut manifest = job();
            for (pointer, value) in edits {
                put(&mut manifest, pointer, value);
            }
            let order = match request(&json!({"manifest": manifest})) {
                Ok(order) => order,
                Err(refused) => {
                    prop_assert!(refused.report().facts.contains_key("path"), "{refused}");
                    return Ok(());
                }
            };
            match stamped(&order) {
                Ok(sent) => prop_assert_eq!(lost(&manifest, Some(&sent), "", &order), None, "{} {}", manifest, sent),
                Err(refused) => prop_assert!(refused.report().facts.contains_key("path"), "{refused}"),
            }
        }
    }
}
