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
        finding::{Code, Finding, ObjectReference, Severity, capitalized},
    },
    model::{
        container_exit::refused_command,
        pod::{all_containers, main_containers, time},
        pod_reason::first_sentence,
    },
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
        what: format!("{} `{}` of {}", kind(pod, container), container.name, ObjectReference::from(pod)),
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
            format!("Node `{node}` does not have image `{image}`, and imagePullPolicy Never forbids to pull it, so {what} cannot start"),
            Command::new(&["ctr", "-n", "k8s.io", "images", "import", "IMAGE.tar"])
                .comment("on that node, or set image_pull_policy to IfNotPresent"),
        )
    }

    fn invalid_name(&self) -> Finding {
        let Self { what, image, .. } = self;
        self.finding(
            Code::ImageNameInvalid,
            format!("`{image}` is not the name of an image, so {what} cannot start"),
            self.images().comment(
                "correct the image: lower case, REGISTRY/NAME:TAG. The image of a Job cannot be changed, so make a new Job",
            ),
        )
    }

    fn pull(&self, facts: &Facts) -> Finding {
        let Self { what, image, said, .. } = self;
        let code = pull_failure(said, image).unwrap_or(Code::ImagePullFailing);
        match code {
            Code::RegistryUnreachable => {
                let why = network_error(said);
                let node = self.pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
                self.finding(
                    code,
                    format!(
                        "Image `{image}` cannot be pulled: node `{node}` cannot reach its registry ({why}), so {what} cannot \
                         start"
                    ),
                    Command::new(&["kubectl", "get", "node"]).name(node).words(&["-o", "wide"]).comment(
                        "first see whether the name of the registry is right. If it is, ask who runs this node to repair its \
                         DNS or network",
                    ),
                )
            }
            Code::RegistryThrottles => self.finding(
                code,
                format!("The registry of `{image}` refuses more requests for now, so {what} cannot start"),
                self.images().comment("wait: the kubelet tries again. To avoid it, use image_pull_secrets or a mirror"),
            ),
            Code::ImageNoCredentials => self.no_credentials(facts),
            Code::ImageNotFound => self.finding(
                code,
                format!("The registry has no image `{image}`, so {what} cannot start"),
                self.images().comment("correct name or tag of the image, or push it to the registry"),
            ),
            _ => self.finding(
                code,
                format!(
                    "Image `{image}` cannot be pulled ({}), so {what} cannot start",
                    first_sentence(innermost(said))
                ),
                self.images().comment("look at the message under seen. The registry or the node refuses the image"),
            ),
        }
    }

    fn no_credentials(&self, facts: &Facts) -> Finding {
        let Self { what, image, said, .. } = self;
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        let secrets = facts.template().and_then(|pod| pod.image_pull_secrets.as_ref());
        let secrets: Vec<_> = secrets.into_iter().flatten().map(|secret| secret.name.as_str()).collect();
        // Registries answer so, too, where the image does not exist, to tell strangers nothing.
        let unsure =
            if said.contains("does not exist") || said.contains("denied") { ", or has no such image" } else { "" };
        if let Some(event) = unreadable_secrets(facts, self.pod) {
            let named =
                event.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map_or("?", |(names, _)| names);
            let first = named.split(',').next().unwrap_or_default().trim();
            let next = Command::kubectl_in(namespace, &["create", "secret", "docker-registry"]).name(first);
            return self
                .finding(
                    Code::ImageNoCredentials,
                    format!(
                        "Pull secret `{}` does not exist, and the registry refuses image `{image}` without it{unsure}, so {what} \
                         cannot start",
                        named.replace(", ", "`, `")
                    ),
                    next.words(&["--docker-server=SERVER", "--docker-username=USER", "--docker-password=PASSWORD"])
                        .comment("or correct image_pull_secrets"),
                )
                .seen(format!("Event FailedToRetrieveImagePullSecret: {event}"));
        }
        match secrets.first() {
            Some(first) => self.finding(
                Code::ImageNoCredentials,
                format!(
                    "The registry refuses image `{image}`, and pull secret `{}` is wrong or missing{unsure}, so {what} cannot start",
                    secrets.join("`, `")
                ),
                Command::kubectl_in(namespace, &["get", "secret"]).name(first).comment(
                    "does it exist, and is it for this registry? Correct it, or name another one in image_pull_secrets",
                ),
            ),
            None => self.finding(
                Code::ImageNoCredentials,
                format!(
                    "The registry refuses image `{image}` without credentials{unsure} (the Job names no image_pull_secrets), so \
                     {what} cannot start"
                ),
                Command::kubectl_in(namespace, &["create", "secret", "docker-registry", "NAME"])
                    .words(&["--docker-server=SERVER", "--docker-username=USER", "--docker-password=PASSWORD"])
                    .comment("then name it in image_pull_secrets"),
            ),
        }
    }

    fn configuration(&self) -> Finding {
        let Self { what, said, .. } = self;
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        if let Some(problem) = as_root(said, self.image) {
            return self.finding(
                Code::RunsAsRoot,
                format!("{problem}, so {what} cannot start"),
                self.spec().comment(
                    "set runAsUser to the number of a user in securityContext, or use an image with a user that is not root",
                ),
            );
        }
        let missing = missing(said);
        let next = match &missing {
            Some(Missing { kind, name, key: None }) => create(namespace, kind, name, Content::Variables),
            Some(Missing { kind, name, key: Some(_) }) => {
                Command::kubectl_in(namespace, &["edit", kind]).name(name).comment("add the key that is named above")
            }
            None => self.spec().comment("correct what the message names in the manifest"),
        };
        let problem = match missing {
            Some(Missing { kind, name, key: Some(key) }) => format!("{kind} `{name}` has no key `{key}`"),
            Some(Missing { kind, name, key: None }) => format!("{kind} `{name}` does not exist"),
            None => format!("The kubelet refuses the configuration ({})", first_sentence(said)),
        };
        self.finding(Code::ConfigMissing, format!("{problem}, so {what} cannot start"), next)
    }

    fn runtime(&self) -> Finding {
        let Self { what, said, reason, .. } = self;
        let problem = if reason.ends_with("HookError") {
            format!("a lifecycle hook of the container fails ({})", first_sentence(innermost(said)))
        } else {
            refused_command(said)
        };
        self.finding(
            Code::ContainerNotCreated,
            format!("{}, so {what} cannot start", capitalized(&problem)),
            self.spec()
                .comment("correct cmds, arguments, mounts or hooks in the DAG or the manifest, or repair the image"),
        )
    }

    /// The command that shows the images.
    fn images(&self) -> Command {
        let ObjectReference { namespace, name, .. } = ObjectReference::from(self.pod);
        Command::kubectl_in(&namespace, &["get", "pod"])
            .name(&name)
            .words(&["-o", "jsonpath={.spec.containers[*].image}"])
    }

    /// The command that shows what the containers are.
    fn spec(&self) -> Command {
        let ObjectReference { namespace, name, .. } = ObjectReference::from(self.pod);
        Command::kubectl_in(&namespace, &["get", "pod"]).name(&name).words(&["-o", "jsonpath={.spec.containers}"])
    }
}

/// The kind of a container, as a sentence calls it.
fn kind(pod: &Pod, container: &ContainerStatus) -> &'static str {
    let main = main_containers(pod).any(|main| main.name == container.name);
    if main { "container" } else { "init container" }
}

/// What the kubelet said when it could not read pull secrets of the Pod.
fn unreadable_secrets<'a>(facts: &'a Facts, pod: &Pod) -> Option<&'a str> {
    let about_it = facts.events().iter().filter(|event| event.involved_object.uid == pod.metadata.uid);
    let mut told = about_it.filter(|event| event.reason.as_deref() == Some("FailedToRetrieveImagePullSecret"));
    told.find_map(|event| event.message.as_deref())
}

/// The refusal of an image by `runAsNonRoot`. Source: k/k `pkg/kubelet/kuberuntime/security_context.go`.
fn as_root(said: &str, image: &str) -> Option<String> {
    if said.contains("runAsNonRoot") && said.contains("non-numeric user") {
        let user = said
            .split_once("non-numeric user (")
            .and_then(|(_, rest)| rest.split_once(')'))
            .map_or("?", |(user, _)| user);
        return Some(format!(
            "runAsNonRoot is set, and image `{image}` names its user `{user}` and not a number, so Kubernetes cannot check it"
        ));
    }
    if said.contains("runAsNonRoot") {
        return Some(format!("Image `{image}` runs as root, and runAsNonRoot forbids that"));
    }
    said.contains("non-root policy").then(|| "runAsUser is root, and runAsNonRoot forbids that".to_owned())
}

/// The network error inside a message about a pull.
fn network_error(said: &str) -> String {
    if let Some((_, why)) = said.rsplit_once("lookup ").and_then(|(_, rest)| rest.split_once(": ")) {
        return format!("its name cannot be looked up: {}", first_sentence(innermost(why)));
    }
    let begins = ["dial tcp", "lookup ", "x509: ", "tls: ", "net/http: "];
    let first = begins.iter().filter_map(|begin| said.find(begin)).min();
    first_sentence(first.map_or(said, |at| &said[at..]))
}

/// The part of a message that says what is wrong, without the steps before it.
fn innermost(said: &str) -> &str {
    said.rsplit_once(": ").map_or(said, |(_, last)| last)
}

/// What a container takes from a `ConfigMap` or `Secret`.
#[derive(Clone, Copy)]
pub(crate) enum Content {
    /// Environment variables.
    Variables,
    /// Files of a volume.
    Files,
}

/// The command that makes a missing `ConfigMap` or `Secret`.
pub(crate) fn create(namespace: &str, kind: &str, name: &str, content: Content) -> Command {
    let from = match content {
        Content::Variables => "--from-env-file=FILE",
        Content::Files => "--from-file=FILE",
    };
    let words: &[&str] = if kind == "Secret" { &["create", "secret", "generic"] } else { &["create", "configmap"] };
    Command::kubectl_in(namespace, words).name(name).words(&[from]).comment("or correct its name in the manifest")
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
    let (key, source) = rest.split_once(" in ")?;
    let (kind, path) = source.trim().split_once(' ')?;
    let kind = if kind.eq_ignore_ascii_case("secret") { "Secret" } else { "ConfigMap" };
    let name = path.rsplit('/').next()?.trim_end_matches(|letter: char| !letter.is_alphanumeric());
    (is_word(name) && is_word(key)).then(|| Missing { kind, name: name.to_owned(), key: Some(key.to_owned()) })
}
