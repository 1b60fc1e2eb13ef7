//! Which open task a device may take. Looks at a bounded number of jobs and tasks, from a random job on, so
//! that nobody waits behind others for ever and nobody can choose whom it is paired with.

use anneal_job::{Credits, Identity, JobId, Price};

use crate::{
    JobSpec, Market, NothingHint, TaskKey,
    job::{Job, JobStatus},
    operator::Operator,
    provider::Device,
};

/// Jobs that are looked at for one lease.
const JOBS_SCANNED_MAX: usize = 512;
/// Tasks of a job that are looked at for one lease.
const TASKS_SCANNED_MAX: usize = 64;

/// Who asks for a lease.
pub(crate) struct Asker<'a> {
    pub(crate) provider: Identity,
    pub(crate) device: &'a Device,
    pub(crate) operator: &'a Operator,
    /// What its class is paid now.
    pub(crate) price: Price,
}

impl Market {
    /// A task for a device, or why there is none.
    pub(crate) fn find(&self, asker: &Asker<'_>, start: JobId) -> Result<TaskKey, NothingHint> {
        let mut hint = NothingHint::NoTasks;
        for (id, tasks) in self.index.open_from(start).take(JOBS_SCANNED_MAX) {
            let Some((job, spec)) = self.jobs.get(id).zip(self.specs.get(id)) else { continue };
            if job.status != JobStatus::Running {
                continue;
            }
            if hint == NothingHint::NoTasks {
                hint = NothingHint::NoneFits;
            }
            if !self.fits(asker, job, spec) {
                continue;
            }
            for key in tasks.keys().take(TASKS_SCANNED_MAX) {
                if !self.may_pair(asker, *key) {
                    continue;
                }
                if asker.operator.may_take(self.value(*key, asker.price), &self.parameters) {
                    return Ok(*key);
                }
                hint = NothingHint::StakeCap;
            }
        }
        Err(hint)
    }

    /// What an attempt at this price is expected to earn.
    pub(crate) fn value(&self, key: TaskKey, price: Price) -> Credits {
        price.cost(self.gas_expected(key)).unwrap_or(Credits(u64::MAX))
    }

    /// Whether the device has what the job requires.
    fn fits(&self, asker: &Asker<'_>, job: &Job, spec: &JobSpec) -> bool {
        let (device, required) = (asker.device, &spec.requirements);
        let allowed = spec.allow.is_empty() || spec.allow.contains(&asker.provider);
        allowed
            && asker.price <= spec.price_cap
            && (spec.test || !device.offer.software)
            && device.offer.selftest == Some(spec.versions)
            && device.offer.memory_bytes >= required.memory_bytes
            && device.speed_gas_per_second >= required.speed_gas_per_second
            && required.features.is_subset(&device.offer.features)
            // Nobody verifies work for itself.
            && asker.provider != job.developer
    }

    /// Whether the operator may be one of this task's: no other attempt is its own, and among new operators
    /// there is room for an established one as long as that may be worth waiting for.
    fn may_pair(&self, asker: &Asker<'_>, key: TaskKey) -> bool {
        let Some(task) = self.tasks.get(&key) else { return false };
        let operator = asker.operator;
        if self.attempts_on(key).any(|other| other.operator == operator.id && other.excludes_operator()) {
            return false;
        }
        if operator.is_established(&self.parameters) {
            return true;
        }
        let waited = self.now().since(task.opened_at) >= self.parameters.pairing_patience
            || !self.index.has_established();
        let counting = || self.attempts_on(key).filter(|other| other.counts());
        let is_last = counting().count() + 1 >= usize::from(task.needed);
        let established = |id| {
            self.operators
                .get(id)
                .is_some_and(|operator: &Operator| operator.is_established(&self.parameters))
        };
        waited || !is_last || task.needed == 1 || counting().any(|other| established(&other.operator))
    }

    /// How many more leases a task wants.
    pub(crate) fn wanted(&self, key: TaskKey) -> u8 {
        let Some(task) = self.tasks.get(&key) else { return 0 };
        if task.phase != crate::task::Phase::Open || task.closing {
            return 0;
        }
        let counting = self.attempts_on(key).filter(|attempt| attempt.counts()).count();
        let payable = self.attempts_on(key).filter(|attempt| attempt.may_be_paid()).count();
        let replicas_max = self.replicas_max(key);
        let wanted = usize::from(task.needed).saturating_sub(counting);
        wanted.min(usize::from(replicas_max).saturating_sub(payable)) as u8
    }

    /// Attempts of a task that escrow has room for.
    pub(crate) fn replicas_max(&self, key: TaskKey) -> u8 {
        let planned = self.specs.get(&key.job).map_or(1, |spec| spec.redundancy.replicas_max());
        planned.saturating_add(self.parameters.replicas_extra)
    }
}
