//! Turns a panic into an error that names its location in the source.
//!
//! Promise: the text of a panic, which may quote a token or a kubeconfig, goes neither to standard error nor into an
//! error ([`Error::internal`]). Only the location does, as `src/file.rs:12`. A text that is a constant of the source has
//! nothing of a user in it, and is shown, too.

use std::{
    any::Any,
    cell::RefCell,
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind, set_hook},
};

use futures::FutureExt;

use crate::error::Error;

thread_local! {
    /// The location where this thread panicked last.
    static PANICKED_AT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Sets the hook that reports every panic of this process's Rust code by its location. Without it, the text of a panic
/// goes to standard error.
pub fn tell_by_place() {
    set_hook(Box::new(|panic| {
        let location = panic.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
        let _ = writeln!(std::io::stderr(), "unique-k8s-job: a panic at {location}");
        PANICKED_AT.set(location);
    }));
}

/// Does work, and returns an error if it panics.
pub fn caught<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(internal(&*panic)))
}

/// The same for asynchronous work.
pub async fn caught_in<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| Err(internal(&*panic)))
}

fn internal(panic: &(dyn Any + Send)) -> Error {
    let location = PANICKED_AT.take();
    let text = panic.downcast_ref::<&'static str>().copied().unwrap_or("its message is not shown");
    Error::internal(format!("a panic at {location}: {text}"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Says what becomes of panics in a process of its own, since what is told by whom is the same for a whole process.
    #[test]
    #[expect(clippy::print_stdout, reason = "read by the process that started it")]
    fn panic_is_told_by_its_place_and_not_by_its_text() {
        const SELF: &str = "panics::tests::panic_is_told_by_its_place_and_not_by_its_text";
        if std::env::var_os("PANICS_ARE_TOLD_BY_PLACE").is_some() {
            tell_by_place();
            let secret = format!("hunter2-{}", std::process::id());
            let error: Result<(), Error> = caught(|| panic!("no place for {secret}"));
            println!("told: {}", error.unwrap_err());
            let no_number = || Ok(secret.parse::<u8>().expect("a number"));
            println!("told: {}", caught(no_number).unwrap_err());
            let later = caught_in(async { panic!("as it stands in the source") });
            let error: Result<(), Error> = later.now_or_never().unwrap();
            println!("told: {}", error.unwrap_err());
            return;
        }
        let program = std::env::current_exe().unwrap();
        let ended = Command::new(program)
            .args(["--exact", SELF, "--nocapture"])
            .env("PANICS_ARE_TOLD_BY_PLACE", "1")
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        assert!(ended.status.success() && !out.contains("hunter2") && !err.contains("hunter2"), "{out}{err}");
        let told: Vec<_> = out.lines().filter_map(|line| line.split_once("told: ")).map(|(_, told)| told).collect();
        assert_eq!(told.len(), 3, "{out}{err}");
        for (told, text) in told.iter().zip(["not shown", "not shown", "as it stands in the source"]) {
            assert!(told.starts_with("internal error: a panic at src/panics.rs:") && told.contains(text), "{told}");
        }
        assert_eq!(err.matches("unique-k8s-job: a panic at src/panics.rs:").count(), 3, "{err}");
    }
}
