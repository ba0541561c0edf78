//! The objects of the simulated API server, their versions, and the history that watches read.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

/// `jobs`, `pods` or `events`, namespace, name.
pub type Key = (String, String, String);

/// One change, as a watch tells it.
#[derive(Debug, Clone)]
pub struct Change {
    pub version: u64,
    pub key: Key,
    /// The state before, none for a new object.
    pub before: Option<Value>,
    /// The state after, none for a deleted object.
    pub after: Option<Value>,
}

#[derive(Debug)]
pub struct Store {
    begin: Instant,
    objects: BTreeMap<Key, Value>,
    pub history: Vec<Change>,
    pub version: u64,
    /// Watches from before this version are answered with 410.
    pub compacted: u64,
    uids: u64,
    /// Names of Jobs in the order in which they were made.
    pub jobs_made: Vec<String>,
}

impl Store {
    /// An empty one, whose time begins with the year.
    pub fn new() -> Self {
        Self {
            begin: Instant::now(),
            objects: BTreeMap::new(),
            history: Vec::new(),
            version: 0,
            compacted: 0,
            uids: 0,
            jobs_made: Vec::new(),
        }
    }

    /// The time of the simulated server.
    pub fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.begin.elapsed()).expect("a short test");
        "2026-01-01T00:00:00Z".parse::<Timestamp>().expect("a time") + passed
    }

    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    pub fn list(&self, resource: &str, namespace: &str) -> impl Iterator<Item = &Value> {
        let (resource, namespace) = (resource.to_owned(), namespace.to_owned());
        self.objects.iter().filter(move |(key, _)| key.0 == resource && key.1 == namespace).map(|(_, object)| object)
    }

    pub fn create(&mut self, key: Key, mut object: Value) -> Value {
        self.uids += 1;
        object["metadata"]["uid"] = json!(format!("uid-{}", self.uids));
        object["metadata"]["creationTimestamp"] = json!(self.now().strftime("%FT%TZ").to_string());
        object["metadata"]["namespace"] = json!(key.1);
        object["metadata"]["name"] = json!(key.2);
        if key.0 == "jobs" {
            self.jobs_made.push(key.2.clone());
        }
        self.put(key, object)
    }

    /// Stores a new state; one that is terminating and held by nobody is removed.
    pub fn put(&mut self, key: Key, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        // A Pod stays until the kubelet has seen its containers end.
        let runs = key.0 == "pods" && object["status"]["phase"] == "Running";
        let held = runs || object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
        if !object["metadata"]["deletionTimestamp"].is_null() && !held {
            let before = self.objects.remove(&key);
            self.history.push(Change {
                version: self.version,
                key,
                before: Some(before.unwrap_or_else(|| object.clone())),
                after: None,
            });
            return object;
        }
        let before = self.objects.insert(key.clone(), object.clone());
        self.history.push(Change { version: self.version, key, before, after: Some(object.clone()) });
        object
    }

    pub fn remove(&mut self, key: &Key) -> Option<Value> {
        let mut object = self.objects.get(key)?.clone();
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:01Z");
        object["metadata"]["finalizers"] = json!([]);
        object["status"]["phase"] = json!("Failed");
        Some(self.put(key.clone(), object))
    }
}

/// Whether an object matches a `labelSelector` of equalities, presences and absences and a `fieldSelector` of equalities.
pub fn matches(object: &Value, labels: &str, fields: &str) -> bool {
    let terms = |selector: &str| -> Vec<(String, String)> {
        selector
            .split(',')
            .filter(|term| !term.is_empty())
            .map(|term| {
                let (key, value) =
                    term.split_once('=').unwrap_or_else(|| panic!("a selector that is not simulated: {term}"));
                (key.to_owned(), value.to_owned())
            })
            .collect()
    };
    if let Some((key, values)) = labels.split_once(" in (") {
        let label = object["metadata"]["labels"][key].as_str();
        return label.is_some_and(|label| values.trim_end_matches(')').split(',').any(|value| value == label));
    }
    let (absent, labels): (Vec<_>, Vec<_>) = labels.split(',').partition(|term| term.starts_with('!'));
    let (present, labels): (Vec<_>, Vec<_>) =
        labels.into_iter().partition(|term| !term.is_empty() && !term.contains('='));
    if present.iter().any(|term| object["metadata"]["labels"][term].is_null()) {
        return false;
    }
    if absent.iter().any(|term| !object["metadata"]["labels"][&term[1..]].is_null()) {
        return false;
    }
    let label = |(key, value): (String, String)| object["metadata"]["labels"][&key].as_str() == Some(value.as_str());
    let field = |(key, value): (String, String)| {
        let pointer = format!("/{}", key.replace('.', "/"));
        object.pointer(&pointer).and_then(Value::as_str) == Some(value.as_str())
    };
    terms(&labels.join(",")).into_iter().all(label) && terms(fields).into_iter().all(field)
}
