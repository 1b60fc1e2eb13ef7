//! Whether a lease that came may be taken: `anneal_policy::admit` on what the lease says. A lease does not say
//! whose job it is; where the policy has rules about developers, it is refused.

use anneal_api::wire::Lease;
use anneal_job::{AttemptId, ByteCount};
use anneal_policy::admit::{DeveloperKey, GasPrice, Occupancy, Offer, admit};

use super::{Standing, Ward, Warden};
use crate::desk::blobs_of;

/// What a task takes of the machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    gpu_memory: ByteCount,
    ram: ByteCount,
    disk: ByteCount,
}

impl Needs {
    fn of(lease: &Lease, ward: &Ward) -> Needs {
        let limits = lease.task.limits;
        let (gpu_memory, tensors) =
            if ward.name.is_gpu { (limits.tensor_bytes, 0) } else { (0, limits.tensor_bytes) };
        let blobs = blobs_of(lease).fold(0u64, |bytes, blob| bytes.saturating_add(blob.bytes));
        Needs {
            gpu_memory: ByteCount(gpu_memory),
            ram: ByteCount(limits.memory_bytes.saturating_add(tensors)),
            // The state that it returns is a file, too.
            disk: ByteCount(blobs.saturating_add(limits.tensor_bytes)),
        }
    }
}

impl Warden {
    /// Takes a lease, or says why not.
    ///
    /// # Errors
    /// Every reason, as a sentence for the owner.
    pub fn admit(&self, lease: &Lease, now: jiff::Timestamp) -> Result<(), Vec<String>> {
        let Some(ward) = self.wards.get(&lease.device) else {
            return Err(vec!["its device is not watched".to_owned()]);
        };
        let needs = Needs::of(lease, ward);
        let mut reasons = Vec::new();
        if !self.begins(lease.device) {
            reasons.extend(self.limits(lease.device).map(|limits| limits.reasons).unwrap_or_default());
            reasons.push("the device may not begin anything now".to_owned());
        }
        let jobs = &self.policy.jobs;
        if !(jobs.allowed_developers.is_empty() && jobs.denied_developers.is_empty()) {
            reasons.push(
                "the coordinator does not say whose job it is, and the policy has rules about developers \
                 (`jobs.allowed-developers`, `jobs.denied-developers`)"
                    .to_owned(),
            );
        }
        let mut standing = self.standing();
        let offer = Offer {
            device: ward.name.name.clone(),
            developer: DeveloperKey([0; 32]),
            component: lease.task.component,
            price: GasPrice(lease.price.0),
            expected_s: lease.expected.0 as f64 / 1000.0,
            gpu_memory: needs.gpu_memory,
            ram: needs.ram,
            disk: needs.disk,
        };
        let occupancy = standing.occupancy(lease.device, lease.attempt);
        if let Err(refusals) = admit(&self.policy, &offer, &occupancy, now) {
            reasons.extend(refusals.iter().map(ToString::to_string));
        }
        if !reasons.is_empty() {
            return Err(reasons);
        }
        standing.taken.insert(lease.attempt, (lease.device, needs));
        Ok(())
    }

    /// Counts what was taken before this process was started.
    pub fn remember(&self, lease: &Lease) {
        if let Some(ward) = self.wards.get(&lease.device) {
            let needs = Needs::of(lease, ward);
            self.standing().taken.insert(lease.attempt, (lease.device, needs));
        }
    }

    /// An attempt takes nothing any more.
    pub fn gave(&self, attempt: AttemptId) {
        self.standing().taken.remove(&attempt);
    }
}

impl Standing {
    /// What others than this attempt take.
    fn occupancy(&self, device: u32, attempt: AttemptId) -> Occupancy {
        let mut all = Occupancy::default();
        for (_, (on, needs)) in self.taken.iter().filter(|(other, _)| **other != attempt) {
            all.tasks += 1;
            all.ram = ByteCount(all.ram.0.saturating_add(needs.ram.0));
            all.disk = ByteCount(all.disk.0.saturating_add(needs.disk.0));
            if *on == device {
                all.gpu_memory = ByteCount(all.gpu_memory.0.saturating_add(needs.gpu_memory.0));
            }
        }
        all
    }
}
