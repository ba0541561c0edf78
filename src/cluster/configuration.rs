//! Reads where the cluster is and who we are there: kubeconfig files and text, `KUBECONFIG` lists, in-cluster.
//!
//! Follows client-go where kube differs: missing files of a `KUBECONFIG` list are passed over, tokens are
//! trimmed, exec plugins never ask on the terminal, and proxies obey `NO_PROXY` (see [`super::proxy`]).
//! Source: <https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>.

use std::{env, path::PathBuf};

use kube::config::{Config, ExecInteractiveMode, KubeConfigOptions, Kubeconfig};
use serde::Deserialize;

use super::proxy::{self, Proxy};
use crate::error::{Error, Report, cause_chain};

/// Which configuration to use; the JSON that Python hands over.
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
    /// The namespace where the caller names none; else that of the context, else `default`.
    #[serde(default)]
    pub namespace: Option<String>,
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
        /// The text; it may hold credentials and is never printed.
        text: String,
    },
}

/// A configuration as read: kube's, without what we do ourselves.
pub(super) struct Loaded {
    pub config: Config,
    pub proxy: Option<Proxy>,
    /// Read and trimmed by ourselves at each use, see [`super::token_file`].
    pub token_file: Option<PathBuf>,
}

impl Configuration {
    /// Reads files and may run an exec plugin later: call it off the event loop's threads.
    pub(super) async fn load(&self) -> Result<Loaded, Error> {
        let (mut config, explicit_proxy) = match &self.source {
            Source::InCluster => (in_cluster()?, None),
            Source::File { path } => {
                let kubeconfig = Kubeconfig::read_from(path)
                    .map_err(|error| unusable(format!("The kubeconfig `{}` cannot be used", path.display()), &error))?;
                self.choose(kubeconfig, &format!("kubeconfig `{}`", path.display())).await?
            }
            Source::Text { text } => {
                let kubeconfig = Kubeconfig::from_yaml(text).map_err(|_| {
                    Error::Configuration(Box::new(
                        // The parser's message may quote the text, which holds credentials.
                        Report::new("The kubeconfig text is not a kubeconfig")
                            .hint("give the content of a kubeconfig file, as YAML or JSON"),
                    ))
                })?;
                self.choose(kubeconfig, "kubeconfig text").await?
            }
            Source::Default => match default_kubeconfig()? {
                Some((kubeconfig, name)) => self.choose(kubeconfig, &name).await?,
                None => (in_cluster_or_nothing()?, None),
            },
        };
        if let Some(namespace) = &self.namespace {
            config.default_namespace.clone_from(namespace);
        }
        if !self.verify_ssl {
            config.accept_invalid_certs = true;
        }
        config.default_retry = false; // it repeats POSTs
        if let Some(exec) = &mut config.auth_info.exec {
            exec.interactive_mode = Some(ExecInteractiveMode::Never);
        }
        // As in client-go's default of the file over the inline token being reversed: the inline token wins.
        let token_file = match &config.auth_info.token {
            Some(_) => None,
            None => config.auth_info.token_file.take().map(PathBuf::from),
        };
        config.proxy_url = None;
        let proxy = proxy::choose(explicit_proxy.as_deref(), &config.cluster_url)?;
        Ok(Loaded { config, proxy, token_file })
    }

    /// The config of the wanted context, and the `proxy-url` that it names.
    async fn choose(&self, kubeconfig: Kubeconfig, name: &str) -> Result<(Config, Option<String>), Error> {
        let context = self.context.clone().or_else(|| kubeconfig.current_context.clone());
        let proxy_url = context.as_ref().and_then(|wanted| {
            let context = kubeconfig.contexts.iter().find(|c| &c.name == wanted)?.context.as_ref()?;
            let cluster = kubeconfig.clusters.iter().find(|c| c.name == context.cluster)?.cluster.as_ref()?;
            cluster.proxy_url.clone().filter(|url| !url.is_empty())
        });
        let known: Vec<_> = kubeconfig.contexts.iter().map(|context| format!("`{}`", context.name)).collect();
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| {
            let Error::Configuration(report) = unusable(format!("The {name} cannot be used"), &error) else {
                unreachable!("unusable makes configuration errors")
            };
            Error::Configuration(Box::new(report.seen(format!("contexts: {}", known.join(", ")))))
        })?;
        Ok((config, proxy_url))
    }
}

fn in_cluster() -> Result<Config, Error> {
    Config::incluster_env().map_err(|error| {
        let Error::Configuration(report) = unusable("The in-cluster configuration cannot be used".into(), &error)
        else {
            unreachable!("unusable makes configuration errors")
        };
        Error::Configuration(Box::new(
            report.hint("in_cluster works only in a Pod with a service account token; elsewhere give a kubeconfig"),
        ))
    })
}

fn in_cluster_or_nothing() -> Result<Config, Error> {
    Config::incluster_env().map_err(|error| {
        Error::Configuration(Box::new(
            Report::new("No Kubernetes configuration was found")
                .seen("KUBECONFIG is unset or names no existing file, and `~/.kube/config` does not exist")
                .seen(format!("in-cluster: {}", cause_chain(&error)))
                .hint("set KUBECONFIG, or configure the Airflow connection of type `kubernetes`"),
        ))
    })
}

/// The merged files of `KUBECONFIG`, else `~/.kube/config`; none where no such file exists.
fn default_kubeconfig() -> Result<Option<(Kubeconfig, String)>, Error> {
    let paths: Vec<PathBuf> = match env::var_os("KUBECONFIG").filter(|value| !value.is_empty()) {
        Some(list) => env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect(),
        None => env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect(),
    };
    let mut merged: Option<Kubeconfig> = None;
    let mut names = Vec::new();
    for path in paths.iter().filter(|path| path.exists()) {
        let failed = |error| unusable(format!("The kubeconfig `{}` cannot be used", path.display()), &error);
        let next = Kubeconfig::read_from(path).map_err(failed)?;
        merged = Some(match merged {
            None => next,
            Some(first) => first.merge(next).map_err(failed)?,
        });
        names.push(format!("`{}`", path.display()));
    }
    Ok(merged.map(|kubeconfig| (kubeconfig, format!("kubeconfig {}", names.join(", ")))))
}

fn unusable(what: String, error: &(dyn std::error::Error + 'static)) -> Error {
    Error::Configuration(Box::new(Report::new(what).seen(cause_chain(error))))
}
