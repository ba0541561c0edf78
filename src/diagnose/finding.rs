//! Defines a finding: one reason why a Job does not move or is not deleted, with its evidence and the next step.

use std::fmt;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde::{Deserialize, Serialize, Serializer};

use crate::{
    model::observed_job::JobReference,
    text::{Command, one_line},
};

/// How severe a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// This is normal; the finding says what the Job waits for.
    Info,
    /// The state may end by itself, or badly.
    Warning,
    /// The Job is stuck: nothing happens until somebody does something.
    Blocking,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The kind of a finding. The names are stable; within a severity, findings are sorted in the order of this
        /// list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name, in kebab case.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

codes! {
    /// The Job was deleted with Orphan, and the garbage collector has not released it.
    FinalizerOrphanStuck = "finalizer-orphan-stuck",
    /// The Job was deleted in the foreground, no Pod is left, and the garbage collector has not released it.
    FinalizerForegroundStuck = "finalizer-foreground-stuck",
    /// The Job was deleted in the foreground, and a Pod of it is still there.
    ForegroundHeldByPods = "foreground-held-by-pods",
    /// Somebody's finalizer holds a Job that is being deleted.
    ForeignFinalizer = "foreign-finalizer",
    /// No change of the Job passes admission.
    WebhookBreaksJobUpdate = "webhook-breaks-job-update",
    /// No change of its Pods passes admission.
    WebhookBreaksPodUpdate = "webhook-breaks-pod-update",
    /// The deletion of the Job does not pass admission.
    WebhookRefusesDelete = "webhook-refuses-delete",
    /// The Job finished longer ago than its TTL allows.
    TtlNotObeyed = "ttl-not-obeyed",
    /// A Pod that is being deleted may still run on a node that is out of reach.
    PodOnLostNode = "pod-on-lost-node",
    /// Somebody's finalizer holds a Pod that is being deleted.
    PodForeignFinalizer = "pod-foreign-finalizer",
    /// A Pod has ended, and the Job controller has not counted it.
    PodJobTrackingStuck = "pod-job-tracking-stuck",
    /// A Pod still runs after its grace period.
    PodOutlivesGracePeriod = "pod-outlives-grace-period",
    /// Pods whose Job does not exist any more.
    PodsOfVanishedJob = "pods-of-vanished-job",
    /// The outcome is decided, but Pods that do not end keep the Job from ending.
    DecidedButHeldByPods = "decided-but-held-by-pods",
    /// The namespace waits for an aggregated API that does not answer.
    AggregatedApiUnavailable = "aggregated-api-unavailable",
    /// The namespace is being deleted: no Pod can be made in it.
    NamespaceTerminating = "namespace-terminating",
    /// The Job controller does nothing about the Job.
    JobControllerSilent = "job-controller-silent",
    /// The Job is past its `activeDeadlineSeconds`, and still not failed.
    DeadlineNotEnforced = "deadline-not-enforced",
    /// A `ResourceQuota` allows less in all than one Pod asks for.
    QuotaNeverFits = "quota-never-fits",
    /// A `ResourceQuota` is used up.
    QuotaExceeded = "quota-exceeded",
    /// A `ResourceQuota` demands requests or limits that the containers do not name.
    QuotaDemandsResources = "quota-demands-resources",
    /// The Pods' service account does not exist.
    ServiceAccountMissing = "service-account-missing",
    /// Pod Security refuses the Pods.
    PodSecurityRefuses = "pod-security-refuses",
    /// An admission webhook refuses the Pods, or does not answer.
    WebhookRefusesPods = "webhook-refuses-pods",
    /// The `PriorityClass` that the Pods name does not exist.
    PriorityClassMissing = "priority-class-missing",
    /// The `RuntimeClass` that the Pods name does not exist.
    RuntimeClassMissing = "runtime-class-missing",
    /// Something else refuses the Pods.
    PodsRefused = "pods-refused",
    /// A `PersistentVolumeClaim` of the Pod does not exist.
    ClaimMissing = "claim-missing",
    /// A `PersistentVolumeClaim` of the Pod has no volume.
    ClaimNotBound = "claim-not-bound",
    /// No node takes the Pod.
    Unschedulable = "unschedulable",
    /// The scheduler does nothing about the Pod.
    SchedulerSilent = "scheduler-silent",
    /// The kubelet of the Pod's node does nothing about it.
    KubeletSilent = "kubelet-silent",
    /// The image does not exist in its registry.
    ImageNotFound = "image-not-found",
    /// The registry wants other credentials.
    ImageNoCredentials = "image-no-credentials",
    /// The image may not be pulled, and the node does not have it.
    ImageNeverPulled = "image-never-pulled",
    /// The text is not the name of an image.
    ImageNameInvalid = "image-name-invalid",
    /// The registry does not answer.
    RegistryUnreachable = "registry-unreachable",
    /// The registry refuses more requests for now.
    RegistryThrottles = "registry-throttles",
    /// The image cannot be pulled for another reason.
    ImagePullFailing = "image-pull-failing",
    /// A `ConfigMap`, `Secret` or key that the container names is missing.
    ConfigMissing = "config-missing",
    /// `runAsNonRoot` forbids the image.
    RunsAsRoot = "runs-as-root",
    /// The container runtime cannot make or start the container.
    ContainerNotCreated = "container-not-created",
    /// A volume cannot be attached or mounted.
    VolumeNotMounted = "volume-not-mounted",
    /// The Pod's sandbox cannot be made: network, runtime.
    SandboxNotCreated = "sandbox-not-created",
    /// The Pod runs on a node that is not ready.
    NodeNotReady = "node-not-ready",
    /// An init container fails, so the others never start.
    InitContainerFailing = "init-container-failing",
    /// An init container does not end, so the others do not start.
    InitContainerWaiting = "init-container-waiting",
    /// Some indexes have failed for good, and the others go on.
    IndexesFailed = "indexes-failed",
    /// A container ends and is started again, with growing pauses.
    CrashLoop = "crash-loop",
    /// The work has ended, but another container keeps the Pod running.
    SidecarKeepsPodAlive = "sidecar-keeps-pod-alive",
    /// A container has written nothing for long.
    ContainerSilent = "container-silent",
    /// The readiness probe of a container has not succeeded.
    NotReady = "not-ready",
    /// Kubernetes fails the Job soon, unless it ends before.
    DeadlineNear = "deadline-near",
    /// The Job controller pauses before the next Pod.
    BackoffWaiting = "backoff-waiting",
    /// The Pod has scheduling gates.
    SchedulingGated = "scheduling-gated",
    /// Kueue has not admitted the Job yet.
    KueueNotAdmitted = "kueue-not-admitted",
    /// The Job is suspended.
    Suspended = "suspended",
    /// The Job's `parallelism` is 0.
    ParallelismZero = "parallelism-zero",
    /// Another controller is responsible for the Job.
    ManagedElsewhere = "managed-elsewhere",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The object that a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct ObjectReference {
    /// `Job`, `Pod`, `Namespace`.
    pub kind: &'static str,
    /// Empty for objects without one.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid; empty if it is not known.
    pub uid: String,
}

impl fmt::Display for ObjectReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} `{}`", self.kind, self.name)
        } else {
            write!(f, "{} `{}/{}`", self.kind, self.namespace, self.name)
        }
    }
}

impl ObjectReference {
    /// The command that shows the end of the log of a container of this Pod.
    pub(crate) fn logs(&self, container: &str) -> Command {
        Command::kubectl_in(&self.namespace, &["logs", "--tail=20"]).name(&self.name).words(&["-c"]).name(container)
    }
}

impl From<&JobReference> for ObjectReference {
    fn from(job: &JobReference) -> Self {
        let JobReference { namespace, name, uid } = job.clone();
        Self { kind: "Job", namespace: namespace.into(), name: name.into(), uid }
    }
}

impl From<&Pod> for ObjectReference {
    fn from(pod: &Pod) -> Self {
        let metadata = pod.metadata.clone();
        Self {
            kind: "Pod",
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
        }
    }
}

/// A clause with a capital letter at its beginning, as a cause begins.
pub(super) fn capitalized(clause: &str) -> String {
    let mut letters = clause.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A cure of this package for a finding, on a person's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// A second DELETE with Background, which removes `orphan` and `foregroundDeletion` and no other finalizer.
    ReleaseGcFinalizers,
    /// DELETE of each Pod by uid, after it was seen again that its Job does not exist.
    DeleteOwnerlessPods,
}

/// One reason why a Job does not move or is not deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The kind of the finding.
    pub code: Code,
    /// How severe it is.
    pub severity: Severity,
    /// The object that it is about.
    pub object: ObjectReference,
    /// The evidence, one fact for each entry, with its time if it has one.
    pub seen: Vec<String>,
    /// Since when the state has lasted, as far as the objects show it.
    pub since: Option<Timestamp>,
    /// One sentence that names the object, without a full stop.
    pub cause: String,
    /// A command to paste, followed by a comment that says what it does.
    pub next_step: String,
    /// A command that forces or destroys something, for the time when the next step has not helped; empty if there is
    /// none.
    pub last_resort: String,
    /// The cure of this package, if there is one.
    pub remedy: Option<Remedy>,
    /// The Pods that have not ended and that the remedy leaves without an owner.
    pub running: Vec<String>,
    /// How many objects it is about: 1, or the number of Pods of the Job of which the same is true.
    pub count: usize,
}

impl Finding {
    /// A finding whose cause is this sentence.
    pub(crate) fn new(
        code: Code,
        severity: Severity,
        object: impl Into<ObjectReference>,
        cause: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity,
            object: object.into(),
            seen: Vec::new(),
            since: None,
            cause: one_line(cause),
            next_step: String::new(),
            last_resort: String::new(),
            remedy: None,
            running: Vec::new(),
            count: 1,
        }
    }

    pub(crate) fn seen(mut self, evidence: impl Into<String>) -> Self {
        self.seen.push(one_line(evidence));
        self
    }

    pub(crate) fn seen_all(mut self, evidence: impl IntoIterator<Item = String>) -> Self {
        self.seen.extend(evidence.into_iter().map(one_line));
        self
    }

    pub(crate) fn since(mut self, time: Option<Timestamp>) -> Self {
        // The time is cut to whole seconds, like all times that Kubernetes keeps.
        self.since = time.and_then(|time| Timestamp::from_second(time.as_second()).ok());
        self
    }

    pub(crate) fn next(mut self, command: impl Into<Command>) -> Self {
        self.next_step = command.into().to_string();
        self
    }

    pub(crate) fn last_resort(mut self, command: impl Into<Command>) -> Self {
        self.last_resort = command.into().to_string();
        self
    }

    pub(crate) fn running<'a>(mut self, pods: impl IntoIterator<Item = &'a Pod>) -> Self {
        self.running = pods.into_iter().filter_map(|pod| pod.metadata.name.clone().map(one_line)).collect();
        self
    }

    pub(crate) fn remedy(mut self, remedy: Remedy) -> Self {
        self.remedy = Some(remedy);
        self
    }
}

/// As the task log has it: the cause, the evidence, the next step, a line each.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        if let Some(since) = self.since {
            write!(f, " (since {since:.0})")?;
        }
        write!(f, " [{}]", self.code)?;
        if !self.seen.is_empty() {
            write!(f, "\n  seen: {}", self.seen.join("; "))?;
        }
        write!(f, "\n  next: {}", self.next_step)?;
        if self.last_resort.is_empty() { Ok(()) } else { write!(f, "\n  if that does not help: {}", self.last_resort) }
    }
}
