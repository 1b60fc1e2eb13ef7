//! Who is there right now. In no row: after a restart everybody has a fresh chance to be heard.

use std::collections::BTreeMap;

use anneal_job::{Identity, Price, Timestamp};

use crate::{DeviceClass, DeviceId};

/// Signs of life. Two markets are equal whatever these say: a loaded one has heard nobody yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presence {
    /// When a provider was last heard.
    pub(crate) seen: BTreeMap<Identity, Timestamp>,
    /// Devices that asked for a lease and got none.
    pub(crate) idle: BTreeMap<(Identity, DeviceId), Idle>,
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

    /// When a provider was last heard; those never heard count from when this market began to listen.
    pub(crate) fn last_heard(&self, provider: &Identity) -> Timestamp {
        self.seen.get(provider).copied().unwrap_or_default().max(self.since)
    }
}
