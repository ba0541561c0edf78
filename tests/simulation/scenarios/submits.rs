//! Exactly one Job per attempt, whatever happens to its POST.

use std::time::Duration;

use serde_json::json;
use unique_k8s_job::{error::Error, model::outcome::OutcomeState, session::Session, submit::JobOrigin};

use crate::{
    faults::Fault,
    world::{Course, NAMESPACE, World, order, order_with, run},
};

#[tokio::test(start_paused = true)]
async fn first_try_sends_one_post_and_lists_no_job() {
    let world = World::new();
    world.runs_jobs(Course::default());
    let ended = run(&world.cluster(), order(1)).await;
    assert_eq!(ended.outcome().state, OutcomeState::Succeeded);
    assert_eq!(ended.origin, Some(JobOrigin::Created));
    assert_eq!((world.asked("create jobs"), world.asked("list jobs"), world.asked("get jobs")), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_to_the_post_there_is_one_job_and_its_outcome() {
    let refusals = [
        ("request lost", Fault::LoseRequest),
        ("reply lost after the Job was stored", Fault::LoseReply),
        ("429", Fault::answer(429, "TooManyRequests", "later")),
        ("500 of a webhook", Fault::answer(500, "InternalError", "failed calling webhook \"w\"")),
        ("502", Fault::answer(502, "", "bad gateway")),
        ("503", Fault::answer(503, "ServiceUnavailable", "starting")),
        ("504 of a frozen etcd", Fault::answer(504, "Timeout", "request did not complete")),
        ("no answer for as long as a request may take", Fault::Delay(std::time::Duration::from_secs(39))),
    ];
    for (name, fault) in refusals {
        for times in [1, 3] {
            let world = World::new();
            world.runs_jobs(Course::default());
            world.fault("create jobs", fault.clone(), times);
            let ended = run(&world.cluster(), order(1)).await;
            assert_eq!(ended.outcome().state, OutcomeState::Succeeded, "{name}");
            assert_eq!(world.jobs_made().len(), 1, "{name}, {times} times");
            assert_eq!(ended.log, ["line 1", "line 2", "line 3"], "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn lost_reply_after_store_adopts_the_stored_job() {
    let world = World::new();
    world.runs_jobs(Course::default());
    world.fault("create jobs", Fault::LoseReply, 1);
    let ended = run(&world.cluster(), order(1)).await;
    assert_eq!(ended.origin, Some(JobOrigin::Adopted));
    assert_eq!((world.asked("create jobs"), world.asked("get jobs")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn quota_that_our_own_stored_job_fills_is_no_reason_for_a_second_one() {
    let world = World::new();
    world.runs_jobs(Course::default());
    world.inner().quota = 1;
    world.fault("create jobs", Fault::LoseReply, 1);
    world.fault("get jobs", Fault::answer(503, "ServiceUnavailable", ""), 2);
    let ended = run(&world.cluster(), order(1)).await;
    assert_eq!(ended.outcome().state, OutcomeState::Succeeded);
    assert_eq!(world.jobs_made().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn quota_filled_by_others_is_waited_for_and_then_named() {
    let world = World::new();
    world.inner().quota = 0;
    let ended = run(&world.cluster(), order_with(1, json!({"startup_timeout_seconds": 30}))).await;
    let text = ended.error().to_string();
    assert!(text.contains("exceeded quota") && text.contains("30 s"), "{text}");
    assert!(ended.messages.iter().any(|said| said.starts_with("create-retried")), "{:?}", ended.messages);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed() {
    let world = World::new();
    world.runs_jobs(Course::default());
    let answer = Fault::Answer { code: 429, reason: "TooManyRequests", message: String::new(), retry_after: Some(7) };
    world.fault("create jobs", answer, 2);
    let begin = tokio::time::Instant::now();
    let ended = run(&world.cluster(), order(1)).await;
    assert_eq!(ended.outcome().state, OutcomeState::Succeeded);
    assert!(begin.elapsed() >= std::time::Duration::from_secs(14));
    assert_eq!(world.asked("create jobs"), 3);
}

#[tokio::test(start_paused = true)]
async fn refusals_for_good_are_said_at_once_with_what_to_do() {
    let cases = [
        (
            Fault::answer(403, "Forbidden", "User \"alice\" cannot create resource \"jobs\""),
            "verb `create` on `jobs.batch`",
        ),
        (Fault::answer(422, "Invalid", "spec.template.spec.restartPolicy: Required value"), "restartPolicy"),
        (Fault::answer(413, "RequestEntityTooLarge", "limit is 3145728"), "smaller"),
        (Fault::answer(400, "BadRequest", "strict decoding error"), "strict decoding"),
    ];
    for (fault, words) in cases {
        let world = World::new();
        world.fault("create jobs", fault, 99);
        let ended = run(&world.cluster(), order(1)).await;
        assert!(matches!(ended.error(), Error::ApiRefused(_)), "{}", ended.error());
        assert!(ended.error().to_string().contains(words), "{}", ended.error());
        assert_eq!(world.asked("create jobs"), 1);
        let deleted = ended.run.delete(std::time::Duration::from_secs(30), &|_| {}).await.unwrap();
        assert_eq!(deleted, None, "nothing to delete");
    }
}

#[tokio::test(start_paused = true)]
async fn webhook_that_stays_broken_is_named_at_the_limit() {
    let world = World::new();
    world.fault(
        "create jobs",
        Fault::answer(500, "InternalError", "failed calling webhook \"policy.example\""),
        usize::MAX,
    );
    let ended = run(&world.cluster(), order(1)).await;
    let text = ended.error().to_string();
    assert!(text.contains("policy.example") && text.contains("webhook named above"), "{text}");
    assert_eq!(world.jobs_made().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn absent_and_terminating_namespaces_are_told_apart() {
    for (state, words) in [(None, "does not exist"), (Some(true), "is being deleted")] {
        let world = World::new();
        match state {
            None => _ = world.inner().namespaces.remove(NAMESPACE),
            Some(terminating) => _ = world.inner().namespaces.insert(NAMESPACE.into(), terminating),
        }
        let ended = run(&world.cluster(), order(1)).await;
        assert!(ended.error().to_string().contains(words), "{}", ended.error());
        assert_eq!(world.asked("create jobs"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn manifest_over_one_mebibyte_is_refused_before_anything_is_sent() {
    let world = World::new();
    let big = json!({"arguments": {"env_vars": [{"name": "A", "value": "x".repeat(1 << 20)}]}});
    let ended = run(&world.cluster(), order_with(1, big)).await;
    assert!(matches!(ended.error(), Error::InvalidManifest(_)), "{}", ended.error());
    assert_eq!(world.asked("create jobs"), 0);
}

#[tokio::test(start_paused = true)]
async fn foreign_job_under_our_name_is_left_alone_and_both_owners_are_named() {
    let world = World::new();
    let name = order(1).name(0).as_str().to_owned();
    let foreign = json!({"metadata": {"labels": {"app": "theirs"}}, "spec": {"template": {}}});
    let before = world.inner().store.create(("jobs".into(), NAMESPACE.into(), name), foreign);
    let ended = run(&world.cluster(), order(1)).await;
    assert!(matches!(ended.error(), Error::NameTaken(_)), "{}", ended.error());
    assert!(ended.error().to_string().contains("deployment `prod`"), "{}", ended.error());
    assert_eq!(world.jobs(), [before]);
    assert_eq!((world.asked("patch jobs"), world.asked("delete jobs")), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn same_try_started_twice_shares_one_job() {
    let world = World::new();
    world.runs_jobs(Course::default());
    let cluster = world.cluster();
    let (first, second) = tokio::join!(run(&cluster, order(1)), run(&cluster, order(1)));
    assert_eq!((first.outcome().state, second.outcome().state), (OutcomeState::Succeeded, OutcomeState::Succeeded));
    assert_eq!(world.jobs_made().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn own_job_that_was_acknowledged_is_used_up_and_the_next_name_is_taken() {
    let world = World::new();
    world.runs_jobs(Course::default());
    let first = run(&world.cluster(), order(1)).await;
    assert_eq!(first.run.acknowledge().await.unwrap(), []);
    let again = run(&world.cluster(), order(1)).await;
    assert_eq!((again.outcome().state, again.origin), (OutcomeState::Succeeded, Some(JobOrigin::Created)));
    assert_eq!(world.jobs_made(), [order(1).name(0).as_str(), order(1).name(1).as_str()]);
}

#[tokio::test(start_paused = true)]
async fn own_job_on_its_way_out_is_waited_for_until_its_pods_end_not_until_it_is_gone() {
    let world = World::new();
    world.fault("create jobs", Fault::LoseReply, 1);
    let name = order(1).name(0).as_str().to_owned();
    let helper = std::sync::Arc::clone(&world);
    let cluster = world.cluster();
    let attempt = tokio::spawn(async move { run(&cluster, order(1)).await });
    while world.jobs_made().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let pod = helper.start_pod(&name);
    helper.update_job(&name, |job| {
        job["metadata"]["finalizers"] = json!(["orphan"]);
        job["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:01Z");
    });
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    assert_eq!(world.jobs_made().len(), 1, "its Pod still runs");
    helper.end_pod(&pod, 0);
    world.runs_jobs(Course::default());
    let ended = attempt.await.unwrap();
    assert_eq!(ended.outcome().state, OutcomeState::Succeeded);
    assert_eq!(world.jobs_made()[1], order(1).name(1).as_str());
}

#[tokio::test(start_paused = true)]
async fn policy_that_caps_the_ttl_gets_the_users_ttl_and_a_warning() {
    let world = World::new();
    world.runs_jobs(Course::default());
    world.fault("create jobs", Fault::answer(422, "Invalid", "spec.ttlSecondsAfterFinished: must be at most 3600"), 1);
    let ended = run(&world.cluster(), order_with(1, json!({"ttl": {"succeeded": {"kind": "seconds", "seconds": 60}, "failed": {"kind": "seconds", "seconds": 50}}}))).await;
    assert_eq!(ended.outcome().state, OutcomeState::Succeeded);
    assert_eq!(world.jobs()[0]["spec"]["ttlSecondsAfterFinished"], 60);
    let capped = ended.messages.iter().find(|said| said.starts_with("ttl-capped")).expect("a word about it");
    assert!(capped.contains("before the next try sees it"), "{capped}");
}

/// Answers that are no refusal of an API server.
const DOUBTFUL: [(u16, &str); 19] = [
    (101, ""),
    (200, "{}"),
    (201, "{}"),
    (201, "[]"),
    (201, r#"{"kind": "JobList", "items": []}"#),
    (201, r#"{"kind": "Job", "metadata": {"namespace": "etl", "name": "other", "uid": "u"}}"#),
    (201, "<html>welcome</html>"),
    (204, ""),
    (302, ""),
    (307, "moved"),
    (403, "blocked by the firewall"),
    (403, r#"{"error": "forbidden"}"#),
    (404, "no such page"),
    (408, ""),
    (422, r#"{"kind": "Status", "status": "Failure", "code": 400, "reason": "BadRequest"}"#),
    (499, ""),
    (520, ""),
    (524, "a timeout occurred"),
    (598, ""),
];

#[tokio::test(start_paused = true)]
async fn job_that_was_stored_and_then_answered_by_somebody_else_is_found_by_its_name() {
    for (code, body) in DOUBTFUL {
        let world = World::new();
        world.runs_jobs(Course::default());
        world.fault("create jobs", Fault::DoneThen { code, body }, 1);
        let ended = run(&world.cluster(), order(1)).await;
        assert_eq!(ended.outcome().state, OutcomeState::Succeeded, "{code} {body}");
        assert_eq!(ended.origin, Some(JobOrigin::Adopted), "{code} {body}");
        assert_eq!((world.jobs_made().len(), world.asked("create jobs")), (1, 1), "{code} {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn post_that_was_not_stored_and_answered_by_somebody_else_is_sent_again() {
    for (code, body) in DOUBTFUL {
        let world = World::new();
        world.runs_jobs(Course::default());
        world.fault("create jobs", Fault::Instead { code, body }, 2);
        let ended = run(&world.cluster(), order(1)).await;
        assert_eq!(ended.outcome().state, OutcomeState::Succeeded, "{code} {body}");
        assert_eq!(world.jobs_made().len(), 1, "{code} {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_says_that_no_job_was_made_where_that_is_not_proven() {
    for (code, body) in DOUBTFUL {
        let world = World::new();
        world.fault("create jobs", Fault::Instead { code, body }, usize::MAX);
        let ended = run(&world.cluster(), order(1)).await;
        let text = ended.error().to_string();
        assert!(
            text.contains("is not one that an API server gives") || text.contains("something that is not"),
            "{text}"
        );
        assert!(!text.contains("did not answer") && !text.contains("secret"), "{text}");
        let deleted = ended.run.delete(std::time::Duration::from_secs(30), &|_| {}).await.unwrap_err().to_string();
        assert!(deleted.contains("was interrupted before its answer"), "{code} {body}: {deleted}");
    }
}

#[tokio::test(start_paused = true)]
async fn redirect_is_told_by_the_host_that_it_leads_to() {
    let world = World::new();
    world.fault("create jobs", Fault::Instead { code: 302, body: "" }, usize::MAX);
    let ended = run(&world.cluster(), order(1)).await;
    assert!(ended.error().to_string().contains("a redirect to the host `login.example`"), "{}", ended.error());
}

#[tokio::test(start_paused = true)]
async fn command_line_which_has_one_try_is_told_of_no_other() {
    for (try_number, told) in [(0, false), (1, true)] {
        let world = World::new();
        world.fault("create jobs", Fault::Delay(Duration::from_secs(1_000)), usize::MAX);
        let run = Session::submit(world.cluster(), order(try_number));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let text = run.delete(Duration::from_secs(2), &|_| {}).await.unwrap_err().to_string();
        assert!(text.contains("look once more, and delete it by hand") || told, "{text}");
        assert_eq!(text.contains("the next try of this task removes it"), told, "{text}");
    }
}
