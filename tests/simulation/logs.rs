//! Log files as the kubelet keeps and serves them: filtered line by line by whole seconds, in file order.

/// The log of one run of one container.
#[derive(Debug, Clone, Default)]
pub struct LogFile {
    /// Time in milliseconds since the start of the world, and text.
    pub lines: Vec<(u64, String)>,
    /// Whether the container has ended: a follow then ends, too.
    pub ended: bool,
}

impl LogFile {
    /// What a request with this `sinceTime` gets of the lines from `from` on, with or without `timestamps`.
    pub fn served(&self, since: Option<&str>, timestamps: bool, from: usize) -> Vec<u8> {
        let since = since.unwrap_or("").trim_end_matches('Z').to_owned();
        let lines = self.lines.iter().skip(from).map(|(millis, text)| (stamp(*millis), text));
        lines
            .filter(|(stamp, _)| *stamp >= since)
            .map(|(stamp, text)| if timestamps { format!("{stamp} {text}\n") } else { format!("{text}\n") })
            .flat_map(String::into_bytes)
            .collect()
    }
}

fn stamp(millis: u64) -> String {
    let (seconds, millis) = (millis / 1000, millis % 1000);
    format!("2026-01-01T{:02}:{:02}:{:02}.{millis:03}000000Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
