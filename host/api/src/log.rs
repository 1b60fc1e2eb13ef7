//! The coordinator's log: events in a hash chain, the chain's heads signed in batches. Checked here by anybody,
//! from a file or from a live coordinator; what the events mean is the market's.

use anneal_job::{Digest, Identity, RecordHasher, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{SecretKey, Signature};

/// An event in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogEntry {
    /// From 1, without gaps.
    pub sequence: u64,
    /// When it was applied; never earlier than the entry before it.
    pub at: Timestamp,
    /// The event as JSON text: exactly these bytes are hashed.
    pub event: String,
    /// The chain's hash with this entry.
    pub hash: Digest,
}

/// The end of the chain after a transaction, signed by the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogHead {
    /// The last entry it covers; 0 before the first.
    pub sequence: u64,
    /// The chain's hash there.
    pub hash: Digest,
    /// When it was signed.
    pub at: Timestamp,
    /// Over the three, and who signs.
    pub signature: Signature,
}

/// A part of the log, as the coordinator sends it and as files keep it: one such object per line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogPage {
    /// Entries in order.
    pub entries: Vec<LogEntry>,
    /// The heads signed among them and, with the last page, the newest.
    pub heads: Vec<LogHead>,
}

/// The first line of a file that keeps a log: whose it is. Whether it is theirs, the signatures say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogFileHeader {
    /// Who signs the log.
    pub coordinator: Identity,
}

/// Checks a log page by page. Holds only the chain's end, so a log of any length fits.
#[derive(Clone, Debug)]
pub struct LogVerifier {
    coordinator: Identity,
    sequence: u64,
    at: Timestamp,
    hash: Digest,
    /// The last entry that a checked head covers.
    signed: u64,
    heads: u64,
}

/// What a checked log comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogSummary {
    /// Entries checked.
    pub entries: u64,
    /// Signatures checked.
    pub heads: u64,
    /// The chain's hash at its end: compare it with a mirror's.
    pub hash: Digest,
    /// The time of the last entry.
    pub at: Timestamp,
}

/// Why a log is not the coordinator's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LogError {
    /// An entry is missing or out of order.
    #[error("entry {expected} is missing: the next one is {found}")]
    Gap {
        /// The entry that should follow.
        expected: u64,
        /// The entry that does.
        found: u64,
    },
    /// Time ran backwards.
    #[error("entry {sequence} is older than the one before it")]
    Backwards {
        /// The entry.
        sequence: u64,
    },
    /// An entry was changed, or one before it.
    #[error("entry {sequence} has hash {found}, but the chain gives {expected}: it was changed")]
    Changed {
        /// The entry.
        sequence: u64,
        /// What its content and the chain before it give.
        expected: Digest,
        /// What it says.
        found: Digest,
    },
    /// A head is for a place that is not among the entries it came with.
    #[error("the head at {sequence} belongs to no entry of its page")]
    HeadPlace {
        /// Where it says it is.
        sequence: u64,
    },
    /// A head was signed over another chain: the log was rewritten.
    #[error("the head at {sequence} was signed over {found}, but the chain has {expected} there")]
    HeadHash {
        /// Where.
        sequence: u64,
        /// The chain's hash there.
        expected: Digest,
        /// What was signed.
        found: Digest,
    },
    /// A head is not by this coordinator.
    #[error("the head at {sequence} is not signed by {coordinator}")]
    HeadSignature {
        /// Where.
        sequence: u64,
        /// Whose signature it should be.
        coordinator: Identity,
    },
    /// The last entries are not covered by a signature.
    #[error("entries {from} to {to} are not covered by a signature")]
    Unsigned {
        /// The first such entry.
        from: u64,
        /// The last entry.
        to: u64,
    },
}

impl LogEntry {
    /// The entry that follows `previous`.
    pub fn following(previous: &Digest, sequence: u64, at: Timestamp, event: String) -> LogEntry {
        let hash = chain(previous, sequence, at, &event);
        LogEntry { sequence, at, event, hash }
    }
}

/// The chain's hash before the first entry of a coordinator's log.
pub fn genesis(coordinator: &Identity) -> Digest {
    RecordHasher::new("anneal log 1").bytes(coordinator.as_bytes()).finish()
}

fn chain(previous: &Digest, sequence: u64, at: Timestamp, event: &str) -> Digest {
    let mut hasher = RecordHasher::new("anneal log entry 1");
    hasher.bytes(previous.as_bytes()).number(sequence).number(at.0).bytes(event.as_bytes());
    hasher.finish()
}

impl LogHead {
    /// Signs the chain's end.
    pub fn sign(key: &SecretKey, sequence: u64, hash: Digest, at: Timestamp) -> LogHead {
        LogHead { sequence, hash, at, signature: key.sign(&head(&key.identity(), sequence, &hash, at)) }
    }

    /// Whether this coordinator signed it.
    pub fn is_by(&self, coordinator: &Identity) -> bool {
        let LogHead { sequence, hash, at, signature } = self;
        signature.is_by(coordinator, &head(coordinator, *sequence, hash, *at))
    }
}

fn head(coordinator: &Identity, sequence: u64, hash: &Digest, at: Timestamp) -> Digest {
    let mut hasher = RecordHasher::new("anneal log head 1");
    hasher.bytes(coordinator.as_bytes()).number(sequence).bytes(hash.as_bytes()).number(at.0);
    hasher.finish()
}

impl LogVerifier {
    /// For the log of this coordinator, from its first entry.
    pub fn new(coordinator: Identity) -> LogVerifier {
        let hash = genesis(&coordinator);
        LogVerifier { coordinator, sequence: 0, at: Timestamp(0), hash, signed: 0, heads: 0 }
    }

    /// The entry after which the next page begins.
    pub fn checked(&self) -> u64 {
        self.sequence
    }

    /// Checks the next page.
    ///
    /// # Errors
    /// At the first thing that is wrong.
    pub fn page(&mut self, page: &LogPage) -> Result<(), LogError> {
        let mut heads = page.heads.iter().peekable();
        // A page may repeat the head that closed the one before it.
        while let Some(head) = heads.next_if(|head| head.sequence == self.sequence) {
            self.head(head)?;
        }
        for entry in &page.entries {
            self.entry(entry)?;
            while let Some(head) = heads.next_if(|head| head.sequence == self.sequence) {
                self.head(head)?;
            }
        }
        match heads.next() {
            Some(head) => Err(LogError::HeadPlace { sequence: head.sequence }),
            None => Ok(()),
        }
    }

    /// What the log comes to.
    ///
    /// # Errors
    /// When its end is not signed.
    pub fn finish(&self) -> Result<LogSummary, LogError> {
        if self.signed < self.sequence {
            return Err(LogError::Unsigned { from: self.signed + 1, to: self.sequence });
        }
        Ok(LogSummary { entries: self.sequence, heads: self.heads, hash: self.hash, at: self.at })
    }

    fn entry(&mut self, entry: &LogEntry) -> Result<(), LogError> {
        let expected = self.sequence + 1;
        if entry.sequence != expected {
            return Err(LogError::Gap { expected, found: entry.sequence });
        }
        if entry.at < self.at {
            return Err(LogError::Backwards { sequence: entry.sequence });
        }
        let hash = chain(&self.hash, entry.sequence, entry.at, &entry.event);
        if hash != entry.hash {
            let sequence = entry.sequence;
            return Err(LogError::Changed { sequence, expected: hash, found: entry.hash });
        }
        (self.sequence, self.at, self.hash) = (entry.sequence, entry.at, hash);
        Ok(())
    }

    fn head(&mut self, head: &LogHead) -> Result<(), LogError> {
        let sequence = head.sequence;
        if head.hash != self.hash {
            return Err(LogError::HeadHash { sequence, expected: self.hash, found: head.hash });
        }
        if !head.is_by(&self.coordinator) {
            return Err(LogError::HeadSignature { sequence, coordinator: self.coordinator });
        }
        // The head that closes a page and opens the next one counts once.
        if sequence > self.signed {
            self.signed = sequence;
            self.heads += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
