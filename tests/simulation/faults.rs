//! What goes wrong, on command: a fault for the next requests of a kind.

use std::time::Duration;

/// What happens to one request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The connection breaks before the server sees the request.
    LoseRequest,
    /// The server does what was asked, and its reply is lost.
    LoseReply,
    /// The server answers so and does nothing.
    Answer { code: u16, reason: &'static str, message: String, retry_after: Option<u64> },
    /// The server takes this long.
    Delay(Duration),
    /// The server answers at once, and the answer is this long under way.
    DelayReply(Duration),
    /// The body of the answer breaks after so many bytes.
    CutBodyAfter(usize),
    /// The body of the answer ends cleanly after so many bytes, as after a restart of the kubelet.
    EndBodyAfter(usize),
}

impl Fault {
    pub fn answer(code: u16, reason: &'static str, message: &str) -> Self {
        Self::Answer { code, reason, message: message.to_owned(), retry_after: None }
    }
}

/// A fault for requests of a kind, so many times.
#[derive(Debug)]
pub struct Rule {
    pub kind: &'static str,
    pub fault: Fault,
    pub times: usize,
}
