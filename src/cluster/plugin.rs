//! Runs a credential plugin (`exec` of a kubeconfig), within limits.
//!
//! Promise: a plugin has 60 s and 1 MiB of output. When it is late, when nobody waits for it any more, and when it has
//! ended, its whole process group is killed. An error names the command, how it ended and what it wrote to its standard
//! error, masked and cut. Its output is never shown, because it is the credential. Waiting for a plugin blocks no
//! thread.
//!
//! The rules are those of client-go, except that client-go lets a plugin ask on a terminal, and this crate does not.
//! Source: `k8s.io/client-go/plugin/pkg/client/auth/exec/exec.go`, and
//! <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>.

use std::{env, io, os::unix::process::ExitStatusExt, process::ExitStatus, process::Stdio, time::Duration};

use jiff::Timestamp;
use kube::config::ExecConfig;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
};
use tokio_util::task::AbortOnDropHandle;

use super::{kubeconfig::io_problem, masking::Masking, secret::Secret, tls::ClientCertificate};
use crate::error::{Error, Report};

/// How long a plugin may take: enough to ask a slow identity provider twice.
const LIMIT: Duration = Duration::from_secs(60);
/// How many bytes it may write: a credential has some KiB.
const LARGEST_OUTPUT: usize = 1 << 20;
/// At most this many characters of its standard error are shown.
const TOLD: usize = 1000;
/// The variable that gives a plugin its input.
const EXEC_INFO: &str = "KUBERNETES_EXEC_INFO";
/// The versions that client-go 1.24 and later know.
const VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

/// The credential that a plugin gave.
#[derive(Debug)]
pub(super) struct PluginCredential {
    pub token: Option<Secret>,
    pub certificate: Option<ClientCertificate>,
    /// When the credential expires; none if it never does.
    pub expires: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential {
    api_version: String,
    kind: String,
    status: Option<Status>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    token: Option<Secret>,
    client_certificate_data: Option<Secret>,
    client_key_data: Option<Secret>,
    expiration_timestamp: Option<String>,
}

/// The exit and the output of a plugin that has ended.
struct PluginExit {
    status: ExitStatus,
    output: Vec<u8>,
    errors: Vec<u8>,
}

/// Runs the plugin and reads its credential.
pub(super) async fn credential(exec: &ExecConfig) -> Result<PluginCredential, Error> {
    credential_within(exec, LIMIT).await
}

async fn credential_within(exec: &ExecConfig, limit: Duration) -> Result<PluginCredential, Error> {
    let told = exec.command.as_deref().filter(|command| !command.is_empty());
    let Some(command) = told else { return Err(failed("none", "the kubeconfig's `exec` names no `command`".into())) };
    let version = exec.api_version.as_deref().unwrap_or_default();
    if !VERSIONS.contains(&version) {
        let problem = format!("the kubeconfig's `exec` has an `apiVersion` other than {}", VERSIONS.join(" and "));
        return Err(failed(command, problem));
    }
    let ended = match run(exec, command, version, limit).await {
        Ok(ended) => ended,
        Err(Fault::NotFound) => return Err(not_found(exec, command)),
        Err(Fault::Told(problem)) => return Err(failed(command, problem)),
    };
    if !ended.status.success() {
        let error = failed(command, how_it_ended(ended.status));
        let said = masking(exec, &ended).one_line(&String::from_utf8_lossy(&ended.errors), TOLD);
        return Err(error.with_report(|report| {
            report.seen(if said.is_empty() {
                "it wrote nothing to its standard error".into()
            } else {
                format!("its standard error, with secrets masked: {said}")
            })
        }));
    }
    issued(&ended.output, version).map_err(|problem| failed(command, problem.into()))
}

/// Reads the output of a plugin, which is JSON, or YAML as client-go allows.
fn issued(output: &[u8], version: &str) -> Result<PluginCredential, &'static str> {
    let read: ExecCredential = serde_saphyr::from_slice(output).map_err(|_| "its output is not an ExecCredential")?;
    if read.kind != "ExecCredential" {
        return Err("its output is not an ExecCredential");
    }
    if read.api_version != version {
        return Err("its output is of another `apiVersion` than the kubeconfig names");
    }
    let status = read.status.ok_or("its output has no `status`")?;
    let given = |secret: Option<Secret>| secret.filter(|secret| !secret.expose().is_empty());
    let token = given(status.token);
    let certificate = match (given(status.client_certificate_data), given(status.client_key_data)) {
        (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
        (None, None) => None,
        _ => return Err("its output has only one of `clientCertificateData` and `clientKeyData`"),
    };
    if token.is_none() && certificate.is_none() {
        return Err("its output has neither a token nor a certificate");
    }
    let expires = status.expiration_timestamp.map(|time| time.parse()).transpose();
    Ok(PluginCredential {
        token,
        certificate,
        expires: expires.map_err(|_| "its `expirationTimestamp` is not a time")?,
    })
}

enum Fault {
    NotFound,
    Told(String),
}

async fn run(exec: &ExecConfig, command: &str, version: &str, limit: Duration) -> Result<PluginExit, Fault> {
    let mut call = Command::new(command);
    call.args(exec.args.iter().flatten())
        .envs(variables(exec))
        .env(EXEC_INFO, exec_info(exec, version).to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    dies_with_us(&mut call);
    // The plugin is started in a task of its own, because the kernel ends it together with the thread that started it,
    // and threads of the runtime live as long as the process.
    let task = AbortOnDropHandle::new(tokio::spawn(async move {
        let child = call.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Fault::NotFound,
            _ => Fault::Told(format!("it cannot be started: {}", io_problem(&error))),
        })?;
        let mut group = Group::of(child);
        match tokio::time::timeout(limit, group.end()).await {
            Ok(end) => end,
            Err(_) => Err(Fault::Told(format!("it did not end within {} s, and was killed", limit.as_secs()))),
        }
    }));
    task.await.unwrap_or_else(|_| Err(Fault::Told("the wait for it was ended".into())))
}

/// A started plugin, with all processes that it starts. They are killed when this is dropped.
struct Group {
    child: Child,
    id: Option<Pid>,
}

impl Group {
    fn of(child: Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Self { child, id }
    }

    async fn end(&mut self) -> Result<PluginExit, Fault> {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        // A process that inherited the pipes may keep them open after the plugin has ended, so the limit is for all
        // three.
        let (output, errors) = tokio::try_join!(all_of(stdout), all_of(stderr))?;
        let status = self.child.wait().await;
        let status = status.map_err(|error| Fault::Told(format!("its end is not known: {}", io_problem(&error))))?;
        Ok(PluginExit { status, output, errors })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The group has the number of the plugin, and the kernel does not use that number again while a process of the
        // group lives. If none lives, the plugin itself is not reaped before `wait`, and after `wait` this finds no
        // process.
        if let Some(id) = self.id {
            let _ = killpg(id, Signal::SIGKILL);
        }
        let _ = self.child.start_kill();
    }
}

async fn all_of(stream: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, Fault> {
    let mut text = Vec::new();
    if let Some(stream) = stream {
        let mut limited = stream.take(LARGEST_OUTPUT as u64 + 1);
        limited.read_to_end(&mut text).await.map_err(|error| Fault::Told(io_problem(&error)))?;
    }
    if text.len() > LARGEST_OUTPUT {
        return Err(Fault::Told("it wrote more than 1 MiB, and was killed".into()));
    }
    Ok(text)
}

/// Lets the kernel kill the plugin if this process is killed and cannot do so itself.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "runs between fork and exec")]
fn dies_with_us(call: &mut Command) {
    // SAFETY: one system call, which is safe after a fork; nothing is allocated or locked.
    unsafe {
        call.pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from));
    }
}

#[cfg(not(target_os = "linux"))]
fn dies_with_us(_: &mut Command) {}

/// The variables that the kubeconfig adds to ours.
fn variables(exec: &ExecConfig) -> impl Iterator<Item = (&str, &str)> {
    let pairs = exec.env.iter().flatten();
    pairs.filter_map(|pair| Some((pair.get("name")?.as_str(), pair.get("value")?.as_str())))
}

fn exec_info(exec: &ExecConfig, version: &str) -> Value {
    let mut spec = json!({"interactive": false});
    if let Some(cluster) = exec.cluster.as_ref().filter(|_| exec.provide_cluster_info) {
        spec["cluster"] = json!(cluster);
    }
    json!({"apiVersion": version, "kind": "ExecCredential", "spec": spec})
}

/// The masking of all secrets in the input and the output of the plugin.
fn masking(exec: &ExecConfig, ended: &PluginExit) -> Masking {
    let mut masking = Masking::default();
    for (_, value) in variables(exec) {
        masking.add(value);
    }
    for argument in exec.args.iter().flatten() {
        match argument.split_once('=') {
            Some((_, value)) => masking.add(value),
            // The name of an option is no secret, but `-pSECRET` holds one.
            None if argument.starts_with("--") => {}
            None if argument.starts_with('-') => masking.add(argument.get(2..).unwrap_or_default()),
            None => masking.add(argument),
        }
    }
    texts(&exec_info(exec, "")["spec"]["cluster"], &mut |text| masking.add(text));
    let secret = ["KEY", "TOKEN", "SECRET", "PASSW", "CREDENTIAL", "AUTH"];
    for (name, value) in env::vars_os() {
        let name = name.to_string_lossy().to_uppercase();
        if secret.iter().any(|word| name.contains(word)) {
            masking.add(&value.to_string_lossy());
        }
    }
    masking.add_words(&String::from_utf8_lossy(&ended.output));
    masking
}

fn texts(value: &Value, each: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(values) => values.iter().for_each(|value| texts(value, each)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, each)),
        _ => {}
    }
}

fn how_it_ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it failed with exit code {code}"),
        (None, Some(signal)) => match Signal::try_from(signal) {
            Ok(signal) => format!("it was ended by {signal}"),
            Err(_) => format!("it was ended by signal {signal}"),
        },
        (None, None) => "it failed".into(),
    }
}

fn not_found(exec: &ExecConfig, command: &str) -> Error {
    let hint = exec.install_hint.as_deref().unwrap_or_default();
    let hint = masking(exec, &PluginExit { status: ExitStatus::default(), output: Vec::new(), errors: Vec::new() })
        .one_line(hint, TOLD);
    failed(command, "the command is not found".into()).with_report(|report| {
        report.hint(if hint.is_empty() {
            "install it where this runs, or name it with its whole path".into()
        } else {
            hint
        })
    })
}

fn failed(command: &str, problem: String) -> Error {
    Error::Configuration(Box::new(
        Report::new(format!("The credential plugin `{command}` of the kubeconfig gave no credentials")).seen(problem),
    ))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

    use super::*;

    const GOOD: &str = r#"{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": "#;

    /// A plugin that is this shell script, given a secret in each place where one can be.
    struct Script {
        folder: PathBuf,
        exec: ExecConfig,
    }

    impl Script {
        fn new(name: &str, script: &str) -> Self {
            let folder = env::temp_dir().join(format!("ukj-plugin-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            let file = folder.join("plugin");
            fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
            let exec = json!({
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": file,
                "args": ["get-token", "hunter2-argument", "--key=hunter2-option", "-phunter2-short"],
                "env": [{"name": "WORD", "value": "hunter2-variable"}],
                "installHint": "get it at https://u:hunter2-hint@host",
                "provideClusterInfo": true,
            });
            let mut exec: ExecConfig = serde_json::from_value(exec).unwrap();
            let cluster = json!({"server": "https://u:hunter2-server@host", "config": {"a": "hunter2-config"}});
            exec.cluster = serde_json::from_value(cluster).unwrap();
            Self { folder, exec }
        }

        async fn refusal(&self, limit: Duration) -> String {
            let error = credential_within(&self.exec, limit).await.unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
            error
        }
    }

    impl Drop for Script {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    #[tokio::test]
    async fn plugin_that_fails_is_told_with_its_masked_errors_and_without_its_output() {
        let script = r#"echo 'hunter2-output-token'; echo "no $WORD for $* at $KUBERNETES_EXEC_INFO, hunter2-output-token, password=hunter2" >&2; exit 3"#;
        let error = Script::new("fails", script).refusal(LIMIT).await;
        assert!(error.contains("plugin` of the kubeconfig gave no credentials"), "{error}");
        assert!(error.contains("exit code 3") && error.contains("no *** for ***"), "{error}");
    }

    #[tokio::test]
    async fn plugin_that_was_killed_is_told_by_the_signal() {
        assert!(Script::new("killed", "kill -9 $$").refusal(LIMIT).await.contains("SIGKILL"));
    }

    #[tokio::test]
    async fn plugin_that_hangs_is_killed_with_all_that_it_started() {
        let script = Script::new("hangs", "echo $$ > $(dirname $0)/pid; sleep 300 & sleep 300");
        let error = script.refusal(Duration::from_millis(500)).await;
        assert!(error.contains("did not end within"), "{error}");
        let group = fs::read_to_string(script.folder.join("pid")).unwrap().trim().parse().unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while killpg(Pid::from_raw(group), None).is_ok() {
            assert!(std::time::Instant::now() < deadline, "something of the plugin lives on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn plugin_that_writes_without_end_is_ended() {
        for stream in ["1", "2"] {
            let error = Script::new("writes", &format!("yes hunter2 >&{stream}")).refusal(LIMIT).await;
            assert!(error.contains("more than 1 MiB"), "{error}");
        }
    }

    #[tokio::test]
    async fn command_that_is_missing_is_told_with_the_hint() {
        let mut script = Script::new("missing", "");
        script.exec.command = Some("/nowhere/plugin".into());
        let error = script.refusal(LIMIT).await;
        assert!(error.contains("not found") && error.contains("get it at https://***@host"), "{error}");
    }

    #[tokio::test]
    async fn output_that_is_no_credential_is_named_and_not_quoted() {
        for (output, problem) in [
            ("hunter2".to_owned(), "not an ExecCredential"),
            ("{\"token\": \"hunter2\"".to_owned(), "not an ExecCredential"),
            (GOOD.replace("/v1\"", "/v1beta1\"") + r#"{"token": "hunter2"}}"#, "another `apiVersion`"),
            (GOOD.replace("ExecCredential", "hunter2") + "{}}", "not an ExecCredential"),
            (GOOD.replace(", \"status\": ", "}"), "no `status`"),
            (GOOD.to_owned() + "{}}", "neither a token nor"),
            (GOOD.to_owned() + r#"{"clientKeyData": "hunter2"}}"#, "only one of"),
            (GOOD.to_owned() + r#"{"token": "hunter2", "expirationTimestamp": "hunter2"}}"#, "not a time"),
        ] {
            let error = Script::new("garbage", &format!("cat <<'END'\n{output}\nEND")).refusal(LIMIT).await;
            assert!(error.contains(problem), "{output}: {error}");
        }
    }

    #[tokio::test]
    async fn credential_is_read_also_from_yaml() {
        let script = Script::new(
            "good",
            "cat <<END\nkind: ExecCredential\napiVersion: client.authentication.k8s.io/v1\nstatus:\n  token: $WORD\n  \
             expirationTimestamp: 2030-01-01T00:00:00Z\nEND",
        );
        let issued = credential_within(&script.exec, LIMIT).await.unwrap();
        assert_eq!(issued.token.as_ref().map(Secret::expose), Some("hunter2-variable"));
        assert_eq!(issued.expires, Some("2030-01-01T00:00:00Z".parse().unwrap()));
        assert!(!format!("{issued:?}").contains("hunter2"));
    }
}
