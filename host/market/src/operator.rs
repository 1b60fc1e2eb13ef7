//! Operators: the keys believed to be one person's, and what that person stands to lose.

use std::collections::{BTreeMap, BTreeSet};

use anneal_job::{Credits, Digest, Identity, OperatorId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Parameters;

/// An operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Its id: made from its first provider.
    pub id: OperatorId,
    /// Its providers.
    pub providers: BTreeSet<Identity>,
    /// Digests of its payout addresses.
    pub payouts: BTreeSet<Digest>,
    /// Digests of its network prefixes, and when one last enrolled from there.
    pub networks: BTreeMap<Digest, Timestamp>,
    /// Put down against its own faults.
    pub stake: Credits,
    /// All its providers' held earnings.
    pub held: Credits,
    /// What its open attempts are expected to earn.
    pub outstanding: Credits,
    /// Held for tasks that are not final.
    pub pending: Credits,
    /// Gas of its verified attempts since its last fault.
    pub gas_verified: u64,
    /// How often a replay gave something else.
    pub faults: u32,
}

impl Operator {
    pub(crate) fn new(id: OperatorId) -> Operator {
        Operator {
            id,
            providers: BTreeSet::new(),
            payouts: BTreeSet::new(),
            networks: BTreeMap::new(),
            stake: Credits::ZERO,
            held: Credits::ZERO,
            outstanding: Credits::ZERO,
            pending: Credits::ZERO,
            gas_verified: 0,
            faults: 0,
        }
    }

    /// What a fault would take.
    pub fn cover(&self) -> Credits {
        Credits(self.stake.0.saturating_add(self.held.0))
    }

    /// Whether it has shown enough verified work to be paired with new ones.
    pub fn is_established(&self, parameters: &Parameters) -> bool {
        self.gas_verified >= parameters.established_gas
    }

    /// Whether so much more unreleased work is covered.
    pub fn may_take(&self, value: Credits, parameters: &Parameters) -> bool {
        let unreleased = u128::from(self.outstanding.0) + u128::from(self.pending.0) + u128::from(value.0);
        let leverage = u128::from(parameters.unreleased_leverage) * u128::from(self.cover().0);
        unreleased <= u128::from(parameters.unreleased_allowance.0) + leverage
    }
}
