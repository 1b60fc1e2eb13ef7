//! Whether a task that is offered may be taken under a policy. Whether anything may run now is `decide`'s.

use std::{fmt, str::FromStr};

use anneal_job::{ByteCount, Digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Policy, quantity::duration, schedule::Opening};

/// A developer's Ed25519 key: 32 bytes, as text 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeveloperKey(pub [u8; 32]);

/// A text that is no developer's key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no developer's key: expected 64 hexadecimal digits")]
pub struct DeveloperKeyError(String);

/// A price: piconero for 1,000,000,000 gas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GasPrice(pub u64);

/// A task that is offered.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// The device that would take it.
    pub device: String,
    /// Whose it is.
    pub developer: DeveloperKey,
    /// What would run.
    pub component: Digest,
    /// What it pays.
    pub price: GasPrice,
    /// How long it is expected to take on this device at full duty, transfers included.
    pub expected_s: f64,
    /// Memory of the device that it may use.
    pub gpu_memory: ByteCount,
    /// Main memory that it may use.
    pub ram: ByteCount,
    /// Disk that it may use.
    pub disk: ByteCount,
}

/// What is taken of the machine already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Tasks.
    pub tasks: u32,
    /// Memory of the device.
    pub gpu_memory: ByteCount,
    /// Main memory.
    pub ram: ByteCount,
    /// Disk.
    pub disk: ByteCount,
}

/// Why a task is not taken.
#[derive(Clone, Debug, PartialEq, Error, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum Refusal {
    #[error("the device \"{device}\" is off (`[devices]`)")]
    DeviceOff { device: String },
    #[error("it pays {offered} piconero for a billion gas; the least is {least} (`jobs.minimum-price`)")]
    PriceTooLow { offered: u64, least: u64 },
    #[error("it would take {}; the longest is {} (`jobs.longest-task-minutes`)", duration(*.expected_s), duration(*.longest_s))]
    TooLong { expected_s: f64, longest_s: f64 },
    #[error("how long it would take is not known (`jobs.longest-task-minutes`)")]
    LengthUnknown,
    #[error("its developer is in `jobs.denied-developers`")]
    DeveloperDenied,
    #[error("its developer is not in `jobs.allowed-developers`")]
    DeveloperNotAllowed,
    #[error("its component is in `jobs.denied-components`")]
    ComponentDenied,
    #[error("its component is not in `jobs.allowed-components`")]
    ComponentNotAllowed,
    #[error("{running} tasks run already, and no more are allowed (`shares.concurrent-tasks`)")]
    TooManyTasks { running: u32 },
    #[error("it needs {wanted} of {what}, and {left} are left of its share (`shares.{key}`)")]
    ShareTooSmall { what: &'static str, key: &'static str, wanted: ByteCount, left: ByteCount },
    #[error("it would not end before {closes}, when your hours end (`time`)")]
    ClosesBefore { closes: String },
    #[error("your hours are over (`time`)")]
    Closed,
}

/// Whether an offered task may be taken; if not, every reason.
///
/// # Errors
/// All refusals that apply, never an empty list.
pub fn admit(
    policy: &Policy,
    offer: &Offer,
    occupancy: &Occupancy,
    now: Timestamp,
) -> Result<(), Vec<Refusal>> {
    let mut refusals = Vec::new();
    if !policy.is_device_on(&offer.device) {
        refusals.push(Refusal::DeviceOff { device: offer.device.clone() });
    }
    refusals.extend(job(policy, offer));
    refusals.extend(length(policy, offer, now));
    refusals.extend(shares(policy, offer, occupancy));
    if refusals.is_empty() { Ok(()) } else { Err(refusals) }
}

fn job(policy: &Policy, offer: &Offer) -> impl Iterator<Item = Refusal> {
    let jobs = &policy.jobs;
    let (developer, component) = (&offer.developer, &offer.component);
    let is_outside = |is_any: bool, is_listed: bool| is_any && !is_listed;
    let checks = [
        (
            offer.price < jobs.minimum_price,
            Refusal::PriceTooLow { offered: offer.price.0, least: jobs.minimum_price.0 },
        ),
        (jobs.denied_developers.contains(developer), Refusal::DeveloperDenied),
        (
            is_outside(!jobs.allowed_developers.is_empty(), jobs.allowed_developers.contains(developer)),
            Refusal::DeveloperNotAllowed,
        ),
        (jobs.denied_components.contains(component), Refusal::ComponentDenied),
        (
            is_outside(!jobs.allowed_components.is_empty(), jobs.allowed_components.contains(component)),
            Refusal::ComponentNotAllowed,
        ),
    ];
    checks.into_iter().filter(|(applies, _)| *applies).map(|(_, refusal)| refusal)
}

fn length(policy: &Policy, offer: &Offer, now: Timestamp) -> Vec<Refusal> {
    // At a share of the duty it takes longer by as much.
    let expected_s = offer.expected_s / policy.shares.duty.fraction().max(crate::policy::DUTY_MIN);
    if !expected_s.is_finite() || expected_s < 0.0 {
        return vec![Refusal::LengthUnknown];
    }
    let mut refusals = Vec::new();
    if let Some(longest_s) = policy.jobs.longest_task_s.filter(|longest_s| expected_s > *longest_s) {
        refusals.push(Refusal::TooLong { expected_s, longest_s });
    }
    match policy.schedule.at(now) {
        Opening::Closed { .. } => refusals.push(Refusal::Closed),
        Opening::Open { closes: None } => {}
        Opening::Open { closes: Some(closes) } => {
            if expected_s > closes.duration_since(now).as_secs_f64() {
                refusals.push(Refusal::ClosesBefore { closes: policy.schedule.local(closes) });
            }
        }
    }
    refusals
}

fn shares(policy: &Policy, offer: &Offer, occupancy: &Occupancy) -> Vec<Refusal> {
    let shares = &policy.shares;
    let mut refusals = Vec::new();
    if occupancy.tasks >= shares.concurrent_tasks {
        refusals.push(Refusal::TooManyTasks { running: occupancy.tasks });
    }
    for (what, key, share, wanted, taken) in [
        ("GPU memory", "gpu-memory", shares.gpu_memory, offer.gpu_memory, occupancy.gpu_memory),
        ("main memory", "ram", shares.ram, offer.ram, occupancy.ram),
        ("disk", "disk", shares.disk, offer.disk, occupancy.disk),
    ] {
        let Some(share) = share else { continue };
        let left = ByteCount(share.0.saturating_sub(taken.0));
        if wanted > left {
            refusals.push(Refusal::ShareTooSmall { what, key, wanted, left });
        }
    }
    refusals
}

impl FromStr for DeveloperKey {
    type Err = DeveloperKeyError;

    fn from_str(text: &str) -> Result<DeveloperKey, DeveloperKeyError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| DeveloperKeyError(text.chars().take(70).collect()))?;
        Ok(DeveloperKey(bytes))
    }
}

impl fmt::Display for DeveloperKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests;
