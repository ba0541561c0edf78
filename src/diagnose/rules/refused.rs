//! Explains why the API server refuses the Pods of a Job, from the Event `FailedCreate` that has its answer.

use k8s_openapi::api::core::v1::Event;

use super::{
    deletion::{is_word, webhook_configurations},
    startup::at,
};
use crate::{
    diagnose::{
        facts::Facts,
        finding::{Code, Finding, Severity},
    },
    model::{
        pod::{event_last_time, event_time, work_has_stopped},
        pod_reason::first_sentence,
        quantity::amount,
    },
    text::Command,
};

/// What every level of Pod Security allows.
const RESTRICTED: &str = "every level allows containers with this: securityContext: {allowPrivilegeEscalation: false, capabilities: \
                          {drop: [ALL]}, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}";

/// What is wrong, and what a person can do.
struct Refusal {
    code: Code,
    problem: String,
    next: Command,
}

/// The finding about Pods that are refused. Each refusal can be an Event of its own; the newest has the present reason.
pub(super) fn refused(facts: &Facts, refusals: &[&Event]) -> Option<Finding> {
    let event = refusals.iter().max_by_key(|event| event_last_time(event))?;
    let job = &facts.reference;
    let message = event.message.as_deref().unwrap_or_default();
    let none = facts.pods().all(work_has_stopped);
    let severity = if none { Severity::Blocking } else { Severity::Warning };
    let Refusal { code, problem, next } = refusal(facts, message);
    let which = match (code, none) {
        (Code::QuotaNeverFits, _) => "can never get a Pod",
        (_, true) => "gets no Pod",
        (_, false) => "gets no more Pods",
    };
    let count: i32 = refusals.iter().map(|event| event.count.unwrap_or(1)).sum();
    let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let finding = Finding::new(code, severity, job, format!("{problem}, so {job} {which}"))
        .since(refusals.iter().filter_map(|event| event_time(event)).min())
        .seen(format!("Event FailedCreate, {times}{}: {message}", at(event_last_time(event))))
        .seen_all((code == Code::PodSecurityRefuses).then(|| RESTRICTED.to_owned()))
        .next(next);
    Some(finding)
}

fn refusal(facts: &Facts, message: &str) -> Refusal {
    let namespace = &facts.reference.namespace;
    let why = reason(message);
    if let Some(exceeded) = Exceeded::read(why) {
        return quota(facts, &exceeded);
    }
    if let Some((quota, lacks)) = between(why, "failed quota: ", ": ").zip(why.split_once("must specify ")) {
        return Refusal {
            code: Code::QuotaDemandsResources,
            problem: format!("{}, which ResourceQuota `{quota}` demands", demanded(lacks.1)),
            next: Command::kubectl_in(namespace, &["get", "resourcequota"])
                .name(quota)
                .words(&["-o", "yaml"])
                .comment("set what it demands with container_resources"),
        };
    }
    if why.contains("error looking up service account") || why.contains("serviceaccount \"") {
        let account = facts.template().and_then(|pod| pod.service_account_name.clone());
        let account = account.unwrap_or_else(|| "default".into());
        return Refusal {
            code: Code::ServiceAccountMissing,
            problem: format!("Service account `{account}` does not exist"),
            next: Command::kubectl_in(namespace, &["create", "serviceaccount"])
                .name(&account)
                .comment("or correct service_account_name"),
        };
    }
    if let Some((_, rest)) = why.split_once("violates PodSecurity ") {
        return pod_security(facts, rest);
    }
    if let Some(class) = after(why, "no PriorityClass with name ") {
        return Refusal {
            code: Code::PriorityClassMissing,
            problem: format!("PriorityClass `{class}` does not exist"),
            next: Command::new(&["kubectl", "get", "priorityclasses"])
                .comment("correct priorityClassName in the manifest, or ask for this class"),
        };
    }
    if let Some(class) = between(why, "RuntimeClass \"", "\" not found") {
        return Refusal {
            code: Code::RuntimeClassMissing,
            problem: format!("RuntimeClass `{class}` does not exist"),
            next: Command::new(&["kubectl", "get", "runtimeclasses"])
                .comment("correct runtimeClassName in the manifest, or ask for this class"),
        };
    }
    if why.contains("webhook") {
        let name = between(why, "webhook \"", "\"").unwrap_or("?");
        let problem = match why.split_once("denied the request") {
            Some((_, said)) => {
                let said = first_sentence(said.trim_start_matches(": "));
                format!("Admission webhook `{name}` refuses the Pods: {said}")
            }
            None => format!("Admission webhook `{name}` does not answer, so no Pod can be made"),
        };
        return Refusal { code: Code::WebhookRefusesPods, problem, next: webhook_configurations() };
    }
    Refusal {
        code: Code::PodsRefused,
        problem: format!("The API server refuses the Pods: {}", first_sentence(why)),
        next: Command::kubectl_in(namespace, &["get", "job"])
            .name(&facts.reference.name)
            .words(&["-o", "yaml"])
            .comment("correct the manifest, or ask who made the rule that refuses it"),
    }
}

/// A quota that refused a Pod. Source: apiserver `pkg/admission/plugin/resourcequota/controller.go`.
struct Exceeded<'a> {
    quota: &'a str,
    requested: Vec<(&'a str, &'a str)>,
    used: Vec<(&'a str, &'a str)>,
    limited: Vec<(&'a str, &'a str)>,
}

impl<'a> Exceeded<'a> {
    /// Reads `exceeded quota: team, requested: cpu=2, used: cpu=0, limited: cpu=1`.
    fn read(why: &'a str) -> Option<Self> {
        let (_, rest) = why.split_once("exceeded quota: ")?;
        let (quota, rest) = rest.split_once(", requested: ").unwrap_or((rest, ""));
        let (requested, rest) = rest.split_once(", used: ").unwrap_or((rest, ""));
        let (used, limited) = rest.split_once(", limited: ").unwrap_or((rest, ""));
        let amounts = |text: &'a str| text.split(',').filter_map(|pair| pair.trim().split_once('=')).collect();
        let quota = quota.split(',').next().unwrap_or_default();
        Some(Self { quota, requested: amounts(requested), used: amounts(used), limited: amounts(limited) })
    }

    /// Each resource that does not fit: its name, what is asked for, what is used, what is allowed.
    fn resources(&self) -> impl Iterator<Item = (&'a str, &'a str, &'a str, &'a str)> {
        let of = |list: &[(&'a str, &'a str)], name: &str| {
            list.iter().find(|(resource, _)| *resource == name).map_or("?", |(_, amount)| *amount)
        };
        self.requested.iter().map(move |(name, asked)| (*name, *asked, of(&self.used, name), of(&self.limited, name)))
    }
}

fn quota(facts: &Facts, exceeded: &Exceeded<'_>) -> Refusal {
    let quota = exceeded.quota;
    let describe = Command::kubectl_in(&facts.reference.namespace, &["describe", "resourcequota"]).name(quota);
    let never = exceeded
        .resources()
        .find(|(_, asked, _, limit)| amount(asked).zip(amount(limit)).is_some_and(|(asked, limit)| asked > limit));
    if let Some((resource, asked, _, limit)) = never {
        return Refusal {
            code: Code::QuotaNeverFits,
            problem: format!("ResourceQuota `{quota}` allows {limit} {resource} in all, and one Pod asks for {asked}"),
            next: describe
                .comment("ask for less with container_resources, or have the quota raised. Waiting does not help"),
        };
    }
    let full: Vec<_> = exceeded
        .resources()
        .map(|(resource, asked, used, limit)| {
            format!("{used} of {limit} {resource} are used, and one Pod asks for {asked}")
        })
        .collect();
    let full = if full.is_empty() { String::new() } else { format!(" ({})", full.join("; ")) };
    Refusal {
        code: Code::QuotaExceeded,
        problem: format!("ResourceQuota `{quota}` is used up{full}"),
        next: describe.comment("wait until other Pods have ended, or have the quota raised"),
    }
}

/// `limits.cpu for: base; requests.memory for: base` as ``Container `base` sets no limits.cpu and no requests.memory``.
fn demanded(lacks: &str) -> String {
    let parts = lacks.trim_end_matches('.').split("; ").map(|part| part.split_once(" for: ").unwrap_or((part, "")));
    let mut by_containers: Vec<(&str, Vec<&str>)> = Vec::new();
    for (resource, containers) in parts {
        match by_containers.iter_mut().find(|(known, _)| *known == containers) {
            Some((_, resources)) => resources.push(resource),
            None => by_containers.push((containers, vec![resource])),
        }
    }
    let texts = by_containers.into_iter().map(|(containers, resources)| {
        let names = containers.split(',').map(|name| format!("`{name}`")).collect::<Vec<_>>();
        let resources = resources.join(" and no ");
        match names.as_slice() {
            _ if containers.is_empty() => format!("A container sets no {resources}"),
            [name] => format!("Container {name} sets no {resources}"),
            _ => format!("Containers {} set no {resources}", names.join(", ")),
        }
    });
    texts.collect::<Vec<_>>().join("; ")
}

/// The refusal by Pod Security. `rest` is `"restricted:latest": what (who must set what), ...`.
fn pod_security(facts: &Facts, rest: &str) -> Refusal {
    let namespace = &facts.reference.namespace;
    let level = between(rest, "\"", ":").unwrap_or("?");
    let violations = rest.split_once("\": ").map_or(rest, |(_, violations)| violations);
    Refusal {
        code: Code::PodSecurityRefuses,
        problem: format!(
            "Pod Security `{level}` of namespace `{namespace}` refuses its Pods ({})",
            fields_of_pod_security(&without_brackets(violations))
        ),
        next: Command::new(&["kubectl", "get", "namespace"]).name(namespace).words(&["--show-labels"]).comment(
            "put the securityContext under seen into each container of the manifest. An image that runs as root then needs \
             runAsUser, too. Or ask who runs the namespace to change its label pod-security.kubernetes.io/enforce",
        ),
    }
}

/// The fields that Pod Security complains about, instead of its conditions: `runAsNonRoot != true` is about one field.
fn fields_of_pod_security(violations: &str) -> String {
    let fields = violations.split(", ").map(|violation| {
        let field = violation.split_once(" != ").map_or(violation, |(field, _)| field);
        field.trim_start_matches("unrestricted ")
    });
    fields.collect::<Vec<_>>().join(", ")
}

/// A text without what stands in brackets.
fn without_brackets(text: &str) -> String {
    let mut depth = 0_usize;
    let kept: String = text
        .chars()
        .filter(|letter| {
            match letter {
                '(' => depth += 1,
                ')' => {
                    depth = depth.saturating_sub(1);
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect();
    first_sentence(&kept.replace(" ,", ","))
}

/// What the API server answered, without the name of the Pod, which is another one each time.
fn reason(message: &str) -> &str {
    let said = message.strip_prefix("Error creating: ").unwrap_or(message);
    let after = |mark: &str| said.split_once(mark).map(|(_, why)| why);
    after(" is forbidden: ").or_else(|| after(" is invalid: ")).unwrap_or(said)
}

/// What stands between two marks.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    text.split_once(begin)?.1.split_once(end).map(|(inside, _)| inside).filter(|inside| !inside.is_empty())
}

/// The word after a mark.
fn after<'a>(text: &'a str, begin: &str) -> Option<&'a str> {
    text.split_once(begin)?.1.split_whitespace().next().filter(|word| is_word(word))
}
