//! What goes wrong, on command: a fault for the next requests of a kind.

use std::time::Duration;

use serde_json::Value;

/// What happens to one request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The connection breaks before the server sees the request.
    LoseRequest,
    /// The server does what was asked, and its reply is lost.
    LoseReply,
    /// The server answers so and does nothing.
    Answer { code: u16, reason: &'static str, message: String, retry_after: Option<u64> },
    /// Something before the server answers so, and nothing is done.
    Instead { code: u16, body: &'static str },
    /// The server does what was asked, and something before it answers so.
    DoneThen { code: u16, body: &'static str },
    /// The server does what was asked, and warns of something.
    Warn(&'static str),
    /// The server takes this long.
    Delay(Duration),
    /// The server answers at once, and the answer is this long under way.
    DelayReply(Duration),
    /// The body of the answer breaks after so many bytes.
    CutBodyAfter(usize),
    /// The body of the answer ends cleanly after so many bytes, as after a restart of the kubelet.
    EndBodyAfter(usize),
    /// The server answers so and does nothing.
    Body { code: u16, text: String, then: Then },
    /// The list is the true one, and names this place to go on.
    Continue(String),
    /// The same, and each time another place.
    ContinueAnew,
    /// The events of a watch, whatever was asked.
    Events(Vec<Value>, Then),
}

/// What comes after a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It ends.
    End,
    /// The connection breaks.
    Break,
    /// Nothing, for ever.
    Silence,
    /// The same again every second, for ever.
    Again,
}

impl Fault {
    pub fn answer(code: u16, reason: &'static str, message: &str) -> Self {
        Self::Answer { code, reason, message: message.to_owned(), retry_after: None }
    }
}

/// What the requests of a kind meet one after the other, again and again; none where they meet the truth.
#[derive(Debug, Clone)]
pub struct Script {
    pub faults: Vec<Option<Fault>>,
    pub next: usize,
}

/// A fault for requests of a kind, so many times.
#[derive(Debug)]
pub struct Rule {
    pub kind: &'static str,
    pub fault: Fault,
    pub times: usize,
}
