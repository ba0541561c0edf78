//! Defines the handle through which every request goes. It connects on first use, reconnects once after a 401, and
//! retries as the verb allows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use backon::Retryable;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use jiff::Timestamp;
use kube::{Client, client::Body};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};
use tracing::debug;

use super::{
    answer,
    cause::Cause,
    clock::ServerClock,
    configuration::Configuration,
    credentials::{self, Lifetime, UserCredentials},
    pages::{self, Pages},
    recovery::Recovery,
    request::{self, Answer, ApiRequest, Failure, HeaderReaders},
    request_log::{Logged, Named},
    retry::{self, Prospect},
    settings::Settings,
    tls, transport,
    warnings::AnswerWarnings,
};
use crate::{
    error::{Error, Report},
    identity::{InvalidName, Namespace, QueueName},
    resource::{FieldValidation, KueueVersion, Namespaces, Object, Path, Resource, Review, Selector, Verb},
};

/// The time limits of one cluster handle.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long a failing request is repeated in all. The default is 60 s, enough for a restart of the API server.
    pub retry_for: Duration,
    /// The limit of one try of a request with its whole answer. The default is 40 s.
    pub one_request: Duration,
    /// How long the server keeps a watch before it ends it cleanly. The default is 60 s.
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

/// One cluster and one identity in it. It is cheap to clone, and clones share the connections.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
    timing: Timing,
    deadline: Option<Instant>,
    warnings: Option<Arc<AnswerWarnings>>,
}

struct Inner {
    origin: ClientOrigin,
    connected: Mutex<Connected>,
    /// Source of jitter seeds.
    seed: AtomicU64,
    clock: Arc<ServerClock>,
    recovery: Recovery,
}

enum ClientOrigin {
    Configured(Configuration),
    Given,
}

#[derive(Clone, Default)]
struct Connected {
    client: Option<Client>,
    /// The namespace of the configuration, or that of the client if a client was given.
    namespace: Option<Namespace>,
    /// The settings that it was built from, for error texts.
    settings: Option<Arc<Settings>>,
    /// Whether the cluster has ever answered.
    has_worked: Arc<AtomicBool>,
    /// How long its credentials last; none means without end.
    lifetime: Option<Lifetime>,
    /// Grows with each rebuild, so that only the first of many requests that saw a 401 rebuilds.
    generation: u64,
}

/// The result of a list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The objects of all pages.
    pub items: Vec<Value>,
    /// The version from which a watch continues.
    pub resource_version: String,
}

/// A request that can be tried with `dryRun=All`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DryRun {
    /// A JSON Patch.
    Patch,
    /// A DELETE.
    Delete,
}

impl Cluster {
    /// A handle that reads its configuration at the first request.
    #[must_use]
    pub fn new(configuration: Configuration, timing: Timing, seed: u64) -> Self {
        Self::with(ClientOrigin::Configured(configuration), Connected::default(), timing, seed)
    }

    /// A handle over a client that stands on any tower service.
    #[must_use]
    pub fn from_client(client: Client, timing: Timing, seed: u64) -> Self {
        Self::with(ClientOrigin::Given, Connected { client: Some(client), ..Connected::default() }, timing, seed)
    }

    fn with(origin: ClientOrigin, connected: Connected, timing: Timing, seed: u64) -> Self {
        let inner = Inner {
            origin,
            connected: Mutex::new(connected),
            seed: AtomicU64::new(seed),
            clock: Arc::default(),
            recovery: Recovery::default(),
        };
        Self { inner: Arc::new(inner), timing, deadline: None, warnings: None }
    }

    /// The same cluster, for work that ends at this moment: after it no request is under way or repeated.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        let deadline = Some(self.deadline.map_or(deadline, |sooner| sooner.min(deadline)));
        Self { deadline, ..self.clone() }
    }

    /// The same cluster, for a caller that gets the warnings of its answers, each text once, as the server wrote it.
    #[must_use]
    pub fn with_warnings_to(self, tell: impl Fn(String) + Send + Sync + 'static) -> Self {
        let warnings = AnswerWarnings::after(self.warnings.as_deref(), tell);
        Self { warnings: Some(Arc::new(warnings)), ..self }
    }

    fn header_readers(&self) -> HeaderReaders {
        HeaderReaders { clock: Arc::clone(&self.inner.clock), warnings: self.warnings.clone() }
    }

    /// Notes that a stream of this cluster broke off.
    pub(super) fn broke(&self) {
        self.inner.recovery.broke();
    }

    /// The time limits.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// The next seed for jitter.
    #[must_use]
    pub fn next_seed(&self) -> u64 {
        self.inner.seed.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed)
    }

    /// The time by the clock of the API server: the whole second of its last answer, and the time that has passed
    /// since.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The namespace to use if nobody names one.
    pub async fn namespace(&self) -> Result<Namespace, Error> {
        match self.connected().await {
            Ok(Connected { namespace: Some(namespace), .. }) => Ok(namespace),
            Ok(connected) => {
                let given = client_of(&connected).default_namespace().parse();
                given.map_err(|invalid: InvalidName| invalid.in_configuration())
            }
            Err(Failure::Unusable(error)) => Err(error),
            Err(other) => Err(Error::internal(other.message())),
        }
    }

    /// Reads one object; `None` if the API server says that it does not exist.
    pub async fn get(&self, object: Object<'_>) -> Result<Option<Value>, Failure> {
        let request = ApiRequest::get(Path::object(object));
        let once = || async { answer::object(object, self.once(&request).await?) };
        match self.repeated(Verb::Get, once).await {
            Ok(object) => Ok(Some(object)),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Reads all objects that match, in pages, from the newest state.
    pub async fn list(
        &self,
        resource: Resource,
        namespace: &Namespace,
        selector: &Selector,
    ) -> Result<Listed, Failure> {
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

    /// The same list page by page, for callers that do not keep all of it.
    #[must_use]
    pub fn pages<T: DeserializeOwned>(
        &self,
        resource: Resource,
        namespace: &Namespace,
        selector: &Selector,
    ) -> Pages<'_, T> {
        Pages::new(self, resource, Path::collection(resource, namespace), selector)
    }

    /// Lists one namespace or all of them, page by page. It is for reading only: no request that changes something
    /// accepts [`Namespaces`].
    #[must_use]
    pub fn survey<T: DeserializeOwned>(
        &self,
        resource: Resource,
        of: &Namespaces,
        selector: &Selector,
    ) -> Pages<'_, T> {
        Pages::new(self, resource, Path::survey(resource, of), selector)
    }

    pub(super) async fn page(&self, resource: Resource, path: &Path) -> Result<pages::Body, Failure> {
        let request = ApiRequest::get(path.clone());
        let once = || async {
            let body: pages::Body = self.once(&request).await?;
            answer::list(resource, &body.kind).map(|()| body)
        };
        self.repeated(Verb::List, once).await
    }

    /// Sends one POST, which is repeated after a 429, and once with new credentials after a 401.
    pub async fn create(
        &self,
        object: Object<'_>,
        body: &[u8],
        validation: FieldValidation,
    ) -> Result<Answer, Failure> {
        let path = Path::collection_of(object).with("fieldValidation", validation.parameter());
        let request = ApiRequest::post(path, body.to_vec());
        let once = || async { answer::object(object, self.once(&request).await?) };
        self.repeated(Verb::Create, once).await
    }

    /// Reads which Workloads wait in a queue of Kueue, at most this many from the first one on. It is sent once.
    pub async fn pending_workloads(
        &self,
        version: KueueVersion,
        namespace: &Namespace,
        queue: &QueueName,
        most: usize,
    ) -> Result<Answer, Failure> {
        let request = ApiRequest::get(Path::pending_workloads(version, namespace, queue, most));
        answer::pending_workloads(self.once(&request).await?)
    }

    /// Asks the API server which Kubernetes it is, such as `v1.36.3`; none if it does not say.
    pub async fn version(&self) -> Result<Option<String>, Failure> {
        let request = ApiRequest::get(Path::version());
        let answer: Value = self.repeated(Verb::Get, || self.once(&request)).await?;
        Ok(answer["gitVersion"].as_str().map(str::to_owned))
    }

    /// The address of the API server; none before the first request, or if a client was given.
    pub async fn address(&self) -> Option<String> {
        self.inner.connected.lock().await.settings.as_ref().map(|settings| settings.server.to_string())
    }

    /// Asks the API server what it knows of the present identity.
    pub async fn review(&self, review: Review, question: &Value) -> Result<Answer, Failure> {
        let request = ApiRequest::post(Path::review(review), question.to_string().into_bytes());
        let once = || async { answer::review(review, self.once(&request).await?) };
        self.repeated(Verb::Create, once).await
    }

    /// Sends a JSON Patch. It must begin with `test` operations that make a repetition harmless.
    pub async fn patch(&self, object: Object<'_>, changes: &Value) -> Result<Answer, Failure> {
        let request = ApiRequest::patch(Path::object(object), changes);
        let once = || async { answer::object(object, self.once(&request).await?) };
        self.repeated(Verb::Patch, once).await
    }

    /// Sends a DELETE with these `DeleteOptions`, which must carry the uid.
    pub async fn delete(&self, object: Object<'_>, options: &Value) -> Result<Answer, Failure> {
        let request = ApiRequest::delete(Path::object(object), options);
        let once = || async { answer::deletion(object, self.once(&request).await?) };
        self.repeated(Verb::Delete, once).await
    }

    /// Tries a PATCH or DELETE: admission answers as for a real one, and nothing changes. It is sent once.
    pub async fn dry_run(&self, trial: DryRun, object: Object<'_>, body: &Value) -> Result<Answer, Failure> {
        let path = Path::object(object).with("dryRun", "All");
        let request = match trial {
            DryRun::Patch => ApiRequest::patch(path, body),
            DryRun::Delete => ApiRequest::delete(path, body),
        };
        let answer = self.once(&request).await?;
        match trial {
            DryRun::Patch => answer::object(object, answer),
            DryRun::Delete => answer::deletion(object, answer),
        }
    }

    /// Opens a body that is read as it comes: a watch or a log. The request is not repeated. [`Timing::one_request`]
    /// limits the time to its beginning, which includes the connection and the credentials.
    pub async fn open(&self, path: &Path) -> Result<Response<Body>, Failure> {
        let open =
            async |client: Client, request, readers: HeaderReaders| request::open(&client, request, &readers).await;
        self.limited(&ApiRequest::get(path.clone()), open).await
    }

    async fn once<T: DeserializeOwned>(&self, request: &ApiRequest) -> Result<T, Failure> {
        let send =
            async |client: Client, request, readers: HeaderReaders| request::send(&client, request, &readers).await;
        self.limited(request, send).await
    }

    /// Gives one request its time limit. The work that gets its credentials has a limit of its own, and its error says
    /// so.
    async fn limited<T>(
        &self,
        request: &ApiRequest,
        send: impl AsyncFn(Client, Request<Body>, HeaderReaders) -> Result<(StatusCode, T), Failure>,
    ) -> Result<T, Failure> {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let limit = left.map_or(self.timing.one_request, |left| left.min(self.timing.one_request));
        let whole = Box::pin(self.authenticated(limit, request, send));
        match self.deadline {
            None => whole.await,
            Some(deadline) => {
                let late = |_| Err(Failure::transport(Cause::no_answer_within(limit)));
                tokio::time::timeout_at(deadline, whole).await.unwrap_or_else(late)
            }
        }
    }

    async fn repeated<T, F>(&self, verb: Verb, once: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        // The backoff counts only its pauses, but tries that hang take time, too.
        let end = Instant::now() + self.timing.retry_for;
        let end = self.deadline.map_or(end, |deadline| deadline.min(end));
        let mut answered = None;
        let last = once
            .retry(RetryLimits { seed: self.next_seed(), within: self.timing.retry_for })
            .sleep(tokio::time::sleep)
            .notify(|failure, pause| {
                debug!(failure = %Named(failure), "tried again in {} ms", pause.as_millis());
            })
            .when(|failure| {
                let again = retry::may_repeat(verb, failure) && Instant::now() < end;
                if again && !matches!(failure, Failure::Transport { .. }) {
                    answered = Some(failure.clone());
                }
                again
            })
            // A pause that would end after the deadline leaves no time for another try.
            .adjust(|failure, pause| {
                let in_time =
                    |pause: &Duration| self.deadline.is_none_or(|deadline| Instant::now() + *pause < deadline);
                retry::pause(failure, pause).filter(in_time)
            })
            .await;
        match (last, answered) {
            // The earlier answer of the server explains more than the fact that the deadline cut the last try.
            (Err(Failure::Transport { .. }), Some(answer)) if self.deadline.is_some() => Err(answer),
            (last, _) => last,
        }
    }

    /// Sends with the current client. After a 401, or if a client that has worked fails in a way that does not pass, it
    /// sends once more with a client that has read configuration and credentials again, because files rotate.
    ///
    /// The limit is for each sending. Getting the credentials has its own limit, and its error says so.
    async fn authenticated<T>(
        &self,
        limit: Duration,
        request: &ApiRequest,
        send: impl AsyncFn(Client, Request<Body>, HeaderReaders) -> Result<(StatusCode, T), Failure>,
    ) -> Result<T, Failure> {
        let mut connected = self.connected().await?;
        let mut answer =
            told(request, within(limit, send(client_of(&connected), request.build()?, self.header_readers()))).await;
        if let Err(failure) = &answer
            && (failure.code() == Some(401) || lasts(failure) && connected.has_worked.load(Ordering::Relaxed))
            && let Some(renewed) = self.renewed(connected.generation).await?
        {
            connected = renewed;
            answer = told(request, within(limit, send(client_of(&connected), request.build()?, self.header_readers())))
                .await;
        }
        if matches!(answer, Ok(_) | Err(Failure::Status { .. })) {
            connected.has_worked.store(true, Ordering::Relaxed);
        }
        let failure = match answer {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        if let (Failure::Transport { cause }, Some(settings), true) = (&failure, &connected.settings, lasts(&failure)) {
            // The next request reads the configuration again.
            self.forget(connected.generation).await;
            return Err(Failure::Unusable(settings.blame(cause)));
        }
        Err(match self.inner.recovery.judge(failure) {
            Failure::Transport { cause } => Failure::transport(match &connected.settings {
                Some(settings) => cause.at(&settings.server),
                None => cause,
            }),
            other => other,
        })
    }

    /// The client. It is built at first use, and again before its credentials end.
    async fn connected(&self) -> Result<Connected, Failure> {
        let mut slot = self.inner.connected.lock().await;
        if slot.client.is_none() {
            *slot = self.inner.origin.connect(slot.generation).await.map_err(Failure::Unusable)?;
        } else if let Some(lifetime) = slot.lifetime.filter(|lifetime| lifetime.renew_at <= Timestamp::now()) {
            match self.inner.origin.connect(slot.generation + 1).await {
                Ok(renewed) => *slot = renewed,
                // The source of the credentials may be out of reach for a while, like the API server.
                Err(error) => {
                    let now = Timestamp::now();
                    if lifetime.ends <= now {
                        return Err(Failure::transport(Cause::not_renewed(&error)));
                    }
                    slot.lifetime = Some(lifetime.later(now));
                }
            }
        }
        Ok(slot.clone())
    }

    async fn renewed(&self, seen: u64) -> Result<Option<Connected>, Failure> {
        let ClientOrigin::Configured(_) = self.inner.origin else { return Ok(None) };
        let mut slot = self.inner.connected.lock().await;
        if slot.generation == seen {
            *slot = self.inner.origin.connect(seen + 1).await.map_err(Failure::Unusable)?;
        }
        Ok(Some(slot.clone()))
    }

    async fn forget(&self, seen: u64) {
        let mut slot = self.inner.connected.lock().await;
        if slot.generation == seen {
            *slot = Connected { generation: seen + 1, ..Connected::default() };
        }
    }
}

/// Whether there was no answer, for a reason that does not pass by itself.
fn lasts(failure: &Failure) -> bool {
    matches!(failure, Failure::Transport { .. }) && retry::prospect(failure) == Prospect::Lasts
}

impl ClientOrigin {
    /// Builds a client. It reads files on a thread for blocking work, and may wait for a credential plugin.
    fn connect(&self, generation: u64) -> BoxFuture<'static, Result<Connected, Error>> {
        let Self::Configured(configuration) = self else {
            return Box::pin(std::future::ready(Err(Error::internal("a given client is never rebuilt"))));
        };
        Box::pin(connect(configuration.clone(), generation))
    }
}

async fn connect(configuration: Configuration, generation: u64) -> Result<Connected, Error> {
    let begun = Instant::now();
    let connected = read_and_connect(configuration, generation).await;
    let ms = begun.elapsed().as_millis();
    match &connected {
        Ok(Connected { settings: Some(settings), .. }) => {
            debug!(server = %settings.server, ms, "configuration and credentials read");
        }
        Ok(_) => {}
        Err(error) => debug!(error = %error.report().message, ms, "configuration or credentials not read"),
    }
    connected
}

async fn read_and_connect(configuration: Configuration, generation: u64) -> Result<Connected, Error> {
    let runtime = tokio::runtime::Handle::current();
    let mut loaded = off_the_threads(move || runtime.block_on(configuration.load())).await?;
    let UserCredentials { credentials, lifetime, certificate } =
        credentials::take(&mut loaded.config.auth_info).await?;
    let runtime = tokio::runtime::Handle::current();
    off_the_threads(move || {
        let _context = runtime.enter();
        let mut settings = loaded.settings.clone();
        let unusable = |problem: String| {
            let what = format!("The credentials or certificates for {} cannot be used", loaded.settings.server);
            Error::Configuration(Box::new(Report::new(what).seen(problem)))
        };
        let identity = match certificate {
            Some(issued) => Some((issued, format!("the credential plugin of {}", settings.user))),
            None => tls::identity(&loaded.config.auth_info, &settings.user).map_err(unusable)?,
        };
        let tls = tls::client_config(&loaded.config, identity.as_ref(), &mut settings).map_err(unusable)?;
        Ok(Connected {
            client: Some(transport::build(&loaded, &credentials, tls)?),
            namespace: Some(loaded.namespace),
            settings: Some(Arc::new(settings)),
            has_worked: Arc::default(),
            lifetime,
            generation,
        })
    })
    .await
}

async fn within<T>(limit: Duration, sending: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let late = |_| Err(Failure::transport(Cause::no_answer_within(limit)));
    tokio::time::timeout(limit, sending).await.unwrap_or_else(late)
}

/// Writes the line of one sending into the debug log.
async fn told<T>(
    request: &ApiRequest,
    sending: impl Future<Output = Result<(StatusCode, T), Failure>>,
) -> Result<T, Failure> {
    let logged = Logged::begin(request);
    let answer = sending.await;
    logged.end(&answer);
    answer.map(|(_, answer)| answer)
}

async fn off_the_threads<T: Send + 'static>(
    blocking: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(blocking).await.map_err(|lost| Error::lost(&lost))?
}

struct RetryLimits {
    seed: u64,
    within: Duration,
}

impl backon::BackoffBuilder for RetryLimits {
    type Backoff = backon::ExponentialBackoff;
    fn build(self) -> Self::Backoff {
        retry::backoff(self.seed, Some(self.within))
    }
}

fn client_of(connected: &Connected) -> Client {
    connected.client.clone().expect("set by `connected` and `renewed` before they return")
}
