//! What there is one of: time, epochs, and the network's own accounts.

use std::collections::{BTreeMap, BTreeSet};

use anneal_job::{Credits, Identity, Timestamp};
use serde::{Deserialize, Serialize};

use crate::EpochSecret;

/// The market's own row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// The latest time that was handed in: time never goes back.
    pub now: Timestamp,
    /// Epochs whose secret is not published yet. The last one is the current one.
    pub epochs: BTreeMap<u64, Epoch>,
    /// The number of the next epoch.
    pub epoch_next: u64,
    /// The number of the next lease.
    pub lease_epoch_next: u64,
    /// When prices move next.
    pub prices_at: Timestamp,
    /// Credits that ever came from outside.
    pub put_in: Credits,
    /// Credits that ever went outside.
    pub taken_out: Credits,
    /// Keys that the network's operator vouches for: anchors without cover.
    #[serde(default)]
    pub anchors: BTreeSet<Identity>,
    /// Developers that the network's operator vouches for: work for them counts as cover.
    #[serde(default)]
    pub developers: BTreeSet<Identity>,
    /// Taken from operators at fault.
    pub forfeits: Credits,
    /// The network's fees.
    pub fees: Credits,
}

/// A time during which draws come from one secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// The secret.
    pub secret: EpochSecret,
    /// Tasks for which something was drawn from it, and which are not final.
    pub tasks: u64,
}

impl Totals {
    /// The epoch that draws come from now.
    pub fn epoch(&self) -> Option<(u64, &Epoch)> {
        self.epochs.last_key_value().map(|(number, epoch)| (*number, epoch))
    }
}
