//! Chooses the proxy of a request, by the rules of client-go.
//!
//! A kubeconfig's `proxy-url` counts as it is. Without one, `HTTPS_PROXY`, `NO_PROXY` and `ALL_PROXY` of the
//! environment decide, matched against the API server's address, even for a service account in the cluster. Source:
//! `rest.TLSConfigFor` and `http.ProxyFromEnvironment` as client-go uses them.

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use super::secret::{Address, Secret};
use crate::error::{Error, Report};

/// A proxy on the way to the API server.
#[derive(Debug, Clone)]
pub(super) enum Proxy {
    /// An HTTP proxy that tunnels by CONNECT; `auth` is marked as sensitive, which masks it.
    Http { url: Uri, auth: Option<HeaderValue> },
    /// A SOCKS5 proxy; with `remote_dns` it resolves the server's name.
    Socks5 { url: Uri, auth: Option<(String, Secret)>, remote_dns: bool },
}

/// The proxy for `server`, from the kubeconfig's `proxy-url` or the environment.
pub(super) fn choose(explicit: Option<&Secret>, server: &Uri) -> Result<Option<Proxy>, Error> {
    let intercept = match explicit {
        Some(url) => Matcher::builder().all(url.expose().to_owned()).build().intercept(server),
        None => Matcher::from_env().intercept(server),
    };
    match (intercept, explicit) {
        (Some(intercept), _) => typed(&intercept).map(Some),
        (None, Some(_)) => Err(Error::Configuration(Box::new(
            Report::new("The kubeconfig's `proxy-url` is not a URL")
                .hint("give it as http://host:port or socks5://host:port"),
        ))),
        (None, None) => Ok(None),
    }
}

fn typed(intercept: &Intercept) -> Result<Proxy, Error> {
    let url = Address::of(intercept.uri()).url().clone();
    match url.scheme_str() {
        Some("http") => {
            let mut auth = intercept.basic_auth().cloned();
            if let Some(auth) = &mut auth {
                auth.set_sensitive(true);
            }
            Ok(Proxy::Http { url, auth })
        }
        Some(scheme @ ("socks5" | "socks5h")) => {
            let auth = intercept.raw_auth().map(|(user, password)| (user.to_owned(), Secret::new(password.to_owned())));
            Ok(Proxy::Socks5 { remote_dns: scheme == "socks5h", url, auth })
        }
        other => Err(Error::Configuration(Box::new(
            Report::new(format!("Proxies with the scheme `{}` are not supported", other.unwrap_or("none")))
                .hint("use an http://, socks5:// or socks5h:// proxy"),
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Uri {
        Uri::from_static("https://10.0.0.1:6443")
    }

    #[test]
    fn explicit_proxy_is_used_whatever_the_environment_says() {
        let proxy =
            choose(Some(&Secret::new("http://user:hunter2@proxy.example:3128".into())), &server()).unwrap().unwrap();
        assert!(!format!("{proxy:?}").contains("hunter2"), "{proxy:?}");
        let Proxy::Http { url, auth } = proxy else { panic!("an http proxy") };
        assert_eq!(url.host(), Some("proxy.example"));
        assert!(auth.is_some());
    }

    #[test]
    fn socks_proxy_keeps_who_resolves_names() {
        assert!(matches!(
            choose(Some(&Secret::new("socks5h://127.0.0.1:1080".into())), &server()).unwrap(),
            Some(Proxy::Socks5 { remote_dns: true, .. })
        ));
    }

    #[test]
    fn no_proxy_is_matched_against_the_server_and_survives_empty_elements() {
        let matcher = |no: &str| Matcher::builder().all("http://127.0.0.2:1").no(no.to_owned()).build();
        assert!(matcher("10.0.0.0/8,,other").intercept(&server()).is_none());
        assert!(matcher("127.0.0.2").intercept(&server()).is_some());
    }

    #[test]
    fn unknown_scheme_is_refused_with_what_works() {
        let error = choose(Some(&Secret::new("ftp://proxy:1".into())), &server()).unwrap_err();
        assert!(error.to_string().contains("socks5"), "{error}");
    }
}
