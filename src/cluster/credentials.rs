//! Decides which credentials every request carries, and until when they last.
//!
//! All secrets of a user of a kubeconfig are taken out of it here, checked, and kept as a header that is marked as
//! sensitive; only the client certificate stays, for TLS. The order is that of client-go: a token file goes before a
//! token, which counts while the file cannot be read. A plugin is run only if there is no other credential and no
//! client certificate. Source: `HTTPWrappersForConfig` in client-go's `transport`, `UpdateTransportConfig` in its
//! `plugin/pkg/client/auth/exec`.

use data_encoding::BASE64;
use http::{HeaderValue, Request, header::AUTHORIZATION};
use jiff::{SignedDuration, Timestamp};
use kube::config::{AuthInfo, AuthProviderConfig};
use secrecy::ExposeSecret;

use super::{
    plugin,
    secret::Secret,
    tls::ClientCertificate,
    token_file::{TokenFile, TokenFileError},
};
use crate::error::{Error, Report};

/// Credentials are renewed this long before they end.
const BEFORE_THE_END: SignedDuration = SignedDuration::from_secs(60);
/// Credentials are renewed at most this often, however short they last.
const AT_MOST_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// The credentials that a request carries.
#[derive(Clone)]
pub(super) enum Credentials {
    /// The request carries none: the client certificate is enough, or the API server asks for nothing.
    None,
    /// The same header in all requests.
    Header(HeaderValue),
    /// A token that rotates in a file.
    File(TokenFile),
}

impl Credentials {
    /// Adds the header `Authorization` to a request.
    pub fn authorize<B>(&self, mut request: Request<B>) -> Request<B> {
        match self {
            Self::None => request,
            Self::Header(value) => {
                request.headers_mut().insert(AUTHORIZATION, value.clone());
                request
            }
            Self::File(file) => file.authorize(request),
        }
    }
}

/// How long credentials last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetime {
    pub ends: Timestamp,
    pub renew_at: Timestamp,
}

impl Lifetime {
    /// Credentials are renewed a minute before their end, or half-way if they last less than two minutes.
    pub fn of(issued: Timestamp, ends: Timestamp) -> Self {
        let half = issued + ends.duration_since(issued) / 2;
        Self { ends, renew_at: (ends - BEFORE_THE_END).max(half).max(issued + AT_MOST_EVERY) }
    }

    /// The next renewal after one that failed.
    pub fn later(self, now: Timestamp) -> Self {
        Self { renew_at: now + AT_MOST_EVERY, ..self }
    }
}

/// The credentials that were taken out of a user.
pub(super) struct UserCredentials {
    pub credentials: Credentials,
    pub lifetime: Option<Lifetime>,
    /// The client certificate that a plugin gave.
    pub certificate: Option<ClientCertificate>,
}

impl UserCredentials {
    fn lasting(credentials: Credentials) -> Self {
        Self { credentials, lifetime: None, certificate: None }
    }
}

/// Takes the credentials out of a user of a kubeconfig, and runs its plugin if it has nothing else.
pub(super) async fn take(user: &mut AuthInfo) -> Result<UserCredentials, Error> {
    let plugin = user.exec.take();
    if let Some(provider) = user.auth_provider.take() {
        let (token, ends) = of_provider(&provider)?;
        let lifetime = ends.map(|ends| Lifetime::of(Timestamp::now(), ends));
        return Ok(UserCredentials { lifetime, ..UserCredentials::lasting(Credentials::Header(bearer(&token)?)) });
    }
    let (password, token, file) = (user.password.take(), user.token.take(), user.token_file.take());
    if let Some(name) = user.username.as_ref().filter(|name| !name.is_empty()) {
        let password = password.as_ref().map_or("", |password| password.expose_secret());
        return Ok(UserCredentials::lasting(basic(name, password)));
    }
    let token = token.filter(|token| !token.expose_secret().trim().is_empty());
    let token = token.map(|token| bearer(&Secret::new(token.expose_secret().to_owned()))).transpose()?;
    if let Some(file) = file.filter(|file| !file.is_empty()) {
        let file = TokenFile::new(file.into(), token).map_err(|unread| {
            let seen = match unread {
                TokenFileError::Io(problem) => problem,
                TokenFileError::Empty => "it is empty".to_owned(),
                TokenFileError::ControlCharacter => {
                    "it holds a control character, which no HTTP header can carry".to_owned()
                }
            };
            unusable("The file that `tokenFile` of the kubeconfig names gives no token", &seen, "write the token there")
        })?;
        return Ok(UserCredentials::lasting(Credentials::File(file)));
    }
    if let Some(token) = token {
        return Ok(UserCredentials::lasting(Credentials::Header(token)));
    }
    let has = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let has_certificate = has(&user.client_certificate) || has(&user.client_certificate_data);
    let Some(plugin) = plugin.filter(|_| !has_certificate) else {
        return Ok(UserCredentials::lasting(Credentials::None));
    };
    let issued = plugin::credential(&plugin).await?;
    let credentials = match issued.token {
        Some(token) => Credentials::Header(bearer(&token)?),
        None => Credentials::None,
    };
    let lifetime = issued.expires.map(|ends| Lifetime::of(Timestamp::now(), ends));
    Ok(UserCredentials { credentials, lifetime, certificate: issued.certificate })
}

fn bearer(token: &Secret) -> Result<HeaderValue, Error> {
    // A file, or a text of several lines in YAML, ends with a newline.
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose().trim())).map_err(|_| {
        unusable(
            "The token cannot be used",
            "it holds a control character, such as a newline, which no HTTP header can carry",
            "write the token as one line",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn basic(name: &str, password: &str) -> Credentials {
    let pair = Secret::new(format!("{name}:{password}"));
    let text = Secret::new(format!("Basic {}", BASE64.encode(pair.expose().as_bytes())));
    let mut value = HeaderValue::from_str(text.expose()).expect("base64 is what headers can carry");
    value.set_sensitive(true);
    Credentials::Header(value)
}

/// The token that an old `auth-provider` left in the kubeconfig. Its command is not run, because Kubernetes' own
/// clients have not known these providers since 1.26.
fn of_provider(provider: &AuthProviderConfig) -> Result<(Secret, Option<Timestamp>), Error> {
    let has = |key: &str| provider.config.get(key).filter(|value| !value.is_empty());
    if let Some(token) = has("id-token") {
        return Ok((Secret::new(token.clone()), None));
    }
    let expiry = has("expiry").and_then(|expiry| expiry.parse::<Timestamp>().ok());
    match (has("access-token"), expiry) {
        (Some(token), Some(expiry)) if expiry > Timestamp::now() => Ok((Secret::new(token.clone()), Some(expiry))),
        _ => Err(unusable(
            "The `auth-provider` of the kubeconfig gave no credentials",
            "it has neither an `id-token` nor an `access-token` that has not expired",
            "use the credential plugin (`exec`) that took its place, such as gke-gcloud-auth-plugin or kubelogin",
        )),
    }
}

fn unusable(what: &str, seen: &str, hint: &str) -> Error {
    Error::Configuration(Box::new(Report::new(what).seen(seen).hint(hint)))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[test]
    fn credentials_are_renewed_before_their_end_and_not_in_a_loop() {
        for (ends, renew_at) in [(3600, 3540), (100, 50), (30, 15), (5, 10), (-900, 10)] {
            assert_eq!(Lifetime::of(at(0), at(ends)).renew_at, at(renew_at), "{ends}");
        }
        assert_eq!(Lifetime::of(at(0), at(3600)).later(at(3541)).renew_at, at(3551));
    }

    async fn header(mut user: AuthInfo) -> Result<String, String> {
        let UserCredentials { credentials, .. } = take(&mut user).await.map_err(|error| error.to_string())?;
        let left = format!("{user:?}");
        assert!(!left.contains("hunter2"), "{left}");
        let request = credentials.authorize(Request::new(()));
        let Some(value) = request.headers().get(AUTHORIZATION) else { return Ok(String::new()) };
        assert!(value.is_sensitive());
        Ok(value.to_str().unwrap().to_owned())
    }

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[tokio::test]
    async fn user_name_is_enough_for_basic_authentication() {
        let user = AuthInfo { username: Some("joe".into()), password: Some(secret("hunter2")), ..AuthInfo::default() };
        assert_eq!(header(user).await.unwrap(), "Basic am9lOmh1bnRlcjI=");
        let user = AuthInfo { username: Some("joe".into()), ..AuthInfo::default() };
        assert_eq!(header(user).await.unwrap(), "Basic am9lOg==");
    }

    #[tokio::test]
    async fn token_file_goes_before_a_token_and_a_certificate_before_a_plugin() {
        let folder = std::env::temp_dir().join(format!("ukj-credentials-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("token");
        std::fs::write(&path, "of-the-file\n").unwrap();
        let user = |file: &std::path::Path, token: Option<&str>| AuthInfo {
            token: token.map(secret),
            token_file: Some(file.to_string_lossy().into_owned()),
            ..AuthInfo::default()
        };
        assert_eq!(header(user(&path, Some("inline"))).await.unwrap(), "Bearer of-the-file");
        let missing = folder.join("missing");
        assert_eq!(header(user(&missing, Some("inline"))).await.unwrap(), "Bearer inline");
        let refused = header(user(&missing, None)).await.unwrap_err();
        assert!(refused.contains("`tokenFile`") && !refused.contains("missing"), "{refused}");
        std::fs::remove_dir_all(&folder).unwrap();
        let plugin = kube::config::ExecConfig { command: Some("/nowhere".into()), ..Default::default() };
        let user = AuthInfo { client_certificate: Some("c".into()), exec: Some(plugin), ..AuthInfo::default() };
        assert_eq!(header(user).await.unwrap(), "");
    }

    #[tokio::test]
    async fn token_is_trimmed_and_one_with_a_control_character_is_refused_unquoted() {
        let user = |token: &str| AuthInfo { token: Some(secret(token)), ..AuthInfo::default() };
        assert_eq!(header(user("hunter2\n")).await.unwrap(), "Bearer hunter2");
        assert_eq!(header(user(" \n")).await.unwrap(), "");
        let refused = header(user("hunt\ner2")).await.unwrap_err();
        assert!(refused.contains("control character") && !refused.contains("er2"), "{refused}");
    }

    #[tokio::test]
    async fn provider_of_old_gives_what_is_in_the_file_and_is_not_run() {
        let user = |config: &[(&str, &str)]| AuthInfo {
            auth_provider: Some(AuthProviderConfig {
                name: "gcp".into(),
                config: config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
                ..AuthProviderConfig::default()
            }),
            ..AuthInfo::default()
        };
        assert_eq!(header(user(&[("id-token", "hunter2")])).await.unwrap(), "Bearer hunter2");
        let refused = header(user(&[("cmd-path", "/bin/sh"), ("access-token", "hunter2")])).await.unwrap_err();
        assert!(refused.contains("auth-provider") && !refused.contains("hunter2"), "{refused}");
    }
}
