//! Finds containers that the kubelet cannot start, by the reason for which they wait: images, configuration, runtime.
//!
//! Kubernetes never fails a Job for any of these. Registries word their refusals freely; if the words fit two causes,
//! the finding names both. Source of the reasons: kubelet `pkg/kubelet/images/types.go`,
//! `pkg/kubelet/container/sync_result.go`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::deletion::is_word;
use crate::{
    diagnose::{
        facts::Facts,
        finding::{Code, Finding, ObjectReference, Severity},
    },
    model::pod::{all_containers, time},
    text::Command,
};

/// The code for each group of words that a registry or a runtime uses.
const PULLS: [(Code, &[&str]); 4] = [
    (
        Code::RegistryUnreachable,
        &["no such host", "dial tcp", "i/o timeout", "connection refused", "TLS handshake", "x509", "no route to host"],
    ),
    (Code::RegistryThrottles, &["toomanyrequests", "Too Many Requests", "429"]),
    (
        Code::ImageNoCredentials,
        &["unauthorized", "authentication required", "authorization failed", "no basic auth", "denied", "401", "403"],
    ),
    (Code::ImageNotFound, &["not found", "manifest unknown", "does not exist", "404"]),
];

const NEVER_PULLED: &str = "ErrImageNeverPull";
const INVALID_NAME: &str = "InvalidImageName";
const CONFIGURATION: &str = "CreateContainerConfigError";
/// The waiting reasons that these rules explain.
pub(crate) const REASONS: [&str; 14] = [
    NEVER_PULLED,
    INVALID_NAME,
    CONFIGURATION,
    "ErrImagePull",
    "ImagePullBackOff",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
    "CreateContainerError",
    "PreCreateHookError",
    "PreStartHookError",
    "PostStartHookError",
    "RunContainerError",
    "StartError",
];

pub(crate) fn rules(facts: &Facts, found: &mut Vec<Finding>) {
    for pod in facts.pods().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        for container in all_containers(pod) {
            found.extend(waiting(facts, pod, container));
        }
    }
}

fn waiting(facts: &Facts, pod: &Pod, container: &ContainerStatus) -> Option<Finding> {
    let state = container.state.as_ref()?.waiting.as_ref()?;
    let (reason, message) = (state.reason.as_deref()?, state.message.as_deref().unwrap_or_default());
    let case = Case {
        what: format!("Container `{}` of {}", container.name, ObjectReference::from(pod)),
        pod,
        image: &container.image,
        reason,
        said: said(facts, pod, message, &container.image),
        since: time(pod.status.as_ref().and_then(|status| status.start_time.as_ref())),
    };
    match reason {
        NEVER_PULLED => Some(case.never_pulled()),
        INVALID_NAME => Some(case.invalid_name()),
        CONFIGURATION => Some(case.configuration()),
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => Some(case.pull(facts)),
        other if REASONS.contains(&other) => Some(case.runtime()),
        _ => None,
    }
}

/// The message of the status, with that of an Event if that says more: a kubelet that backs off repeats only the
/// image's name.
fn said(facts: &Facts, pod: &Pod, message: &str, image: &str) -> String {
    let about_it = facts.events().iter().filter(|event| event.involved_object.uid == pod.metadata.uid);
    let failed = about_it.filter(|event| event.reason.as_deref() == Some("Failed"));
    let told = failed.filter_map(|event| event.message.as_deref()).find(|text| text.contains("Failed to pull"));
    match told {
        Some(told) if pull_failure(message, image).is_none() => format!("{message}; {told}"),
        _ => message.to_owned(),
    }
}

/// The code for a message. The image itself is left out of it: its name, tag and digest may be anything, even `404`.
fn pull_failure(said: &str, image: &str) -> Option<Code> {
    let reference =
        image.rsplit_once('@').or_else(|| image.rsplit_once(':')).map_or("latest", |(_, reference)| reference);
    let said = if image.is_empty() { said.to_owned() } else { said.replace(image, "IMAGE") };
    let said = said.replace(&format!("/manifests/{reference}"), "/manifests/IMAGE");
    let numbers: Vec<_> = said.split(|letter: char| !letter.is_ascii_alphanumeric()).collect();
    let says = |word: &&str| if word.parse::<u16>().is_ok() { numbers.contains(word) } else { said.contains(word) };
    PULLS.iter().find(|(_, words)| words.iter().any(says)).map(|(code, _)| *code)
}

struct Case<'a> {
    what: String,
    pod: &'a Pod,
    image: &'a str,
    reason: &'a str,
    said: String,
    since: Option<Timestamp>,
}

impl Case<'_> {
    fn finding(&self, code: Code, cause: impl Into<String>, next: Command) -> Finding {
        Finding::new(code, Severity::Blocking, self.pod, cause)
            .since(self.since)
            .seen(format!("{}: {}", self.reason, self.said).trim_end_matches(": ").to_owned())
            .next(next)
    }

    fn never_pulled(&self) -> Finding {
        let node = self.pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("its node");
        let Self { what, image, .. } = self;
        self.finding(
            Code::ImageNeverPulled,
            format!(
                "{what} cannot start (ErrImageNeverPull): node `{node}` does not have the image `{image}`, and \
                 imagePullPolicy Never forbids pulling it"
            ),
            Command::new(&["ctr", "-n", "k8s.io", "images", "import", "IMAGE.tar"])
                .comment("on that node, or set image_pull_policy to IfNotPresent"),
        )
    }

    fn invalid_name(&self) -> Finding {
        let Self { what, image, .. } = self;
        self.finding(
            Code::ImageNameInvalid,
            format!("{what} cannot start (InvalidImageName): `{image}` is not the name of an image"),
            self.describe().comment(
                "correct the image: lower case, REGISTRY/NAME:TAG. The image of a Job cannot be changed, so make a new Job",
            ),
        )
    }

    fn pull(&self, facts: &Facts) -> Finding {
        let Self { what, image, reason, said, .. } = self;
        let code = pull_failure(said, image).unwrap_or(Code::ImagePullFailing);
        let begin = format!("{what} cannot start ({reason})");
        let secrets = facts
            .spec()
            .and_then(|spec| spec.template.spec.as_ref())
            .and_then(|pod| pod.image_pull_secrets.as_ref())
            .map_or_else(Vec::new, |secrets| secrets.iter().map(|secret| secret.name.clone()).collect());
        match code {
            Code::RegistryUnreachable => self.finding(
                code,
                format!("{begin}: the registry of `{image}` cannot be reached from the node"),
                self.describe().comment("check the name of the registry, and DNS and network of the node"),
            ),
            Code::RegistryThrottles => self.finding(
                code,
                format!("{begin}: the registry of `{image}` refuses more requests for now"),
                self.describe().comment("wait, use image_pull_secrets or a mirror"),
            ),
            Code::ImageNoCredentials => {
                let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
                let with = if secrets.is_empty() {
                    "the Job names no image_pull_secrets".to_owned()
                } else {
                    format!("with image_pull_secrets `{}`", secrets.join("`, `"))
                };
                // Registries answer so, too, where the image does not exist, to tell strangers nothing.
                let unsure = if said.contains("does not exist") || said.contains("denied") {
                    ", or has no such image"
                } else {
                    ""
                };
                self.finding(
                    code,
                    format!("{begin}: the registry refuses `{image}` without other credentials{unsure} ({with})"),
                    Command::kubectl_in(namespace, &["create", "secret", "docker-registry", "NAME"])
                        .words(&["--docker-server=SERVER", "--docker-username=USER", "--docker-password=PASSWORD"])
                        .comment("then name it in image_pull_secrets"),
                )
            }
            Code::ImageNotFound => self.finding(
                code,
                format!("{begin}: the registry has no image `{image}`"),
                self.describe().comment("correct name or tag, or push the image"),
            ),
            _ => self.finding(
                code,
                format!("{begin}: the image `{image}` cannot be pulled; the message below does not say clearly why"),
                self.describe(),
            ),
        }
    }

    fn configuration(&self) -> Finding {
        let what = &self.what;
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        let missing = missing(&self.said);
        let next = match &missing {
            Some(Missing { kind: "ConfigMap", name, key: None }) => {
                create_from_file(namespace, &["create", "configmap"], name)
            }
            Some(Missing { kind: "Secret", name, key: None }) => {
                create_from_file(namespace, &["create", "secret", "generic"], name)
            }
            Some(Missing { kind, name, key: Some(_) }) => {
                Command::kubectl_in(namespace, &["edit", kind]).name(name).comment("add the key that is named above")
            }
            _ => self.describe(),
        };
        let lacks = match missing {
            Some(Missing { kind, name, key: Some(key) }) => format!("{kind} `{namespace}/{name}` has no key `{key}`"),
            Some(Missing { kind, name, key: None }) => format!("{kind} `{namespace}/{name}` does not exist"),
            None => "its configuration cannot be assembled".into(),
        };
        let reason = self.reason;
        self.finding(Code::ConfigMissing, format!("{what} cannot start ({reason}): {lacks}"), next)
    }

    fn runtime(&self) -> Finding {
        let Self { what, reason, .. } = self;
        self.finding(
            Code::ContainerNotCreated,
            format!("{what} cannot start ({reason}): the container runtime refuses its command, volumes or hooks"),
            self.describe(),
        )
    }

    fn describe(&self) -> Command {
        let ObjectReference { namespace, name, .. } = ObjectReference::from(self.pod);
        Command::kubectl_in(&namespace, &["describe", "pod"]).name(&name)
    }
}

/// The command that makes a missing object.
pub(crate) fn create_from_file(namespace: &str, create: &[&'static str], name: &str) -> Command {
    Command::kubectl_in(namespace, create).name(name).words(&["--from-env-file=FILE"])
}

/// A `ConfigMap` or `Secret`, or a key of it, that the kubelet did not find.
pub(crate) struct Missing {
    pub kind: &'static str,
    pub name: String,
    pub key: Option<String>,
}

/// Reads `configmap "x" not found`, `secret "x" not found` and `couldn't find key k in ConfigMap ns/x`. The names go
/// into commands, so they have to be words, whoever wrote the message.
pub(crate) fn missing(message: &str) -> Option<Missing> {
    for (word, kind) in [("configmap \"", "ConfigMap"), ("secret \"", "Secret")] {
        if let Some((_, rest)) = message.split_once(word)
            && let Some((name, after)) = rest.split_once('"')
            && after.trim_start().starts_with("not found")
            && is_word(name)
        {
            return Some(Missing { kind, name: name.to_owned(), key: None });
        }
    }
    let (_, rest) = message.split_once("couldn't find key ")?;
    let (key, place) = rest.split_once(" in ")?;
    let (kind, path) = place.trim().split_once(' ')?;
    let kind = if kind.eq_ignore_ascii_case("secret") { "Secret" } else { "ConfigMap" };
    let name = path.rsplit('/').next()?.trim_end_matches(|letter: char| !letter.is_alphanumeric());
    (is_word(name) && is_word(key)).then(|| Missing { kind, name: name.to_owned(), key: Some(key.to_owned()) })
}
