//! Decides whether the user cleared a task between an earlier try and this one. Pure.
//!
//! Clearing a finished task sets `max_tries` to its try number plus `retries`. Clearing a running task also raises the
//! DAG run's `clear_number`, from Airflow 3.2 on. A retry changes neither. In doubt the answer is "cleared", because a
//! user who cleared the task wants the work done again and not an old outcome.

use super::{attempt::Attempt, labels::AttemptMetadata};

/// How this try follows an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The task was cleared in between.
    Cleared,
    /// The earlier try ended badly, or its worker died.
    Retried,
}

/// Judges the Job of an earlier try.
#[must_use]
pub fn relation(ours: &Attempt, earlier: &AttemptMetadata) -> Relation {
    let (Some(max_tries), Some(retries)) = (ours.max_tries, ours.retries) else { return Relation::Cleared };
    let first_since_clear = max_tries - retries + 1;
    let before_clear = i64::from(earlier.try_number) < first_since_clear;
    let changed = earlier.max_tries != ours.max_tries || earlier.clear_number != ours.clear_number;
    if before_clear || changed { Relation::Cleared } else { Relation::Retried }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::{
            attempt::TaskIdentity,
            labels::{annotations, labels},
            manifest_digest::ManifestDigest,
        },
        *,
    };

    fn attempt(try_number: u32, max_tries: i64, clear_number: Option<i64>) -> Attempt {
        let text = String::new;
        let task = TaskIdentity { deployment: text(), dag_id: text(), run_id: text(), task_id: text(), map_index: -1 };
        Attempt { task, try_number, instance: text(), max_tries: Some(max_tries), retries: Some(3), clear_number }
    }

    fn metadata(attempt: &Attempt) -> AttemptMetadata {
        let annotations = annotations(attempt, &ManifestDigest::read("m"));
        AttemptMetadata::read(&json!({"metadata": {"labels": labels(attempt), "annotations": annotations}})).unwrap()
    }

    #[test]
    fn clear_and_retry_are_told_apart_as_airflow_counts_them() {
        use Relation::{Cleared, Retried};
        let cases = [
            ("a retry", (1, 3, Some(0)), (2, 3, Some(0)), Retried),
            ("a second retry", (1, 3, Some(0)), (3, 3, Some(0)), Retried),
            ("cleared while running", (2, 3, Some(0)), (3, 5, Some(1)), Cleared),
            ("a retry after that clear", (3, 5, Some(1)), (4, 5, Some(1)), Retried),
            ("cleared after success", (3, 5, Some(1)), (4, 6, Some(2)), Cleared),
            ("before 3.2: a retry", (1, 3, None), (2, 3, None), Retried),
            ("before 3.2: cleared after success", (1, 3, None), (2, 4, None), Cleared),
            ("before 3.2: two clears back", (1, 3, None), (3, 5, None), Cleared),
            ("upgraded in between", (1, 3, None), (2, 3, Some(0)), Cleared),
        ];
        for (name, (number, max, clears), (our_number, our_max, our_clears), expected) in cases {
            let earlier = metadata(&attempt(number, max, clears));
            assert_eq!(relation(&attempt(our_number, our_max, our_clears), &earlier), expected, "{name}");
        }
    }

    #[test]
    fn unknown_counts_mean_cleared() {
        let mut ours = attempt(2, 3, None);
        ours.max_tries = None;
        assert_eq!(relation(&ours, &metadata(&attempt(1, 3, None))), Relation::Cleared);
    }
}
