//! Explains why no node takes a Pod, from the words of the scheduler, and sets what the Pod asks for beside what the
//! nodes have.
//!
//! The scheduler names each reason with the number of nodes that it is about: `0/3 nodes are available: 1 Insufficient
//! cpu, 2 node(s) had untolerated taint(s).` Source: k/k `pkg/scheduler/framework/types.go`, `FitError`, and the plugins
//! beside it.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Event, Pod, PodCondition};

use super::{deletion::is_word, startup::at};
use crate::{
    diagnose::{
        cluster_node::{ClusterNode, in_words, requirements},
        facts::Facts,
        finding::{Code, Finding, ObjectReference, Severity, capitalized},
    },
    model::{
        pod::{event_last_time, time},
        pod_reason::first_sentence,
        pod_template::TemplateSpec,
        quantity::written,
    },
    text::Command,
};

/// The seconds that other Pods may need to end, or an autoscaler to bring a node.
const ROOM_WITHIN: u64 = 300;
/// The kind of the object that Events about a claim name.
pub(crate) const CLAIM: &str = "PersistentVolumeClaim";
/// The words of a claim whose class is not there.
const NO_CLASS: &str = "StorageClass ";
/// The words of a problem that no other Pod can solve by ending.
const NEVER: &str = "no node is large enough";
/// The words of a resource that no node has at all, as without its device plugin.
const NOWHERE: &str = "no node offers";
/// At most this many nodes, values or events are named.
const NAMED: usize = 5;

/// The finding about a Pod that the scheduler has looked at and not placed.
pub(super) fn unschedulable(facts: &Facts, pod: &Pod, scheduled: &PodCondition) -> Finding {
    let object = ObjectReference::from(pod);
    let message = scheduled.message.as_deref().unwrap_or_default();
    let reasons = reasons(message);
    let claim = reasons.iter().find_map(|reason| of_claim(facts, reason.text));
    let Explained { code, problem, next, seen } = claim.unwrap_or_else(|| of_nodes(facts, &reasons));
    let missing = code == Code::ClaimMissing || problem.starts_with(NO_CLASS);
    let severity = if missing { Severity::Blocking } else { no_room(facts, scheduled) };
    Finding::new(code, severity, pod, format!("{problem}, so {object} cannot be scheduled"))
        .since(time(scheduled.last_transition_time.as_ref()))
        .seen(format!("{}: {message}", scheduled.reason.as_deref().unwrap_or("Unschedulable")))
        .seen_all(seen)
        .next(next)
}

/// How severe it is that no node takes a Pod: for a while the Pod may still get one by itself.
fn no_room(facts: &Facts, scheduled: &PodCondition) -> Severity {
    let long = facts.older(time(scheduled.last_transition_time.as_ref()), ROOM_WITHIN);
    if long { Severity::Blocking } else { Severity::Warning }
}

/// One reason of the scheduler.
struct NodeReason<'a> {
    /// How many nodes it is about.
    nodes: Option<usize>,
    text: &'a str,
}

struct Explained {
    code: Code,
    problem: String,
    next: Command,
    seen: Vec<String>,
}

fn reasons(message: &str) -> Vec<NodeReason<'_>> {
    let listed = message.split_once("nodes are available: ").map_or(message, |(_, listed)| listed);
    let listed = listed.split_once(". ").map_or(listed, |(listed, _)| listed).trim_end_matches('.');
    let one = |part: &str| part.split_once(' ').and_then(|(count, _)| count.parse().ok());
    // A text may have a comma of its own: a reason begins with its number of nodes, but for those about claims.
    let mut parts: Vec<&str> = Vec::new();
    let mut rest = listed;
    while let Some((at, _)) = rest.match_indices(", ").find(|(at, _)| one(&rest[at + 2..]).is_some_and(|_: usize| true))
    {
        parts.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    parts.push(rest);
    let reason = |part| {
        let nodes = one(part);
        NodeReason {
            nodes,
            text: if nodes.is_some() { part.split_once(' ').map_or(part, |(_, text)| text) } else { part },
        }
    };
    parts.into_iter().filter(|part| !part.is_empty()).map(reason).collect()
}

/// A reason that is about a claim of the Pod's volumes, and not about nodes.
fn of_claim(facts: &Facts, text: &str) -> Option<Explained> {
    let namespace = &facts.reference.namespace;
    let claims = facts.template().map(TemplateSpec::claims).unwrap_or_default();
    let list = || Command::kubectl_in(namespace, &["get", "persistentvolumeclaims"]);
    if let Some((_, rest)) = text.split_once("persistentvolumeclaim \"") {
        let (name, state) = rest.split_once('"')?;
        let missing = state.trim_start().starts_with("not found");
        return Some(if missing {
            Explained {
                code: Code::ClaimMissing,
                problem: format!("{CLAIM} `{name}` does not exist"),
                next: list().comment("correct the name of the claim in volumes, or make the claim"),
                seen: Vec::new(),
            }
        } else {
            Explained {
                code: Code::ClaimNotBound,
                problem: format!("{CLAIM} `{name}` cannot be used:{}", first_sentence(state)),
                next: list().name(name).words(&["-o", "yaml"]),
                seen: Vec::new(),
            }
        });
    }
    if !text.contains("unbound immediate PersistentVolumeClaims") {
        return None;
    }
    let told: Vec<(&str, &Event)> =
        claims.iter().filter_map(|name| Some((*name, newest_of_claim(facts, name)?))).collect();
    let blamed = told.iter().find(|(_, event)| event.type_.as_deref() == Some("Warning")).or(told.first());
    let (name, why) = match (blamed, claims.iter().collect::<Vec<_>>().as_slice()) {
        (Some((name, event)), _) => (Some(*name), event.message.as_deref().map(first_sentence)),
        (None, [only]) => (Some(**only), None),
        (None, _) => (None, None),
    };
    let class =
        why.as_deref().and_then(|why| why.strip_prefix("storageclass.storage.k8s.io \"")?.split_once("\" not found"));
    let problem = match (name, class) {
        (Some(name), Some((class, _))) => format!("{NO_CLASS}`{class}` of {CLAIM} `{name}` does not exist"),
        (Some(name), None) => format!("{CLAIM} `{name}` is not bound to a volume"),
        (None, _) => {
            format!("A {CLAIM} of `{}` is not bound to a volume", claims.into_iter().collect::<Vec<_>>().join("`, `"))
        }
    };
    let why = why.as_ref().filter(|_| class.is_none()).map_or_else(String::new, |why| format!(" ({why})"));
    let seen = told.iter().take(NAMED).map(|(name, event)| {
        let reason = event.reason.as_deref().unwrap_or_default();
        let said = event.message.as_deref().unwrap_or_default();
        format!("Event {reason} of {CLAIM} `{name}`{}: {said}", at(event_last_time(event)))
    });
    Some(Explained {
        code: Code::ClaimNotBound,
        problem: format!("{problem}{why}"),
        seen: seen.collect(),
        next: match name {
            Some(name) => list().name(name).words(&["-o", "yaml"]).comment(
                "a claim keeps its storage class: make it anew with one that kubectl get storageclass shows, or ask who runs the \
                 storage of the cluster",
            ),
            None => list(),
        },
    })
}

fn newest_of_claim<'a>(facts: &'a Facts, claim: &str) -> Option<&'a Event> {
    let about = facts.events().iter().filter(|event| {
        let object = &event.involved_object;
        object.kind.as_deref() == Some(CLAIM) && object.name.as_deref() == Some(claim)
    });
    about.max_by_key(|event| event_last_time(event))
}

fn of_nodes(facts: &Facts, reasons: &[NodeReason<'_>]) -> Explained {
    let nodes = facts.cluster_nodes.get().map(|nodes| &**nodes);
    let template = facts.template();
    let mut problems = Vec::new();
    let (mut room, mut labels) = (false, Vec::new());
    for NodeReason { nodes: count, text } in reasons {
        let lacks_only = reasons.len() == 1;
        let which = match count {
            Some(count) if !lacks_only => format!("{count} {}", if *count == 1 { "node" } else { "nodes" }),
            _ => "no node".to_owned(),
        };
        if let Some(resource) = text.strip_prefix("Insufficient ") {
            room = true;
            problems.push(lacking(resource.trim(), template, nodes, &which));
        } else if text.contains("node affinity/selector") {
            let wanted = template.map(wanted_labels).unwrap_or_default();
            labels.extend(wanted.keys.iter().filter(|key| is_word(&key.replace('/', "."))).cloned());
            problems.push(wanted.problem(nodes, &which));
        } else if text.contains("untolerated taint") {
            problems.push(tainted(nodes, &which, text));
        } else if text.contains("were unschedulable") {
            problems.push(format!("{} closed for new Pods (kubectl cordon)", plural(*count, "node is", "nodes are")));
        } else if text.contains("Too many pods") {
            problems.push(format!("{} full: no more Pods are allowed there", plural(*count, "node is", "nodes are")));
        } else if text.is_empty() {
            problems.push("no node takes it".to_owned());
        } else {
            let count = count.map_or_else(String::new, |count| format!("{count} "));
            problems.push(format!("the scheduler says: {count}{}", first_sentence(text)));
        }
    }
    if problems.is_empty() {
        problems.push("no node takes it, and the scheduler does not say why".to_owned());
    }
    let problem = capitalized(&problems.join("; "));
    let next = match labels.first() {
        Some(label) => Command::new(&["kubectl", "get", "nodes", "-L"])
            .name(label)
            .comment("correct node_selector or affinity, or ask for a node with this label"),
        None if room && problems.iter().any(|problem| problem.starts_with(NOWHERE)) => Command::new(&["kubectl", "get", "nodes", "-o"])
            .words(&["custom-columns=NAME:.metadata.name,OFFERS:.status.allocatable"])
            .comment("remove it from container_resources, or add a node that offers it. Waiting does not help"),
        None if room && problems.iter().any(|problem| problem.starts_with(NEVER)) => Command::new(&["kubectl", "get", "nodes", "-o"])
            .words(&["custom-columns=NAME:.metadata.name,CPU:.status.allocatable.cpu,MEMORY:.status.allocatable.memory"])
            .comment("ask for less with container_resources, or add a larger node. Waiting does not help"),
        None if room && nodes.is_none() => Command::new(&["kubectl", "get", "nodes", "-o"])
            .words(&["custom-columns=NAME:.metadata.name,OFFERS:.status.allocatable"])
            .comment(
                "if no node offers that much, waiting does not help: ask for less with container_resources, or for a larger \
                 node. If one does, wait until other Pods have ended",
            ),
        None if room => Command::new(&["kubectl", "get", "pods", "-A", "-o", "wide"]).comment(
            "shows what uses the nodes. Wait until other Pods have ended, or ask for less with container_resources",
        ),
        None => Command::new(&["kubectl", "get", "nodes", "-o", "wide"])
            .comment("correct tolerations, affinity or volumes, or add a node"),
    };
    Explained {
        code: Code::Unschedulable,
        problem,
        next,
        seen: room.then(|| sizes(reasons, nodes)).flatten().into_iter().collect(),
    }
}

fn plural(count: Option<usize>, one: &str, many: &str) -> String {
    match count {
        Some(1) => format!("1 {one}"),
        Some(count) => format!("{count} {many}"),
        None => format!("the {many}"),
    }
}

/// Which resource is lacking, and whether any node is large enough.
fn lacking(resource: &str, template: Option<&TemplateSpec>, nodes: Option<&[ClusterNode]>, which: &str) -> String {
    let asked = template.and_then(|spec| spec.asks_for(resource));
    let amount =
        asked.map_or_else(|| format!("enough {resource}"), |asked| format!("{} {resource}", written(resource, asked)));
    let largest =
        nodes.and_then(|nodes| nodes.iter().max_by(|one, other| one.size(resource).total_cmp(&other.size(resource))));
    let Some(largest) = largest else { return format!("{} {amount} free", has(which)) };
    let size = largest.size(resource);
    let name = &largest.name;
    match asked {
        Some(asked) if size == 0.0 => {
            format!("{NOWHERE} {resource} to Pods ({} asked for)", written(resource, asked))
        }
        None if size == 0.0 => format!("{NOWHERE} {resource} to Pods"),
        Some(asked) if asked > size => {
            format!("{NEVER} for {amount} (the largest, `{name}`, has {})", written(resource, size))
        }
        _ => format!("{} {amount} free (the largest, `{name}`, has {} in all)", has(which), written(resource, size)),
    }
}

/// `no node has`, or `2 nodes do not have`.
fn has(which: &str) -> String {
    match which {
        "no node" => "no node has".to_owned(),
        "1 node" => "1 node does not have".to_owned(),
        nodes => format!("{nodes} do not have"),
    }
}

/// What the nodes have in all of the resources that are lacking.
fn sizes(reasons: &[NodeReason<'_>], nodes: Option<&[ClusterNode]>) -> Option<String> {
    let nodes = nodes?;
    let resources: BTreeSet<&str> =
        reasons.iter().filter_map(|reason| reason.text.strip_prefix("Insufficient ")).collect();
    let of_node = |node: &ClusterNode| {
        let sizes = resources.iter().map(|resource| format!("{} {resource}", written(resource, node.size(resource))));
        format!("`{}` {}", node.name, sizes.collect::<Vec<_>>().join(", "))
    };
    let told = nodes.iter().take(NAMED).map(of_node).collect::<Vec<_>>().join("; ");
    let more = nodes.len().checked_sub(NAMED).filter(|more| *more > 0);
    let more = more.map_or_else(String::new, |more| format!("; and {more} more nodes"));
    Some(format!("nodes and what Pods may use of them in all: {told}{more}"))
}

/// Whether a node meets a requirement.
type Requirement<'a> = Box<dyn Fn(&ClusterNode) -> bool + 'a>;

/// The labels that a Pod wants its node to have.
#[derive(Default)]
struct WantedLabels<'a> {
    /// Each requirement, and the nodes that do not meet it.
    all: Vec<(String, Requirement<'a>)>,
    keys: Vec<String>,
    /// Whether one of several terms would do, so that no single requirement can be blamed.
    alternatives: bool,
}

fn wanted_labels(spec: &TemplateSpec) -> WantedLabels<'_> {
    let mut wanted = WantedLabels::default();
    for (key, value) in spec.node_selector.iter().flatten() {
        wanted.keys.push(key.clone());
        let has = move |node: &ClusterNode| node.labels.get(key) == Some(value);
        wanted.all.push((format!("{key}={value}"), Box::new(has)));
    }
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref()?.required.as_ref());
    let terms = affinity.map(|required| required.node_selector_terms.as_slice()).unwrap_or_default();
    wanted.alternatives = terms.len() > 1;
    for requirement in terms.iter().flat_map(requirements) {
        wanted.keys.push(requirement.key.clone());
        wanted.all.push((in_words(requirement), Box::new(move |node: &ClusterNode| node.meets(requirement))));
    }
    wanted
}

impl WantedLabels<'_> {
    fn problem(&self, nodes: Option<&[ClusterNode]>, which: &str) -> String {
        let begin = has(which);
        let texts = |some: &mut dyn Iterator<Item = &String>| some.map(|text| format!("`{text}`")).collect::<Vec<_>>();
        let all = texts(&mut self.all.iter().map(|(text, _)| text));
        if all.is_empty() {
            return format!("{begin} the labels that nodeSelector or affinity ask for");
        }
        let join = if self.alternatives { " or " } else { " and " };
        let Some(nodes) = nodes else { return format!("{begin} the label {}", all.join(join)) };
        let unmet = texts(&mut self.all.iter().filter(|(_, met)| !nodes.iter().any(met)).map(|(text, _)| text));
        if unmet.is_empty() || self.alternatives {
            return format!("{begin} the labels {}", all.join(join));
        }
        let known: BTreeSet<String> = self
            .keys
            .iter()
            .flat_map(|key| nodes.iter().filter_map(move |node| Some(format!("{key}={}", node.labels.get(key)?))))
            .collect();
        let there = if known.is_empty() {
            String::new()
        } else {
            format!(" (there is: {})", known.into_iter().take(NAMED).collect::<Vec<_>>().join(", "))
        };
        format!("no node has the label {}{there}", unmet.join(" or "))
    }
}

fn tainted(nodes: Option<&[ClusterNode]>, which: &str, text: &str) -> String {
    let told =
        text.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(taint, _)| taint.trim_end_matches(": "));
    let taints: BTreeSet<&str> = match (told, nodes) {
        (Some(taint), _) => BTreeSet::from([taint]),
        (None, Some(nodes)) => nodes.iter().flat_map(|node| node.taints.iter().map(String::as_str)).collect(),
        (None, None) => BTreeSet::new(),
    };
    let taints = taints.into_iter().take(NAMED).collect::<Vec<_>>().join("`, `");
    let taints = if taints.is_empty() { taints } else { format!(": `{taints}`") };
    let who = match which {
        "no node" => "each node has".to_owned(),
        "1 node" => "1 node has".to_owned(),
        nodes => format!("{nodes} have"),
    };
    format!("{who} a taint that the Pod does not tolerate{taints}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_of_the_scheduler_are_read_with_their_numbers_and_commas() {
        let message = "0/6 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {a: b, c}, 3 node(s) \
                       didn't match Pod's node affinity/selector. preemption: 0/6 nodes are available: 6 Preemption is not \
                       helpful for scheduling.";
        let read: Vec<_> = reasons(message).into_iter().map(|reason| (reason.nodes, reason.text)).collect();
        assert_eq!(
            read,
            [
                (Some(1), "Insufficient cpu"),
                (Some(2), "node(s) had untolerated taint {a: b, c}"),
                (Some(3), "node(s) didn't match Pod's node affinity/selector"),
            ]
        );
        let unbound = reasons("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found");
        assert_eq!(unbound[0].text, "pod has unbound immediate PersistentVolumeClaims");
        assert!(reasons("").is_empty());
    }
}
