//! A list that is read page by page, so that its size in memory is that of a page.

use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use super::{
    Cluster, Selector,
    request::{Failure, Resource},
};

/// So many objects a page; the API server's own clients use 500, too.
const PAGE: u32 = 500;

/// A list under way.
pub struct Pages<'a, T> {
    cluster: &'a Cluster,
    /// The query but its place in the list.
    path: String,
    place: Place,
    kind: PhantomData<fn() -> T>,
}

enum Place {
    First,
    After(String),
    End,
}

/// Some objects of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// In the order of the server.
    pub items: Vec<T>,
    /// The version of the list.
    pub resource_version: String,
    /// The list began anew: what earlier pages brought does not count.
    pub anew: bool,
}

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Body<T> {
    #[serde(default)]
    metadata: ListMetadata,
    #[serde(default = "Vec::new", deserialize_with = "nullable")]
    items: Vec<T>,
}

/// Reads what Go writes as null in places where it is empty.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ListMetadata {
    resource_version: String,
    r#continue: String,
}

impl<'a, T: DeserializeOwned> Pages<'a, T> {
    pub(super) fn new(cluster: &'a Cluster, resource: Resource, namespace: &str, selector: &Selector) -> Self {
        let path = format!("{}?limit={PAGE}{}", resource.path(namespace), selector.query());
        Self { cluster, path, place: Place::First, kind: PhantomData }
    }

    /// The next page, `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Page<T>>, Failure> {
        let mut anew = matches!(self.place, Place::First);
        loop {
            let path = match &self.place {
                Place::First => self.path.clone(),
                Place::After(token) => format!("{}&continue={}", self.path, super::watch::encoded(token)),
                Place::End => return Ok(None),
            };
            match self.cluster.read::<Body<T>>(&path).await {
                Ok(body) => {
                    let ListMetadata { resource_version, r#continue } = body.metadata;
                    self.place = if r#continue.is_empty() { Place::End } else { Place::After(r#continue) };
                    return Ok(Some(Page { items: body.items, resource_version, anew }));
                }
                // The place in the list is forgotten after some minutes.
                Err(failure) if failure.code() == Some(410) && matches!(self.place, Place::After(_)) => {
                    self.place = Place::First;
                    anew = true;
                }
                Err(failure) => return Err(failure),
            }
        }
    }
}
