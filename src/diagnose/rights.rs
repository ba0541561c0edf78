//! Finds out which of the rights that this package needs the present identity has in a namespace.
//!
//! The API server is asked which identity we have and, right by right, whether we have it: any identity may ask that
//! about itself. The list has the rights of `docs/rbac.yaml`, and those that the diagnosis can use beyond them.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    cluster::Cluster,
    error::Error,
    identity::Namespace,
    resource::{Review, Verb},
    text::one_line,
};

/// Whether the package works without a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// The shipped Role has the right.
    Required,
    /// Some part says less, or does less, without the right.
    Optional,
}

/// One right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Right {
    /// The word that RBAC uses.
    pub verb: &'static str,
    /// The API group, empty for the core one.
    pub group: &'static str,
    /// The resource with its subresource, as in `pods/log`.
    pub resource: &'static str,
    /// Whether objects of this kind are in a namespace, so that a Role can grant it.
    pub namespaced: bool,
    /// Whether the shipped Role has it.
    pub need: Need,
    /// What is lost without it.
    pub without: &'static str,
}

const fn required(verb: &'static str, group: &'static str, resource: &'static str, without: &'static str) -> Right {
    Right { verb, group, resource, namespaced: true, need: Need::Required, without }
}

const fn optional(verb: &'static str, resource: &'static str, namespaced: bool, without: &'static str) -> Right {
    Right { verb, group: "", resource, namespaced, need: Need::Optional, without }
}

const GET_CRON_JOBS: Right = Right {
    verb: "get",
    group: "batch",
    resource: "cronjobs",
    namespaced: true,
    need: Need::Optional,
    without: "no task can run the Job of a CronJob of the cluster (`from_cron_job`)",
};

const LIST_WORKLOADS: Right = Right {
    verb: "list",
    group: "kueue.x-k8s.io",
    resource: "workloads",
    namespaced: true,
    need: Need::Optional,
    without: "why Kueue does not admit a Job is not known",
};

const GET_PENDING_WORKLOADS: Right = Right {
    verb: "get",
    group: "visibility.kueue.x-k8s.io",
    resource: "localqueues/pendingworkloads",
    namespaced: true,
    need: Need::Optional,
    without: "at which place of its queue a Job waits is not known",
};

/// All rights that something here needs.
pub const RIGHTS: [Right; 20] = [
    required("create", "batch", "jobs", "nothing runs"),
    required("get", "batch", "jobs", "a creation without an answer cannot be settled, nor an end during an outage"),
    required("watch", "batch", "jobs", "the end of a Job is asked for every few seconds instead of known at once"),
    required("list", "batch", "jobs", "a retry cannot find and take over the Job of an earlier try"),
    required("patch", "batch", "jobs", "no taking over, and Jobs go at the safe TTL; or set `patch_jobs = False`"),
    required("delete", "batch", "jobs", "a stop, a timeout and a clear leave their Job running"),
    required("get", "", "pods", "a lost place in the log cannot be found again"),
    required("list", "", "pods", "exit codes and logs are not known in a triggerer, nor after a watch was interrupted"),
    required("watch", "", "pods", "why a Job does not start, exit codes and logs are not known"),
    required("delete", "", "pods", "Pods that have lost their Job go on (`delete`, `doctor --fix`)"),
    required("get", "", "pods/log", "the task log has no line of the containers"),
    required("list", "", "events", "why no Pod can be made (quota, admission) is not known"),
    GET_CRON_JOBS,
    LIST_WORKLOADS,
    GET_PENDING_WORKLOADS,
    optional("patch", "pods", true, "whether a webhook breaks changes of Pods is not known"),
    optional("get", "nodes", false, "whether the node of a Pod is lost is not known"),
    optional(
        "list",
        "nodes",
        false,
        "the same, for `doctor` without --job; and what the nodes have where a Pod gets none",
    ),
    optional("get", "namespaces", false, "what holds a namespace that is being deleted is not known"),
    optional("list", "namespaces", false, "the same, for `doctor --all-namespaces`"),
];

/// A right, and whether the identity has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The right.
    #[serde(flatten)]
    pub right: Right,
    /// The API server's answer.
    pub allowed: bool,
}

/// The identity that the API server sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The user name; none if the API server is too old to say it (before 1.28).
    pub user: Option<String>,
    /// The uid, if the authenticator gave one.
    pub uid: Option<String>,
    /// The groups.
    pub groups: Vec<String>,
    /// Further facts about the identity, as lists of texts.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The API server that answers, the present identity, and its rights in one namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rights {
    /// The address of the API server.
    pub server: Option<String>,
    /// Its version of Kubernetes; none if it does not say.
    pub version: Option<String>,
    /// The user name; none if the API server is too old to say it (before 1.28).
    pub user: Option<String>,
    /// Its groups.
    pub groups: Vec<String>,
    /// The namespace of the rights.
    pub namespace: Namespace,
    /// The rights, with the answer for each.
    pub rights: Vec<Held>,
}

/// Asks the API server for the identity and for all rights.
pub async fn rights(cluster: &Cluster, namespace: &Namespace) -> Result<Rights, Error> {
    let ask = |right: Right| async move {
        let allowed = may(cluster, namespace, right).await?;
        Ok::<_, Error>(Held { right, allowed })
    };
    let asked = stream::iter(RIGHTS).map(ask).buffered(8).try_collect::<Vec<_>>();
    let (who, rights, version) = futures::join!(identity(cluster), asked, cluster.version());
    let Identity { user, groups, .. } = who?;
    // Not every cluster lets everybody read its version.
    let version = version.ok().flatten().map(one_line);
    let server = cluster.address().await.map(one_line);
    Ok(Rights { server, version, user, groups, namespace: namespace.clone(), rights: rights? })
}

async fn may(cluster: &Cluster, namespace: &Namespace, right: Right) -> Result<bool, Error> {
    let (resource, subresource) = right.resource.split_once('/').unwrap_or((right.resource, ""));
    let namespace = if right.namespaced { namespace.as_str() } else { "" };
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"namespace": namespace, "verb": right.verb, "group": right.group,
                                        "resource": resource, "subresource": subresource}},
    });
    let answer = ask(cluster, Review::Access, &review, "ask which rights this identity has").await?;
    Ok(answer["status"]["allowed"].as_bool().unwrap_or(false))
}

/// Asks the API server which identity we have.
pub async fn identity(cluster: &Cluster) -> Result<Identity, Error> {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    match ask(cluster, Review::Subject, &review, "ask who this identity is").await {
        Ok(answer) => {
            let info = &answer["status"]["userInfo"];
            let text = |key: &str| info[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            let extra = info["extra"].as_object().into_iter().flatten();
            Ok(Identity {
                user: text("username"),
                uid: text("uid"),
                groups: texts(&info["groups"]),
                extra: extra.map(|(key, values)| (key.clone(), texts(values))).collect(),
            })
        }
        Err(Error::ApiRefused(report)) if report.facts.get("status") == Some(&json!(404)) => Ok(Identity::default()),
        Err(error) => Err(error),
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

async fn ask(cluster: &Cluster, review: Review, question: &Value, what: &str) -> Result<Value, Error> {
    let asked = cluster.review(review, question).await;
    asked.map_err(|failure| failure.into_error(what, Verb::Create, review.resource(), None))
}
