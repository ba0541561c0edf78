//! The handle through which every request goes: connects on first use, reconnects once on 401, retries per verb.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use backon::Retryable;
use http::{Method, Request, Response};
use jiff::Timestamp;
use kube::{Client, client::Body};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};

use super::{
    clock::ServerClock,
    configuration::Configuration,
    pages::Pages,
    recovery::Recovery,
    request::{self, Answer, Failure, Resource, Verb},
    retry, transport,
    watch::Selector,
};
use crate::error::Error;

/// Limits in time of one cluster handle.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long a failing request is repeated in all. Default 60 s, an API server's restart with room.
    pub retry_for: Duration,
    /// One try of a request with its whole answer. Default 40 s.
    pub one_request: Duration,
    /// How long the server keeps a watch before it ends it cleanly. Default 60 s.
    pub watch_for: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            retry_for: Duration::from_secs(60),
            one_request: Duration::from_secs(40),
            watch_for: Duration::from_secs(60),
        }
    }
}

/// One cluster and one identity in it. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
    timing: Timing,
    deadline: Option<Instant>,
}

struct Inner {
    origin: Origin,
    connected: Mutex<Connected>,
    /// Source of jitter seeds.
    seed: AtomicU64,
    clock: Arc<ServerClock>,
    recovery: Recovery,
}

enum Origin {
    Configured(Configuration),
    Given,
}

#[derive(Clone, Default)]
struct Connected {
    client: Option<Client>,
    /// Its address, for error texts.
    server: String,
    /// Grows with each rebuild, so that of many requests that saw 401 only the first rebuilds.
    generation: u64,
}

/// What a list brought.
#[derive(Debug, Clone)]
pub struct Listed {
    /// All objects, over all pages.
    pub items: Vec<Value>,
    /// The version from which a watch continues.
    pub resource_version: String,
}

/// What can be tried with `dryRun=All`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// A JSON Patch.
    Patch,
    /// A DELETE.
    Delete,
}

impl Cluster {
    /// A handle that reads its configuration at the first request.
    #[must_use]
    pub fn new(configuration: Configuration, timing: Timing, seed: u64) -> Self {
        Self::with(Origin::Configured(configuration), Connected::default(), timing, seed)
    }

    /// A handle over a client that stands on any tower service.
    #[must_use]
    pub fn from_client(client: Client, timing: Timing, seed: u64) -> Self {
        Self::with(Origin::Given, Connected { client: Some(client), ..Connected::default() }, timing, seed)
    }

    fn with(origin: Origin, connected: Connected, timing: Timing, seed: u64) -> Self {
        let inner = Inner {
            origin,
            connected: Mutex::new(connected),
            seed: AtomicU64::new(seed),
            clock: Arc::default(),
            recovery: Recovery::default(),
        };
        Self { inner: Arc::new(inner), timing, deadline: None }
    }

    /// The same cluster for work that ends at this moment: no request is under way or repeated after it.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        let deadline = Some(self.deadline.map_or(deadline, |sooner| sooner.min(deadline)));
        Self { inner: Arc::clone(&self.inner), timing: self.timing, deadline }
    }

    /// A stream of this cluster broke off.
    pub(super) fn broke(&self) {
        self.inner.recovery.broke();
    }

    /// The limits in time.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// The next seed for jitter.
    #[must_use]
    pub fn next_seed(&self) -> u64 {
        self.inner.seed.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed)
    }

    /// The time by the clock of the API server, in whole seconds of its last answer and what has passed since.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The namespace to use where nobody names one.
    pub async fn namespace(&self) -> Result<String, Error> {
        match self.connected().await {
            Ok(connected) => Ok(client_of(&connected).default_namespace().to_owned()),
            Err(Failure::Unusable(error)) => Err(error),
            Err(other) => Err(Error::internal(other.message())),
        }
    }

    /// Reads one object; `None` where it does not exist.
    pub async fn get(&self, resource: Resource, namespace: &str, name: &str) -> Result<Option<Value>, Failure> {
        let path = format!("{}/{name}", resource.path(namespace));
        match self.repeated(Verb::Get, || self.once(Method::GET, &path, JSON, Vec::new())).await {
            Ok(object) => Ok(Some(object)),
            Err(failure) if failure.code() == Some(404) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Reads all objects that match, in pages, from the newest state.
    pub async fn list(&self, resource: Resource, namespace: &str, selector: &Selector) -> Result<Listed, Failure> {
        let mut listed = Listed { items: Vec::new(), resource_version: String::new() };
        let mut pages = self.pages(resource, namespace, selector);
        while let Some(page) = pages.next().await? {
            if page.anew {
                listed.items.clear();
            }
            listed.items.extend(page.items);
            listed.resource_version = page.resource_version;
        }
        Ok(listed)
    }

    /// The same list page by page, for those who do not keep all of it; an empty namespace means all of them.
    #[must_use]
    pub fn pages<T: DeserializeOwned>(&self, resource: Resource, namespace: &str, selector: &Selector) -> Pages<'_, T> {
        Pages::new(self, resource, namespace, selector)
    }

    pub(super) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.repeated(Verb::List, || self.once(Method::GET, path, JSON, Vec::new())).await
    }

    /// Sends one POST; repeated only after 429.
    pub async fn create(&self, resource: Resource, namespace: &str, object: &[u8]) -> Result<Answer, Failure> {
        let path = resource.path(namespace);
        self.repeated(Verb::Create, || self.once(Method::POST, &path, JSON, object.to_vec())).await
    }

    /// Sends a JSON Patch. It must begin with `test` operations that make a repetition harmless.
    pub async fn patch(
        &self,
        resource: Resource,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<Answer, Failure> {
        let place = format!("{}/{name}", resource.path(namespace));
        let body = patch.to_string().into_bytes();
        self.repeated(Verb::Patch, || self.once(Method::PATCH, &place, JSON_PATCH, body.clone())).await
    }

    /// Sends a DELETE with these `DeleteOptions`, which must carry the uid.
    pub async fn delete(
        &self,
        resource: Resource,
        namespace: &str,
        name: &str,
        options: &Value,
    ) -> Result<Answer, Failure> {
        let path = format!("{}/{name}", resource.path(namespace));
        let body = options.to_string().into_bytes();
        self.repeated(Verb::Delete, || self.once(Method::DELETE, &path, JSON, body.clone())).await
    }

    /// A PATCH or DELETE that is only tried: admission answers as for a real one, and nothing changes. Sent once.
    pub async fn try_out(
        &self,
        trial: Trial,
        resource: Resource,
        namespace: &str,
        name: &str,
        body: &Value,
    ) -> Result<Answer, Failure> {
        let path = format!("{}/{name}?dryRun=All", resource.path(namespace));
        let (method, content) = match trial {
            Trial::Patch => (Method::PATCH, JSON_PATCH),
            Trial::Delete => (Method::DELETE, JSON),
        };
        self.once(method, &path, content, body.to_string().into_bytes()).await
    }

    /// Opens a body that is read as it comes: a watch or a log. Not repeated.
    pub async fn open(&self, path_and_query: &str) -> Result<Response<Body>, Failure> {
        let build = || request::build(Method::GET, path_and_query, JSON, Vec::new());
        let open =
            async |client: Client, request, clock: Arc<ServerClock>| request::open(&client, request, &clock).await;
        Box::pin(self.authenticated(build, open)).await
    }

    async fn once<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        content: &'static str,
        body: Vec<u8>,
    ) -> Result<T, Failure> {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let limit = left.map_or(self.timing.one_request, |left| left.min(self.timing.one_request));
        let build = || request::build(method.clone(), path, content, body.clone());
        let send =
            async |client: Client, request, clock: Arc<ServerClock>| request::send(&client, request, &clock).await;
        let whole = Box::pin(self.authenticated(build, send));
        match tokio::time::timeout(limit, whole).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::transport(format!("no whole answer within {} s", limit.as_secs()))),
        }
    }

    async fn repeated<T, F>(&self, verb: Verb, once: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        // The backoff counts its pauses only; tries that hang take their time, too.
        let end = Instant::now() + self.timing.retry_for;
        let end = self.deadline.map_or(end, |deadline| deadline.min(end));
        let mut answered = None;
        let last = once
            .retry(Policy { seed: self.next_seed(), within: self.timing.retry_for })
            .sleep(tokio::time::sleep)
            .when(|failure| {
                let again = retry::may_repeat(verb, failure) && Instant::now() < end;
                if again && failure.code().is_some() {
                    answered = Some(failure.clone());
                }
                again
            })
            .adjust(retry::pause)
            .await;
        match (last, answered) {
            // What the server said tells more than that the deadline cut the last try.
            (Err(Failure::Transport { .. }), Some(answer)) if self.deadline.is_some() => Err(answer),
            (last, _) => last,
        }
    }

    /// Sends with the current client; on 401 once more with one that has read its credentials anew.
    async fn authenticated<T>(
        &self,
        build: impl Fn() -> Result<Request<Body>, Failure>,
        send: impl AsyncFn(Client, Request<Body>, Arc<ServerClock>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let connected = self.connected().await?;
        let answer = match send(client_of(&connected), build()?, Arc::clone(&self.inner.clock)).await {
            Err(failure) if failure.code() == Some(401) => {
                let Some(renewed) = self.renewed(connected.generation).await? else { return Err(failure) };
                send(client_of(&renewed), build()?, Arc::clone(&self.inner.clock)).await
            }
            answer => answer,
        };
        answer.map_err(|failure| match self.inner.recovery.judge(failure) {
            Failure::Transport { cause } if !connected.server.is_empty() => {
                Failure::transport(format!("{}: {cause}", connected.server))
            }
            other => other,
        })
    }

    async fn connected(&self) -> Result<Connected, Failure> {
        let mut slot = self.inner.connected.lock().await;
        if slot.client.is_none() {
            let (client, server) = self.inner.origin.connect().await.map_err(Failure::Unusable)?;
            (slot.client, slot.server) = (Some(client), server);
        }
        Ok(slot.clone())
    }

    async fn renewed(&self, seen: u64) -> Result<Option<Connected>, Failure> {
        let Origin::Configured(_) = self.inner.origin else { return Ok(None) };
        let mut slot = self.inner.connected.lock().await;
        if slot.generation == seen {
            let (client, server) = self.inner.origin.connect().await.map_err(Failure::Unusable)?;
            *slot = Connected { client: Some(client), server, generation: seen + 1 };
        }
        Ok(Some(slot.clone()))
    }
}

impl Origin {
    /// Reads files and may run an exec plugin, so it does so off the threads that serve everybody.
    async fn connect(&self) -> Result<(Client, String), Error> {
        let Self::Configured(configuration) = self else {
            return Err(Error::internal("a given client is never rebuilt"));
        };
        let configuration = configuration.clone();
        let runtime = tokio::runtime::Handle::current();
        let built = tokio::task::spawn_blocking(move || {
            let loaded = runtime.block_on(configuration.load())?;
            let _context = runtime.enter();
            Ok((transport::build(&loaded)?, loaded.config.cluster_url.to_string()))
        });
        built.await.map_err(|error| Error::internal(format!("while connecting: {error}")))?
    }
}

struct Policy {
    seed: u64,
    within: Duration,
}

impl backon::BackoffBuilder for Policy {
    type Backoff = backon::ExponentialBackoff;
    fn build(self) -> Self::Backoff {
        retry::backoff(self.seed, Some(self.within))
    }
}

const JSON: &str = "application/json";
const JSON_PATCH: &str = "application/json-patch+json";

fn client_of(connected: &Connected) -> Client {
    connected.client.clone().expect("set by `connected` and `renewed` before they return")
}
