//! What a container printed in the run before its current one.
//!
//! The kubelet keeps the log of one ended run, asked for as `previous`. Where it cannot be had, a mark says so.

use super::{
    container::ContainerNow,
    container_log::{ContainerFollower, PassEnd, REFUSED_AGAIN},
    source::{LogApi, LogRun},
    undelivered::{ReadState, Undelivered},
};

/// Answers such as `previous terminated container not found` are final after so many.
const NOT_FOUND_AGAIN: u32 = 2;

/// What came of reading an earlier run's log.
enum PreviousRun {
    /// It was read to its end.
    Whole,
    /// It does not contain the last line that was delivered.
    Other,
    Unreadable(String),
}

impl<A: LogApi> ContainerFollower<A> {
    /// The container was started again: completes the log of `run`, and gives what is undelivered of the run `current`.
    /// `clean` where the log of `run` probably was read to its end.
    pub(crate) async fn restarted(
        &self,
        run: i32,
        mut undelivered: Undelivered,
        clean: bool,
        current: i32,
    ) -> Undelivered {
        if current > run + 1 {
            self.over::<()>(&mut undelivered).await;
            self.mark(&format!("restarted {} times unseen: those logs are gone", current - run)).await;
            undelivered = Undelivered::new(current - 1, None);
        }
        let mut of_current = Undelivered::new(current, None);
        match self.earlier(&mut undelivered, current).await {
            PreviousRun::Whole => {}
            PreviousRun::Unreadable(_) if clean => {}
            PreviousRun::Unreadable(why) => {
                self.mark(&format!("the end of the log before restart {current} may be missing: {why}")).await;
            }
            PreviousRun::Other => {
                // The log of the next run is served a moment before the Pod tells of it.
                self.pass(&mut undelivered, LogRun::Current).await;
                if undelivered.state() == ReadState::Reached {
                    self.mark(&format!("the run before restart {current} printed, up to its end:")).await;
                    of_current =
                        std::mem::replace(&mut undelivered, Undelivered::new(current - 1, None)).of_run(current);
                } else {
                    self.gap(&mut undelivered).await;
                }
                if let PreviousRun::Unreadable(why) = self.earlier(&mut undelivered, current).await {
                    self.mark(&format!("the end of the log before restart {current} may be missing: {why}")).await;
                }
            }
        }
        self.over::<()>(&mut undelivered).await;
        self.mark(&format!("restart {current}: its log follows")).await;
        of_current
    }

    async fn earlier(&self, undelivered: &mut Undelivered, current: i32) -> PreviousRun {
        let mut soon = true;
        let (mut words, mut not_found) = (0, 0);
        let mut clean_before = false;
        loop {
            if soon {
                self.pauses.soon().await;
            } else {
                self.pauses.turn().await;
            }
            let end = self.pass(undelivered, LogRun::Previous).await;
            match &end {
                PassEnd::Closed => return PreviousRun::Whole,
                PassEnd::Clean(_) => {
                    undelivered.ended();
                    if undelivered.nothing_new() && clean_before {
                        return PreviousRun::Whole;
                    }
                }
                PassEnd::NotLog(_) => words += 1,
                PassEnd::Unavailable(failure) if matches!(failure.code(), Some(400 | 403 | 404)) => not_found += 1,
                PassEnd::Unavailable(_) | PassEnd::Broken | PassEnd::Silent => {}
            }
            if undelivered.state() == ReadState::Lost {
                return PreviousRun::Other;
            }
            if words >= REFUSED_AGAIN || not_found >= NOT_FOUND_AGAIN {
                return PreviousRun::Unreadable(end.why());
            }
            clean_before = matches!(end, PassEnd::Clean(_)) && undelivered.state() == ReadState::Reached;
            soon = clean_before || undelivered.brought() || undelivered.state() == ReadState::Moved;
            if soon {
                continue;
            }
            match self.api.container_state(&self.source).await {
                Ok(ContainerNow::PodGone) => return PreviousRun::Unreadable("the Pod is gone".into()),
                Ok(ContainerNow::Run { restart_count, .. }) if restart_count > current => {
                    return PreviousRun::Unreadable(format!("restart {restart_count} came meanwhile"));
                }
                _ => {}
            }
        }
    }
}
