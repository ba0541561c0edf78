//! The debug log: a line for each request, and nothing in it of what a user or a container wrote.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use tracing::Level;
use unique_k8s_job::model::outcome::OutcomeState;

use crate::{
    faults::Fault,
    world::{Course, World, order_with, run},
};

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic while it is held").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    /// Listens on this thread, as long as the guard lives.
    fn listen(&self, level: Level) -> tracing::subscriber::DefaultGuard {
        let written = self.clone();
        let subscriber =
            tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(move || written.clone());
        tracing::subscriber::set_default(subscriber.finish())
    }

    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().expect("no panic while it is held").clone();
        String::from_utf8(bytes).expect("text").lines().map(str::to_owned).collect()
    }
}

/// A run whose API server fails now and then, with a secret in its Job and in its log.
async fn troubled_run(level: Level) -> (Arc<World>, Vec<String>) {
    let written = Written::default();
    let world = World::new();
    let guard = written.listen(level);
    world.runs_jobs(Course { lines: 10, runs: Duration::from_secs(20), ..Course::default() });
    world.fault("list pods", Fault::answer(503, "ServiceUnavailable", "hunter2 is not allowed"), 2);
    world.fault("watch pods", Fault::LoseRequest, 2);
    world.fault("log", Fault::CutBodyAfter(40), 2);
    let arguments = json!({"image": "train:1", "cmds": ["hunter2"], "labels": {"word": "hunter2"}});
    let ended = run(&world.cluster(), order_with(1, json!({"arguments": arguments}))).await;
    assert_eq!(ended.outcome().state, OutcomeState::Succeeded);
    // What is left over of the run goes away, and says so.
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(guard);
    (world, written.lines())
}

fn of_requests(lines: &[String]) -> Vec<&String> {
    lines.iter().filter(|line| line.contains(" try=")).collect()
}

#[tokio::test(start_paused = true)]
async fn debug_log_has_a_line_for_each_request_with_its_job_and_its_status() {
    let (world, lines) = troubled_run(Level::DEBUG).await;
    let requests = of_requests(&lines);
    assert_eq!(requests.len(), world.requests(), "{lines:#?}");
    let job = world.jobs_made()[0].clone();
    let with = |parts: &[&str]| requests.iter().filter(|line| parts.iter().all(|part| line.contains(part))).count();
    assert_eq!(with(&["POST /apis/batch/v1/namespaces/etl/jobs status=201", "try=1"]), 1, "{lines:#?}");
    let of_the_job = format!("job{{namespace=etl name={job} uid=");
    assert!(with(&[&of_the_job, "watch{kind=\"Pod\"", "pods?watch=true", "status=200"]) > 0, "{lines:#?}");
    assert!(with(&[&of_the_job, "/log?container=base", "status=200"]) > 0, "{lines:#?}");
    assert_eq!(with(&["status=503", "try=1"]), 1, "{lines:#?}");
    assert_eq!(with(&["status=503", "try=2"]), 1, "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("tried again in")), "{lines:#?}");
}

#[tokio::test(start_paused = true)]
async fn debug_log_holds_nothing_that_a_user_or_a_server_wrote() {
    let (_, lines) = troubled_run(Level::TRACE).await;
    let core: Vec<_> = lines.iter().filter(|line| line.contains("unique_k8s_job")).collect();
    assert!(core.iter().any(|line| line.contains("MODIFIED name=")), "{lines:#?}");
    assert!(!core.iter().any(|line| line.contains("hunter2")), "{lines:#?}");
}

#[tokio::test(start_paused = true)]
async fn request_that_is_given_up_has_its_line_too() {
    let written = Written::default();
    let world = World::new();
    let guard = written.listen(Level::DEBUG);
    world.fault("create jobs", Fault::Delay(Duration::from_secs(600)), 1);
    let cluster = world.cluster();
    let attempt = run(&cluster, order_with(1, json!({})));
    assert!(tokio::time::timeout(Duration::from_secs(7), attempt).await.is_err());
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(guard);
    let lines = written.lines();
    let requests = of_requests(&lines);
    assert_eq!(requests.len(), world.requests(), "{lines:#?}");
    assert!(requests.last().is_some_and(|line| line.contains("POST") && line.contains("given up")), "{lines:#?}");
}
