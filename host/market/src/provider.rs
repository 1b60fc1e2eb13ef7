//! Providers and their devices: reputation, earnings, pauses.

use std::collections::{BTreeMap, BTreeSet};

use anneal_job::{AttemptId, Credits, Identity, OperatorId, Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{DeviceId, DeviceOffer, PauseReason};

/// A provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Its key.
    pub id: Identity,
    /// Who is believed to own it.
    pub operator: OperatorId,
    /// Since when.
    pub enrolled_at: Timestamp,
    /// Its devices.
    pub devices: BTreeMap<DeviceId, Device>,
    /// Why it takes no leases.
    pub pause: Option<Pause>,
    /// After a failure it waits until then.
    pub backoff_until: Timestamp,
    /// Earned and not released: `pending` and `hours` together.
    pub held: Credits,
    /// Of it, for tasks that are not final.
    pub pending: Credits,
    /// Of it, by the hour (since 1970) from which on it is released.
    pub hours: BTreeMap<u64, Credits>,
    /// Released.
    pub payable: Credits,
    /// What it has shown.
    pub reputation: Reputation,
}

/// Why a provider takes no leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Why.
    pub reason: PauseReason,
    /// It cannot be resumed before that.
    pub until: Timestamp,
}

/// A device of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// What it is.
    pub offer: DeviceOffer,
    /// Gas per second on verified tasks; the selftest's until there are any.
    pub speed_gas_per_second: u64,
    /// Leases that have not been committed.
    pub leases: BTreeSet<AttemptId>,
    /// When it last committed: the next attempt began then.
    pub committed_at: Timestamp,
}

/// What a provider has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reputation {
    /// Attempts that were found valid.
    pub valid: u64,
    /// Their gas.
    pub gas_verified: u64,
    /// Leases that failed.
    pub failed: u64,
    /// Leases that failed since the last valid attempt.
    pub failures_in_a_row: u32,
    /// Leases given back since the last valid attempt.
    pub give_backs_in_a_row: u32,
    /// Attempts that a replay contradicted.
    pub faults: u64,
    /// Valid attempts in a row by [`magnitude`] of their gas.
    pub streaks: BTreeMap<u8, u32>,
}

/// The magnitude of an amount of gas: every factor of four is another. A streak counts in its own magnitude
/// only, so tiny jobs earn no trust for big ones.
pub const fn magnitude(gas: u64) -> u8 {
    ((64 - gas.leading_zeros()) / 2) as u8
}

impl Reputation {
    /// Valid attempts in a row on tasks of about so much gas.
    pub fn streak(&self, gas: u64) -> u32 {
        self.streaks.get(&magnitude(gas)).copied().unwrap_or(0)
    }

    pub(crate) fn valid(&mut self, gas: u64) {
        self.valid += 1;
        self.gas_verified = self.gas_verified.saturating_add(gas);
        self.failures_in_a_row = 0;
        self.give_backs_in_a_row = 0;
        let streak = self.streaks.entry(magnitude(gas)).or_default();
        *streak = streak.saturating_add(1);
    }

    pub(crate) fn fault(&mut self) {
        self.faults += 1;
        self.gas_verified = 0;
        self.streaks.clear();
    }
}

impl Provider {
    pub(crate) fn new(id: Identity, operator: OperatorId, enrolled_at: Timestamp) -> Provider {
        Provider {
            id,
            operator,
            enrolled_at,
            devices: BTreeMap::new(),
            pause: None,
            backoff_until: Timestamp::default(),
            held: Credits::ZERO,
            pending: Credits::ZERO,
            hours: BTreeMap::new(),
            payable: Credits::ZERO,
            reputation: Reputation::default(),
        }
    }

    /// When held earnings are released next.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        self.hours.keys().next().map(|hour| Timestamp(0) + Span::hours(*hour))
    }
}
