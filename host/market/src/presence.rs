//! Who is there right now. In no row: after a restart everybody has a fresh chance to be heard.

use std::collections::BTreeMap;

use anneal_job::{Digest, Identity, Price, Timestamp};

use crate::{DeviceClass, DeviceId};

/// Prefixes and keys whose last turn is remembered.
const SERVED_MAX: usize = 1 << 16;

/// Signs of life. Two markets are equal whatever these say: a loaded one has heard nobody yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presence {
    /// When a provider was last heard.
    pub(crate) seen: BTreeMap<Identity, Timestamp>,
    /// Devices that asked for a lease and got none.
    pub(crate) idle: BTreeMap<(Identity, DeviceId), Idle>,
    /// Since when a waiting provider was called to work and has not asked: it is not there, and holds nobody's turn up.
    pub(crate) called: BTreeMap<Identity, Timestamp>,
    /// When a network prefix, or a key, was last leased something as one that is no anchor.
    pub(crate) served: BTreeMap<Digest, Timestamp>,
    /// Since when this market has been listening.
    pub(crate) since: Timestamp,
}

/// A device that waits for work.
#[derive(Clone, Debug)]
pub(crate) struct Idle {
    pub(crate) class: DeviceClass,
    pub(crate) floor: Price,
    pub(crate) at: Timestamp,
}

impl PartialEq for Presence {
    fn eq(&self, _: &Presence) -> bool {
        true
    }
}

impl Presence {
    pub(crate) fn hear(&mut self, provider: Identity, now: Timestamp) {
        self.seen.insert(provider, now);
    }

    /// Notes whose turn it was. Who was served long ago is as good as new, so the list stays short.
    pub(crate) fn serve(&mut self, lines: [Digest; 2], now: Timestamp) {
        if self.served.len() >= SERVED_MAX {
            let mut times: Vec<Timestamp> = self.served.values().copied().collect();
            times.sort_unstable();
            let middle = times[times.len() / 2];
            self.served.retain(|_, at| *at > middle);
        }
        self.served.extend(lines.map(|line| (line, now)));
    }

    /// When a provider was last heard; those never heard count from when this market began to listen.
    pub(crate) fn last_heard(&self, provider: &Identity) -> Timestamp {
        self.seen.get(provider).copied().unwrap_or_default().max(self.since)
    }
}
