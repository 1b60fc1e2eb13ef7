//! Operators: who answers for a key, and with what. Faults fall on the key that signed, so an operator is one
//! key; addresses are only marks of affinity, by which related keys are rather not paired.

use anneal_job::{Credits, Digest, Identity, OperatorId};
use serde::{Deserialize, Serialize};

use crate::Parameters;

/// An operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Its id: made from its key.
    pub id: OperatorId,
    /// Its key.
    pub provider: Identity,
    /// Digest of its payout address.
    pub payout: Option<Digest>,
    /// Digest of the network prefix that it last enrolled from.
    pub network: Option<Digest>,
    /// Put down against its own faults: a bond, when money comes.
    pub stake: Credits,
    /// Held earnings that count as cover: of final tasks, and of work that somebody else has vouched for.
    pub counted: Credits,
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
    pub(crate) fn new(id: OperatorId, provider: Identity) -> Operator {
        Operator {
            id,
            provider,
            payout: None,
            network: None,
            stake: Credits::ZERO,
            counted: Credits::ZERO,
            outstanding: Credits::ZERO,
            pending: Credits::ZERO,
            gas_verified: 0,
            faults: 0,
        }
    }

    /// What a fault would surely take. Grants count nothing, and neither do earnings that a coalition could pay
    /// itself.
    pub fn cover(&self) -> Credits {
        Credits(self.stake.0.saturating_add(self.counted.0))
    }

    /// Whether its cover makes it an anchor for a task that pays so much.
    pub fn covers(&self, pay: Credits, parameters: &Parameters) -> bool {
        self.cover() >= parameters.anchor_cover(pay)
    }

    /// Whether this and another key are better not paired: one address, or one network prefix.
    pub fn is_related(&self, other: &Operator) -> bool {
        let same = |one: Option<Digest>, two: Option<Digest>| one.is_some() && one == two;
        same(self.payout, other.payout) || same(self.network, other.network)
    }

    /// In whose turn it is served: its prefix's, or its own where it has none (on loopback).
    pub fn line(&self) -> Digest {
        self.network.unwrap_or(self.id.0)
    }

    /// Whether so much more unreleased work is covered.
    pub fn may_take(&self, value: Credits, parameters: &Parameters) -> bool {
        let unreleased = u128::from(self.outstanding.0) + u128::from(self.pending.0) + u128::from(value.0);
        let leverage = u128::from(parameters.unreleased_leverage) * u128::from(self.cover().0);
        unreleased <= u128::from(parameters.unreleased_allowance.0) + leverage
    }
}
