//! Nonces that were seen, for as long as a request with them could come again. Bounded: where too many come,
//! new requests are refused and not old ones forgotten: first those of the prefixes that sent most.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use anneal_api::{Nonce, sign::CLOCK_SKEW_MS_MAX};
use anneal_job::{Identity, RecordHasher, Timestamp};

use crate::fair::{Prefix, Threshold};

/// Nonces of one generation.
const NONCES_MAX: usize = 4 << 20;
/// How long a nonce matters: its time may be ahead by the skew, and is believed for as long again.
const GENERATION_MS: u64 = 2 * CLOCK_SKEW_MS_MAX;

/// Nonces that were seen.
pub(super) struct Nonces {
    generations: Mutex<Generations>,
}

struct Generations {
    began: Timestamp,
    room: Threshold,
    new: HashSet<u128>,
    old: HashSet<u128>,
}

/// What is known of a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing, until now.
    First,
    /// It was there before.
    Again,
    /// There is no room to remember it.
    Full,
}

impl Nonces {
    pub(super) fn new() -> Nonces {
        Nonces::with_room(NONCES_MAX)
    }

    fn with_room(max: usize) -> Nonces {
        let (new, old) = (HashSet::new(), HashSet::new());
        let generations = Generations { began: Timestamp(0), room: Threshold::new(max), new, old };
        Nonces { generations: Mutex::new(generations) }
    }

    /// Whether it comes for the first time; remembered from now on.
    pub(super) fn see(&self, prefix: Prefix, identity: Identity, nonce: Nonce, now: Timestamp) -> Seen {
        // Half a digest: two identities that choose one nonce do not meet.
        let digest = RecordHasher::new("anneal nonce 1").bytes(identity.as_bytes()).bytes(&nonce.0).finish();
        let mark = u128::from_le_bytes(digest.as_bytes()[..16].try_into().expect("half of 32 bytes"));
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if now.0.saturating_sub(generations.began.0) >= GENERATION_MS {
            let new = std::mem::take(&mut generations.new);
            let stale = now.0.saturating_sub(generations.began.0) >= 2 * GENERATION_MS;
            generations.old = if stale { HashSet::new() } else { new };
            generations.began = now;
            generations.room.clear();
        }
        if generations.new.contains(&mark) || generations.old.contains(&mark) {
            return Seen::Again;
        }
        if !generations.room.take(prefix) {
            return Seen::Full;
        }
        generations.new.insert(mark);
        Seen::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_new_once_for_as_long_as_it_matters() {
        let nonces = Nonces::with_room(3);
        let (one, two) = (Identity::from_bytes([1; 32]), Identity::from_bytes([2; 32]));
        let see = |identity, nonce, at| {
            nonces.see(Prefix::Local, identity, Nonce([nonce; 16]), Timestamp(1_000_000 + at))
        };
        assert_eq!(see(one, 1, 0), Seen::First);
        assert_eq!(see(one, 1, 1), Seen::Again);
        assert_eq!(see(two, 1, 1), Seen::First);
        assert_eq!(see(one, 1, GENERATION_MS), Seen::Again);
        assert_eq!(see(one, 2, GENERATION_MS), Seen::First);
        assert_eq!(see(one, 3, GENERATION_MS), Seen::First);
        assert_eq!(see(one, 4, GENERATION_MS), Seen::First);
        assert_eq!(see(one, 5, GENERATION_MS), Seen::Full);
        assert_eq!(see(one, 1, 2 * GENERATION_MS), Seen::First);
        assert_eq!(see(one, 2, 2 * GENERATION_MS), Seen::Again);
        assert_eq!(see(one, 2, 9 * GENERATION_MS), Seen::First);
    }
}
