//! An API server that lies: whatever it answers, nothing is asked in a loop, no wait is silent or without an end, and no
//! Job that runs is given up because of it.
//!
//! Each kind of request meets a script of answers, again and again: errors of all codes, garbage, bodies that are cut or
//! never end, events of other kinds, lists that go in a circle. Some scripts are those that once did harm, the others
//! are random; `PROPTEST_CASES` says how many.

use std::{future::poll_fn, sync::Arc, time::Duration};

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};
use tokio::{runtime::Handle, time::Instant};
use unique_k8s_job::{
    delete::{DeleteRequest, remedy::carry_out},
    diagnose::{Remedy, survey::survey},
    error::Error,
    follow::shared_watch::Hubs,
    logs::LogQuota,
    model::{handoff::Handoff, observed_job::JobReference, outcome::OutcomeState},
    resource::{Namespaces, Resource, Selector},
    session::{
        Event, Session, Work,
        find_jobs::{JobSelector, find_jobs},
        waiter::SharedWatches,
    },
    submit::request::JobRequest,
};

use crate::{
    faults::{Fault, Then},
    world::{Course, NAMESPACE, World, order, order_with, run},
};

/// What the requests of a kind meet.
type Script = (&'static str, Vec<Option<Fault>>);

/// So many requests of a kind may one who waits, or the watch that they share, send in a minute: a burst of 20, then one a
/// second; a list that goes in a circle is four requests.
const A_MINUTE: usize = 90;
/// Nobody is silent for longer about a Job that has ended.
const SILENT_FOR: Duration = Duration::from_secs(2 * 60);
/// The same where the server may have hidden the end: a watch that seems to work and tells nothing is mistrusted later.
const END_HIDDEN_FOR: Duration = Duration::from_secs(11 * 60);
/// How long those who wait are watched once their Job has ended.
const WATCHED_FOR: Duration = Duration::from_secs(40 * 60);
/// How long a Job runs, and when the lies begin, where a test has no times of its own.
const RUNS: Duration = Duration::from_secs(30);
const LIES_AFTER: Duration = Duration::from_secs(10);

/// How long a Job runs, and during which time of it the server lies.
#[derive(Clone)]
struct Times {
    runs: Duration,
    lies: std::ops::Range<Duration>,
}

impl Default for Times {
    fn default() -> Self {
        Self { runs: RUNS, lies: LIES_AFTER..Duration::MAX }
    }
}

fn lie(world: &World, scripts: &[Script], actors: usize) {
    world.limit_a_minute(A_MINUTE * actors);
    for (kind, faults) in scripts {
        world.script(kind, faults.clone());
    }
    world.restart();
}

/// Lies from now on, or in time.
fn lie_in_time(world: &Arc<World>, scripts: &[Script], actors: usize, times: &Times) {
    let (liar, scripts, lies) = (Arc::clone(world), scripts.to_vec(), times.lies.clone());
    if lies.start.is_zero() {
        lie(world, &scripts, actors);
    }
    tokio::spawn(async move {
        // Also what is under way in this very moment is cut.
        tokio::time::sleep(lies.start.max(Duration::from_millis(10))).await;
        lie(&liar, &scripts, actors);
        tokio::time::sleep(lies.end.saturating_sub(lies.start)).await;
        for (kind, _) in scripts {
            liar.script(kind, Vec::new());
        }
    });
}

// --- an attempt ---

/// What somebody who waits told.
#[derive(Default)]
struct Told {
    said: Vec<(Instant, String)>,
    end: Option<(Instant, Result<OutcomeState, Error>)>,
}

impl Told {
    /// False after the last event.
    fn take(&mut self, event: Result<Event, Error>) -> bool {
        let now = Instant::now();
        match event {
            Ok(Event::Message(message)) => self.said.push((now, format!("{}: {}", message.code, message.text))),
            Ok(Event::Log(record)) => self.said.push((now, record.text)),
            Ok(Event::Submitted { .. }) => {}
            Ok(Event::Outcome(outcome)) => self.end = Some((now, Ok(outcome.state))),
            Ok(other) => panic!("of a deletion: {other:?}"),
            Err(error) => self.end = Some((now, Err(error))),
        }
        self.end.is_none()
    }

    fn count(&self, code: &str) -> usize {
        self.said.iter().filter(|(_, said)| said.starts_with(code)).count()
    }

    /// What has to hold whatever the server says.
    fn check(&self, job_ended: Instant, scripts: &[Script]) {
        let gone_may_be_said = may_say_gone(scripts);
        let hidden = scripts.iter().any(|(kind, _)| kind.ends_with(" jobs"));
        let silent_for = if hidden { END_HIDDEN_FOR } else { SILENT_FOR };
        let last = self.end.as_ref().map_or(job_ended + WATCHED_FOR, |(at, _)| *at);
        let mut before = job_ended;
        for at in self.said.iter().map(|(at, _)| *at).filter(|at| *at > job_ended).chain([last]) {
            assert!(at.saturating_duration_since(before) <= silent_for, "silent for {:?}: {self:#?}", at - before);
            before = at;
        }
        match &self.end {
            Some((_, Ok(OutcomeState::Vanished))) => assert!(gone_may_be_said, "it did not vanish: {self:#?}"),
            Some((_, Ok(OutcomeState::Failed))) => panic!("it did not fail: {self:#?}"),
            // These two have the Job deleted.
            Some((_, Err(error @ (Error::JobStartup(_) | Error::Internal(_))))) => panic!("{error}: {self:#?}"),
            None | Some((_, Ok(OutcomeState::Succeeded) | Err(_))) => {}
        }
    }
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let begin = self.said.first().map_or_else(Instant::now, |(at, _)| *at);
        for (at, said) in &self.said {
            writeln!(f, "{:7.1} {said}", (*at - begin).as_secs_f32())?;
        }
        match &self.end {
            None => write!(f, "no end"),
            Some((at, end)) => write!(f, "{:7.1} {end:?}", (*at - begin).as_secs_f32()),
        }
    }
}

/// Lets the one Job that is there run: a line a second. Returns when it has ended.
async fn let_it_run(world: &World, name: &str) -> Instant {
    let_it_run_for(RUNS, world, name).await
}

async fn let_it_run_for(runs: Duration, world: &World, name: &str) -> Instant {
    let pod = world.start_pod(name);
    world.update_job(name, |job| job["status"] = json!({"active": 1, "ready": 1}));
    for second in 0..runs.as_secs() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.print(&pod, &format!("line {second}"));
    }
    world.end_pod(&pod, 0);
    world.end_job(name, true);
    Instant::now()
}

/// An attempt, followed while the server keeps to these scripts from the tenth second of the Job on.
async fn attempt(scripts: &[Script]) -> (Arc<World>, Told, Instant) {
    attempt_of(scripts, &Times::default()).await
}

async fn attempt_of(scripts: &[Script], times: &Times) -> (Arc<World>, Told, Instant) {
    let world = World::new();
    let run = Session::submit(world.cluster(), order(1));
    let mut told = Told::default();
    while !matches!(run.next().await, Some(Ok(Event::Submitted { .. }))) {}
    let name = world.jobs_made()[0].clone();
    let (at_work, runs) = (Arc::clone(&world), times.runs);
    let job = tokio::spawn(async move { let_it_run_for(runs, &at_work, &name).await });
    lie_in_time(&world, scripts, 1, times);
    let ended = async { while told.take(run.next().await.expect("an end")) {} };
    let _ = tokio::time::timeout(runs + WATCHED_FOR, ended).await;
    let job_ended = if job.is_finished() { job.await.unwrap() } else { Instant::now() };
    assert_eq!(world.asked("delete jobs") + world.asked("delete pods"), 0, "{told:#?}");
    assert_eq!(world.too_often(), None, "{told:#?}");
    (world, told, job_ended)
}

/// Three who wait together, the same way.
async fn waiters(scripts: &[Script]) -> (Arc<World>, Vec<Told>, Instant) {
    waiters_of(scripts, &Times::default()).await
}

async fn waiters_of(scripts: &[Script], times: &Times) -> (Arc<World>, Vec<Told>, Instant) {
    let world = World::new();
    let room = SharedWatches { hubs: Arc::new(Hubs::new(world.cluster())), quota: Arc::new(LogQuota::default()) };
    let mut all = Vec::new();
    for number in 0..3 {
        let handoff = handed_over(&world, number).await;
        let name = handoff.job.name.to_string();
        let waiter = Session::follow(room.clone(), handoff);
        all.push((name, tokio::spawn(waited(waiter, times.runs))));
    }
    let jobs: Vec<_> = all
        .iter()
        .map(|(name, _)| {
            let (world, name, runs) = (Arc::clone(&world), name.clone(), times.runs);
            tokio::spawn(async move { let_it_run_for(runs, &world, &name).await })
        })
        .collect();
    lie_in_time(&world, scripts, 4, times);
    let mut job_ended = Instant::now();
    for job in jobs {
        job_ended = job.await.unwrap();
    }
    let mut told = Vec::new();
    for (_, task) in all {
        told.push(task.await.unwrap());
    }
    assert_eq!(world.asked("delete jobs") + world.asked("delete pods"), 0, "{told:#?}");
    assert_eq!(world.too_often(), None, "{told:#?}");
    (world, told, job_ended)
}

async fn handed_over(world: &Arc<World>, task: u32) -> Handoff {
    let changes = json!({"attempt": {"task_id": format!("train-{task}"), "instance": format!("ti-{task}")}});
    let run = Session::submit(world.cluster(), order_with(1, changes));
    while !matches!(run.next().await, Some(Ok(Event::Submitted { .. }))) {}
    run.hand_over().expect("a Job")
}

async fn waited(waiter: Session, runs: Duration) -> Told {
    let mut told = Told::default();
    let ended = async {
        loop {
            poll_fn(|context| waiter.poll_ready(context, &Handle::current())).await;
            for event in waiter.take() {
                if !told.take(event) {
                    return;
                }
            }
        }
    };
    let _ = tokio::time::timeout(runs + WATCHED_FOR, ended).await;
    told
}

// --- lies that once did harm ---

fn answer(code: u16) -> Fault {
    Fault::answer(code, "Lie", "a lie")
}

fn body(code: u16, text: &str, then: Then) -> Fault {
    Fault::Body { code, text: text.to_owned(), then }
}

fn events(events: &[Value], then: Then) -> Fault {
    Fault::Events(events.to_vec(), then)
}

fn error_event(code: u16) -> Value {
    json!({"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "reason": "Lie", "message": "a lie"}})
}

fn bookmark() -> Value {
    json!({"type": "BOOKMARK", "object": {"kind": "Job", "metadata": {"resourceVersion": "7"}}})
}

/// An event about the first Job of a world.
fn of_the_job(kind: &str, spec: &Value) -> Value {
    let name = order(1).name(0).as_str().to_owned();
    json!({"type": kind, "object": {"kind": "Job", "metadata": {"name": name, "namespace": NAMESPACE, "uid": "uid-1",
        "resourceVersion": "1"}, "spec": spec}})
}

/// Watches that bring nothing of the Job.
fn useless_watches() -> Vec<(&'static str, Fault)> {
    vec![
        ("a body that never ends", body(500, "{", Then::Silence)),
        ("a failing body that goes on", body(500, "x", Then::Again)),
        ("500", answer(500)),
        ("302", answer(302)),
        ("404", answer(404)),
        ("403", answer(403)),
        ("401", answer(401)),
        ("410", answer(410)),
        ("garbage", body(200, "garbage\n", Then::End)),
        ("HTML", body(200, "<html>\n", Then::Silence)),
        ("the end at once", events(&[], Then::End)),
        ("a cut at once", events(&[], Then::Break)),
        ("silence", events(&[], Then::Silence)),
        ("a bookmark and the end", events(&[bookmark()], Then::End)),
        ("bookmarks without end", events(&[bookmark()], Then::Again)),
        ("error 500", events(&[error_event(500)], Then::End)),
        ("error 403", events(&[error_event(403)], Then::End)),
        ("error 0", events(&[error_event(0)], Then::End)),
        ("error 410", events(&[error_event(410)], Then::End)),
        ("no headers", Fault::Delay(Duration::from_secs(1_000))),
        ("deleted", events(&[of_the_job("DELETED", &json!({"template": {}}))], Then::End)),
        ("deleted again and again", events(&[of_the_job("DELETED", &json!({"template": {}}))], Then::Again)),
        ("a field of another type", events(&[of_the_job("MODIFIED", &json!({"suspend": "yes"}))], Then::End)),
        ("the same for ever", events(&[of_the_job("MODIFIED", &json!({"suspend": "yes"}))], Then::Again)),
    ]
}

#[tokio::test(start_paused = true)]
async fn job_ends_soon_after_its_end_although_no_watch_of_jobs_works() {
    for (name, lie) in useless_watches() {
        // A watch that is silent is known as dead only after its time, and one that goes on about something else works.
        let within = Duration::from_secs(match name {
            "bookmarks without end" | "deleted again and again" | "the same for ever" => 640,
            "silence" => 240,
            _ => 90,
        });
        let (_, told, job_ended) = attempt(&[("watch jobs", vec![Some(lie.clone())])]).await;
        let (at, end) = told.end.as_ref().unwrap_or_else(|| panic!("{name}: {told:#?}"));
        assert_eq!(end.as_ref().ok(), Some(&OutcomeState::Succeeded), "{name}: {told:#?}");
        assert!(at.saturating_duration_since(job_ended) <= within, "{name}: {told:#?}");
        let (_, all, job_ended) = waiters(&[("watch jobs", vec![Some(lie)])]).await;
        for told in all {
            let (at, end) = told.end.as_ref().unwrap_or_else(|| panic!("{name}, together: {told:#?}"));
            assert_eq!(end.as_ref().ok(), Some(&OutcomeState::Succeeded), "{name}, together: {told:#?}");
            assert!(at.saturating_duration_since(job_ended) <= within, "{name}, together: {told:#?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn job_is_asked_for_by_get_where_neither_watch_nor_list_works() {
    for (name, list) in [
        ("500", answer(500)),
        ("the same place again and again", Fault::Continue("here".to_owned())),
        ("other places without end", Fault::ContinueAnew),
        ("garbage", body(200, "garbage", Then::End)),
        ("no end", body(200, "{\"kind\": \"JobList\", \"items\": [", Then::Silence)),
    ] {
        let scripts = [("watch jobs", vec![Some(answer(500))]), ("list jobs", vec![Some(list)])];
        let (_, told, job_ended) = attempt(&scripts).await;
        let (at, end) = told.end.as_ref().unwrap_or_else(|| panic!("{name}: {told:#?}"));
        assert_eq!(end.as_ref().ok(), Some(&OutcomeState::Succeeded), "{name}: {told:#?}");
        assert!(at.saturating_duration_since(job_ended) <= Duration::from_secs(120), "{name}: {told:#?}");
        assert_eq!(told.count("job-asked-for"), 1, "{name}: {told:#?}");
        let (_, all, job_ended) = waiters(&scripts).await;
        for told in all {
            let (at, end) = told.end.as_ref().unwrap_or_else(|| panic!("{name}, together: {told:#?}"));
            assert_eq!(end.as_ref().ok(), Some(&OutcomeState::Succeeded), "{name}, together: {told:#?}");
            assert!(at.saturating_duration_since(job_ended) <= Duration::from_secs(200), "{name}, together: {told:#?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_begins_to_wait_while_neither_watch_nor_list_works_asks_by_get() {
    let world = World::new();
    let handoff = handed_over(&world, 1).await;
    let name = handoff.job.name.to_string();
    lie(&world, &[("watch jobs", vec![Some(answer(500))]), ("list jobs", vec![Some(answer(500))])], 1);
    let room = SharedWatches { hubs: Arc::new(Hubs::new(world.cluster())), quota: Arc::new(LogQuota::default()) };
    let task = tokio::spawn(waited(Session::follow(room, handoff), RUNS));
    let job_ended = let_it_run(&world, &name).await;
    let told = task.await.unwrap();
    let (at, end) = told.end.as_ref().unwrap_or_else(|| panic!("{told:#?}"));
    assert_eq!(end.as_ref().ok(), Some(&OutcomeState::Succeeded), "{told:#?}");
    assert!(at.saturating_duration_since(job_ended) <= Duration::from_secs(240), "{told:#?}");
}

/// All that is asked about a Job that runs.
const ASKED_WHILE_IT_RUNS: [&str; 7] =
    ["get jobs", "list jobs", "watch jobs", "list pods", "watch pods", "log", "list events"];

#[tokio::test(start_paused = true)]
async fn job_goes_on_while_a_gateway_answers_in_the_place_of_the_api_server() {
    for (code, from) in [(401, Duration::ZERO), (403, Duration::ZERO), (404, Duration::ZERO), (418, LIES_AFTER)] {
        let html = vec![Some(body(code, "<html>no such site</html>", Then::End))];
        let scripts = ASKED_WHILE_IT_RUNS.map(|kind| (kind, html.clone()));
        // Nobody sees the Job run until long after its startup timeout, and then all is told.
        let minutes = |number: u64| Duration::from_secs(60 * number);
        let times = Times { runs: minutes(20), lies: from..minutes(15) };
        let (_, mut all, _) = waiters_of(&scripts, &times).await;
        all.push(attempt_of(&scripts, &times).await.1);
        for told in all {
            let end = told.end.as_ref().map(|(_, end)| end);
            assert_eq!(end, Some(&Ok(OutcomeState::Succeeded)), "{code} from {from:?} on: {told:#?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn interruptions_that_come_and_go_are_counted() {
    let world = World::new();
    let run = Session::submit(world.cluster(), order(1));
    while !matches!(run.next().await, Some(Ok(Event::Submitted { .. }))) {}
    world.start_pod(&world.jobs_made()[0]);
    // Each stream lasts a while, and is cut.
    let cutter = Arc::clone(&world);
    tokio::spawn(async move {
        for _ in 0..120 {
            tokio::time::sleep(Duration::from_secs(15)).await;
            cutter.restart();
            let name = cutter.jobs_made()[0].clone();
            cutter.update_job(&name, |job| job["metadata"]["annotations"]["changed"] = json!("yes"));
        }
    });
    let mut told = Told::default();
    let ended = async { while told.take(run.next().await.expect("an end")) {} };
    let _ = tokio::time::timeout(Duration::from_secs(1_900), ended).await;
    // For Jobs and for Pods: one at once, and one in ten minutes.
    assert!((2..=8).contains(&told.count("watch-interrupted")), "{told:#?}");
    assert!(told.count("watch-resumed") <= 8, "{told:#?}");
    assert!(told.said.iter().any(|(_, said)| said.contains("times in the last 10 min")), "{told:#?}");
}

#[tokio::test(start_paused = true)]
async fn log_that_is_refused_after_the_end_is_given_up_soon_and_the_gap_is_marked() {
    let line = "2026-01-01T00:00:59.000000000Z another\n";
    let cases = [
        ("429", answer(429), 100),
        ("500", answer(500), 100),
        ("302", answer(302), 100),
        ("garbage", body(200, "garbage", Then::End), 100),
        ("a cut", body(200, "", Then::Break), 100),
        ("silence", body(200, "", Then::Silence), 140),
        ("no headers", Fault::Delay(Duration::from_secs(1_000)), 140),
        ("a failing body without an end", body(500, "{", Then::Silence), 100),
        ("another line each time", body(200, line, Then::Break), 620),
    ];
    for (name, lie, within) in cases {
        let (_, told, job_ended) = attempt(&[("log", vec![Some(lie)])]).await;
        let (at, end) = told.end.as_ref().unwrap_or_else(|| panic!("{name}: {told:#?}"));
        assert_eq!(end.as_ref().ok(), Some(&OutcomeState::Succeeded), "{name}: {told:#?}");
        assert!(at.saturating_duration_since(job_ended) <= Duration::from_secs(within), "{name}: {told:#?}");
        let marked =
            told.said.iter().any(|(_, said)| said.contains("log-incomplete") || said.contains("cannot be read"));
        assert!(marked || name.starts_with("another"), "{name}: {told:#?}");
        let waited = at.saturating_duration_since(job_ended) > Duration::from_secs(11);
        assert_eq!(told.count("log-awaited"), usize::from(waited), "{name}: {told:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn pods_that_nobody_can_list_after_the_end_are_given_up_soon_and_the_gap_is_marked() {
    let lies = [
        ("429", answer(429)),
        ("500", answer(500)),
        ("401", answer(401)),
        ("a gateway", body(403, "<html>", Then::End)),
        ("no headers", Fault::Delay(Duration::from_secs(1_000))),
        ("a failing body without an end", body(500, "{", Then::Silence)),
        ("other places without end", Fault::ContinueAnew),
    ];
    for (name, lie) in lies {
        let scripts = [("list pods", vec![Some(lie)]), ("watch pods", vec![Some(answer(500))])];
        let (_, told, job_ended) = attempt(&scripts).await;
        let (at, end) = told.end.as_ref().unwrap_or_else(|| panic!("{name}: {told:#?}"));
        assert_eq!(end.as_ref().ok(), Some(&OutcomeState::Succeeded), "{name}: {told:#?}");
        assert!(at.saturating_duration_since(job_ended) <= Duration::from_secs(260), "{name}: {told:#?}");
        assert_eq!((told.count("pods-awaited"), told.count("pods-incomplete")), (4, 1), "{name}: {told:#?}");
        told.check(job_ended, &scripts);
    }
}

#[tokio::test(start_paused = true)]
async fn list_that_names_ever_new_places_ends_in_time() {
    let world = World::new();
    world.limit_a_minute(A_MINUTE);
    handed_over(&world, 1).await;
    world.script("list jobs", vec![Some(Fault::ContinueAnew)]);
    let asked = Instant::now();
    let namespace = NAMESPACE.parse().unwrap();
    let failure = world.cluster().list(Resource::Jobs, &namespace, &Selector::default()).await.unwrap_err();
    assert!(failure.message().contains("a list without an end"), "{}", failure.message());
    assert!(asked.elapsed() <= Duration::from_secs(601), "{:?}", asked.elapsed());
    assert_eq!(world.too_often(), None);
}

// --- random lies ---

fn any_fault(kind: &'static str) -> BoxedStrategy<Option<Fault>> {
    let code = prop::sample::select(vec![
        101_u16, 204, 300, 302, 307, 400, 401, 403, 404, 408, 409, 410, 418, 422, 429, 499, 500, 502, 503, 504, 520,
        599,
    ]);
    let then = prop::sample::select(vec![Then::End, Then::Break, Then::Silence, Then::Again]);
    let text = prop::sample::select(vec![
        "",
        "{",
        "garbage\n",
        "null",
        "<html><body>Bad gateway</body></html>",
        r#"{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "message": "no"}"#,
        r#"{"kind": "Status", "apiVersion": "v1", "status": "Success"}"#,
    ]);
    let answered = (code.clone(), prop::option::of(prop::sample::select(vec![0_u64, 1, 30, 100_000]))).prop_map(
        |(code, retry_after)| Some(Fault::Answer { code, reason: "Lie", message: "a lie".to_owned(), retry_after }),
    );
    let codes = prop_oneof![Just(200_u16), code];
    let bodies = (codes, text, then.clone())
        .prop_map(|(code, text, then)| Some(Fault::Body { code, text: text.to_owned(), then }));
    let rest = prop::sample::select(vec![
        None,
        Some(Fault::LoseRequest),
        Some(Fault::LoseReply),
        Some(Fault::Delay(Duration::from_secs(35))),
        Some(Fault::Delay(Duration::from_secs(500))),
        Some(Fault::CutBodyAfter(50)),
        Some(Fault::EndBodyAfter(50)),
    ]);
    if kind.starts_with("watch") {
        let event = prop::sample::select(vec![
            bookmark(),
            error_event(0),
            error_event(403),
            error_event(404),
            error_event(410),
            error_event(500),
            of_the_job("DELETED", &json!({"template": {}})),
            of_the_job("MODIFIED", &json!({"template": {}})),
            of_the_job("MODIFIED", &json!({"suspend": "yes"})),
            json!({"type": "ADDED", "object": {}}),
            json!({"type": "ADDED", "object": []}),
            json!({"type": "NEWS", "object": {}}),
        ]);
        let told = (vec(event, 0..3), then).prop_map(|(events, then)| Some(Fault::Events(events, then)));
        prop_oneof![2 => answered, 2 => bodies, 2 => rest, 4 => told].boxed()
    } else if kind.starts_with("list") {
        let circle = prop::sample::select(vec!["a", "b", "c"]).prop_map(|at| Some(Fault::Continue(at.to_owned())));
        prop_oneof![2 => answered, 2 => bodies, 2 => rest, 2 => circle].boxed()
    } else {
        prop_oneof![2 => answered, 2 => bodies, 2 => rest].boxed()
    }
}

fn any_scripts(kinds: &'static [&'static str]) -> impl Strategy<Value = Vec<Script>> {
    let script = prop::sample::select(kinds).prop_flat_map(|kind| (Just(kind), vec(any_fault(kind), 1..4)));
    vec(script, 1..5)
}

/// The same lies in each run of the tests.
fn for_all(kinds: &'static [&'static str], test: impl Fn(Vec<Script>)) {
    let config = Config { failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(60);
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config { cases, ..config }, rng);
    runner
        .run(&any_scripts(kinds), |scripts| {
            test(scripts);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

fn simulated<T>(scenario: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(scenario)
}

/// Whether the server may have said that the Job is gone.
fn may_say_gone(scripts: &[Script]) -> bool {
    let gone = |fault: &Option<Fault>| {
        matches!(fault, Some(Fault::Answer { code: 404, .. } | Fault::Body { code: 404 | 200 | 204, .. }))
    };
    scripts.iter().any(|(kind, faults)| *kind == "get jobs" && faults.iter().any(gone))
}

const FOLLOWED: &[&str] =
    &["get jobs", "list jobs", "watch jobs", "watch jobs", "list pods", "watch pods", "get pods", "log", "list events"];

#[test]
fn random_lies_while_a_job_is_followed() {
    for_all(FOLLOWED, |scripts| {
        simulated(async {
            let (_, told, job_ended) = attempt(&scripts).await;
            told.check(job_ended, &scripts);
        });
    });
}

#[test]
fn random_lies_while_three_wait_together() {
    for_all(FOLLOWED, |scripts| {
        simulated(async {
            let (_, all, job_ended) = waiters(&scripts).await;
            for told in all {
                told.check(job_ended, &scripts);
            }
        });
    });
}

#[test]
fn random_lies_while_a_job_is_made() {
    for_all(&["create jobs", "create jobs", "get jobs", "list jobs"], |scripts| {
        simulated(async {
            let world = World::new();
            world.limit_a_minute(A_MINUTE);
            for (kind, faults) in &scripts {
                world.script(kind, faults.clone());
            }
            let run = Session::submit(world.cluster(), order(1));
            let made = async {
                loop {
                    match run.next().await.expect("an end") {
                        Ok(Event::Submitted { .. }) | Err(_) => return,
                        Ok(_) => {}
                    }
                }
            };
            // The POST is tried for two minutes; one GET about its name may take another.
            let made = tokio::time::timeout(Duration::from_secs(600), made).await;
            assert!(made.is_ok(), "no word for ten minutes");
            assert_eq!(world.too_often(), None);
            let deleted =
                tokio::time::timeout(Duration::from_secs(64), run.delete(Duration::from_secs(60), &|_| {})).await;
            assert!(deleted.is_ok(), "a deletion without an end");
        });
    });
}

/// Until the Job is there or it is known that it will not be; nobody is silent for ever, or asks without a pause.
async fn made_or_not(world: &Arc<World>, order: JobRequest) {
    let run = Session::submit(world.cluster(), order);
    let made = async { while !matches!(run.next().await.expect("an end"), Ok(Event::Submitted { .. }) | Err(_)) {} };
    assert!(tokio::time::timeout(Duration::from_secs(1_200), made).await.is_ok(), "no word for twenty minutes");
    assert_eq!(world.too_often(), None);
    let deleted = tokio::time::timeout(Duration::from_secs(64), run.delete(Duration::from_secs(60), &|_| {})).await;
    assert!(deleted.is_ok(), "a deletion without an end");
}

const INHERITED: &[&str] =
    &["create jobs", "get jobs", "list jobs", "patch jobs", "patch jobs", "delete jobs", "list pods", "watch jobs"];

#[test]
fn random_lies_while_a_retry_looks_for_what_is_there() {
    for_all(INHERITED, |scripts| {
        for cleared in [false, true] {
            simulated(async {
                let world = World::new();
                let first = Session::submit(world.cluster(), order(1));
                while !matches!(first.next().await, Some(Ok(Event::Submitted { .. }))) {}
                drop(first);
                world.start_pod(&world.jobs_made()[0]);
                // The try, and right after it its deletion.
                lie(&world, &scripts, 2);
                let attempt = if cleared { json!({"max_tries": 4, "clear_number": 1}) } else { json!({}) };
                made_or_not(&world, order_with(2, json!({"attempt": attempt}))).await;
            });
        }
    });
}

#[test]
fn random_lies_while_a_fixed_name_is_taken() {
    for_all(INHERITED, |scripts| {
        for finished in [false, true] {
            simulated(async {
                let world = World::new();
                let wants = |run_id: &str| {
                    let attempt = json!({"run_id": run_id, "instance": run_id});
                    order_with(1, json!({"fixed_name": "nightly", "attempt": attempt}))
                };
                let first = Session::submit(world.cluster(), wants("yesterday"));
                while !matches!(first.next().await, Some(Ok(Event::Submitted { .. }))) {}
                drop(first);
                let pod = world.start_pod("nightly");
                if finished {
                    world.end_pod(&pod, 0);
                    world.end_job("nightly", true);
                }
                lie(&world, &scripts, 2);
                made_or_not(&world, wants("today")).await;
            });
        }
    });
}

#[test]
fn random_lies_while_an_outcome_is_acknowledged() {
    for_all(&["patch jobs", "get jobs", "delete jobs", "list pods", "delete pods"], |scripts| {
        for on_finish in ["keep", "delete"] {
            simulated(async {
                let world = World::new();
                world.runs_jobs(Course::default());
                let clean_up = json!({"on_finish": {"succeeded": on_finish}});
                let ended = run(&world.cluster(), order_with(1, clean_up)).await;
                lie(&world, &scripts, 1);
                let said = tokio::time::timeout(Duration::from_secs(300), ended.run.acknowledge()).await;
                assert!(said.is_ok(), "an acknowledgement without an end");
                assert_eq!(world.too_often(), None);
            });
        }
    });
}

#[test]
fn random_lies_while_jobs_are_looked_for_and_put_right() {
    let kinds = &["get jobs", "list jobs", "list pods", "list events", "get namespaces", "get nodes", "delete jobs"];
    for_all(kinds, |scripts| {
        simulated(async {
            let world = World::new();
            let key = ("jobs".into(), NAMESPACE.into(), "report".into());
            let job = world.inner().store.create(key, json!({"spec": {"template": {}}}));
            world.start_pod("report");
            world.update_job("report", |job| {
                job["metadata"]["finalizers"] = json!(["orphan"]);
                job["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            });
            lie(&world, &scripts, 1);
            let (cluster, namespace) = (world.cluster(), NAMESPACE.parse().unwrap());
            let uid = job["metadata"]["uid"].as_str().expect("a uid").to_owned();
            let reference = JobReference { namespace, name: "report".parse().unwrap(), uid };
            for target in [json!({"name": "report", "explain": true}), json!({"label_selector": "app=x"})] {
                let target = JobSelector::read(&target).unwrap();
                let found = tokio::time::timeout(Duration::from_secs(600), find_jobs(&cluster, &target)).await;
                assert!(found.is_ok(), "a look without an end");
            }
            for remedy in [Remedy::ReleaseGcFinalizers, Remedy::DeleteOwnerlessPods] {
                let carried = carry_out(&cluster, &reference, remedy, Duration::from_secs(60));
                let carried = tokio::time::timeout(Duration::from_secs(600), carried).await;
                assert!(carried.is_ok(), "a remedy without an end");
            }
            assert_eq!(world.too_often(), None);
        });
    });
}

#[test]
fn random_lies_while_jobs_are_deleted() {
    let kinds = &["delete jobs", "get jobs", "list jobs", "watch jobs", "list pods", "delete pods", "get namespaces"];
    for_all(kinds, |scripts| {
        for target in [json!({"kind": "name", "name": "report-0"}), json!({"kind": "selector", "labels": "app=report"})]
        {
            simulated(async {
                let world = World::new();
                for number in 0..3 {
                    let name = format!("report-{number}");
                    let key = ("jobs".into(), NAMESPACE.into(), name.clone());
                    let job = json!({"metadata": {"labels": {"app": "report"}}, "spec": {"template": {}}});
                    world.inner().store.create(key, job);
                    world.start_pod(&name);
                }
                lie(&world, &scripts, 3);
                let request = json!({"target": target, "namespace": NAMESPACE, "timeout_seconds": 120});
                let deletion = Work::delete_jobs(world.cluster(), DeleteRequest::read(&request).unwrap());
                let over =
                    async { while !matches!(deletion.next().await.expect("an end"), Ok(Event::Ended(_)) | Err(_)) {} };
                let over = tokio::time::timeout(Duration::from_secs(150), over).await;
                assert_eq!(world.too_often(), None);
                assert!(over.is_ok(), "a deletion without an end");
            });
        }
    });
}

#[test]
fn random_lies_while_a_namespace_is_looked_at() {
    let kinds = &[
        "list jobs",
        "list pods",
        "get jobs",
        "list events",
        "list namespaces",
        "get namespaces",
        "list nodes",
        "get nodes",
    ];
    for_all(kinds, |scripts| {
        simulated(async {
            let world = World::new();
            for number in 0..3 {
                let key = ("jobs".into(), NAMESPACE.into(), format!("report-{number}"));
                world.inner().store.create(key, json!({"spec": {"template": {}}}));
                world.start_pod(&format!("report-{number}"));
            }
            lie(&world, &scripts, 3);
            let (cluster, place) = (world.cluster(), Namespaces::One(NAMESPACE.parse().unwrap()));
            let looked =
                tokio::time::timeout(Duration::from_secs(1_200), survey(&cluster, &place, &super::paths::unheard()))
                    .await;
            assert_eq!(world.too_often(), None);
            assert!(looked.is_ok(), "a survey without an end");
        });
    });
}
