//! Tells the native module from which commit it is built: `UNIQUE_K8S_JOB_COMMIT`, else what git says of this checkout.
//!
//! Without git, and in a build for development, which has no commit of its own, it is unknown: no build fails for it.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=UNIQUE_K8S_JOB_COMMIT");
    let given = std::env::var("UNIQUE_K8S_JOB_COMMIT").ok();
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = given.or_else(|| if release { of_checkout() } else { None });
    println!("cargo:rustc-env=UNIQUE_K8S_JOB_COMMIT={}", commit.unwrap_or_default());
}

/// The commit that is checked out. Each new one has the module built again.
fn of_checkout() -> Option<String> {
    // An sdist that is unpacked inside another checkout is not built from that one.
    std::path::Path::new(".git").exists().then_some(())?;
    // A file that is not there would have it built again each time.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| std::path::Path::new(log).exists()) {
        println!("cargo:rerun-if-changed={log}");
    }
    let dirty = if git(&["status", "--porcelain", "--", "src", "Cargo.lock"])?.is_empty() { "" } else { ", changed" };
    Some(git(&["rev-parse", "--short=12", "HEAD"])? + dirty)
}

fn git(words: &[&str]) -> Option<String> {
    let answer = Command::new("git").args(words).output().ok()?;
    answer.status.success().then(|| String::from_utf8_lossy(&answer.stdout).trim().to_owned())
}
