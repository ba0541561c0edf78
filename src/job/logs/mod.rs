//! Reads what the containers of a Job print: live, all of it, each line once.
//!
//! Promise: whatever cuts a stream (API server, kubelet, a half-open link), reading resumes at a whole second and
//! skips exactly the lines already delivered; what can no longer be read is a marked line at that place. Memory is
//! bounded by [`BUFFER`] however much a Job prints: who reads slowly slows the reading, nothing is dropped.
//! [`lines`], [`position`], [`reader`], [`record`] and [`container`] are pure; [`follow`] and [`earlier`] read, through
//! [`source`]; [`channel`] hands over, and [`ration`] shares a process among many Jobs.

mod channel;
mod container;
mod earlier;
mod follow;
mod lines;
mod position;
mod positions;
mod ration;
mod reader;
mod record;
#[cfg(test)]
mod sim_kubelet;
mod source;

pub use channel::{Receiver, Sink, channel};
pub use follow::{Timing, follow};
pub use position::Position;
pub use positions::{Delivered, Positions, SourcePosition};
pub use ration::Ration;
pub use record::Record;

/// Bytes of log text that may wait to be taken, over all containers of a Job.
pub const BUFFER: usize = 4 << 20;

/// One container of one Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSource {
    /// The Pod's namespace.
    pub namespace: String,
    /// The Pod's name.
    pub pod: String,
    /// The Pod's uid.
    pub pod_uid: String,
    /// The container's name.
    pub container: String,
}
