//! Which open task a device may take. Looks at a bounded number of jobs and tasks, from a random job on, so
//! that nobody waits behind others for ever and nobody can choose whom it is paired with.

use anneal_job::{Credits, Identity, JobId, Price};

use crate::{
    JobSpec, Market, NothingHint, TaskKey,
    attempt::Attempt,
    job::{Job, JobStatus},
    operator::Operator,
    provider::{Device, Standing},
    task::Phase,
};

/// Jobs that are looked at for one lease.
const JOBS_SCANNED_MAX: usize = 512;
/// Tasks of a job that are looked at for one lease.
const TASKS_SCANNED_MAX: usize = 64;

/// Tasks that somebody else is to have before the asker, after which it looks no further.
const REFUSALS_MAX: usize = 4;

/// Attempts of keys that are no anchors may come to nothing so often on one task.
pub(crate) const fn stumbles_max(anchors: bool) -> u8 {
    if anchors { 1 } else { 3 }
}

/// A device's speed as it was measured, and until then as it says: who says too much is late once, and measured.
fn claimed_speed(device: &Device) -> u64 {
    match device.speed_gas_per_second {
        0 => device.offer.speed_gas_per_second,
        measured => measured,
    }
}

/// Who asks for a lease.
pub(crate) struct Asker<'a> {
    pub(crate) provider: Identity,
    pub(crate) device: &'a Device,
    pub(crate) operator: &'a Operator,
    /// What its class is paid now.
    pub(crate) price: Price,
}

/// What an asker may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) task: TaskKey,
    /// Beside the others, extra and unpaid.
    pub(crate) shadow: bool,
    /// With an anchor's word.
    pub(crate) anchor: bool,
}

impl Market {
    /// A task for a device, or why there is none.
    pub(crate) fn find(&self, asker: &Asker<'_>, start: JobId) -> Result<Found, NothingHint> {
        let Some(provider) = self.providers.get(&asker.provider) else { return Err(NothingHint::NoneFits) };
        let standing = self.standing(provider);
        if standing == Standing::Barred {
            return Err(NothingHint::Barred);
        }
        let (mut hint, mut refusals) = (NothingHint::NoTasks, 0);
        for (id, tasks) in self.index.open_from(start).take(JOBS_SCANNED_MAX) {
            let Some((job, spec)) = self.jobs.get(id).zip(self.specs.get(id)) else { continue };
            if job.status != JobStatus::Running {
                continue;
            }
            if hint == NothingHint::NoTasks {
                hint = NothingHint::NoneFits;
            }
            // Whom a developer names, it vouches for.
            let vouched = spec.has_own_list();
            if standing == Standing::New && !vouched || !self.fits(asker, job, spec) {
                continue;
            }
            for key in tasks.keys().take(TASKS_SCANNED_MAX) {
                let pay = self.value(*key, asker.price);
                let anchor = self.is_anchor(provider, asker.operator, pay);
                let paired = if vouched { self.is_free(asker, *key) } else { self.pair(asker, *key, anchor) };
                match paired {
                    Ok(()) if anchor || asker.operator.may_take(pay, &self.parameters) => {
                        return Ok(Found { task: *key, shadow: false, anchor });
                    }
                    Ok(()) => hint = NothingHint::StakeCap,
                    Err(NothingHint::NoneFits) => {}
                    Err(other) => {
                        hint = other;
                        refusals += 1;
                    }
                }
                if refusals >= REFUSALS_MAX {
                    return Err(hint);
                }
            }
        }
        let settled = !matches!(hint, NothingHint::NoTasks | NothingHint::NoneFits);
        if standing == Standing::New && !settled { self.find_shadow(asker, start) } else { Err(hint) }
    }

    /// A task for a new key's unpaid first attempt.
    fn find_shadow(&self, asker: &Asker<'_>, start: JobId) -> Result<Found, NothingHint> {
        let mut hint = NothingHint::NoTasks;
        for (id, tasks) in self.index.shadow_from(start).take(JOBS_SCANNED_MAX) {
            let Some((job, spec)) = self.jobs.get(id).zip(self.specs.get(id)) else { continue };
            if job.status != JobStatus::Running || !self.fits(asker, job, spec) {
                continue;
            }
            hint = NothingHint::NoShadow;
            for key in tasks.iter().take(TASKS_SCANNED_MAX) {
                // Each from another prefix: nobody fills a task with shadows of its own.
                let line = asker.operator.line();
                let same = |other: &Attempt| {
                    let operator = self.operators.get(&other.operator);
                    other.is_shadowing() && operator.is_some_and(|operator| operator.line() == line)
                };
                if self.is_free(asker, *key).is_ok() && !self.attempts_on(*key).any(same) {
                    return Ok(Found { task: *key, shadow: true, anchor: false });
                }
            }
        }
        Err(hint)
    }

    /// Whether a new key's unpaid attempt may go beside those on a task.
    pub(crate) fn may_be_shadowed(&self, key: TaskKey) -> bool {
        let Some((task, spec)) = self.tasks.get(&key).zip(self.specs.get(&key.job)) else { return false };
        let shadows = self.attempts_on(key).filter(|attempt| attempt.is_shadowing()).count();
        task.phase == Phase::Open
            && !task.closing
            && !spec.has_own_list()
            && shadows < self.parameters.shadows_per_task as usize
    }

    /// What an attempt at this price is expected to earn.
    pub(crate) fn value(&self, key: TaskKey, price: Price) -> Credits {
        price.cost(self.gas_expected(key)).unwrap_or(Credits(u64::MAX))
    }

    /// Whether the device has what the job requires.
    pub(crate) fn fits(&self, asker: &Asker<'_>, job: &Job, spec: &JobSpec) -> bool {
        let (device, required) = (asker.device, &spec.requirements);
        let allowed = !spec.has_own_list() || spec.allow.contains(&asker.provider);
        allowed
            && asker.price <= spec.price_cap
            && (spec.test || !device.offer.software)
            && device.offer.selftest == Some(spec.versions)
            && device.offer.memory_bytes >= required.memory_bytes
            && claimed_speed(device) >= required.speed_gas_per_second
            && required.features.is_subset(&device.offer.features)
            // Nobody verifies work for itself.
            && asker.provider != job.developer
    }

    /// Whether none of the task's attempts is the asker's own.
    fn is_free(&self, asker: &Asker<'_>, key: TaskKey) -> Result<(), NothingHint> {
        let own = |other: &Attempt| other.operator == asker.operator.id && other.excludes_operator();
        if self.attempts_on(key).any(own) { Err(NothingHint::NoneFits) } else { Ok(()) }
    }

    /// Whether the asker may be one of this task's. At most all but one of its attempts are of keys that are no
    /// anchors; the last is an anchor's, or a trusted worker takes its place.
    fn pair(&self, asker: &Asker<'_>, key: TaskKey, anchor: bool) -> Result<(), NothingHint> {
        self.is_free(asker, key)?;
        let Some(task) = self.tasks.get(&key) else { return Err(NothingHint::NoneFits) };
        let counting = || self.attempts_on(key).filter(|other| other.counts());
        let related = |other: &Attempt| {
            self.operators.get(&other.operator).is_some_and(|other| other.is_related(asker.operator))
        };
        if anchor {
            // A preference only: hosts behind one address get work together in the end.
            let waited = self.now().since(task.opened_at) >= self.parameters.pairing_patience;
            return if waited || !counting().any(related) { Ok(()) } else { Err(NothingHint::NoneFits) };
        }
        let others = counting().filter(|other| !other.anchor).count();
        if others + 1 >= usize::from(task.needed.max(2))
            || counting().any(|other| !other.anchor && related(other))
        {
            return Err(NothingHint::NoneFits);
        }
        let anchors = self.has_anchor_for(key);
        if task.stumbles >= stumbles_max(anchors) || task.needed == 1 && anchors {
            return Err(NothingHint::NoneFits);
        }
        if !anchors && self.index.replays_open() >= self.parameters.replays_max as usize {
            return Err(NothingHint::ReplaysBehind);
        }
        let turn = self.has_room(asker.operator) && self.is_turn(asker, key);
        if turn { Ok(()) } else { Err(NothingHint::NotYourTurn) }
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
