//! Those who wait together: one watch for all, no outcome lost, nobody held up by another.

use std::{future::poll_fn, sync::Arc, time::Duration};

use serde_json::json;
use tokio::{runtime::Handle, task::JoinHandle, time::Instant};
use unique_k8s_job::{
    error::Error,
    follow::shared_watch::Hubs,
    logs::LogQuota,
    model::{
        handoff::Handoff,
        outcome::{Outcome, OutcomeState},
    },
    session::{Event, Session, waiter::SharedWatches},
    submit::JobOrigin,
};

use crate::{
    faults::Fault,
    world::{Course, NAMESPACE, World, order_with},
};

fn room(world: &Arc<World>) -> SharedWatches {
    SharedWatches { hubs: Arc::new(Hubs::new(world.cluster())), quota: Arc::new(LogQuota::default()) }
}

/// What a waiter handed over until its end.
#[derive(Default)]
struct Waited {
    messages: Vec<String>,
    log: Vec<String>,
    end: Option<Result<Outcome, Error>>,
}

impl Waited {
    fn state(&self) -> OutcomeState {
        match self.end.as_ref().expect("an end") {
            Ok(outcome) => outcome.state,
            Err(error) => panic!("an outcome, not {error}"),
        }
    }

    fn take(&mut self, event: Result<Event, Error>) {
        match event {
            Ok(Event::Message(message)) => self.messages.push(message.code),
            Ok(Event::Log(record)) if record.mark => self.log.push(record.text),
            Ok(Event::Log(record)) => {
                self.log.extend(record.text.lines().map(str::to_owned));
            }
            Ok(Event::Outcome(outcome)) => self.end = Some(Ok(*outcome)),
            Ok(other) => panic!("a waiter submits and deletes nothing: {other:?}"),
            Err(error) => self.end = Some(Err(error)),
        }
    }
}

async fn to_the_end(waiter: Arc<Session>) -> Waited {
    let mut all = Waited::default();
    while all.end.is_none() {
        poll_fn(|context| waiter.poll_ready(context, &Handle::current())).await;
        let events = waiter.take();
        assert!(!events.is_empty(), "a waiter without an end");
        for event in events {
            all.take(event);
        }
    }
    all
}

/// What a waiter handed over until so many lines were there.
async fn taken(waiter: &Session, lines: usize) -> Waited {
    let mut taken = Waited::default();
    while taken.log.len() < lines && taken.end.is_none() {
        poll_fn(|context| waiter.poll_ready(context, &Handle::current())).await;
        for event in waiter.take() {
            taken.take(event);
        }
    }
    taken
}

/// A Job of a task of its own, made and handed over.
async fn handed_over(world: &Arc<World>, task: u32) -> Handoff {
    let changes = json!({"attempt": {"task_id": format!("train-{task}"), "instance": format!("ti-{task}")}});
    let run = Session::submit(world.cluster(), order_with(1, changes));
    while !matches!(run.next().await, Some(Ok(Event::Submitted { .. }))) {}
    run.hand_over().expect("a Job")
}

struct Waiting {
    handoff: Handoff,
    waiter: Arc<Session>,
    task: JoinHandle<Waited>,
}

async fn waiting(world: &Arc<World>, room: &SharedWatches, task: u32) -> Waiting {
    let handoff = handed_over(world, task).await;
    let waiter = Arc::new(Session::follow(room.clone(), handoff.clone()));
    let task = tokio::spawn(to_the_end(Arc::clone(&waiter)));
    Waiting { handoff, waiter, task }
}

/// Waits until everything that is under way has arrived.
async fn settled() {
    tokio::time::sleep(Duration::from_millis(500)).await;
}

#[tokio::test(start_paused = true)]
async fn hundred_who_wait_ask_for_two_lists_and_two_watches() {
    let world = World::new();
    let mut subjects = Vec::new();
    for task in 0..100 {
        subjects.push(handed_over(&world, task).await);
    }
    settled().await;
    world.forget_requests();
    let room = room(&world);
    let tasks: Vec<_> = subjects
        .iter()
        .map(|handoff| tokio::spawn(to_the_end(Arc::new(Session::follow(room.clone(), suspended(&world, handoff))))))
        .collect();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let asked = ["list jobs", "watch jobs", "list pods", "watch pods"].map(|kind| world.asked(kind));
    assert_eq!((asked, world.requests()), ([1; 4], 4));
    for handoff in &subjects {
        world.end_job(handoff.job.name.as_str(), true);
    }
    for task in tasks {
        assert_eq!(task.await.unwrap().state(), OutcomeState::Succeeded);
    }
}

#[tokio::test(start_paused = true)]
async fn fifty_who_wait_for_jobs_that_do_not_start_ask_for_events_three_times_each() {
    let world = World::new();
    let room = room(&world);
    let mut waiters = Vec::new();
    for task in 0..50 {
        waiters.push(waiting(&world, &room, task).await);
    }
    tokio::time::sleep(Duration::from_secs(540)).await;
    assert_eq!(world.asked("list events"), 150);
    for waiting in &waiters {
        waiting.waiter.close();
    }
}

/// The Job, suspended: it waits without a change.
fn suspended(world: &World, handoff: &Handoff) -> Handoff {
    world.update_job(handoff.job.name.as_str(), |job| job["spec"]["suspend"] = json!(true));
    handoff.clone()
}

#[tokio::test(start_paused = true)]
async fn watch_begins_with_the_first_who_waits_and_ends_with_the_last() {
    let world = World::new();
    let room = room(&world);
    let first = waiting(&world, &room, 1).await;
    let second = waiting(&world, &room, 2).await;
    settled().await;
    world.forget_requests();
    first.waiter.close();
    settled().await;
    world.end_job(second.handoff.job.name.as_str(), true);
    assert_eq!(second.task.await.unwrap().state(), OutcomeState::Succeeded);
    settled().await;
    world.forget_requests();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(world.requests(), 0, "nobody waits");
    let third = waiting(&world, &room, 3).await;
    settled().await;
    assert_eq!(world.asked("list jobs"), 1);
    third.waiter.close();
}

#[tokio::test(start_paused = true)]
async fn gone_history_a_restart_and_refusals_in_mid_life_lose_no_outcome() {
    type Break = fn(&World);
    let breaks: [(&str, Break); 4] = [
        ("restart", |world| world.restart()),
        ("410", |world| {
            world.fault("watch jobs", Fault::answer(410, "Expired", "too old resource version"), 1);
            world.restart();
        }),
        ("401", |world| {
            for kind in ["watch jobs", "list jobs", "watch pods", "list pods"] {
                world.fault(kind, Fault::answer(401, "Unauthorized", "Unauthorized"), 5);
            }
            world.restart();
        }),
        ("403 for a minute", |world| {
            for kind in ["watch jobs", "list jobs", "watch pods", "list pods"] {
                world.fault(kind, Fault::answer(403, "Forbidden", "forbidden"), 12);
            }
            world.restart();
        }),
    ];
    for (name, break_it) in breaks {
        let world = World::new();
        let room = room(&world);
        let mut all = Vec::new();
        for task in 0..5 {
            all.push(waiting(&world, &room, task).await);
        }
        settled().await;
        break_it(&world);
        // Three end while nobody can see it, two afterwards.
        for (number, one) in all.iter().enumerate() {
            if number == 3 {
                tokio::time::sleep(Duration::from_secs(120)).await;
            }
            world.end_job(one.handoff.job.name.as_str(), number % 2 == 0);
        }
        for (number, one) in all.into_iter().enumerate() {
            let expected = if number % 2 == 0 { OutcomeState::Succeeded } else { OutcomeState::Failed };
            assert_eq!(one.task.await.unwrap().state(), expected, "{name}, Job {number}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn short_trouble_is_nobodys_business_and_a_long_one_is_said_once() {
    for (times, said) in [(3, 0), (20, 1)] {
        let world = World::new();
        let one = waiting(&world, &room(&world), 1).await;
        settled().await;
        for kind in ["watch jobs", "list jobs"] {
            world.fault(kind, Fault::LoseRequest, times);
        }
        world.restart();
        tokio::time::sleep(Duration::from_secs(200)).await;
        world.end_job(one.handoff.job.name.as_str(), true);
        let waited = one.task.await.unwrap();
        let count = |code: &str| waited.messages.iter().filter(|message| *message == code).count();
        assert_eq!((count("watch-interrupted"), count("watch-resumed")), (said, said), "{times} requests lost");
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_one_after_the_other_for_a_job_that_cannot_start_have_one_startup_timeout_among_them() {
    let world = World::new();
    let begin = Instant::now();
    let handoff = handed_over(&world, 1).await;
    let limit = handoff.startup_timeout().expect("a limit");
    // Each in a triggerer of its own; the first two are ended with it.
    for _ in 0..2 {
        let waiter = Arc::new(Session::follow(room(&world), handoff.clone()));
        let task = tokio::spawn(to_the_end(Arc::clone(&waiter)));
        tokio::time::sleep(limit * 2 / 5).await;
        waiter.close();
        task.abort();
    }
    let waited = to_the_end(Arc::new(Session::follow(room(&world), handoff.clone()))).await;
    assert!(matches!(waited.end, Some(Err(Error::JobStartup(_)))), "{:?}", waited.end);
    let late = begin.elapsed().abs_diff(limit);
    assert!(late <= Duration::from_secs(2), "given up {late:?} off the limit");
}

#[tokio::test(start_paused = true)]
async fn job_that_starts_soon_after_a_late_handover_is_waited_for() {
    let world = World::new();
    let handoff = handed_over(&world, 1).await;
    tokio::time::sleep(handoff.startup_timeout().expect("a limit") * 3).await;
    let waiter = tokio::spawn(to_the_end(Arc::new(Session::follow(room(&world), handoff.clone()))));
    tokio::time::sleep(Duration::from_secs(20)).await;
    let pod = world.start_pod(handoff.job.name.as_str());
    tokio::time::sleep(Duration::from_secs(3600)).await;
    world.end_pod(&pod, 0);
    world.end_job(handoff.job.name.as_str(), true);
    assert_eq!(waiter.await.unwrap().state(), OutcomeState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn job_whose_label_was_taken_away_is_followed_on_by_its_name() {
    let world = World::new();
    let one = waiting(&world, &room(&world), 1).await;
    settled().await;
    let name = one.handoff.job.name.to_string();
    world.update_job(&name, |job| job["metadata"]["labels"] = json!({}));
    settled().await;
    world.end_job(&name, true);
    assert_eq!(one.task.await.unwrap().state(), OutcomeState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn job_acknowledged_by_somebody_else_leaves_the_watch_and_keeps_its_outcome() {
    let world = World::new();
    let one = waiting(&world, &room(&world), 1).await;
    settled().await;
    let name = one.handoff.job.name.to_string();
    world.end_job(&name, false);
    world.update_job(&name, |job| job["metadata"]["labels"]["unique-k8s-job/acknowledged"] = json!("true"));
    assert_eq!(one.task.await.unwrap().state(), OutcomeState::Failed);
}

#[tokio::test(start_paused = true)]
async fn job_gone_unseen_is_confirmed_by_a_get_and_vanishes() {
    let world = World::new();
    let one = waiting(&world, &room(&world), 1).await;
    settled().await;
    world.forget_requests();
    world.restart();
    world.vanish(one.handoff.job.name.as_str(), true);
    assert_eq!(one.task.await.unwrap().state(), OutcomeState::Vanished);
    assert_eq!(world.asked("get jobs"), 1);
}

#[tokio::test(start_paused = true)]
async fn job_gone_before_anybody_waited_vanishes() {
    let world = World::new();
    let handoff = handed_over(&world, 1).await;
    settled().await;
    world.vanish(handoff.job.name.as_str(), true);
    let waiter = Arc::new(Session::follow(room(&world), handoff));
    assert_eq!(to_the_end(waiter).await.state(), OutcomeState::Vanished);
}

#[tokio::test(start_paused = true)]
async fn outcome_that_the_watch_brings_while_a_get_is_under_way_is_not_lost() {
    for (gone, state) in [(false, OutcomeState::Succeeded), (true, OutcomeState::Vanished)] {
        let world = World::new();
        let room = room(&world);
        let first = waiting(&world, &room, 1).await;
        settled().await;
        // The next list is late: a Job made in the meantime is missing at first.
        world.fault("list jobs", Fault::Delay(Duration::from_secs(10)), 1);
        world.restart();
        settled().await;
        let handoff = handed_over(&world, 2).await;
        let name = handoff.job.name.to_string();
        world.fault("get jobs", Fault::DelayReply(Duration::from_secs(20)), 1);
        world.forget_requests();
        let second = tokio::spawn(to_the_end(Arc::new(Session::follow(room, handoff))));
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert_eq!(world.asked("get jobs"), 1, "it was missing");
        if gone {
            world.vanish(&name, true);
        } else {
            world.end_job(&name, true);
        }
        let second = tokio::time::timeout(Duration::from_secs(300), second).await.expect("an end");
        assert_eq!(second.unwrap().state(), state);
        first.waiter.close();
    }
}

#[tokio::test(start_paused = true)]
async fn missing_job_that_cannot_be_looked_at_is_asked_for_with_pauses_and_not_for_ever() {
    for refused in [10, usize::MAX] {
        let world = World::new();
        let one = waiting(&world, &room(&world), 1).await;
        settled().await;
        world.forget_requests();
        let name = one.handoff.job.name.to_string();
        world.fault("get jobs", Fault::answer(401, "Unauthorized", "Unauthorized"), refused);
        world.update_job(&name, |job| job["metadata"]["labels"] = json!({}));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!((5..=30).contains(&world.asked("get jobs")), "{} in a minute", world.asked("get jobs"));
        world.end_job(&name, true);
        let waited = tokio::time::timeout(Duration::from_secs(700), one.task).await.expect("an end").unwrap();
        assert_eq!(waited.messages.iter().filter(|code| *code == "watch-interrupted").count(), 1);
        match waited.end.expect("an end") {
            Ok(outcome) => assert_eq!((outcome.state, refused), (OutcomeState::Succeeded, 10)),
            Err(error) => assert_eq!(refused, usize::MAX, "{error}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn first_look_that_is_refused_is_repeated_until_it_is_answered_or_there_is_no_hope() {
    let cases = [
        ("a token that is being renewed", 401, 20, Ok(OutcomeState::Succeeded), 100),
        ("a token that is not renewed", 401, usize::MAX, Err("refused by the API server"), 600),
        ("roles that are being written", 403, 2, Ok(OutcomeState::Succeeded), 10),
        ("no right to get Jobs", 403, usize::MAX, Err("refused by the API server"), 10),
    ];
    for (name, code, times, expected, seconds) in cases {
        let world = World::new();
        let handoff = handed_over(&world, 1).await;
        // The watch that all share does not show it.
        world.update_job(handoff.job.name.as_str(), |job| job["metadata"]["labels"] = json!({}));
        world.end_job(handoff.job.name.as_str(), true);
        settled().await;
        world.fault("get jobs", Fault::answer(code, "Refused", "no"), times);
        let begin = Instant::now();
        let waited = to_the_end(Arc::new(Session::follow(room(&world), handoff))).await;
        assert_eq!(waited.messages.iter().filter(|code| *code == "watch-interrupted").count(), 1, "{name}");
        match (waited.end.expect("an end"), expected) {
            (Ok(outcome), Ok(state)) => assert_eq!(outcome.state, state, "{name}"),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{name}: {error}"),
            (end, expected) => panic!("{name}: {expected:?}, not {end:?}"),
        }
        let took = begin.elapsed().as_secs();
        assert!((seconds..seconds + 10).contains(&took), "{name}: after {took} s of the simulated clock");
    }
}

#[tokio::test(start_paused = true)]
async fn two_who_wait_for_one_job_both_have_its_outcome() {
    let world = World::new();
    let room = room(&world);
    let first = waiting(&world, &room, 1).await;
    let second = tokio::spawn(to_the_end(Arc::new(Session::follow(room, first.handoff.clone()))));
    settled().await;
    world.end_job(first.handoff.job.name.as_str(), true);
    assert_eq!(first.task.await.unwrap().state(), OutcomeState::Succeeded);
    assert_eq!(second.await.unwrap().state(), OutcomeState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn one_who_takes_nothing_holds_up_nobody() {
    let world = World::new();
    let room = room(&world);
    world.runs_jobs(Course { lines: 600, runs: Duration::from_secs(30), ..Course::default() });
    let handoff = handed_over(&world, 1).await;
    let slow = Arc::new(Session::follow(room.clone(), handoff));
    // It begins, and takes nothing of what comes.
    let _ = futures::poll!(std::pin::pin!(poll_fn(|context| slow.poll_ready(context, &Handle::current()))));
    let quick = waiting(&world, &room, 2).await.task.await.unwrap();
    assert_eq!((quick.state(), quick.log.len()), (OutcomeState::Succeeded, 600));
    let late = to_the_end(slow).await;
    assert_eq!((late.state(), late.log.len()), (OutcomeState::Succeeded, 600));
}

#[tokio::test(start_paused = true)]
async fn another_owner_ends_the_waiting_without_a_write() {
    let world = World::new();
    let one = waiting(&world, &room(&world), 1).await;
    settled().await;
    world.forget_requests();
    let name = one.handoff.job.name.to_string();
    world.update_job(&name, |job| job["metadata"]["annotations"]["unique-k8s-job/owner"] = json!("other/2/x"));
    let waited = one.task.await.unwrap();
    assert!(matches!(waited.end, Some(Err(Error::TakenOver(_)))));
    assert_eq!(world.asked("patch jobs") + world.asked("delete jobs"), 0);
}

#[tokio::test(start_paused = true)]
async fn log_goes_on_at_the_position_that_the_one_before_wrote_and_only_a_death_is_marked() {
    for killed in [false, true] {
        let world = World::new();
        world.runs_jobs(Course { lines: 60, runs: Duration::from_secs(240), ..Course::default() });
        let handoff = handed_over(&world, 1).await;
        let first = Arc::new(Session::follow(room(&world), handoff.clone()));
        let before = taken(&first, 30).await;
        if killed {
            first.close();
        } else {
            first.store_positions().await;
        }
        let after = to_the_end(Arc::new(Session::follow(room(&world), handoff))).await;
        let marked = after.messages.iter().any(|code| code == "log-repeats");
        assert_eq!(marked, killed);
        let all: Vec<_> = (1..=60).map(|number| format!("line {number}")).collect();
        if killed {
            let first_line = after.log.first().expect("a line");
            let at = all.iter().position(|line| line == first_line).expect("one of the lines");
            assert!(at <= before.log.len() && at > 0, "begins at {first_line}, {} were there", before.log.len());
            assert_eq!(after.log, all[at..]);
        } else {
            assert_eq!([before.log, after.log].concat(), all);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn try_that_takes_over_a_job_has_its_log_from_the_beginning_and_keeps_its_own_position() {
    let world = World::new();
    world.runs_jobs(Course { lines: 60, runs: Duration::from_secs(240), ..Course::default() });
    let first = Arc::new(Session::follow(room(&world), handed_over(&world, 1).await));
    taken(&first, 30).await;
    first.store_positions().await;
    let changes = json!({"attempt": {"task_id": "train-1", "instance": "ti-1b"}});
    let run = Session::submit(world.cluster(), order_with(2, changes));
    while !matches!(run.next().await, Some(Ok(Event::Submitted { origin: JobOrigin::TakenOver, .. }))) {}
    let handoff = run.hand_over().expect("a Job");
    assert!(handoff.positions.is_empty(), "nothing of its log was handed over");
    let second = Arc::new(Session::follow(room(&world), handoff.clone()));
    let before = taken(&second, 40).await;
    second.store_positions().await;
    let after = to_the_end(Arc::new(Session::follow(room(&world), handoff))).await;
    assert_eq!(before.messages.iter().chain(&after.messages).filter(|code| *code == "log-repeats").count(), 0);
    let all: Vec<_> = (1..=60).map(|number| format!("line {number}")).collect();
    assert_eq!([before.log, after.log].concat(), all);
}

#[tokio::test(start_paused = true)]
async fn late_predecessor_that_the_watch_knew_first_is_deleted() {
    let world = World::new();
    let room = room(&world);
    // Somebody keeps the watch of the namespace.
    let other = waiting(&world, &room, 1).await;
    let run = Session::submit(world.cluster(), order_with(2, json!({})));
    while !matches!(run.next().await, Some(Ok(Event::Submitted { .. }))) {}
    let handoff = run.hand_over().expect("a Job");
    let late = order_with(1, json!({}));
    let draft = serde_json::from_slice(&late.draft(0, &NAMESPACE.parse().unwrap(), None).unwrap().body).unwrap();
    world.inner().store.create(("jobs".into(), NAMESPACE.into(), late.name(0).as_str().into()), draft);
    world.changed();
    settled().await;
    assert_eq!(world.jobs().len(), 3);
    let name = handoff.job.name.to_string();
    let waited = tokio::spawn(to_the_end(Arc::new(Session::follow(room, handoff))));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.jobs().len(), 2);
    world.end_job(&name, true);
    let waited = waited.await.unwrap();
    assert_eq!(waited.state(), OutcomeState::Succeeded);
    assert!(waited.messages.iter().any(|code| code == "late-predecessor"), "{:?}", waited.messages);
    other.waiter.close();
}

#[tokio::test(start_paused = true)]
async fn positions_are_written_once_a_minute_and_only_while_lines_come() {
    let world = World::new();
    world.runs_jobs(Course { lines: 100, runs: Duration::from_secs(150), ..Course::default() });
    let handoff = handed_over(&world, 1).await;
    world.forget_requests();
    let waited = to_the_end(Arc::new(Session::follow(room(&world), handoff))).await;
    assert_eq!(waited.log.len(), 100);
    let written = world.asked("patch jobs");
    assert!((2..=4).contains(&written), "{written} writes in 150 s");
}

#[tokio::test(start_paused = true)]
async fn job_of_others_is_followed_and_never_written_to() {
    let world = World::new();
    let room = room(&world);
    let mut subjects = Vec::new();
    for task in 0..25 {
        let mut handoff = handed_over(&world, task).await;
        (handoff.owner, handoff.task, handoff.attempt) = (None, None, None);
        subjects.push(suspended(&world, &handoff));
    }
    settled().await;
    world.forget_requests();
    let tasks: Vec<_> = subjects
        .iter()
        .map(|handoff| tokio::spawn(to_the_end(Arc::new(Session::follow(room.clone(), handoff.clone())))))
        .collect();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let watches = world.asked("watch jobs");
    assert_eq!(watches, 21, "twenty by name, and one for all that came later");
    for handoff in &subjects {
        world.end_job(handoff.job.name.as_str(), true);
    }
    for task in tasks {
        assert_eq!(task.await.unwrap().state(), OutcomeState::Succeeded);
    }
    assert_eq!(world.asked("patch jobs"), 0);
}

#[tokio::test(start_paused = true)]
async fn pods_that_came_before_their_job_was_waited_for_are_seen_beside_jobs_of_others() {
    let world = World::new();
    let room = room(&world);
    let mut waiters = Vec::new();
    for task in 0..22 {
        let mut handoff = handed_over(&world, task).await;
        (handoff.owner, handoff.task, handoff.attempt) = (None, None, None);
        let pod = world.start_pod(handoff.job.name.as_str());
        world.print(&pod, "early");
        settled().await;
        let waiter = Arc::new(Session::follow(room.clone(), handoff));
        waiters.push((Arc::clone(&waiter), tokio::spawn(to_the_end(waiter))));
        settled().await;
    }
    assert_eq!(world.asked("log"), waiters.len());
    for (waiter, task) in waiters {
        waiter.close();
        task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn missing_right_to_watch_pods_is_said_once_and_the_job_is_followed_alone() {
    let world = World::new();
    for kind in ["list pods", "watch pods"] {
        world.fault(kind, Fault::answer(403, "Forbidden", "no"), 1_000);
    }
    let one = waiting(&world, &room(&world), 1).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    world.end_job(one.handoff.job.name.as_str(), true);
    let waited = one.task.await.unwrap();
    assert_eq!(waited.state(), OutcomeState::Succeeded);
    assert_eq!(waited.messages.iter().filter(|code| *code == "pods-not-visible").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn missing_right_to_watch_jobs_falls_back_to_asking_for_each() {
    let world = World::new();
    world.fault("watch jobs", Fault::answer(403, "Forbidden", "no"), 1_000);
    let one = waiting(&world, &room(&world), 1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.end_job(one.handoff.job.name.as_str(), true);
    let waited = one.task.await.unwrap();
    assert_eq!(waited.state(), OutcomeState::Succeeded);
    assert_eq!(NAMESPACE, one.handoff.job.namespace.as_str());
}
