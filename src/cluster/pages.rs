//! Reads a list page by page, so that only one page is in memory.
//!
//! Promise: it ends. A place in the list that was asked for before, a list that begins anew again and again, and one that
//! has no end, in pages or in time, are failed answers. Pages that bring less than was asked for come with growing pauses.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    marker::PhantomData,
    time::Duration,
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::{cause::Cause, connection::Cluster, pauses::Pauses, request::Failure};
use crate::resource::Malformed;
use crate::unreadable::nullable;
use crate::{
    error::Error,
    resource::{Path, Resource, Selector, Verb},
    unreadable,
};

/// So many objects a page; the API server's own clients use 500, too.
const PAGE: usize = 500;
/// No list has more pages: that would be five million objects.
const MOST_PAGES: usize = 10_000;
/// How often a list may begin. The API server forgets a place in a list after some minutes, and a list that takes
/// longer this often does not end.
const MOST_BEGINNINGS: u32 = 4;
/// All pages of a list together may take this long to come: a good server sends a million objects meanwhile.
const LONGEST_LIST: Duration = Duration::from_secs(600);

/// A list that is being read.
pub struct Pages<'a, T> {
    cluster: &'a Cluster,
    resource: Resource,
    /// The path of the list, without the cursor.
    path: Path,
    cursor: PageCursor,
    /// The places that were used so far, by their hash.
    seen_cursors: HashSet<u64>,
    beginnings: u32,
    /// How long its pages have taken to come, with the pauses; not the time of those who read them.
    taken: Duration,
    pauses: Pauses,
    kind: PhantomData<fn() -> T>,
}

enum PageCursor {
    First,
    After(String),
    End,
}

impl From<Malformed> for Failure {
    fn from(Malformed { resource, object, why }: Malformed) -> Self {
        Self::Unexpected { instead_of: format!("a {}", resource.kind()), why: format!("`{object}`: {why}") }
    }
}

impl From<Malformed> for Error {
    fn from(unreadable: Malformed) -> Self {
        let what = format!("understand {} `{}`", unreadable.resource.kind(), unreadable.object);
        let resource = unreadable.resource;
        Failure::from(unreadable).into_error(&what, Verb::Get, resource, None)
    }
}

/// One page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// The objects, in the order of the server.
    pub items: Vec<T>,
    /// The objects that do not have the form of their kind.
    pub unreadable: Vec<Malformed>,
    /// The version of the list.
    pub resource_version: String,
    /// Whether the list began again: the objects of earlier pages do not count then.
    pub anew: bool,
}

/// A page as it was sent. Its objects stay text until each is read, so that one that cannot be read hides no other.
#[derive(Deserialize)]
pub(super) struct Body {
    #[serde(default)]
    pub kind: String,
    #[serde(default)]
    metadata: ListMetadata,
    #[serde(default, deserialize_with = "nullable")]
    items: Vec<Box<RawValue>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ListMetadata {
    resource_version: String,
    r#continue: String,
}

impl<'a, T: DeserializeOwned> Pages<'a, T> {
    pub(super) fn new(cluster: &'a Cluster, resource: Resource, collection: Path, selector: &Selector) -> Self {
        let path = collection.with("limit", &PAGE.to_string()).selected(selector);
        let pauses = Pauses::new(cluster.next_seed());
        Self {
            cluster,
            resource,
            path,
            cursor: PageCursor::First,
            seen_cursors: HashSet::new(),
            beginnings: 1,
            taken: Duration::ZERO,
            pauses,
            kind: PhantomData,
        }
    }

    /// The next page, `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Page<T>>, Failure> {
        let (asked, left) = (Instant::now(), LONGEST_LIST.saturating_sub(self.taken));
        let next = tokio::time::timeout(left, self.asked_for()).await;
        self.taken += asked.elapsed();
        next.unwrap_or_else(|_| Err(Failure::transport(Cause::long_list(LONGEST_LIST))))
    }

    async fn asked_for(&mut self) -> Result<Option<Page<T>>, Failure> {
        let mut anew = matches!(self.cursor, PageCursor::First);
        loop {
            let path = match &self.cursor {
                PageCursor::First => self.path.clone(),
                PageCursor::After(token) => self.path.clone().with("continue", token),
                PageCursor::End => return Ok(None),
            };
            match self.cluster.page(self.resource, &path).await {
                Ok(body) => {
                    let ListMetadata { resource_version, r#continue } = body.metadata;
                    self.cursor = self.cursor_after(r#continue)?;
                    if body.items.len() < PAGE && matches!(self.cursor, PageCursor::After(_)) {
                        self.pauses.turn().await;
                    }
                    let (items, unreadable) = self.parse(body.items);
                    return Ok(Some(Page { items, unreadable, resource_version, anew }));
                }
                // The API server forgets a place in a list after some minutes.
                Err(failure) if failure.code() == Some(410) && matches!(self.cursor, PageCursor::After(_)) => {
                    self.begin_anew(failure)?;
                    anew = true;
                    self.pauses.turn().await;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    fn begin_anew(&mut self, failure: Failure) -> Result<(), Failure> {
        self.cursor = PageCursor::First;
        self.seen_cursors.clear();
        self.beginnings += 1;
        if self.beginnings > MOST_BEGINNINGS { Err(failure) } else { Ok(()) }
    }

    /// The cursor of the next page.
    fn cursor_after(&mut self, token: String) -> Result<PageCursor, Failure> {
        if token.is_empty() {
            return Ok(PageCursor::End);
        }
        let mut hasher = DefaultHasher::new();
        token.hash(&mut hasher);
        if !self.seen_cursors.insert(hasher.finish()) {
            return Err(Failure::transport("a list that goes in a circle: it names the same `continue` again"));
        }
        if self.seen_cursors.len() >= MOST_PAGES {
            return Err(Failure::transport(Cause::endless_list(MOST_PAGES)));
        }
        Ok(PageCursor::After(token))
    }

    fn parse(&self, objects: Vec<Box<RawValue>>) -> (Vec<T>, Vec<Malformed>) {
        let (mut items, mut malformed) = (Vec::with_capacity(objects.len()), Vec::new());
        for object in objects {
            // The parser's message about a malformed object quotes it, so it is not used.
            if let Ok(item) = serde_json::from_str(object.get()) {
                items.push(item);
            } else {
                let why = unreadable::from_json::<T>(object.get().as_bytes()).err();
                let why = why.map(|why| why.to_string()).unwrap_or_default();
                let object = serde_json::from_str(object.get()).unwrap_or_default();
                malformed.push(Malformed::new(self.resource, &object, why));
            }
        }
        (items, malformed)
    }
}
