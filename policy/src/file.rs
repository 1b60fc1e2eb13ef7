//! `policy.toml`: read from text, checked key by key. What follows from it is `decide` and `admit`.
//!
//! The reference with every key is `policy/policy.toml`; [`schema`] is the same for editors. Read with the
//! sections of a job's manifest, so its errors look the same: line, key, what was found, a line that works.

mod keys;
mod limits;
mod rules;
mod schema;

use anneal_job::{
    ManifestError,
    manifest::section::{Field, Section, Source},
};
use thiserror::Error;

use crate::Policy;

pub use schema::{
    DevicesTable, EarningsTable, FanTable, HeatTable, JobsTable, OwnerTable, PolicyFile, PowerTable,
    SharesTable, TariffTable, TemperatureTable, TimeTable, schema,
};

/// Bytes of a `policy.toml`.
pub const POLICY_BYTES_MAX: usize = 1 << 20;

/// Why a text is no policy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// Something at a line.
    #[error(transparent)]
    At(#[from] ManifestError),
    /// Longer than any policy.
    #[error("the policy has {found} bytes, but at most {limit} are allowed: is it the right file?")]
    TooLong {
        /// Bytes.
        found: usize,
        /// Bytes.
        limit: usize,
    },
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// The first thing wrong with it, naming line and key.
    pub fn parse(text: &str) -> Result<Policy, PolicyError> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::TooLong { found: text.len(), limit: POLICY_BYTES_MAX });
        }
        let source = Source::new(text);
        let document = source.parse()?;
        let root = Section::root(&source, document.get_ref(), keys::ROOT)?;
        Ok(policy(&root)?)
    }
}

fn policy(root: &Section<'_>) -> Result<Policy, ManifestError> {
    let mut policy = Policy::default();
    let table = |name: &str, keys: &[&str], example: &str| {
        root.get(name).map(|field| field.section(keys, example)).transpose()
    };
    if let Some(section) = table("temperature", keys::TEMPERATURE, "temperature.gpu.target = 72")? {
        limits::temperature(&section, &mut policy.temperature)?;
    }
    if let Some(section) = table("fan", keys::FAN, "fan.limit-percent = 60")? {
        policy.fan = limits::fan(&section)?;
    }
    if let Some(section) = table("power", keys::POWER, "power.watts = 250")? {
        policy.power = limits::power(&section)?;
    }
    if let Some(section) = table("time", keys::TIME, "time.windows = [\"22:00-07:30\"]")? {
        policy.schedule = rules::time(&section)?;
    }
    if let Some(section) = table("earnings", keys::EARNINGS, "earnings.price-per-kwh = 0.32")? {
        policy.earnings = Some(rules::earnings(&section)?);
    }
    if let Some(section) = table("owner", keys::OWNER, "owner.idle-minutes = 5")? {
        policy.owner = rules::owner(&section)?;
    }
    if let Some(section) = table("shares", keys::SHARES, "shares.duty = 0.8")? {
        policy.shares = limits::shares(&section)?;
    }
    if let Some(field) = root.get("devices") {
        policy.devices = limits::devices(&field.open_section("devices.\"NVIDIA T400\" = false")?)?;
    }
    if let Some(section) = table("jobs", keys::JOBS, "jobs.longest-task-minutes = 60")? {
        policy.jobs = rules::jobs(&section)?;
    }
    Ok(policy)
}

/// The items of a list of texts, each read.
fn texts<T>(
    field: &Field<'_>,
    what: &'static str,
    limit: usize,
    example: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, ManifestError> {
    let items = field.items(what, limit, example)?;
    items
        .iter()
        .map(|item| {
            let text = item.text("a text", example)?;
            read(text).map_err(|expected| item.invalid(expected, example))
        })
        .collect()
}

#[cfg(test)]
mod tests;
