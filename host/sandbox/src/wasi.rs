//! WASI 0.2 for guests that import it: a machine without files, network or time, the same on every host.
//!
//! `cargo component build` makes guests that import WASI whether they use it or not. Clocks count calls,
//! random bytes follow from the task's seed, what is printed goes to the log, waiting never waits. Nothing of
//! the host is visible, and nothing here is wasmtime-wasi: that would bring a real machine, an async runtime,
//! and ways to see both. A function that is not written here traps when it is called.

mod link;
mod streams;
#[cfg(test)]
mod tests;

pub(crate) use link::link;

use sha2::{Digest as _, Sha256};
use streams::LineBuffer;

/// The interfaces that a guest may import.
pub const INTERFACES: [&str; 21] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/timezone",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// Nanoseconds between two readings of a clock.
const TICK: u64 = 1_000_000;
/// The wall clock's first reading, in seconds: the start of the year 2000.
const EPOCH_SECONDS: u64 = 946_684_800;

/// The state of the machine that a guest sees.
pub(crate) struct Wasi {
    random: Random,
    ticks: u64,
    printed: LineBuffer,
}

impl Wasi {
    pub(crate) fn new(seed: u64) -> Wasi {
        Wasi { random: Random { seed, block: 0 }, ticks: 0, printed: LineBuffer::default() }
    }

    /// The next reading of the clock, in nanoseconds.
    fn tick(&mut self) -> u64 {
        self.ticks = self.ticks.saturating_add(TICK);
        self.ticks
    }
}

/// Random bytes that follow from a seed: SHA-256 of seed and a counter.
struct Random {
    seed: u64,
    block: u64,
}

impl Random {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count.next_multiple_of(32));
        while bytes.len() < count {
            let mut sha = Sha256::new();
            sha.update(b"anneal wasi random 1");
            sha.update(self.seed.to_le_bytes());
            sha.update(self.block.to_le_bytes());
            bytes.extend_from_slice(&sha.finalize());
            self.block += 1;
        }
        bytes.truncate(count);
        bytes
    }

    fn word(&mut self) -> u64 {
        let bytes: [u8; 8] = self.bytes(8).try_into().expect("eight bytes were asked for");
        u64::from_le_bytes(bytes)
    }
}
