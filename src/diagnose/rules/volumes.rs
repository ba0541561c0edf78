//! Explains why a volume of a Pod cannot be mounted, from the Event of the kubelet or of the attach controller.

use k8s_openapi::api::core::v1::{Event, Pod};

use super::{
    image::{Content, Missing, create, missing},
    startup::at,
};
use crate::{
    diagnose::{
        facts::Facts,
        finding::{Code, Finding, ObjectReference, Severity},
    },
    model::{
        pod::{event_last_time, event_time},
        pod_reason::first_sentence,
    },
    text::Command,
};

/// The reasons of Events about volumes.
pub(super) const REASONS: [&str; 3] = ["FailedMount", "FailedAttachVolume", "FailedMapVolume"];

/// The finding about a volume that keeps a Pod from starting.
pub(super) fn not_mounted(facts: &Facts, pod: &Pod, event: &Event, node: &str) -> Finding {
    let object = ObjectReference::from(pod);
    let namespace = &object.namespace;
    let message = event.message.as_deref().unwrap_or_default();
    let volume = volume(message);
    let of_volume = volume.map_or_else(String::new, |volume| format!(" (volume `{volume}`)"));
    let (code, problem, next) = if let Some(Missing { kind, name, key: None }) = missing(message) {
        let problem = format!("{kind} `{name}` does not exist{of_volume}");
        (Code::ConfigMissing, problem, create(namespace, kind, &name, Content::Files))
    } else if let Some((kind, name, key)) = missing_key(facts, message, volume) {
        let problem = format!("{kind} `{name}` has no key `{key}`{of_volume}");
        // The keys alone: what a Secret holds is not to appear on a screen.
        let next = Command::kubectl_in(namespace, &["describe", word(kind)]).name(&name);
        (Code::ConfigMissing, problem, next.comment("add the key, or correct the items of the volume in the manifest"))
    } else {
        let why = first_sentence(innermost(message));
        let problem = match (why.as_str(), volume) {
            (why, Some(volume)) => format!("Volume `{volume}` cannot be mounted on node `{node}` ({why})"),
            (why, None) => format!("A volume cannot be mounted on node `{node}` ({why})"),
        };
        let next = Command::kubectl_in(namespace, &["get", "pod"])
            .name(&object.name)
            .words(&["-o", "jsonpath={.spec.volumes}"]);
        (
            Code::VolumeNotMounted,
            problem,
            next.comment("correct the volume in the manifest, or repair what it names on the node"),
        )
    };
    let reason = event.reason.as_deref().unwrap_or_default();
    Finding::new(code, Severity::Blocking, pod, format!("{problem}, so {object} cannot start"))
        .since(event_time(event))
        .seen(format!("Event {reason}{}: {message}", at(event_last_time(event))))
        .next(next)
}

fn word(kind: &str) -> &'static str {
    if kind == "Secret" { "secret" } else { "configmap" }
}

/// The volume that the message is about: `MountVolume.SetUp failed for volume "data" : ...`, or `unmounted
/// volumes=[data], ...`.
fn volume(message: &str) -> Option<&str> {
    let quoted = message.split_once("for volume \"").and_then(|(_, rest)| rest.split_once('"'));
    let listed = || message.split_once("unmounted volumes=[").and_then(|(_, rest)| rest.split_once([']', ' ', ',']));
    quoted.or_else(listed).map(|(name, _)| name)
}

/// A key that an object of a volume does not have. The message names the key, and the Job's template the object.
fn missing_key(facts: &Facts, message: &str, volume: Option<&str>) -> Option<(&'static str, String, String)> {
    let (before, key) = message.split_once(" key: ")?;
    if !before.contains("references non-existent") {
        return None;
    }
    let key = key.split_whitespace().next()?.to_owned();
    let volume = facts.template()?.volume(volume?)?;
    match (&volume.config_map, &volume.secret) {
        (Some(config_map), _) => Some(("ConfigMap", config_map.name.clone(), key)),
        (None, Some(secret)) => Some(("Secret", secret.secret_name.clone(), key)),
        (None, None) => None,
    }
}

/// The part of a message that says what is wrong, without the steps at which it was noticed.
fn innermost(message: &str) -> &str {
    let mut said = message;
    for begin in ["failed for volume", "hostPath type check failed: ", "rpc error: ", "desc = "] {
        if let Some((_, rest)) = said.split_once(begin) {
            said = rest.trim_start();
            if begin == "failed for volume" {
                said = said.split_once(" : ").map_or(said, |(_, rest)| rest);
            }
        }
    }
    said
}
