//! Opens a tunnel through an HTTP proxy, by CONNECT. Its error has the code of the proxy's answer, which that of
//! hyper-util's own tunnel does not have.

use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::{
    client::conn::http1,
    rt::{Read, Write},
    upgrade,
};
use tower::{BoxError, Service};

/// Connects to the proxy by `connector`, and through the proxy to the wanted server.
#[derive(Clone)]
pub(super) struct Tunnel<C> {
    pub proxy: Uri,
    pub auth: Option<HeaderValue>,
    pub connector: C,
}

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub(super) enum TunnelError {
    /// The proxy itself cannot be reached.
    #[error("the proxy cannot be reached")]
    Unreachable {
        /// The address of the proxy.
        proxy: Uri,
        /// Why not.
        source: BoxError,
    },
    /// The proxy answered with another code than success.
    #[error("the proxy refuses")]
    Refused(StatusCode),
    /// The proxy did not answer as a proxy does.
    #[error("the proxy gave no answer")]
    NoAnswer(#[source] hyper::Error),
    /// There is no host and port to connect to.
    #[error("nowhere to connect to")]
    NoTarget,
}

impl<C> Service<Uri> for Tunnel<C>
where
    C: Service<Uri>,
    C::Response: Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    type Response = C::Response;
    type Error = TunnelError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let ready = self.connector.poll_ready(cx);
        ready.map_err(|error| TunnelError::Unreachable { proxy: self.proxy.clone(), source: error.into() })
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let proxy = self.proxy.clone();
        let connecting = self.connector.call(proxy.clone());
        let request = request(&to, self.auth.clone());
        Box::pin(async move {
            let request = request.ok_or(TunnelError::NoTarget)?;
            let stream = connecting.await.map_err(|error| TunnelError::Unreachable { proxy, source: error.into() })?;
            let (mut sender, connection) = http1::handshake(stream).await.map_err(TunnelError::NoAnswer)?;
            tokio::spawn(connection.with_upgrades());
            let answer = sender.send_request(request).await.map_err(TunnelError::NoAnswer)?;
            if answer.status() != StatusCode::OK {
                return Err(TunnelError::Refused(answer.status()));
            }
            let upgraded = upgrade::on(answer).await.map_err(TunnelError::NoAnswer)?;
            // In TLS and HTTP the client speaks first, so nothing was read beyond the proxy's answer.
            upgraded.downcast::<C::Response>().map(|parts| parts.io).map_err(|_| TunnelError::NoTarget)
        })
    }
}

fn request(to: &Uri, auth: Option<HeaderValue>) -> Option<Request<Empty<Bytes>>> {
    let port = to.port_u16().unwrap_or(if to.scheme_str() == Some("http") { 80 } else { 443 });
    let target = format!("{}:{port}", to.host()?);
    let mut request = Request::builder().method(Method::CONNECT).uri(&target).header(header::HOST, &target);
    if let Some(auth) = auth {
        request = request.header(header::PROXY_AUTHORIZATION, auth);
    }
    request.body(Empty::new()).ok()
}
