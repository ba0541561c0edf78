//! Holds the table of the operator's arguments that shape the Job: it says where each of them goes. Pure.
//!
//! Promise: an argument that is not in the table is refused. A value whose type is not that of its field is refused,
//! and the error names the argument. Null means that the argument was not given. Rows and fields share one check, that
//! of `shape`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    invalid,
    shape::{self, Parent},
};
use crate::error::Error;

/// One argument: the form in which a user gives it, and the field that it sets.
pub struct Argument {
    /// The name in the operator's signature.
    pub name: &'static str,
    /// The form in which a user may give it.
    pub given_as: ArgumentForm,
    pub(super) parent: Parent,
    pub(super) field: &'static str,
    pub(super) merge: Merge,
}

/// The form in which a user may give an argument; the Python side turns it into the type of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentForm {
    /// A text.
    Text,
    /// A list of texts.
    Texts,
    /// An object of texts.
    TextByKey,
    /// A whole number, or the text of one.
    WholeNumber,
    /// True or False.
    Flag,
    /// An object, spelled as in a manifest.
    Object,
    /// A list of such objects.
    Objects,
    /// A list of names, each alone or as an object.
    Names,
    /// An object of texts, or a list of objects as `env` is in a manifest.
    Environment,
    /// A list of names of `ConfigMap`s.
    ConfigMaps,
    /// A list of Secrets, each with the place where its values go.
    Secrets,
}

impl ArgumentForm {
    /// The word for the form at the border to Python.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Texts => "texts",
            Self::TextByKey => "text by key",
            Self::WholeNumber => "whole number",
            Self::Flag => "flag",
            Self::Object => "object",
            Self::Objects => "objects",
            Self::Names => "names",
            Self::Environment => "environment",
            Self::ConfigMaps => "config maps",
            Self::Secrets => "secrets",
        }
    }
}

/// What becomes of the value in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    /// The value is replaced.
    Replace,
    /// The other keys of the value stay.
    Keys,
    /// The items with another value at this key stay. It is the key by which Kubernetes itself merges the list. An
    /// empty argument empties the list.
    Items(&'static str),
    /// The items follow those that are there: Kubernetes has no key for the list, and the argument adds to it.
    Append,
}

const fn row(
    name: &'static str,
    given_as: ArgumentForm,
    parent: Parent,
    field: &'static str,
    merge: Merge,
) -> Argument {
    Argument { name, given_as, parent, field, merge }
}

/// Every argument that shapes the Job. A new one is a row here, and its lines in the operator's signature and
/// docstring.
pub const ARGUMENTS: &[Argument] = {
    use ArgumentForm::{
        ConfigMaps, Environment, Flag, Names, Object, Objects, Secrets, Text, TextByKey, Texts, WholeNumber,
    };
    use Merge::{Append, Items, Keys, Replace};
    use Parent::{BaseContainer, Metadata, Pod, Spec};
    &[
        // The base container is found by this name, before anything is put into it.
        row("base_container_name", Text, BaseContainer, "name", Replace),
        row("image", Text, BaseContainer, "image", Replace),
        row("cmds", Texts, BaseContainer, "command", Replace),
        row("arguments", Texts, BaseContainer, "args", Replace),
        row("env_vars", Environment, BaseContainer, "env", Items("name")),
        row("env_from", Objects, BaseContainer, "envFrom", Replace),
        // These two come after `env_from`, to which they add.
        row("configmaps", ConfigMaps, BaseContainer, "envFrom", Append),
        row("secrets", Secrets, BaseContainer, "envFrom", Append),
        row("volumes", Objects, Pod, "volumes", Items("name")),
        row("volume_mounts", Objects, BaseContainer, "volumeMounts", Items("mountPath")),
        row("container_resources", Object, BaseContainer, "resources", Replace),
        row("service_account_name", Text, Pod, "serviceAccountName", Replace),
        row("image_pull_policy", Text, BaseContainer, "imagePullPolicy", Replace),
        row("image_pull_secrets", Names, Pod, "imagePullSecrets", Items("name")),
        row("node_selector", TextByKey, Pod, "nodeSelector", Replace),
        row("affinity", Object, Pod, "affinity", Replace),
        row("tolerations", Objects, Pod, "tolerations", Replace),
        row("labels", TextByKey, Metadata, "labels", Keys),
        row("annotations", TextByKey, Metadata, "annotations", Keys),
        row("backoff_limit", WholeNumber, Spec, "backoffLimit", Replace),
        row("completions", WholeNumber, Spec, "completions", Replace),
        row("parallelism", WholeNumber, Spec, "parallelism", Replace),
        row("completion_mode", Text, Spec, "completionMode", Replace),
        row("suspend", Flag, Spec, "suspend", Replace),
        row("active_deadline_seconds", WholeNumber, Spec, "activeDeadlineSeconds", Replace),
        row("pod_failure_policy", Object, Spec, "podFailurePolicy", Replace),
        row("success_policy", Object, Spec, "successPolicy", Replace),
        row("backoff_limit_per_index", WholeNumber, Spec, "backoffLimitPerIndex", Replace),
        row("max_failed_indexes", WholeNumber, Spec, "maxFailedIndexes", Replace),
        row("pod_replacement_policy", Text, Spec, "podReplacementPolicy", Replace),
        row("managed_by", Text, Spec, "managedBy", Replace),
        row("ports", Objects, BaseContainer, "ports", Items("containerPort")),
        row("container_security_context", Object, BaseContainer, "securityContext", Replace),
        row("termination_message_policy", Text, BaseContainer, "terminationMessagePolicy", Replace),
        row("init_containers", Objects, Pod, "initContainers", Items("name")),
        row("security_context", Object, Pod, "securityContext", Replace),
        row("termination_grace_period", WholeNumber, Pod, "terminationGracePeriodSeconds", Replace),
        row("automount_service_account_token", Flag, Pod, "automountServiceAccountToken", Replace),
        row("priority_class_name", Text, Pod, "priorityClassName", Replace),
        row("runtime_class_name", Text, Pod, "runtimeClassName", Replace),
        row("schedulername", Text, Pod, "schedulerName", Replace),
        row("hostnetwork", Flag, Pod, "hostNetwork", Replace),
        row("host_aliases", Objects, Pod, "hostAliases", Items("ip")),
        row("hostname", Text, Pod, "hostname", Replace),
        row("subdomain", Text, Pod, "subdomain", Replace),
        row("dnspolicy", Text, Pod, "dnsPolicy", Replace),
        row("dns_config", Object, Pod, "dnsConfig", Replace),
    ]
};

/// The arguments that the user gave, by name, in the spelling of Kubernetes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Arguments(Map<String, Value>);

impl Arguments {
    /// Checks each argument, and drops those that are null.
    ///
    /// # Errors
    /// [`Error::InvalidManifest`] with the name of an argument that does not exist or has a value of another type.
    pub fn check(&mut self) -> Result<(), Error> {
        self.0.retain(|_, value| !value.is_null());
        if let Some(unknown) = self.0.keys().find(|name| ARGUMENTS.iter().all(|row| row.name != name.as_str())) {
            return Err(invalid(unknown, "no argument has this name", "correct the name"));
        }
        for row in ARGUMENTS {
            if let Some(value) = self.0.get_mut(row.name) {
                shape::check_field(row.parent, row.field, value, row.name)?;
            }
        }
        Ok(())
    }

    /// The name of the base container, where the user gave it.
    pub(super) fn base_container_name(&self) -> Option<&str> {
        self.0.get("base_container_name")?.as_str()
    }

    /// Whether the user gave this one.
    pub(super) fn given(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The arguments that set fields of this object, with their values.
    pub(super) fn of(&self, parent: Parent) -> impl Iterator<Item = (&'static Argument, &Value)> {
        ARGUMENTS.iter().filter(move |row| row.parent == parent).filter_map(|row| Some((row, self.0.get(row.name)?)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(arguments: Value) -> String {
        let mut arguments: Arguments = serde_json::from_value(arguments).unwrap();
        arguments.check().unwrap_err().report().facts["path"].as_str().unwrap().to_owned()
    }

    #[test]
    fn argument_of_the_wrong_type_or_of_no_known_name_is_refused_by_its_name() {
        for (argument, value) in [
            ("image", json!(1)),
            ("cmds", json!("echo")),
            ("labels[team]", json!({"team": 1})),
            ("env_vars[1]", json!([{"name": "A"}, "B"])),
            ("backoff_limit", json!(-1)),
            ("suspend", json!("true")),
            ("imagee", json!("a:1")),
        ] {
            let name = argument.split('[').next().unwrap();
            assert_eq!(refused(json!({name: value})), argument);
        }
    }

    #[test]
    fn every_argument_has_its_own_field_and_each_field_has_a_check() {
        for (number, row) in ARGUMENTS.iter().enumerate() {
            let others = &ARGUMENTS[number + 1..];
            assert!(others.iter().all(|other| other.name != row.name), "{} stands twice", row.name);
            let same_field = |other: &Argument| {
                (other.parent, other.field) == (row.parent, row.field) && other.merge != Merge::Append
            };
            assert!(!others.iter().any(same_field), "{} is set twice", row.field);
            assert!(shape::is_checked(row.parent, row.field), "{} has no row in `shape`", row.field);
        }
    }

    #[test]
    fn null_is_not_given() {
        let mut arguments: Arguments = serde_json::from_value(json!({"image": null})).unwrap();
        arguments.check().unwrap();
        assert_eq!(arguments, Arguments::default());
    }
}
