//! Providers and their devices: reputation, earnings, pauses.

use std::collections::{BTreeMap, BTreeSet};

use anneal_job::{AttemptId, Credits, Identity, OperatorId, Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{DeviceId, DeviceOffer, PauseReason, case::Case};

/// A provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    pub hours: BTreeMap<u64, HeldHour>,
    /// Released.
    pub payable: Credits,
    /// Forfeits of it that are not final.
    #[serde(default)]
    pub cases: BTreeMap<AttemptId, Case>,
    /// How often it has appealed.
    #[serde(default)]
    pub appeals: u64,
    /// Nothing is released before: an audit or a dispute of it is open.
    #[serde(default)]
    pub release_not_before: Timestamp,
    /// How far it is believed.
    #[serde(default)]
    pub standing: Standing,
    /// What it has shown.
    pub reputation: Reputation,
}

/// Earnings that are released in one hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldHour {
    /// All of them.
    pub credits: Credits,
    /// Those that count as cover until then.
    pub counted: Credits,
}

/// How far a key is believed. What makes a known one an anchor is its cover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It has shown nothing: its next attempt is a shadow, extra and unpaid.
    #[default]
    New,
    /// A shadow of it gave what the others gave: it is leased work beside an anchor.
    Known,
    /// A shadow of it gave something else: it is leased nothing more.
    Barred,
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
    /// Gas per second on verified tasks; 0 until there is one.
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
            cases: BTreeMap::new(),
            appeals: 0,
            release_not_before: Timestamp::default(),
            standing: Standing::New,
            reputation: Reputation::default(),
        }
    }

    /// When held earnings are released next, or a forfeit is final.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        let release = self.hours.keys().next().map(|hour| Timestamp(0) + Span::hours(*hour));
        let release = release.map(|at| at.max(self.release_not_before));
        release.into_iter().chain(self.cases.values().filter_map(Case::wake_at)).min()
    }
}
