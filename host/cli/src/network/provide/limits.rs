//! The owner's limits of a provider: its policy read, its sensors opened, and the warden that holds its devices to it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anneal_policy::Policy;
use anneal_provider::warden::{Warden, Watch};
use anneal_runner::failure::{Failure, Outcome};
use anneal_sensors::Sensors;
use anyhow::Context;

use super::offered::OfferedDevice;
use crate::{host::Host, network::setup::POLICY, policy};

/// The policy that is named, or the one in the provider's folder, where there is one.
pub(super) fn read(named: Option<&Path>, base: &Path) -> Outcome<Option<(PathBuf, Policy)>> {
    let path = named.map_or_else(|| base.join(POLICY), Path::to_owned);
    if named.is_none() && !path.exists() {
        return Ok(None);
    }
    let policy = policy::read(&path)?;
    Ok(Some((path, policy)))
}

/// Begins to look at the devices. Until the first look nothing runs.
pub(super) fn watch(
    policy: Policy,
    base: &Path,
    offered: &[OfferedDevice],
    host: &Host,
) -> Outcome<(Arc<Warden>, Watch)> {
    let names = offered.iter().map(OfferedDevice::name);
    let warden = Arc::new(Warden::new(policy, base, names).map_err(Failure::host)?);
    let mut sensors = Sensors::open(&host.sensors, offered.iter().map(OfferedDevice::sensed).collect());
    // Devices are numbered in the order in which the sensors know them.
    let places: Vec<u32> = offered.iter().map(|device| device.name().number).collect();
    let watch = warden.watch(move |device| {
        let place = places.iter().position(|&number| number == device.number).unwrap_or_default();
        sensors.read(place).readings
    });
    let watch = watch.context("there is no thread for the limits").map_err(Failure::host)?;
    Ok((warden, watch))
}
