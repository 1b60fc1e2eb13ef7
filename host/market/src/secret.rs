//! The epoch's secret: audits and replicas are drawn from it, so that nobody can know a draw beforehand, and
//! everybody can check it afterwards.

use std::fmt;

use anneal_job::{AttemptId, Digest, RecordHasher};
use serde::{Deserialize, Serialize};

use crate::TaskTag;

/// 256 random bits. Shown by nothing but its own serialisation, which is for rows and for the published log.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EpochSecret(Digest);

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Whether an agreed task is replayed.
    Audit,
    /// Whether a task of a trusted provider is replicated.
    Replicate(AttemptId),
}

/// Draws are in millionths.
pub const MILLION: u32 = 1_000_000;

impl EpochSecret {
    /// A secret of these bits.
    pub const fn from_bytes(bits: [u8; 32]) -> EpochSecret {
        EpochSecret(Digest::from_bytes(bits))
    }

    /// What is published when the epoch begins.
    pub fn commitment(&self) -> Digest {
        RecordHasher::new("anneal epoch 1").bytes(self.0.as_bytes()).finish()
    }

    /// Whether a draw hits, which it does with this probability in millionths.
    pub fn draw(&self, draw: Draw, task: TaskTag, millionths: u32) -> bool {
        let mut hasher = RecordHasher::new("anneal draw 1");
        hasher.bytes(self.0.as_bytes()).bytes(task.0.as_bytes());
        match draw {
            Draw::Audit => hasher.bytes(b"audit"),
            Draw::Replicate(attempt) => hasher.bytes(b"replicate").bytes(attempt.0.as_bytes()),
        };
        let digest = hasher.finish();
        let bytes = digest.as_bytes()[..8].try_into().expect("a digest has 32 bytes");
        // A 64-bit fraction scaled to a million: every count from 0 to 999,999, evenly.
        let fraction = (u128::from(u64::from_le_bytes(bytes)) * u128::from(MILLION)) >> 64;
        fraction < u128::from(millionths)
    }
}

impl fmt::Debug for EpochSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EpochSecret(…)")
    }
}
