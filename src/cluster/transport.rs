//! Builds the HTTP stack below the client: TLS, proxies, keepalive, time limits. It has no retries of its own.
//!
//! It differs from kube's default stack in what a half-open link needs: TCP keepalive and user timeout, and a limit on
//! the time to response headers. That limit does not hold for the bodies of watches and logs.

use std::{
    error::Error as StdError,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{HeaderValue, Uri, header::USER_AGENT};
use hyper::rt::{Read, Write};
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{
        Client as HyperClient,
        connect::{
            Connection, HttpConnector,
            dns::{GaiResolver, Name},
            proxy::SocksV5,
        },
    },
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client,
    client::{Body, ClientBuilder, ConfigExt},
};
use rustls::pki_types::ServerName;
use tower::{BoxError, Service, ServiceBuilder, timeout::TimeoutLayer};

use super::{
    configuration::Loaded, credentials::Credentials, proxy::Proxy, read_ahead::ReadAhead, tls::Tls, tunnel::Tunnel,
};
use crate::error::{Error, Report};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may take from request to response headers. A timeout of etcd is answered after 34 s to 60 s; this
/// limit is shorter, because a retry is the better use of that time.
pub(super) const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
const KEEPALIVE_AFTER: Duration = Duration::from_secs(20);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;
/// Unacknowledged writes end a connection after this long. Together with the keepalive, a cut link is noticed within 60
/// s.
const USER_TIMEOUT: Duration = Duration::from_secs(45);
/// How long an idle connection stays in the pool: load balancers drop idle connections after a minute or more.
const POOL_IDLE: Duration = Duration::from_secs(45);

/// Builds the client. This must be called inside a tokio runtime.
pub(super) fn build(loaded: &Loaded, credentials: &Credentials, tls: Tls) -> Result<Client, Error> {
    let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE_AFTER));
    tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    tcp.set_keepalive_retries(Some(KEEPALIVE_PROBES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(USER_TIMEOUT));
    match &loaded.proxy {
        None => over(tcp, loaded, credentials, tls),
        Some(Proxy::Http { url, auth }) => {
            let tunnel = Tunnel { proxy: url.clone(), auth: auth.clone(), connector: tcp };
            over(tunnel, loaded, credentials, tls)
        }
        Some(Proxy::Socks5 { url, auth, remote_dns }) => {
            let socks = SocksV5::new(url.clone(), tcp).local_dns(!remote_dns);
            over(
                match auth {
                    Some((user, password)) => socks.with_auth(user.clone(), password.expose().to_owned()),
                    None => socks,
                },
                loaded,
                credentials,
                tls,
            )
        }
    }
}

fn over<C>(connector: C, loaded: &Loaded, credentials: &Credentials, tls: Tls) -> Result<Client, Error>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: StdError + Send + Sync + 'static,
    C::Error: Into<BoxError>,
{
    let config = &loaded.config;
    let unusable = |problem: &str| {
        let what = format!("The credentials or certificates for {} cannot be used", loaded.settings.server);
        Error::Configuration(Box::new(Report::new(what).seen(problem)))
    };
    let mut https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    if let Some(name) = &config.tls_server_name {
        let name = ServerName::try_from(name.clone()).map_err(|_| unusable("`tls-server-name` is not a name"))?;
        https = https.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    let mut timed = TimeoutConnector::new(https.enable_http1().wrap_connector(ReadAhead(connector)));
    timed.set_connect_timeout(Some(CONNECT_TIMEOUT));
    timed.set_write_timeout(config.write_timeout);
    let http: HyperClient<_, Body> = HyperClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .build(timed);
    let credentials = credentials.clone();
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(config.extra_headers_layer().map_err(|_| unusable("a header cannot be sent"))?)
        .map_request(move |request: http::Request<Body>| credentials.authorize(named(request)))
        .layer(TimeoutLayer::new(HEADER_TIMEOUT))
        .map_err(BoxError::from)
        .service(http);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

/// Says who asks. The API server writes the part before the slash into `managedFields` as the manager of what we set, and
/// the audit log has all of it.
fn named(mut request: http::Request<Body>) -> http::Request<Body> {
    let name = HeaderValue::from_static(concat!("unique-k8s-job/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().insert(USER_AGENT, name);
    request
}

/// The system's resolver. The type of its failures distinguishes them from failures of connections.
#[derive(Clone)]
struct Resolver(GaiResolver);

/// The failure to find an address for a host.
#[derive(Debug, thiserror::Error)]
#[error("no address")]
pub(super) struct NameNotResolved(pub String);

impl Service<Name> for Resolver {
    type Response = <GaiResolver as Service<Name>>::Response;
    type Error = NameNotResolved;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx).map_err(|_| NameNotResolved(String::new()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let host = name.as_str().to_owned();
        let found = self.0.call(name);
        Box::pin(async move { found.await.map_err(|_| NameNotResolved(host)) })
    }
}
