//! Reads the address of the cluster and our identity there: from kubeconfig files and text, `KUBECONFIG` lists, or the
//! service account of the Pod.
//!
//! It follows client-go where kube differs. Missing files of a `KUBECONFIG` list are ignored. A configuration that
//! contradicts itself is refused ([`super::validation`]). A `server` without a scheme is one of HTTP, and nothing
//! secret is sent over `http`. Tokens are trimmed, and proxies obey `NO_PROXY` (see [`super::credentials`] and
//! [`super::proxy`]). Source: <https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>.

use std::{env, path::PathBuf};

use data_encoding::BASE64;
use http::Uri;
use kube::config::{AuthInfo, Cluster, Config, InClusterError, KubeConfigOptions, Kubeconfig, NamedContext};
use serde::Deserialize;
use serde_json::Value;

use super::{
    impersonation, kubeconfig,
    proxy::{self, Proxy},
    secret::{Address, Secret},
    settings::{Settings, data_or_file},
    tls, trust, validation,
};
use crate::{
    error::{Error, Report},
    identity::{InvalidName, Namespace, invalid_name_in, refused_as},
    unreadable,
};

/// The choice of a configuration: what Python hands over.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct Configuration {
    /// The place of the configuration.
    #[serde(flatten)]
    pub source: Source,
    /// A context of the kubeconfig other than its current one.
    #[serde(default)]
    pub context: Option<String>,
    /// Whether the API server's certificate is verified.
    #[serde(default = "yes")]
    pub verify_ssl: bool,
    /// The namespace if the caller names none; without it that of the context, else `default`.
    #[serde(default)]
    pub namespace: Option<Namespace>,
}

fn yes() -> bool {
    true
}

/// The place of a configuration.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(tag = "source", rename_all = "snake_case")]
pub enum Source {
    /// `KUBECONFIG`, else `~/.kube/config`, else in-cluster.
    Default,
    /// The service account of the Pod we run in.
    InCluster,
    /// One kubeconfig file.
    File {
        /// Its path.
        path: PathBuf,
    },
    /// The text of a kubeconfig, YAML or JSON.
    Text {
        /// The text, which may hold credentials.
        text: Secret,
    },
}

/// A configuration as it was read: kube's configuration, without the parts that we handle ourselves.
pub(super) struct Loaded {
    pub config: Config,
    /// The namespace of Jobs if nobody names one.
    pub namespace: Namespace,
    /// The settings that gave all this, for error texts; the API server's address is that of `config`.
    pub settings: Settings,
    pub proxy: Option<Proxy>,
}

/// The content of a source, before the rules that hold for all sources.
struct Chosen {
    config: Config,
    proxy_url: Option<Secret>,
    /// The places of the cluster and the user, for error texts.
    cluster: String,
    user: String,
    authority: String,
    name: String,
}

/// Kubeconfig files that were merged, and which entries came with which.
struct Merged {
    kubeconfig: Kubeconfig,
    /// The names of all files, for error texts.
    name: String,
    files: Vec<Origin>,
}

struct Origin {
    name: String,
    clusters: Vec<String>,
    users: Vec<String>,
}

impl Origin {
    fn of(kubeconfig: &Kubeconfig, name: String) -> Self {
        Self {
            name,
            clusters: kubeconfig.clusters.iter().map(|one| one.name.clone()).collect(),
            users: kubeconfig.auth_infos.iter().map(|one| one.name.clone()).collect(),
        }
    }
}

impl Merged {
    fn one(kubeconfig: Kubeconfig, name: String) -> Self {
        Self { files: vec![Origin::of(&kubeconfig, name.clone())], kubeconfig, name }
    }

    /// The first file that has the entry, and so decides about it.
    fn origin(&self, has: impl Fn(&Origin) -> bool) -> &str {
        self.files.iter().find(|file| has(file)).map_or(&self.name, |file| &file.name)
    }
}

impl Configuration {
    /// Reads what Python hands over.
    pub fn read(given: &Value) -> Result<Self, Error> {
        unreadable::from_value(given).map_err(|error| {
            if let Some(invalid) = invalid_name_in(given, &[("/namespace", refused_as::<Namespace>)]) {
                return invalid.of("`namespace` of the connection").in_configuration();
            }
            let report = Report::new("The cluster configuration cannot be read").seen(error.to_string());
            Error::Configuration(Box::new(report))
        })
    }

    /// The namespace of the configuration's context; an empty one means `default`, as with kubectl.
    fn namespace_of(&self, given: &str) -> Result<Namespace, Error> {
        let given = if given.is_empty() { "default" } else { given };
        given.parse().map_err(|invalid: InvalidName| {
            let whose = match (&self.source, &self.context) {
                (Source::InCluster, _) => "of the service account".to_owned(),
                (Source::File { path }, None) => format!("of the current context in kubeconfig `{}`", path.display()),
                (Source::File { path }, Some(name)) => {
                    format!("of the context `{name}` in kubeconfig `{}`", path.display())
                }
                (Source::Default | Source::Text { .. }, Some(name)) => format!("of the context `{name}`"),
                (Source::Default | Source::Text { .. }, None) => "of the current context".to_owned(),
            };
            invalid.of(format!("`namespace` {whose}")).in_configuration()
        })
    }

    /// Reads files, so it must not be called on the threads that serve all tasks.
    pub(super) async fn load(&self) -> Result<Loaded, Error> {
        let chosen = match &self.source {
            Source::InCluster => of_the_service_account(in_cluster()?),
            Source::File { path } => {
                let name = format!("kubeconfig `{}`", path.display());
                let kubeconfig = kubeconfig::read(path).map_err(|problem| unusable(&name, problem))?;
                self.choose(Merged::one(kubeconfig, name)).await?
            }
            Source::Text { text } => {
                let kubeconfig =
                    kubeconfig::parse(text.expose()).map_err(|problem| unusable("kubeconfig text", problem))?;
                self.choose(Merged::one(kubeconfig, "kubeconfig text".to_owned())).await?
            }
            Source::Default => match default_kubeconfig()? {
                Some(merged) => self.choose(merged).await?,
                None => of_the_service_account(in_cluster_or_nothing()?),
            },
        };
        let Chosen { mut config, proxy_url, cluster, user, authority, name } = chosen;
        let namespace = match &self.namespace {
            Some(namespace) => namespace.clone(),
            None => self.namespace_of(&config.default_namespace)?,
        };
        if !self.verify_ssl {
            config.accept_invalid_certs = true;
        }
        config.default_retry = false; // it repeats POSTs
        config.proxy_url = None;
        let server = address(&config.cluster_url)?;
        config.cluster_url = server.url().clone();
        let proxy = proxy::choose(proxy_url.as_ref(), &config.cluster_url)?;
        let proxy_setting = match proxy_url {
            Some(_) => format!("`proxy-url` of {cluster}"),
            None => "HTTPS_PROXY or ALL_PROXY of the environment".to_owned(),
        };
        let settings =
            Settings { server, cluster, user, authority, name, proxy: proxy_setting, client_certificate: None };
        Ok(Loaded { config, namespace, settings, proxy })
    }

    /// Reads the cluster and the user of the wanted context.
    async fn choose(&self, mut merged: Merged) -> Result<Chosen, Error> {
        let whole = merged.name.clone();
        let context = self.context.clone().or_else(|| merged.kubeconfig.current_context.clone());
        let known: Vec<_> = merged.kubeconfig.contexts.iter().map(|one| format!("`{}`", one.name)).collect();
        let of_kube = |error| {
            let error = unusable(&whole, kubeconfig::problem(&error));
            error.with_report(|report| report.seen(format!("contexts: {}", known.join(", "))))
        };
        let named = context.as_deref().map(|wanted| entries(&merged.kubeconfig.contexts, wanted)).unwrap_or_default();
        let named_in = |key: &str, name: &str, file: &str| format!("the {key} `{name}` in {file}");
        let cluster = named_in("cluster", &named.0, merged.origin(|file| file.clusters.contains(&named.0)));
        let user = named_in("user", &named.1, merged.origin(|file| file.users.contains(&named.1)));
        let mut chosen = Chosen {
            config: Config::new(Uri::default()),
            proxy_url: None,
            authority: cluster.clone(),
            name: format!("the host of `server` of {cluster}"),
            cluster,
            user,
        };
        let mut bundle = None;
        let found = merged.kubeconfig.clusters.iter_mut().find(|one| one.name == named.0);
        let mut is_secure = true;
        if let Some(entry) = found.and_then(|one| one.cluster.as_mut()) {
            bundle = self.prepare(entry, &mut chosen).map_err(|problem| wrong(&chosen.cluster, problem))?;
            is_secure =
                !entry.server.as_deref().is_some_and(|server| server.to_ascii_lowercase().starts_with("http://"));
        }
        let found = merged.kubeconfig.auth_infos.iter_mut().find(|one| one.name == named.1);
        if let Some(entry) = found.and_then(|one| one.auth_info.as_mut()) {
            validation::user(entry).map_err(|problem| wrong(&chosen.user, problem))?;
            if !is_secure {
                *entry = AuthInfo::default();
            }
        }
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let mut config = Config::from_custom_kubeconfig(merged.kubeconfig, &options).await.map_err(of_kube)?;
        config.headers = impersonation::take(&mut config.auth_info).map_err(|problem| wrong(&chosen.user, problem))?;
        config.root_cert = bundle.or(config.root_cert);
        chosen.config = config;
        Ok(chosen)
    }

    /// Reads the files that a cluster's entry names, and leaves in the entry what kube reads in the same way as
    /// client-go. Returns the bundle of its authorities, in DER.
    fn prepare(&self, entry: &mut Cluster, chosen: &mut Chosen) -> Result<Option<Vec<Vec<u8>>>, String> {
        if !self.verify_ssl {
            // `kubectl --insecure-skip-tls-verify` does the same.
            (entry.certificate_authority, entry.certificate_authority_data) = (None, None);
            entry.insecure_skip_tls_verify = Some(true);
        }
        validation::cluster(entry)?;
        let (data, file) = (entry.certificate_authority_data.take(), entry.certificate_authority.take());
        chosen.authority = data_or_file("certificate-authority", data.as_deref(), file.as_deref(), &chosen.cluster);
        let pem = tls::material("certificate-authority", data.as_deref(), file.as_deref())?;
        entry.server = entry.server.take().filter(|server| !server.is_empty()).map(with_scheme);
        entry.tls_server_name = entry.tls_server_name.take().filter(|name| !name.is_empty());
        if entry.tls_server_name.is_some() {
            chosen.name = format!("`tls-server-name` of {}", chosen.cluster);
        }
        chosen.proxy_url = entry.proxy_url.take().filter(|url| !url.is_empty()).map(Secret::new);
        let Some(pem) = pem else { return Ok(None) };
        let bundle = trust::certificates(pem.expose().as_bytes())
            .ok_or("its `certificate-authority` holds no certificate in PEM")?;
        // A credential plugin may get it, too.
        entry.certificate_authority_data = Some(BASE64.encode(pem.expose().as_bytes()));
        Ok(Some(bundle.into_iter().map(|one| one.to_vec()).collect()))
    }
}

/// The cluster and the user that a context names.
fn entries(contexts: &[NamedContext], wanted: &str) -> (String, String) {
    let context = contexts.iter().find(|one| one.name == wanted).and_then(|one| one.context.clone());
    context.map(|context| (context.cluster, context.user.unwrap_or_default())).unwrap_or_default()
}

/// Adds the scheme to a host and port: it is HTTP, as `DefaultServerUrlFor` of client-go decides if it is called before
/// the authorities are read.
fn with_scheme(server: String) -> String {
    if server.contains("://") { server } else { format!("http://{server}") }
}

fn wrong(whose: &str, problem: String) -> Error {
    Error::Configuration(Box::new(
        Report::new(format!("{}{} cannot be used", whose[..1].to_uppercase(), &whose[1..])).seen(problem),
    ))
}

fn of_the_service_account(config: Config) -> Chosen {
    let whose = "the service account of this Pod";
    let authority = config.root_cert_file.as_ref().map(|path| format!("the file `{}`", path.display()));
    Chosen {
        authority: authority.unwrap_or_else(|| whose.to_owned()),
        config,
        proxy_url: None,
        cluster: whose.to_owned(),
        user: whose.to_owned(),
        name: "KUBERNETES_SERVICE_HOST of the environment".to_owned(),
    }
}

/// The API server's address, without a password in it, which was never used.
fn address(server: &Uri) -> Result<Address, Error> {
    if server.scheme().is_none() || server.host().is_none_or(str::is_empty) {
        return Err(Error::Configuration(Box::new(
            Report::new("The cluster's `server` is not a URL").hint("give it as https://host:port"),
        )));
    }
    Ok(Address::of(server))
}

fn in_cluster() -> Result<Config, Error> {
    Config::incluster_env().map_err(|error| {
        Error::Configuration(Box::new(
            Report::new("The in-cluster configuration cannot be used")
                .seen(in_cluster_problem(&error))
                .hint("in_cluster works only in a Pod with a service account token; elsewhere give a kubeconfig"),
        ))
    })
}

fn in_cluster_or_nothing() -> Result<Config, Error> {
    Config::incluster_env().map_err(|error| {
        Error::Configuration(Box::new(
            Report::new("No Kubernetes configuration was found")
                .seen("KUBECONFIG is unset or names no existing file, and `~/.kube/config` does not exist")
                .seen(format!("in-cluster: {}", in_cluster_problem(&error)))
                .hint("set KUBECONFIG, or configure the Airflow connection of type `kubernetes`"),
        ))
    })
}

fn in_cluster_problem(error: &InClusterError) -> String {
    match error {
        InClusterError::ReadEnvironmentVariable(_) | InClusterError::ParseClusterPort(_) => {
            "KUBERNETES_SERVICE_HOST or KUBERNETES_SERVICE_PORT is not set".into()
        }
        InClusterError::ParseClusterUrl(_) => "KUBERNETES_SERVICE_HOST is not a host".into(),
        InClusterError::ReadDefaultNamespace(error) | InClusterError::ReadCertificateBundle(error) => {
            format!("the files of the service account cannot be read: {}", kubeconfig::io_problem(error))
        }
        InClusterError::ParseCertificates(_) => "the service account's `ca.crt` holds no certificate in PEM".into(),
    }
}

/// The merged files of `KUBECONFIG`, else `~/.kube/config`; none if no such file exists.
fn default_kubeconfig() -> Result<Option<Merged>, Error> {
    let paths: Vec<PathBuf> = match env::var_os("KUBECONFIG").filter(|value| !value.is_empty()) {
        Some(list) => env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect(),
        None => env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect(),
    };
    let mut kubeconfig: Option<Kubeconfig> = None;
    let mut files = Vec::new();
    for path in paths.iter().filter(|path| path.exists()) {
        let name = format!("kubeconfig `{}`", path.display());
        let next = kubeconfig::read(path).map_err(|problem| unusable(&name, problem))?;
        let origin = Origin::of(&next, name);
        kubeconfig = Some(match kubeconfig {
            None => next,
            Some(first) => first.merge(next).map_err(|error| unusable(&origin.name, kubeconfig::problem(&error)))?,
        });
        files.push(origin);
    }
    let names: Vec<_> = paths.iter().filter(|path| path.exists()).map(|path| format!("`{}`", path.display())).collect();
    let name = format!("kubeconfig {}", names.join(", "));
    Ok(kubeconfig.map(|kubeconfig| Merged { kubeconfig, name, files }))
}

fn unusable(name: &str, problem: String) -> Error {
    Error::Configuration(Box::new(Report::new(format!("The {name} cannot be used")).seen(problem)))
}
