//! Refuses what client-go refuses in a kubeconfig before it connects. Pure.
//!
//! A kubeconfig that kubectl refuses is refused here, and the error names the same fields: if two fields contradict
//! each other, each client would read them differently. Source: `clientcmd.validateClusterInfo`, `validateAuthInfo` and
//! `ConfirmUsable`, `transport.TLSConfigFor` and `HTTPWrappersForConfig` of client-go 0.36.

use kube::config::{AuthInfo, Cluster, ExecConfig, ExecInteractiveMode, Kubeconfig};
use secrecy::{ExposeSecret, SecretString};

/// The API version in which a plugin must say whether it is interactive.
const MUST_SAY: &str = "client.authentication.k8s.io/v1";

/// Checks one file.
pub(super) fn file(kubeconfig: &Kubeconfig) -> Result<(), String> {
    if kubeconfig.kind.as_deref().is_some_and(|kind| !kind.is_empty() && kind != "Config") {
        return Err("its `kind` is not Config".into());
    }
    if kubeconfig.api_version.as_deref().is_some_and(|version| !version.is_empty() && version != "v1") {
        return Err("its `apiVersion` is not v1".into());
    }
    twice("clusters", kubeconfig.clusters.iter().map(|one| &one.name))?;
    twice("contexts", kubeconfig.contexts.iter().map(|one| &one.name))?;
    twice("users", kubeconfig.auth_infos.iter().map(|one| &one.name))
}

fn twice<'a>(key: &str, names: impl Iterator<Item = &'a String>) -> Result<(), String> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("`{key}` has two entries with the name `{}`", pair[0])),
        None => Ok(()),
    }
}

/// Checks the cluster of the context.
pub(super) fn cluster(cluster: &Cluster) -> Result<(), String> {
    let authority = (has(cluster.certificate_authority.as_deref()), has(cluster.certificate_authority_data.as_deref()));
    if authority == (true, true) {
        return Err("`certificate-authority` and `certificate-authority-data` are both given".into());
    }
    if authority != (false, false) && cluster.insecure_skip_tls_verify == Some(true) {
        return Err(
            "`insecure-skip-tls-verify` is given together with a `certificate-authority`, which it ignores".into()
        );
    }
    Ok(())
}

/// Checks the user of the context.
pub(super) fn user(user: &AuthInfo) -> Result<(), String> {
    let (token, file) = (has_secret(user.token.as_ref()), has(user.token_file.as_deref()));
    let basic = has(user.username.as_deref()) || has_secret(user.password.as_ref());
    if basic && (token || file) {
        return Err("`username` or `password` is given together with a token".into());
    }
    let certificate = (has(user.client_certificate.as_deref()), has(user.client_certificate_data.as_deref()));
    let key = (has(user.client_key.as_deref()), has_secret(user.client_key_data.as_ref()));
    if certificate == (true, true) {
        return Err("`client-certificate` and `client-certificate-data` are both given".into());
    }
    if certificate != (false, false) {
        if key == (true, true) {
            return Err("`client-key` and `client-key-data` are both given".into());
        }
        if key == (false, false) {
            return Err("it has no `client-key`, which belongs to its `client-certificate`".into());
        }
    }
    if let Some(plugin) = &user.exec {
        if user.auth_provider.is_some() {
            return Err("`exec` and `auth-provider` are both given".into());
        }
        exec(plugin)?;
    }
    let groups = user.impersonate_groups.as_ref().is_some_and(|groups| !groups.is_empty());
    let extra = user.impersonate_user_extra.as_ref().is_some_and(|extra| !extra.is_empty());
    if (has(user.impersonate_uid.as_deref()) || groups || extra) && !has(user.impersonate.as_deref()) {
        return Err("`as-uid`, `as-groups` or `as-user-extra` is given without `as`".into());
    }
    Ok(())
}

fn exec(plugin: &ExecConfig) -> Result<(), String> {
    if !has(plugin.command.as_deref()) {
        return Err("its `exec` names no `command`".into());
    }
    if !has(plugin.api_version.as_deref()) {
        return Err("its `exec` names no `apiVersion`".into());
    }
    let named =
        |pair: &std::collections::HashMap<String, String>| pair.get("name").is_some_and(|name| !name.is_empty());
    if !plugin.env.iter().flatten().all(named) {
        return Err("a variable of `env` in its `exec` has no `name`".into());
    }
    match &plugin.interactive_mode {
        None if plugin.api_version.as_deref() == Some(MUST_SAY) => {
            Err("its `exec` names no `interactiveMode`, which that `apiVersion` wants: `Never` or `IfAvailable`".into())
        }
        Some(ExecInteractiveMode::Always) => {
            Err("its `exec` wants to ask somebody (`interactiveMode: Always`), and nobody is here".into())
        }
        None | Some(ExecInteractiveMode::Never | ExecInteractiveMode::IfAvailable) => Ok(()),
    }
}

fn has(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

fn has_secret(secret: Option<&SecretString>) -> bool {
    secret.is_some_and(|secret| !secret.expose_secret().is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refused<T: serde::de::DeserializeOwned>(
        check: impl Fn(&T) -> Result<(), String>,
        rows: &[(Value, Option<&str>)],
    ) {
        for (given, words) in rows {
            let said = check(&serde_json::from_value(given.clone()).unwrap()).err();
            match words {
                None => assert_eq!(said, None, "{given}"),
                Some(words) => assert!(said.as_ref().is_some_and(|said| said.contains(words)), "{given}: {said:?}"),
            }
        }
    }

    #[test]
    fn file_that_names_something_twice_is_refused() {
        let two = json!([{"name": "a"}, {"name": "a"}]);
        refused(
            file,
            &[
                (json!({}), None),
                (json!({"kind": "Config", "apiVersion": "v1"}), None),
                (json!({"kind": "Pod"}), Some("`kind`")),
                (json!({"apiVersion": "v2"}), Some("`apiVersion`")),
                (json!({"clusters": two}), Some("`clusters`")),
                (json!({"contexts": two}), Some("`contexts`")),
                (json!({"users": two}), Some("`users`")),
                (json!({"users": [{"name": "a"}, {"name": "b"}]}), None),
            ],
        );
    }

    #[test]
    fn cluster_that_contradicts_itself_is_refused() {
        refused(
            cluster,
            &[
                (json!({"server": "https://h"}), None),
                (json!({"certificate-authority": "a", "certificate-authority-data": "b"}), Some("both")),
                (json!({"certificate-authority": "a", "insecure-skip-tls-verify": true}), Some("insecure")),
                (json!({"certificate-authority-data": "a", "insecure-skip-tls-verify": true}), Some("insecure")),
                (json!({"certificate-authority": "a", "insecure-skip-tls-verify": false}), None),
                (json!({"certificate-authority": "", "insecure-skip-tls-verify": true}), None),
            ],
        );
    }

    #[test]
    fn user_that_contradicts_itself_is_refused() {
        let exec = |change: Value| {
            let mut exec = json!({"command": "c", "apiVersion": MUST_SAY, "interactiveMode": "Never"});
            json_patch::merge(&mut exec, &change);
            json!({"exec": exec})
        };
        refused(
            user,
            &[
                (json!({}), None),
                (json!({"token": "t", "tokenFile": "f"}), None),
                (json!({"username": "u", "token": "t"}), Some("token")),
                (json!({"password": "p", "tokenFile": "f"}), Some("token")),
                (json!({"username": "u", "password": "p", "token": ""}), None),
                (json!({"client-certificate": "c", "client-certificate-data": "d", "client-key": "k"}), Some("both")),
                (json!({"client-certificate": "c", "client-key-data": "d", "client-key": "k"}), Some("both")),
                (json!({"client-certificate": "c"}), Some("no `client-key`")),
                (json!({"client-key": "k"}), None),
                (json!({"client-certificate": "c", "client-key-data": "k", "token": "t"}), None),
                (exec(json!({})), None),
                (exec(json!({"command": ""})), Some("`command`")),
                (exec(json!({"apiVersion": null})), Some("`apiVersion`")),
                (exec(json!({"env": [{"value": "v"}]})), Some("`name`")),
                (exec(json!({"interactiveMode": null})), Some("`interactiveMode`")),
                (exec(json!({"interactiveMode": null, "apiVersion": "client.authentication.k8s.io/v1beta1"})), None),
                (exec(json!({"interactiveMode": "Always"})), Some("nobody is here")),
                (json!({"as-groups": ["g"]}), Some("without `as`")),
                (json!({"as-uid": "1"}), Some("without `as`")),
                (json!({"as-user-extra": {"a": ["b"]}}), Some("without `as`")),
                (json!({"as-user-extra": {"a": ["b"]}, "as": "u"}), None),
            ],
        );
    }
}
