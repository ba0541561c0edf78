//! Reads how a container ended from the status of its Pod, and says it in words. Pure.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Event, Pod};
use serde::Serialize;

use super::{
    container_killer::{OUT_OF_MEMORY, killer},
    pod::{all_containers, main_containers},
    pod_reason::first_sentence,
};
use crate::text::one_line;

/// How one container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerExit {
    /// The Pod's name.
    pub pod: String,
    /// The container's name.
    pub container: String,
    /// Whether it is an init container.
    pub init: bool,
    /// Restarts of the container before this end.
    pub restart_count: i32,
    /// The code the process ended with; 128 + n after signal n.
    pub exit_code: i32,
    /// The signal that ended it, where the runtime says so or the code implies it.
    pub signal: Option<i32>,
    /// The reason, such as `Completed`, `Error`, `OOMKilled`.
    pub reason: Option<String>,
    /// The container's termination message.
    pub message: Option<String>,
    /// What ended it from outside, if anything shows it: `out of memory, limit 32Mi`, `its liveness probe failed`.
    pub killed_by: Option<String>,
    /// How it ended, in words for people.
    pub words: String,
}

impl ContainerExit {
    /// The same as a clause that begins with the container, for the head of an error.
    #[must_use]
    pub fn clause(&self) -> String {
        let kind = if self.init { "init container" } else { "container" };
        let (code, who) = (self.exit_code, format!("{kind} `{}`", self.container));
        if let Some(killed_by) = &self.killed_by {
            return format!("{who} was killed: {killed_by} (exit code {code})");
        }
        if let Some((reason, why)) = self.not_started() {
            return format!("{who} did not start: {why} ({reason})");
        }
        match (self.signal, code, self.reason.as_deref()) {
            (_, _, Some(NOT_FOUND)) => format!("how {who} ended is not known: its Pod was lost"),
            (Some(signal @ (9 | 15)), _, _) => {
                format!("{who} was killed{}{BY_WHOM} (exit code {code})", signal_name(signal))
            }
            (Some(signal), _, _) => {
                format!("{who} was ended by signal {signal}{} (exit code {code})", signal_name(signal))
            }
            (None, 126, _) => format!("{who} could not execute a command (exit code 126)"),
            (None, 127, _) => format!("{who} did not find a command (exit code 127)"),
            (None, _, Some(reason)) if !matches!(reason, "Error" | "Completed") => {
                format!("{who} ended with exit code {code} ({reason})")
            }
            _ => format!("{who} ended with exit code {code}"),
        }
    }

    /// What a person can do about this end, if the end itself shows it.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        if let Some(by) = self.killed_by.as_deref() {
            return if by.starts_with("out of memory") {
                Some("raise limits.memory in container_resources, or make the program use less")
            } else if by.starts_with("its liveness probe") {
                Some("repair what the probe checks, or remove livenessProbe from the manifest: a Job seldom needs one")
            } else if by.starts_with("its startup probe") {
                Some("give the container more time (failureThreshold of its startupProbe), or remove the probe")
            } else if by.starts_with("its postStart hook") {
                Some("correct lifecycle.postStart in the manifest")
            } else {
                None
            };
        }
        if self.not_started().is_some() {
            return Some("correct cmds, or use an image that has the command");
        }
        match (self.signal, self.exit_code) {
            (None, 126) => {
                Some("the log names the file: make it executable (chmod +x), in the image or where it is written")
            }
            (None, 127) => Some("the log names the command: correct it, or use an image that has it"),
            (Some(signal), _) if !matches!(signal, 9 | 15) => {
                Some("the program itself crashed: run its command by hand in the same image")
            }
            _ if self.is_its_own_answer() => {
                Some("the program itself chose this exit code: the end of its log says why")
            }
            _ => None,
        }
    }

    /// Whether the program itself chose the code, so that only its log can explain it.
    #[must_use]
    pub fn is_its_own_answer(&self) -> bool {
        self.exit_code <= 125 && self.is_explained_by_its_log()
    }

    /// Whether the end of its log can explain the code: the program chose it, or the shell did not find or may not execute
    /// a command.
    #[must_use]
    pub fn is_explained_by_its_log(&self) -> bool {
        matches!(self.exit_code, 1..=127) && self.killed_by.is_none() && self.reason.as_deref() == Some("Error")
    }

    /// The reason and the cause, if the runtime could not start the container.
    #[must_use]
    pub fn not_started(&self) -> Option<(&str, String)> {
        let reason = self.reason.as_deref().filter(|reason| NOT_STARTED.contains(reason))?;
        Some((reason, refused_command(self.message.as_deref().unwrap_or_default())))
    }
}

/// The words after the end by a signal that nothing explains.
pub(crate) const BY_WHOM: &str = ", by whom is not known";

/// Reasons of containers that the runtime could not start. Source: k/k `pkg/kubelet/kuberuntime`, containerd and CRI-O.
const NOT_STARTED: [&str; 2] = ["StartError", "ContainerCannotRun"];

/// The reason of a container that the kubelet does not find any more. Its exit code means nothing.
const NOT_FOUND: &str = "ContainerStatusUnknown";

/// The ends of the containers of these Pods, init containers first. Containers that never ended are left out.
#[must_use]
pub fn container_exits<'a>(pods: impl Iterator<Item = &'a Pod>, events: &[Event]) -> Vec<ContainerExit> {
    pods.flat_map(|pod| all_containers(pod).filter_map(move |container| container_exit(pod, container, events)))
        .collect()
}

pub(crate) fn container_exit(pod: &Pod, container: &ContainerStatus, events: &[Event]) -> Option<ContainerExit> {
    let ended = |state: &Option<ContainerState>| state.as_ref().and_then(|state| state.terminated.clone());
    let (end, restart_count) = match ended(&container.state) {
        Some(end) => (end, container.restart_count),
        // The container was started again since.
        None => (ended(&container.last_state)?, container.restart_count - 1),
    };
    let signal = end.signal.filter(|signal| *signal > 0).or_else(|| implied_signal(end.exit_code));
    // The text may come from a probe, which prints what it likes.
    let killed_by = killer(pod, container, &end, signal, events).map(one_line);
    Some(ContainerExit {
        pod: pod.metadata.name.clone().unwrap_or_default(),
        container: container.name.clone(),
        init: main_containers(pod).all(|main| main.name != container.name),
        restart_count,
        exit_code: end.exit_code,
        signal,
        words: words(end.exit_code, signal, end.reason.as_deref(), killed_by.as_deref()),
        reason: end.reason,
        message: end.message.filter(|message| !message.is_empty()),
        killed_by,
    })
}

/// A process ended by signal n has the code 128 + n, by the convention of shells and container runtimes.
pub(crate) fn implied_signal(exit_code: i32) -> Option<i32> {
    (129..=159).contains(&exit_code).then(|| exit_code - 128)
}

fn words(exit_code: i32, signal: Option<i32>, reason: Option<&str>, killed_by: Option<&str>) -> String {
    if reason == Some(NOT_FOUND) {
        return format!("exit code {exit_code}: how it ended is not known, its Pod was lost ({NOT_FOUND})");
    }
    if reason == Some(OUT_OF_MEMORY) {
        let limit = killed_by.and_then(|by| by.split_once("limit ")).map(|(_, limit)| format!(" of {limit}"));
        let limit = limit.unwrap_or_default();
        return format!("exit code {exit_code}: OOMKilled, it used more memory than its limit{limit}");
    }
    match (signal, killed_by) {
        (Some(signal), Some(by)) => format!("exit code {exit_code}: killed{}: {by}", signal_name(signal)),
        (None, Some(by)) => format!("exit code {exit_code}: killed: {by}"),
        (Some(signal @ (9 | 15)), None) => {
            format!("exit code {exit_code}: killed{}{BY_WHOM}", signal_name(signal))
        }
        (Some(signal), None) => format!("exit code {exit_code}: ended by signal {signal}{}", signal_name(signal)),
        (None, None) => match (exit_code, reason) {
            (0, _) => "exit code 0".to_owned(),
            (126, _) => "exit code 126: the command was found but cannot be executed".to_owned(),
            (127, _) => "exit code 127: the command was not found".to_owned(),
            (128, Some(reason)) => format!("exit code 128: {reason}"),
            (code, Some(reason)) if reason != "Error" => format!("exit code {code}: {reason}"),
            (code, _) => format!("exit code {code}"),
        },
    }
}

/// Finds the command that could not be started, and why, in the message of a runtime such as runc: `... exec: "trainn":
/// executable file not found in $PATH`.
pub(crate) fn refused_command(message: &str) -> String {
    let found = message.rsplit_once("exec: \"").and_then(|(_, rest)| rest.split_once("\": "));
    match found {
        Some((command, why)) if why.contains("not found") || why.contains("no such file") => {
            format!("the command `{command}` is not in the image")
        }
        Some((command, why)) if why.contains("permission denied") => {
            format!("the command `{command}` may not be executed (permission denied)")
        }
        Some((command, why)) => format!("the command `{command}` cannot be executed: {}", first_sentence(why)),
        None => first_sentence(message),
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        1 => " (SIGHUP)",
        2 => " (SIGINT)",
        3 => " (SIGQUIT)",
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        13 => " (SIGPIPE)",
        15 => " (SIGTERM)",
        24 => " (SIGXCPU)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A Pod whose container ended so, with these changes.
    fn ended(exit_code: i32, reason: &str, change: &Value) -> Pod {
        let mut pod = json!({"metadata": {"name": "p", "uid": "u"}, "spec": {"nodeName": "n", "containers": []}, "status": {
            "phase": "Failed", "containerStatuses": [{"name": "base", "image": "", "imageID": "", "ready": false,
            "restartCount": 0, "resources": {"limits": {"memory": "32Mi"}}, "state": {"terminated": {"exitCode": exit_code,
            "reason": reason, "startedAt": "2026-01-01T00:00:10Z", "finishedAt": "2026-01-01T00:00:20Z"}}}]}});
        json_patch::merge(&mut pod, change);
        serde_json::from_value(pod).unwrap()
    }

    fn event(reason: &str, message: &str, time: &str) -> Event {
        let about = json!({"kind": "Pod", "uid": "u", "fieldPath": "spec.containers{base}"});
        let event = json!({"metadata": {}, "reason": reason, "message": message, "lastTimestamp": time, "involvedObject": about});
        serde_json::from_value(event).unwrap()
    }

    fn only(pod: &Pod, events: &[Event]) -> ContainerExit {
        let [exit] = container_exits(std::iter::once(pod), events).try_into().unwrap();
        exit
    }

    #[test]
    fn exit_codes_are_said_in_words_and_nobody_is_blamed_without_evidence() {
        let cases = [
            (0, "Completed", "exit code 0", "container `base` ended with exit code 0"),
            (3, "Error", "exit code 3", "container `base` ended with exit code 3"),
            (
                137,
                "OOMKilled",
                "exit code 137: OOMKilled, it used more memory than its limit of 32Mi",
                "container `base` was killed: out of memory, limit 32Mi (exit code 137)",
            ),
            (
                137,
                "Error",
                "exit code 137: killed (SIGKILL), by whom is not known",
                "container `base` was killed (SIGKILL), by whom is not known (exit code 137)",
            ),
            (
                143,
                "Error",
                "exit code 143: killed (SIGTERM), by whom is not known",
                "container `base` was killed (SIGTERM), by whom is not known (exit code 143)",
            ),
            (
                139,
                "Error",
                "exit code 139: ended by signal 11 (SIGSEGV)",
                "container `base` was ended by signal 11 (SIGSEGV) (exit code 139)",
            ),
            (
                127,
                "Error",
                "exit code 127: the command was not found",
                "container `base` did not find a command (exit code 127)",
            ),
            (
                126,
                "Error",
                "exit code 126: the command was found but cannot be executed",
                "container `base` could not execute a command (exit code 126)",
            ),
            (2, "Tomorrow", "exit code 2: Tomorrow", "container `base` ended with exit code 2 (Tomorrow)"),
            (
                137,
                "ContainerStatusUnknown",
                "exit code 137: how it ended is not known, its Pod was lost (ContainerStatusUnknown)",
                "how container `base` ended is not known: its Pod was lost",
            ),
        ];
        for (code, reason, words, clause) in cases {
            let exit = only(&ended(code, reason, &json!({})), &[]);
            assert_eq!((exit.words.as_str(), exit.clause().as_str()), (words, clause), "{code} {reason}");
        }
    }

    #[test]
    fn who_killed_a_container_is_told_where_its_pod_or_an_event_of_that_time_tells() {
        let plain = json!({});
        let probe = [
            event("Unhealthy", "Liveness probe failed: db down\nmore", "2026-01-01T00:00:18Z"),
            event("Killing", "Container base failed liveness probe, will be restarted", "2026-01-01T00:00:19Z"),
        ];
        let hook = [event("FailedPostStartHook", "PostStartHook failed", "2026-01-01T00:00:11Z")];
        let stopped = |probe: &str| {
            let time = "2026-01-01T00:00:18Z";
            [event("Unhealthy", "Startup probe failed: cold", probe), event("Killing", "Stopping container base", time)]
        };
        let (last, past) = (stopped("2026-01-01T00:00:17Z"), stopped("2026-01-01T00:00:12Z"));
        let startup = [event("Killing", "Container base failed startup probe", "2026-01-01T00:00:19Z")];
        let earlier = [event("Killing", "Container base failed liveness probe", "2026-01-01T00:00:01Z")];
        let evicted = json!({"status": {"reason": "Evicted", "message": "The node was low on resource: memory. More"}});
        let deleted = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:20Z"}});
        let cases: [(i32, &Value, &[Event], Option<&str>); 11] = [
            (137, &plain, &probe, Some("its liveness probe failed: db down")),
            (1, &plain, &probe, Some("its liveness probe failed: db down")),
            (137, &plain, &hook, Some("its postStart hook failed")),
            (137, &plain, &last, Some("its startup probe failed: cold")),
            (137, &plain, &past, None),
            (137, &deleted, &last, Some("its Pod was deleted")),
            (137, &plain, &startup, Some("its startup probe failed")),
            (137, &plain, &earlier, None),
            (137, &evicted, &[], Some("its Pod was evicted: node `n` was low on memory (Evicted)")),
            (143, &deleted, &[], Some("its Pod was deleted")),
            (3, &deleted, &[], None),
        ];
        for (code, change, events, killed_by) in cases {
            let exit = only(&ended(code, "Error", change), events);
            assert_eq!(exit.killed_by.as_deref(), killed_by, "{code} {change} {events:?}");
            assert!(
                !exit.words.contains("memory") || killed_by.is_some_and(|by| by.contains("memory")),
                "{}",
                exit.words
            );
        }
    }

    #[test]
    fn what_a_probe_prints_begins_no_line_and_hides_nothing() {
        let forged = [
            event("Unhealthy", "Liveness probe failed: \u{1b}[2Kall is well\u{202e}", "2026-01-01T00:00:18Z"),
            event("Killing", "Container base failed liveness probe", "2026-01-01T00:00:19Z"),
        ];
        let exit = only(&ended(137, "Error", &json!({})), &forged);
        assert_eq!(exit.killed_by.as_deref(), Some(r"its liveness probe failed: \x1b[2Kall is well\u202e"));
        assert!(exit.words.contains(r"\x1b[2K") && exit.clause().contains(r"\u202e"));
    }

    #[test]
    fn one_that_was_started_again_was_not_killed_by_what_ends_its_pod_now() {
        let state = json!({"running": {"startedAt": "2026-01-01T00:00:21Z"}});
        let last = json!({"terminated": {"exitCode": 137, "reason": "Error"}});
        let deleted = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:30Z"}, "status": {"containerStatuses": [
            {"name": "base", "image": "", "imageID": "", "ready": false, "restartCount": 1, "state": state,
             "lastState": last}]}});
        assert_eq!(only(&ended(137, "Error", &deleted), &[]).killed_by, None);
    }

    #[test]
    fn command_that_the_runtime_cannot_start_is_named() {
        let runc = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create \
                    failed: unable to start container process: exec: \"trainn\": ";
        let cases = [
            ("executable file not found in $PATH: unknown", "the command `trainn` is not in the image"),
            ("stat trainn: no such file or directory", "the command `trainn` is not in the image"),
            ("permission denied: unknown", "the command `trainn` may not be executed (permission denied)"),
            ("exec format error", "the command `trainn` cannot be executed: exec format error"),
        ];
        for (why, told) in cases {
            let message = json!({"status": {"containerStatuses": [{"name": "base", "image": "", "imageID": "", "ready": false,
                "restartCount": 0, "state": {"terminated": {"exitCode": 128, "reason": "StartError",
                "message": format!("{runc}{why}")}}}]}});
            let exit = only(&ended(128, "StartError", &message), &[]);
            assert_eq!(exit.clause(), format!("container `base` did not start: {told} (StartError)"));
        }
    }

    #[test]
    fn every_container_is_reported_with_its_restart_and_signal() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "status": {
                "initContainerStatuses": [{"name": "init", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                    "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}],
                "containerStatuses": [
                    {"name": "base", "image": "", "imageID": "", "ready": false, "restartCount": 2,
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}},
                    {"name": "side", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}}
                ]
            }
        }))
        .unwrap();
        let ends = container_exits(std::iter::once(&pod), &[]);
        assert_eq!(ends.iter().map(|end| end.container.as_str()).collect::<Vec<_>>(), ["init", "base"]);
        assert_eq!((ends[1].exit_code, ends[1].signal, ends[1].restart_count), (137, Some(9), 1));
    }
}
