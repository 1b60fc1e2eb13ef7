//! What an agent does of its owner's limits: it asks the warden, tells the desk, and shows the owner.

use std::{collections::BTreeSet, time::Duration};

use anneal_api::wire::{Lease, PollReply};
use anneal_job::{AttemptId, ByteCount};
use anneal_policy::Piconero;
use anneal_sandbox::PaceHandle;

use super::{Running, Shared, attempts::describe};
use crate::{record::Record, warden::wall_now};

impl Running {
    /// Devices that may begin nothing are held, and what is to be given back is.
    pub(super) fn obey(&mut self) {
        let Some(warden) = self.shared.warden.clone() else { return };
        let devices: Vec<u32> = self.shared.devices.keys().copied().collect();
        let held: BTreeSet<u32> = devices.iter().copied().filter(|&device| !warden.begins(device)).collect();
        self.desk.hold(held);
        for device in devices {
            let limits = warden.limits(device);
            if warden.releases(device) && self.desk.release(device) > 0 {
                let why = limits.as_ref().map(|limits| limits.reasons.join("; ")).unwrap_or_default();
                self.shared.board.line(format!("gave back what was leased: {why}"));
            }
            self.shared.board.change(|status| {
                if let Some(device) = status.devices.get_mut(&device) {
                    device.limits = limits;
                }
            });
        }
    }

    /// A lease that the policy does not allow is given back.
    pub(super) fn admit(&mut self, lease: &Lease) {
        let Some(warden) = &self.shared.warden else { return };
        if let Err(reasons) = warden.admit(lease, wall_now()) {
            self.desk.refuse(lease.attempt);
            self.shared.board.line(format!("gave back {}: {}", describe(lease), reasons.join("; ")));
        }
    }
}

impl Shared {
    /// What was leased before this process was started is taken of the machine.
    pub(super) fn remember<'a>(&self, records: impl Iterator<Item = &'a Record>) {
        if let Some(warden) = &self.warden {
            let unfinished = records.filter(|record| record.finished.is_none());
            unfinished.for_each(|record| warden.remember(&record.lease));
        }
    }

    /// What the devices would earn. Until there is money a credit counts as a piconero.
    pub(super) fn would_earn(&self, reply: &PollReply) {
        let Some(warden) = &self.warden else { return };
        for (device, price) in &reply.prices {
            let Some(offered) = self.devices.get(device) else { continue };
            let gas = offered.offer.speed_gas_per_second.saturating_mul(3600);
            let earned = price.cost(gas).map_or(u64::MAX, |credits| credits.0);
            warden.would_earn(*device, self.client.coordinator(), Piconero(earned));
        }
    }

    /// The attempt has been run; its state waits for a verdict.
    pub(super) fn ran(&self, attempt: AttemptId) {
        if let Some(warden) = &self.warden {
            let bytes = std::fs::metadata(self.folder.state(attempt)).map_or(0, |metadata| metadata.len());
            warden.ran(attempt, ByteCount(bytes));
        }
    }

    /// The attempt takes nothing of the machine any more.
    pub(super) fn gave(&self, attempt: AttemptId) {
        if let Some(warden) = &self.warden {
            warden.gave(attempt);
        }
    }

    pub(super) fn pace(&self, device: u32) -> Option<PaceHandle> {
        self.warden.as_ref().map(|warden| warden.pace(device))
    }

    pub(super) fn began(&self, lease: &Lease) {
        if let Some(warden) = &self.warden {
            warden.began(lease.device, Duration::from_millis(lease.expected.0));
        }
    }

    pub(super) fn progressed(&self, device: u32, done: u64, total: u64) {
        if let Some(warden) = &self.warden {
            warden.progressed(device, done, total);
        }
    }

    pub(super) fn rested(&self, device: u32) {
        if let Some(warden) = &self.warden {
            warden.ended(device);
        }
    }
}
