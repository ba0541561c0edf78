//! Keeps in words which setting gave which value, for error texts: their reader looks for the field and the file.

use std::path::Path;

use http::StatusCode;

use super::{
    cause::{Cause, CauseKind, of_the_client_certificate},
    certificate::Certificate,
    secret::Address,
};
use crate::error::{Error, Report};

/// The settings of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    /// The API server's address.
    pub server: Address,
    /// The place of the cluster's entry: "cluster `prod` of kubeconfig `/x`".
    pub cluster: String,
    /// The place of the user's entry.
    pub user: String,
    /// The setting that names the authorities.
    pub authority: String,
    /// The setting that gives the name that the certificate must be for.
    pub name: String,
    /// The setting that names the proxy.
    pub proxy: String,
    /// Our client certificate, and the setting that names it.
    pub client_certificate: Option<(Certificate, String)>,
}

impl Settings {
    /// The error for a failure that does not pass by itself: what happened, what was presented, and which setting holds
    /// it.
    pub fn blame(&self, cause: &Cause) -> Error {
        let Self { server, cluster, proxy, .. } = self;
        let report = match cause.what() {
            CauseKind::Certificate(report) => (**report).clone(),
            CauseKind::Alert(alert) if let Some(why) = of_the_client_certificate(*alert) => {
                self.blame_client_certificate(why, &format!("{alert:?}"))
            }
            CauseKind::ProxyRefused(StatusCode::PROXY_AUTHENTICATION_REQUIRED) => {
                Report::new(format!("The proxy on the way to the API server {server} asks for credentials"))
                    .seen(cause.to_string())
                    .hint(format!("write them into {proxy}, as http://user:password@host:port"))
            }
            CauseKind::ProxyRefused(_) | CauseKind::SocksRefused(_) => {
                Report::new(format!("The proxy does not connect to the API server {server}"))
                    .seen(cause.to_string())
                    .hint(format!("check {proxy}, or let the proxy's owner allow it"))
            }
            _ => Report::new(format!("There is no TLS with the API server {server}"))
                .seen(cause.to_string())
                .hint(format!("check `server` of {cluster}, and what listens there")),
        };
        Error::Configuration(Box::new(report))
    }

    fn blame_client_certificate(&self, why: &str, alert: &str) -> Report {
        let Self { server, user, client_certificate, .. } = self;
        let happened = format!("The API server {server} does not accept the client certificate: {why}");
        let report = Report::new(happened).seen(format!("it ended the TLS handshake with the alert {alert}"));
        match client_certificate {
            Some((shown, setting)) => report
                .seen(format!("presented: {shown} ({setting})"))
                .hint(format!("have it renewed, or replaced by one that the server's authority has signed: {setting}")),
            None => report
                .seen("presented: no client certificate")
                .hint(format!("name one in `client-certificate` and `client-key` of {user}")),
        }
    }
}

/// Names a field that has a form with data and a form with a file.
pub(super) fn data_or_file(key: &str, data: Option<&str>, file: Option<&str>, of: &str) -> String {
    match (data.filter(|data| !data.is_empty()), file.filter(|file| !file.is_empty())) {
        (Some(_), _) => format!("`{key}-data` of {of}"),
        (None, Some(file)) => format!("the file `{}`, which is `{key}` of {of}", Path::new(file).display()),
        (None, None) => format!("{of}, which has no `{key}`"),
    }
}
