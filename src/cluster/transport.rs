//! The HTTP stack below the client: TLS, proxies, keepalive, limits in time. Without retries of its own.
//!
//! Differs from kube's default stack in what a half-open link needs: TCP keepalive and user timeout, and a
//! limit on the time to response headers (bodies of watches and logs are not limited by it).

use std::{error::Error as StdError, time::Duration};

use http::Uri;
use hyper::rt::{Read, Write};
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{
        Client as HyperClient,
        connect::{
            Connection, HttpConnector,
            proxy::{SocksV5, Tunnel},
        },
    },
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client,
    client::{Body, ClientBuilder, ConfigExt},
};
use tower::{BoxError, Service, ServiceBuilder, timeout::TimeoutLayer};

use super::{configuration::Loaded, proxy::Proxy, token_file::TokenFile};
use crate::error::{Error, Report, cause_chain};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may take from request to response headers. etcd's own timeout answers after 34 s to 60 s;
/// this is shorter, because the caller's retry knows better what to do with the time.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
const KEEPALIVE_AFTER: Duration = Duration::from_secs(20);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;
/// Unacknowledged writes end a connection after this long; together with the keepalive a cut link is noticed
/// within 60 s.
const USER_TIMEOUT: Duration = Duration::from_secs(45);
/// Load balancers drop idle connections after a minute or more: ours leave the pool before.
const POOL_IDLE: Duration = Duration::from_secs(45);

/// Builds the client. Must run inside a tokio runtime; an exec plugin is run here, and blocks.
pub(super) fn build(loaded: &Loaded) -> Result<Client, Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE_AFTER));
    tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    tcp.set_keepalive_retries(Some(KEEPALIVE_PROBES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(USER_TIMEOUT));
    match &loaded.proxy {
        None => over(tcp, loaded),
        Some(Proxy::Http { url, auth }) => {
            let tunnel = Tunnel::new(url.clone(), tcp);
            over(
                match auth {
                    Some(auth) => tunnel.with_auth(auth.clone()),
                    None => tunnel,
                },
                loaded,
            )
        }
        Some(Proxy::Socks5 { url, auth, remote_dns }) => {
            let socks = SocksV5::new(url.clone(), tcp).local_dns(!remote_dns);
            over(
                match auth {
                    Some((user, password)) => socks.with_auth(user.clone(), password.clone()),
                    None => socks,
                },
                loaded,
            )
        }
    }
}

fn over<C>(connector: C, loaded: &Loaded) -> Result<Client, Error>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: StdError + Send + Sync + 'static,
    C::Error: Into<BoxError>,
{
    let config = &loaded.config;
    let unusable = |error: kube::Error| {
        let what = format!("The credentials or certificates for {} cannot be used", config.cluster_url);
        Error::Configuration(Box::new(Report::new(what).seen(cause_chain(&error))))
    };
    let mut timed = TimeoutConnector::new(config.rustls_https_connector_with_connector(connector).map_err(unusable)?);
    timed.set_connect_timeout(Some(CONNECT_TIMEOUT));
    timed.set_write_timeout(config.write_timeout);
    let http: HyperClient<_, Body> = HyperClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .build(timed);
    let token_file = loaded.token_file.clone().map(TokenFile::new);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(unusable)?)
        .layer(config.extra_headers_layer().map_err(unusable)?)
        .map_request(move |request: http::Request<Body>| match &token_file {
            Some(file) => file.authorize(request),
            None => request,
        })
        .layer(TimeoutLayer::new(HEADER_TIMEOUT))
        .map_err(BoxError::from)
        .service(http);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}
