//! What a user gives means what kubectl takes it to mean, and what the API server says of it is told.

use serde_json::json;
use unique_k8s_job::{error::Error, model::outcome::OutcomeState};

use crate::{
    faults::Fault,
    world::{Course, NAMESPACE, World, order, order_with, run},
};

#[tokio::test(start_paused = true)]
async fn every_field_that_is_not_known_is_named_and_nothing_is_made() {
    let world = World::new();
    let message = "Job in version \"v1\" cannot be handled as a Job: strict decoding error: unknown field \
                   \"spec.template.spec.backoffLimit\", unknown field \"spec.ttlSecondsAfterFinish\"";
    world.fault("create jobs", Fault::answer(400, "BadRequest", message), 1);
    let ended = run(&world.cluster(), order(1)).await;
    let Error::InvalidManifest(report) = ended.error() else { panic!("{}", ended.error()) };
    let fields = json!(["spec.template.spec.backoffLimit", "spec.ttlSecondsAfterFinish"]);
    assert_eq!(report.facts["fields"], fields);
    assert!(report.seen[0].contains("belongs to `spec`") && report.seen.len() == 2, "{report}");
    assert_eq!((world.asked("create jobs"), world.jobs_made().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_answers_warn_of_is_said_once_to_whoever_asked() {
    let world = World::new();
    world.runs_jobs(Course::default());
    let header = "299 - \"unknown field \\\"spec.zebra\\\"\", 299 - \"would violate PodSecurity\"";
    world.fault("create jobs", Fault::Warn(header), 1);
    world.fault("watch pods", Fault::Warn("299 - \"would violate PodSecurity\""), 1);
    world.fault("patch jobs", Fault::Warn("299 - \"patched\""), 1);
    let ended = run(&world.cluster(), order(1)).await;
    assert_eq!(ended.outcome().state, OutcomeState::Succeeded);
    let warned: Vec<_> = ended.messages.iter().filter(|message| message.starts_with("api-warning")).collect();
    let expected = [
        "api-warning: The API server warns: unknown field \"spec.zebra\"",
        "api-warning: The API server warns: would violate PodSecurity",
    ];
    assert_eq!(warned, expected);
    let acknowledged = ended.run.acknowledge().await.unwrap();
    let text = "The API server warns: patched";
    assert!(acknowledged.iter().any(|message| message.text == text), "{acknowledged:?}");
}

#[tokio::test(start_paused = true)]
async fn cron_job_of_the_cluster_is_run_once_and_arguments_win_over_it() {
    let world = World::new();
    world.runs_jobs(Course::default());
    let template = json!({"metadata": {"labels": {"team": "a"}}, "spec": {"ttlSecondsAfterFinished": 60, "template": {
        "spec": {"containers": [{"name": "main", "image": "nightly:1", "command": ["sh"]}]}}}});
    let key = ("cronjobs".into(), NAMESPACE.into(), "nightly".into());
    let cron_job = json!({"metadata": {"name": "nightly", "namespace": NAMESPACE}, "spec": {"jobTemplate": template}});
    world.inner().store.create(key, cron_job);
    let ended = run(&world.cluster(), order_with(1, json!({"slug": null, "from_cron_job": "nightly"}))).await;
    assert_eq!(ended.outcome().state, OutcomeState::Succeeded);
    assert!(ended.messages[0].contains("CronJob `etl/nightly`"), "{:?}", ended.messages);
    let job = ended.run.job().unwrap();
    assert!(job.name.as_str().starts_with("nightly-"), "{}", job.name);
    assert!(ended.run.acknowledge().await.unwrap().is_empty());
    let made = world.inner().store.get(&("jobs".into(), NAMESPACE.into(), job.name.as_str().into())).cloned().unwrap();
    let container = &made["spec"]["template"]["spec"]["containers"][0];
    assert_eq!((&container["image"], &container["command"]), (&json!("train:1"), &json!(["sh"])));
    assert_eq!(made["metadata"]["labels"]["team"], "a");
    assert_eq!(made["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"], "manual");
    assert!(made["metadata"].get("ownerReferences").is_none());
    // The TTL of the template counts once the outcome is recorded, as that of a manifest does.
    assert_eq!(made["spec"]["ttlSecondsAfterFinished"], 60);
}

#[tokio::test(start_paused = true)]
async fn cron_job_that_is_not_there_or_may_not_be_read_is_told_in_plain_words() {
    let order = || order_with(1, json!({"from_cron_job": "nightly"}));
    let world = World::new();
    let ended = run(&world.cluster(), order()).await;
    let text = ended.error().to_string();
    assert!(text.contains("CronJob `etl/nightly` does not exist") && text.contains("get cronjobs"), "{text}");

    let refusal = "cronjobs.batch \"nightly\" is forbidden: User \"u\" cannot get resource";
    world.fault("get cronjobs", Fault::answer(403, "Forbidden", refusal), 1);
    let ended = run(&world.cluster(), order()).await;
    let text = ended.error().to_string();
    assert!(text.contains("Cannot read CronJob `etl/nightly`"), "{text}");
    assert!(text.contains("verb `get` on `cronjobs.batch`"), "{text}");
    assert_eq!(world.asked("create jobs"), 0);
}
