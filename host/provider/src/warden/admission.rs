//! Whether a lease that came may be taken: `anneal_policy::admit` on what the lease says, and who its developer is.
//!
//! Tasks of one device run one after another, so what counts as taken of threads and memory is the largest of each
//! device; a lease that waits for its device's turn is no task at once. Files stay until a task is judged.

use std::collections::BTreeMap;

use anneal_api::wire::Lease;
use anneal_job::{AttemptId, ByteCount};
use anneal_policy::{
    Policy,
    admit::{DeveloperKey, GasPrice, Occupancy, Offer, admit},
};

use super::{Standing, Ward, Warden};
use crate::desk::blobs_of;

/// A lease that was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    device: u32,
    needs: Needs,
    /// It has not been run to its end yet.
    is_live: bool,
}

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
        let developer = developer(&self.policy, lease).unwrap_or_else(|reason| {
            reasons.push(reason);
            None
        });
        let mut standing = self.standing();
        let offer = Offer {
            device: ward.name.name.clone(),
            // Without rules about developers nobody asks who it is.
            developer: developer.unwrap_or(DeveloperKey([0; 32])),
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
        standing.taken.insert(lease.attempt, Taken { device: lease.device, needs, is_live: true });
        Ok(())
    }

    /// Counts what was taken before this process was started.
    pub fn remember(&self, lease: &Lease) {
        if let Some(ward) = self.wards.get(&lease.device) {
            let needs = Needs::of(lease, ward);
            let taken = Taken { device: lease.device, needs, is_live: true };
            self.standing().taken.insert(lease.attempt, taken);
        }
    }

    /// An attempt has been run: what it still takes is its state's file.
    pub fn ran(&self, attempt: AttemptId, state: ByteCount) {
        if let Some(taken) = self.standing().taken.get_mut(&attempt) {
            taken.is_live = false;
            taken.needs.disk = state;
        }
    }

    /// An attempt takes nothing any more.
    pub fn gave(&self, attempt: AttemptId) {
        self.standing().taken.remove(&attempt);
    }
}

impl Standing {
    /// What others than this attempt take, as far as it adds up with a task of this device.
    fn occupancy(&self, device: u32, attempt: AttemptId) -> Occupancy {
        let mut ram_elsewhere: BTreeMap<u32, u64> = BTreeMap::new();
        let mut disk = 0_u64;
        for (_, taken) in self.taken.iter().filter(|(other, _)| **other != attempt) {
            disk = disk.saturating_add(taken.needs.disk.0);
            if taken.is_live && taken.device != device {
                let largest = ram_elsewhere.entry(taken.device).or_default();
                *largest = taken.needs.ram.0.max(*largest);
            }
        }
        Occupancy {
            tasks: u32::try_from(ram_elsewhere.len()).unwrap_or(u32::MAX),
            gpu_memory: ByteCount(0),
            ram: ByteCount(ram_elsewhere.values().fold(0, |sum, ram| ram.saturating_add(sum))),
            disk: ByteCount(disk),
        }
    }

    /// Whether a device may have a task beside those of the others: it has one, or there are not too many.
    pub(super) fn has_room(&self, device: u32, concurrent_tasks: u32) -> bool {
        let live: std::collections::BTreeSet<u32> =
            self.taken.values().filter(|taken| taken.is_live).map(|taken| taken.device).collect();
        live.contains(&device) || (live.len() as u64) < u64::from(concurrent_tasks)
    }
}

/// Who the developer is, where the policy has rules about developers: as signed over the component, for the
/// coordinator's word alone could be anything.
fn developer(policy: &Policy, lease: &Lease) -> Result<Option<DeveloperKey>, String> {
    let jobs = &policy.jobs;
    let has_rules = !(jobs.allowed_developers.is_empty() && jobs.denied_developers.is_empty());
    let signed = lease.developer.and_then(|developer| developer.signed(lease.task.component));
    match (lease.developer, signed) {
        (Some(developer), Some(true)) => Ok(Some(DeveloperKey(*developer.identity.as_bytes()))),
        (_, Some(false)) => Err("its developer's signature over the component does not hold".to_owned()),
        _ if has_rules => {
            Err("nobody has signed its component as its developer, and the policy has rules about \
             developers (`jobs.allowed-developers`, `jobs.denied-developers`)"
                .to_owned())
        }
        _ => Ok(None),
    }
}
