//! Reads kubeconfigs, and says what is wrong with a kubeconfig without quoting it.
//!
//! A kubeconfig is full of credentials, and the parser's messages quote the lines around an error. So a refusal gives
//! line, column, the keys that lead to the place, and what was expected there.
//!
//! As with client-go, the first document of a file counts, an entry may leave out what it does not need, and `null`
//! means that the key is absent.

use std::{fmt::Write as _, io, path::Path};

use kube::config::{Kubeconfig, KubeconfigError, LoadDataError};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use serde_path_to_error::Segment;

use super::{bounded_file, validation};

/// The keys of the format. An error shows only these: any other key may be a value in the wrong place.
const KEYS: [&str; 43] = [
    "apiVersion",
    "args",
    "as",
    "as-groups",
    "as-uid",
    "as-user-extra",
    "auth-provider",
    "certificate-authority",
    "certificate-authority-data",
    "client-certificate",
    "client-certificate-data",
    "client-key",
    "client-key-data",
    "cluster",
    "clusters",
    "colors",
    "command",
    "config",
    "context",
    "contexts",
    "current-context",
    "disable-compression",
    "env",
    "exec",
    "extension",
    "extensions",
    "insecure-skip-tls-verify",
    "installHint",
    "interactiveMode",
    "kind",
    "name",
    "namespace",
    "password",
    "preferences",
    "provideClusterInfo",
    "proxy-url",
    "server",
    "tls-server-name",
    "token",
    "tokenFile",
    "user",
    "username",
    "users",
];

/// Reads one file, and makes its relative paths absolute.
pub(super) fn read(path: &Path) -> Result<Kubeconfig, String> {
    let bytes = bounded_file::read(path).map_err(|error| format!("it cannot be read: {}", io_problem(&error)))?;
    let mut kubeconfig = parse(&text_of(bytes).ok_or("it cannot be read: its text is not UTF-8")?)?;
    if let Some(folder) = path.parent() {
        resolve_paths(&mut kubeconfig, folder);
    }
    Ok(kubeconfig)
}

/// Reads the text of a kubeconfig.
pub(super) fn parse(text: &str) -> Result<Kubeconfig, String> {
    let read = serde_saphyr::from_multiple::<Kubeconfig>(text);
    let kubeconfig = match read {
        Ok(documents) => documents.into_iter().next().unwrap_or_default(),
        Err(error) => tidied(text).ok_or_else(|| refused(&error, text))?,
    };
    validation::file(&kubeconfig)?;
    Ok(kubeconfig)
}

/// The same text, with the keys that kube's types need and client-go's do not.
fn tidied(text: &str) -> Option<Kubeconfig> {
    let mut kubeconfig = serde_saphyr::from_multiple::<Value>(text).ok()?.into_iter().next()?;
    without_nulls(&mut kubeconfig);
    for (key, inner) in [("clusters", "cluster"), ("contexts", "context"), ("users", "user")] {
        for entry in kubeconfig.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
            let entry = entry.as_object_mut()?;
            entry.entry("name").or_insert_with(|| json!(""));
            if let Some(context) = entry.get_mut(inner).filter(|_| inner == "context") {
                context.as_object_mut()?.entry("cluster").or_insert_with(|| json!(""));
            }
        }
    }
    serde_json::from_value(kubeconfig).ok()
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(values) => values.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// Decodes UTF-8, or UTF-16 if a byte order mark says so.
fn text_of(bytes: Vec<u8>) -> Option<String> {
    let utf_16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks(2).map(|pair| unit([pair[0], *pair.get(1).unwrap_or(&0)])).collect();
        String::from_utf16(&units).ok()
    };
    match bytes.as_slice() {
        [0xFF, 0xFE, rest @ ..] => utf_16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf_16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes).ok(),
    }
}

/// Makes paths relative to the file in which they stand. A command is changed only if it is a path, and not a name to
/// search for. Source: `GetClusterFileReferences` and `GetAuthInfoFileReferences` of client-go.
fn resolve_paths(kubeconfig: &mut Kubeconfig, folder: &Path) {
    let resolve = |path: &mut Option<String>| {
        if let Some(path) = path.as_mut().filter(|path| !path.is_empty()) {
            *path = folder.join(&path).to_string_lossy().into_owned();
        }
    };
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        resolve(&mut cluster.certificate_authority);
    }
    for user in kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        resolve(&mut user.client_certificate);
        resolve(&mut user.client_key);
        resolve(&mut user.token_file);
        if let Some(plugin) = &mut user.exec
            && plugin.command.as_ref().is_some_and(|command| command.contains(std::path::MAIN_SEPARATOR))
        {
            resolve(&mut plugin.command);
        }
    }
}

/// Says what is wrong with a kubeconfig.
pub(super) fn problem(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(_) => "it is not YAML".into(),
        KubeconfigError::ReadConfig(error, _) => format!("it cannot be read: {}", io_problem(error)),
        KubeconfigError::CurrentContextNotSet => "it has no `current-context`".into(),
        KubeconfigError::LoadContext(name) => format!("it has no context `{name}`"),
        KubeconfigError::LoadClusterOfContext(name) => {
            format!("its context names the cluster `{name}`, which it has not")
        }
        KubeconfigError::MissingClusterUrl => "the cluster has no `server`".into(),
        KubeconfigError::ParseClusterUrl(_) => "the cluster's `server` is not a URL".into(),
        KubeconfigError::ParseProxyUrl(_) => "the cluster's `proxy-url`, or else HTTPS_PROXY, is not a URL".into(),
        KubeconfigError::LoadCertificateAuthority(error) => data_problem("certificate-authority", error),
        KubeconfigError::LoadClientCertificate(error) => data_problem("client-certificate", error),
        KubeconfigError::LoadClientKey(error) => data_problem("client-key", error),
        KubeconfigError::ParseCertificates(_) => "its `certificate-authority` holds no certificate in PEM".into(),
        KubeconfigError::KindMismatch | KubeconfigError::ApiVersionMismatch => {
            "its documents differ in `kind` or `apiVersion`".into()
        }
        KubeconfigError::FindPath => "no home directory is known".into(),
    }
}

/// Says what is wrong with data. Neither the path nor the data is shown, because people confuse the two fields.
fn data_problem(key: &str, error: &LoadDataError) -> String {
    match error {
        LoadDataError::DecodeBase64(_) => format!("its `{key}-data` is not base64"),
        LoadDataError::ReadFile(error, _) => {
            format!("the file that its `{key}` names cannot be read: {}", io_problem(error))
        }
        LoadDataError::NoBase64DataOrFile => format!("it has no `{key}`, which belongs to the other half of the pair"),
    }
}

/// Says what is wrong in the words of the operating system.
pub(super) fn io_problem(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => {
            let text = io::Error::from_raw_os_error(code).to_string();
            text.split(" (os error").next().unwrap_or_default().to_owned()
        }
        None if error.kind() == io::ErrorKind::InvalidData => "its text is not UTF-8".into(),
        None => error.kind().to_string(),
    }
}

fn refused(error: &serde_saphyr::Error, text: &str) -> String {
    let mut said = match failing_path(text) {
        Some(failing_path) => format!("`{failing_path}`: {}", why(error)),
        None => why(error),
    };
    if let Some(location) = error.location().filter(|location| location.line() > 0) {
        let _ = write!(said, " (line {}, column {})", location.line(), location.column());
    }
    said
}

fn why(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error as Yaml;
    match error.without_snippet() {
        Yaml::AliasError { error, .. } => why(error),
        // The expected type comes from the schema and is shown. The value that was found is the user's and is not
        // shown.
        Yaml::SerdeInvalidType { expected, .. } | Yaml::SerdeInvalidValue { expected, .. } => expected_is(expected),
        Yaml::Unexpected { expected, .. } => expected_is(expected),
        Yaml::InvalidScalar { ty, .. } => expected_is(ty),
        Yaml::NullIntoString { .. } => expected_is("a text"),
        Yaml::SerdeUnknownVariant { expected, .. } => format!("expected one of {}", expected.join(", ")),
        Yaml::SerdeMissingField { field, .. } => format!("the key `{field}` is missing"),
        Yaml::DuplicateMappingKey { .. } => "a key stands there twice".into(),
        Yaml::Eof { .. } => "it ends too early".into(),
        _ => "it is not YAML".into(),
    }
}

/// Words the expected type: the Rust names of our types mean nothing to the author of the file.
fn expected_is(what: &str) -> String {
    let plain = match what {
        _ if what.contains("struct") || what.contains("map") => "a mapping",
        _ if what.contains("sequence") => "a list",
        _ if what.contains("string") || what.contains("text") => "a text",
        _ if what.contains("bool") => "true or false",
        _ => "a value of another type",
    };
    format!("expected {plain}")
}

/// The keys that lead to the refused value; none if the text is not even YAML.
fn failing_path(text: &str) -> Option<String> {
    serde_saphyr::from_multiple::<IgnoredAny>(text).ok()?;
    let mut failing_path = String::new();
    let _ = serde_saphyr::with_deserializer_from_str(text, |yaml| {
        serde_path_to_error::deserialize::<_, Kubeconfig>(yaml).map_err(|error| {
            for segment in error.path() {
                let _ = match segment {
                    Segment::Seq { index } => write!(failing_path, "[{index}]"),
                    Segment::Map { key } if KEYS.contains(&key.as_str()) => {
                        write!(failing_path, "{}{key}", if failing_path.is_empty() { "" } else { "." })
                    }
                    Segment::Map { .. } | Segment::Enum { .. } | Segment::Unknown => write!(failing_path, ".?"),
                };
            }
            error.into_inner()
        })
    });
    (!failing_path.is_empty()).then_some(failing_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let said = parse(text).err().unwrap_or_default();
        assert!(!said.contains("hunter2"), "{said}");
        said
    }

    #[test]
    fn keys_are_in_order() {
        assert!(KEYS.is_sorted());
    }

    #[test]
    fn value_of_a_wrong_type_is_told_by_its_place() {
        let user = |user: &str| format!("users:\n- name: u\n  user:\n    token: hunter2\n    {user}\n");
        for (text, said) in [
            (user("username: [hunter2]"), "`users[0].user.username`: expected a text (line 5, column 15)"),
            (user("exec: hunter2"), "`users[0].user.exec`: expected a mapping (line 5, column 11)"),
            (user("exec: {args: hunter2}"), "`users[0].user.exec.args`: expected a list (line 5, column 18)"),
            (
                user("exec: {env: [{hunter2: [1]}]}"),
                "`users[0].user.exec.env[0].?`: expected a text (line 5, column 28)",
            ),
            (
                user("exec: {interactiveMode: hunter2}"),
                "`users[0].user.exec.interactiveMode`: expected one of Never, IfAvailable, Always (line 5, column 29)",
            ),
            ("hunter2".into(), "expected a mapping (line 1, column 1)"),
        ] {
            assert_eq!(refusal(&text), said, "{text}");
        }
    }

    #[test]
    fn what_client_go_does_not_want_may_be_missing() {
        let text = "clusters:\n- name: c\n  cluster: {server: 'https://h', certificate-authority: null}\ncontexts:\n- name: x\n  \
                    context: {user: u}\n- context: {cluster: c}\nusers: [{name: u, user: {exec: {command: p, provideClusterInfo: null}}}]\n\
                    ---\nusers: [{name: second}]\n";
        let read = parse(text).unwrap();
        assert_eq!((read.contexts.len(), read.auth_infos.len()), (2, 1));
        assert_eq!(read.contexts[1].name, "");
    }

    #[test]
    fn relative_paths_are_those_of_the_file() {
        let mut read = parse(
            "clusters: [{name: c, cluster: {certificate-authority: ca.crt}}]\nusers: [{name: u, user: {tokenFile: '', \
             client-key: ../k, client-certificate: /c, exec: {command: aws}}}, {name: v, user: {exec: {command: ./p}}}]",
        )
        .unwrap();
        resolve_paths(&mut read, Path::new("/home/joe"));
        let of = |user: usize| read.auth_infos[user].auth_info.clone().unwrap();
        let authority = read.clusters[0].cluster.clone().unwrap().certificate_authority;
        assert_eq!(authority.as_deref(), Some("/home/joe/ca.crt"));
        assert_eq!((of(0).client_certificate.as_deref(), of(0).token_file.as_deref()), (Some("/c"), Some("")));
        assert_eq!(of(0).client_key.as_deref(), Some("/home/joe/../k"));
        let command = |user| of(user).exec.unwrap().command.unwrap();
        assert_eq!((command(0), command(1)), ("aws".into(), "/home/joe/./p".into()));
    }

    #[test]
    fn text_that_is_no_yaml_is_told_by_its_place() {
        for text in [
            "token: hunter2: x",
            "token: 'hunter2",
            "a: [hunter2",
            "token: hunter2\n  b: c",
            "\thunter2",
            "%hunter2",
            "&hunter2 *hunter3",
            "token: !hunter2 x",
        ] {
            let said = refusal(text);
            assert!(said.is_empty() || said.contains("line "), "{text}: {said}");
        }
    }
}
