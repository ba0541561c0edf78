//! Keeps how far the logs of all containers of a Job were delivered. Pure.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::log_position::Position;
use crate::identity::Owner;

/// How far the log of one container of one Pod was delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePosition {
    /// The Pod's uid.
    pub pod: String,
    /// The container's name.
    pub container: String,
    /// How far.
    #[serde(flatten)]
    pub position: Position,
}

/// The value of the annotation about the delivery of a Job's logs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPositions {
    /// The owner that got the lines: the log of another owner starts at the beginning.
    #[serde(default)]
    pub owner: Option<Owner>,
    /// Whether exactly this was delivered, because the writer has ended since. Otherwise more may have been delivered.
    #[serde(default)]
    pub exact: bool,
    /// How far.
    #[serde(default)]
    pub positions: Vec<SourcePosition>,
}

/// At most this many containers are remembered on the Job: an object holds 256 KiB of annotations.
const REMEMBERED: usize = 500;

impl StoredPositions {
    /// Reads an annotation. One that cannot be read was written by somebody else and counts as empty.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The annotation for this owner, with these positions and those that were written before.
    #[must_use]
    pub fn now(owner: &Owner, positions: Vec<SourcePosition>, before: Option<&Self>, exact: bool) -> Self {
        let before = before
            .filter(|before| before.owner.as_ref() == Some(owner))
            .into_iter()
            .flat_map(|before| before.positions.iter().cloned());
        let mut positions = positions.into_iter().chain(before).collect::<Positions>().list();
        positions.sort_by(|a, b| (&a.pod, &a.container).cmp(&(&b.pod, &b.container)));
        let exact = exact && positions.len() <= REMEMBERED;
        positions.truncate(REMEMBERED);
        Self { owner: Some(owner.clone()), exact, positions }
    }

    /// Writes it as JSON text.
    #[must_use]
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The position of each container, moved forward only.
#[derive(Debug, Clone, Default)]
pub struct Positions(HashMap<(String, String), Position>);

impl Positions {
    /// Notes that a record was handed over that ends here; none if the record is a sentence of ours.
    pub fn delivered(&mut self, at: Option<&SourcePosition>) {
        if let Some(at) = at {
            self.0.insert((at.pod.clone(), at.container.clone()), at.position.clone());
        }
    }

    /// All positions.
    #[must_use]
    pub fn list(&self) -> Vec<SourcePosition> {
        let list = self.0.iter().map(|((pod, container), position)| SourcePosition {
            pod: pod.clone(),
            container: container.clone(),
            position: position.clone(),
        });
        list.collect()
    }
}

impl FromIterator<SourcePosition> for Positions {
    /// If a container comes twice, the position that is further on counts.
    fn from_iter<I: IntoIterator<Item = SourcePosition>>(list: I) -> Self {
        let mut positions = Self::default();
        for SourcePosition { pod, container, position } in list {
            let known = positions.0.entry((pod, container)).or_insert_with(|| position.clone());
            if position.further_than(known) {
                *known = position;
            }
        }
        positions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(try_number: u32) -> Owner {
        serde_json::from_value(serde_json::json!(format!("task/{try_number}/instance"))).unwrap()
    }

    fn at(pod: &str, restart_count: i32, delivered: u64) -> SourcePosition {
        let since = Some("2026-01-01T00:00:00Z".into());
        let position = Position { restart_count, since, delivered: Some(delivered), last: delivered, partial: 0 };
        SourcePosition { pod: pod.into(), container: "base".into(), position }
    }

    #[test]
    fn what_was_written_before_is_never_taken_back() {
        let before =
            StoredPositions { owner: Some(owner(1)), exact: true, positions: vec![at("a", 0, 9), at("b", 0, 1)] };
        let handed_over = || vec![at("a", 0, 5), at("b", 1, 0), at("c", 0, 2)];
        let now = StoredPositions::now(&owner(1), handed_over(), Some(&before), false);
        assert_eq!((now.exact, now.positions), (false, vec![at("a", 0, 9), at("b", 1, 0), at("c", 0, 2)]));
        for other in [Some(owner(1)), None] {
            let before = StoredPositions { owner: other, ..before.clone() };
            let now = StoredPositions::now(&owner(2), handed_over(), Some(&before), false);
            let expected = StoredPositions { owner: Some(owner(2)), exact: false, positions: handed_over() };
            assert_eq!(now, expected, "but another owner has had its own log");
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_nothing_is_believed_of_other_text() {
        let delivered = StoredPositions { owner: Some(owner(1)), exact: true, positions: vec![at("a", 2, 7)] };
        assert_eq!(StoredPositions::read(&delivered.write()), Some(delivered));
        assert_eq!(StoredPositions::read("yes"), None);
        assert_eq!(StoredPositions::read("{}"), Some(StoredPositions::default()));
    }

    #[test]
    fn positions_of_too_many_containers_are_not_exact() {
        let many: Vec<_> = (0..=REMEMBERED).map(|number| at(&format!("{number:04}"), 0, 1)).collect();
        let now = StoredPositions::now(&owner(1), many, None, true);
        assert_eq!((now.exact, now.positions.len()), (false, REMEMBERED));
        assert!(now.write().len() < 128 << 10, "{}", now.write().len());
    }
}
