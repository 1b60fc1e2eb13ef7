//! Who leads, and for how long without a word from it.

use std::time::Duration;

use super::Epoch;

/// How long a leader leads without renewing, where several processes share a database.
pub(super) const LEAD_FOR: Duration = Duration::from_secs(6);

/// Leading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The epoch to write with.
    pub epoch: Epoch,
    /// How often to renew; never, where nobody else can lead.
    pub renew_every: Option<Duration>,
}

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Its epoch.
    pub epoch: Epoch,
    /// Where other processes reach it.
    pub address: String,
}
