//! Reads what the containers of a Job print: live, all of it, each line once.
//!
//! Promise: whatever cuts a stream (API server, kubelet, a half-open link), reading resumes at a whole second and
//! skips exactly the lines already delivered; what can no longer be read is a marked line at that place. Memory is
//! bounded by [`BUFFER`] however much a Job prints: who reads slowly slows the reading, nothing is dropped.
//! `lines`, `undelivered`, `record`, `divide`, `level` and `container` are pure; `container_log` and `previous_run` read, through `source` and
//! `gather`;
//! `channel` hands over, `stream_quota` shares a process among many Jobs, and `position_store` keeps on the Job how far
//! its log was delivered.

mod channel;
mod container;
mod container_log;
mod divide;
mod gather;
mod level;
mod lines;
pub(crate) mod position_store;
mod previous_run;
mod record;
#[cfg(test)]
mod sim_kubelet;
mod source;
mod stall;
mod stream_quota;
mod undelivered;

pub use channel::{Receiver, Sink, channel};
pub use container::ContainerNow;
pub use container_log::{LogStart, LogTiming, follow};
pub use divide::Part;
pub use record::Record;
pub use stall::Stall;
pub use stream_quota::LogQuota;

/// Bytes of log text that may wait to be taken, over all containers of a Job.
pub const BUFFER: usize = 4 << 20;
