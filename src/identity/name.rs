//! Makes the name of a Job: `<slug>-<time of the run>-<digest>`.
//!
//! A name has at most 52 characters, as names of `CronJob`s have: Kubernetes adds suffixes to make Pod names and
//! hostnames, which are DNS labels of at most 63 characters. Source: `ValidateJob` and `ValidateCronJob` in kubernetes
//! `pkg/apis/batch`.

use std::fmt;

use chrono::{DateTime, Utc};

use super::{attempt::Attempt, object_names::JobName};

const SLUG: usize = 22;
/// The letters of the digest: 65 bits.
const DIGEST: usize = 13;

/// The beginning of a name: 1 to 22 characters of `a-z0-9-`, without a dash at either end. Characters that are not
/// ASCII are transliterated, so that a reader recognizes them: `größe_报告` is `grosse-bao-gao`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slug(String);

impl From<&str> for Slug {
    fn from(text: &str) -> Self {
        let mut slug = String::new();
        for letter in text.chars().flat_map(in_ascii) {
            match letter {
                'a'..='z' | '0'..='9' => slug.push(letter),
                _ if slug.is_empty() || slug.ends_with('-') => {}
                _ => slug.push('-'),
            }
            if slug.len() == SLUG {
                break;
            }
        }
        slug.truncate(slug.trim_end_matches('-').len());
        Self(if slug.is_empty() { "job".to_owned() } else { slug })
    }
}

/// A letter in lower-case ASCII: the letter itself, the letters for its sound, nothing for a diacritic, or a dash.
fn in_ascii(letter: char) -> impl Iterator<Item = char> {
    let mut own = [0; 4];
    let ascii: String = match letter {
        ascii if ascii.is_ascii() => ascii.encode_utf8(&mut own).to_ascii_lowercase(),
        other => deunicode::deunicode_char(other).unwrap_or("-").to_ascii_lowercase(),
    };
    ascii.into_bytes().into_iter().map(char::from)
}

/// The time of the run, the same for all tries and after a clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunTime(DateTime<Utc>);

impl From<DateTime<Utc>> for RunTime {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time)
    }
}

impl fmt::Display for RunTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A year without exactly four digits would change the length of the name.
        let year = chrono::Datelike::year(&self.0).clamp(0, 9999);
        write!(f, "{year:04}{}", self.0.format("%m%dt%H%M%S"))
    }
}

/// The name of an attempt's Job. `generation` is 0 at first, and grows by one each time a name of this attempt is used
/// up.
#[must_use]
pub fn job_name(attempt: &Attempt, slug: &Slug, time: &RunTime, generation: u32) -> JobName {
    let digest = attempt.digested("name", &[&generation.to_string()]).base32(DIGEST);
    JobName::composed(format!("{}-{time}-{digest}", slug.0))
}

#[cfg(test)]
mod tests {
    use std::{ops::Range, thread};

    use proptest::prelude::*;

    use super::{super::attempt::TaskIdentity, *};

    fn attempt(dag: &str, task: &str, run: &str, map_index: i64, try_number: u32) -> Attempt {
        let task = TaskIdentity {
            deployment: "prod".into(),
            dag_id: dag.into(),
            run_id: run.into(),
            task_id: task.into(),
            map_index,
        };
        Attempt { task, try_number, instance: "i".into(), max_tries: None, retries: None, clear_number: None }
    }

    fn named(attempt: &Attempt, slug: &str, generation: u32) -> String {
        let time = RunTime("2026-01-01T06:00:00Z".parse().unwrap());
        job_name(attempt, &Slug::from(slug), &time, generation).into()
    }

    #[test]
    fn names_never_change() {
        let long = "x".repeat(300);
        let golden = [
            (attempt("etl", "train", "manual__1", -1, 1), "train", 0, "train-20260101t060000-vozhytjevnypf"),
            (attempt("etl", "train", "manual__1", -1, 2), "train", 0, "train-20260101t060000-lpzht6niuudvc"),
            (attempt("etl", "train", "manual__1", 0, 1), "train", 0, "train-20260101t060000-6zsxevusyrptc"),
            (attempt("etl", "train", "manual__1", -1, 1), "train", 1, "train-20260101t060000-4rerfz7jm5ugh"),
            (attempt("", "", "", -1, 0), "", 0, "job-20260101t060000-vcw4wrhnsfvxo"),
            (
                attempt("größe", "日本語", "scheduled__2026-01-01T00:00:00+00:00", 7, 3),
                "日本語 Größe 7",
                0,
                "ri-ben-yu-grosse-7-20260101t060000-wvxqi2e5ujcjm",
            ),
            (
                attempt(&long, &long, &long, i64::from(i32::MAX), 99),
                &long,
                0,
                "xxxxxxxxxxxxxxxxxxxxxx-20260101t060000-c7eon5y4mcgmp",
            ),
            (
                attempt("etl.team", "load.__Step--2__", "r", -1, 1),
                "load.__Step--2__",
                0,
                "load-step-2-20260101t060000-zns3mzqn637d6",
            ),
        ];
        let names: Vec<_> =
            golden.iter().map(|(attempt, slug, generation, _)| named(attempt, slug, *generation)).collect();
        assert_eq!(names, golden.map(|(.., expected)| expected));
    }

    #[test]
    fn slugs_never_change() {
        let golden = [
            ("größe_报告", "grosse-bao-gao"),
            ("campaña", "campana"),
            ("e\u{301}te\u{301} 2026", "ete-2026"),
            ("отчёт", "otchiot"),
            ("Ελλάδα", "ellada"),
            ("日報", "ri-bao"),
            ("データ", "deta"),
            ("보고서", "bogoseo"),
            ("تقرير", "tqryr"),
            ("Straße №5", "strasse-no5"),
            ("rocket🚀launch", "rocketrocket-launch"),
            ("İstanbul", "istanbul"),
            ("\u{202e}\u{200b}", "job"),
            ("\u{e000}", "job"),
            ("ﬁnal＿Ｒｕｎ", "final-run"),
            // As they were before anything was transliterated.
            ("nightly-etl-", "nightly-etl"),
            ("Load.__Step--2__", "load-step-2"),
            ("K8S_Job 7", "k8s-job-7"),
            ("--", "job"),
        ];
        let slugs: Vec<_> = golden.iter().map(|(text, _)| Slug::from(*text).0).collect();
        assert_eq!(slugs, golden.map(|(_, slug)| slug));
    }

    #[test]
    fn ten_million_attempts_of_one_slug_and_time_have_ten_million_names() {
        // Of the 65 bits in a name: if these differ, the names do.
        let of = |numbers: Range<u64>| {
            let mut attempt = attempt("etl", "train", "manual__1", -1, 1);
            let digest = |number: u64| {
                attempt.instance = number.to_string();
                attempt.digested("name", &["0"]).sixty_bits()
            };
            numbers.map(digest).collect::<Vec<_>>()
        };
        let mut digests = thread::scope(|scope| {
            let half = scope.spawn(|| of(0..5_000_000));
            [of(5_000_000..10_000_000), half.join().unwrap()].concat()
        });
        digests.sort_unstable();
        assert!(digests.windows(2).all(|pair| pair[0] != pair[1]));
    }

    fn valid(name: &str) -> bool {
        let ends = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        name.len() <= 52
            && name.chars().all(|letter| ends(letter) || letter == '-')
            && name.starts_with(ends)
            && name.ends_with(ends)
    }

    proptest! {
        #[test]
        fn names_of_arbitrary_unicode_ids_are_valid(slug: String, dag: String, run: String, task: String, map in any::<i32>(), no: u32, generation: u32) {
            let name = named(&attempt(&dag, &task, &run, map.into(), no), &slug, generation);
            prop_assert!(valid(&name), "{name}");
        }

        #[test]
        fn names_of_different_attempts_differ(a: (String, String, String, i32, u32), b: (String, String, String, i32, u32)) {
            let name = |(dag, task, run, map, no): &(String, String, String, i32, u32)| {
                named(&attempt(dag, task, run, (*map).into(), *no), "same", 0)
            };
            prop_assert_eq!(name(&a) == name(&b), a == b);
        }

        #[test]
        fn moving_a_letter_from_one_id_to_the_next_changes_the_name(dag in ".{1,8}", task: String, run: String) {
            let mut shorter = dag.clone();
            let moved = shorter.pop().unwrap();
            let other = format!("{moved}{run}");
            prop_assert_ne!(
                named(&attempt(&dag, &task, &run, -1, 1), "same", 0),
                named(&attempt(&shorter, &task, &other, -1, 1), "same", 0)
            );
        }

        #[test]
        fn two_deployments_with_equal_ids_never_share_a_name(a: String, b: String, dag: String, run: String, task: String) {
            prop_assume!(a != b);
            let of = |deployment: &str| {
                let mut attempt = attempt(&dag, &task, &run, -1, 1);
                attempt.task.deployment = deployment.to_owned();
                named(&attempt, "same", 0)
            };
            prop_assert_ne!(of(&a), of(&b));
        }
    }
}
