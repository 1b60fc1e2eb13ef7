//! The devices that `anneal provide` offers: each has computed what it must, in a process of its own, with the
//! driver that it has now. What passed is remembered in the provider's folder.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anneal_api::wire::DeviceOffer;
use anneal_job::{ByteCount, Price, Versions, report::DeviceReport};
use anneal_policy::policy::Shares;
use anneal_provider::{Device, warden::DeviceName};
use anneal_runner::{
    Backend,
    failure::{Failure, Outcome},
    selftest::Tested,
};
use anneal_sandbox::{VERSIONS, confine::Requirement};
use anneal_sensors::{DeviceKind, GpuIdentity, PciAddress, SensedDevice};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::{arguments::Offered, devices, host::Host, network::settings::Settings, terminal::Terminal};

/// A device that has passed.
pub struct OfferedDevice {
    backend: Backend,
    offer: DeviceOffer,
    gate: Arc<Mutex<()>>,
    /// Whose sensors a GPU has that is a program.
    sensors_gpu: Option<PciAddress>,
}

impl OfferedDevice {
    /// Its memory, where it is a GPU and says so.
    pub fn gpu_memory(&self) -> Option<ByteCount> {
        self.backend.gpu_memory()
    }
}

/// The devices that are offered: tested, or the command ends.
pub fn offered(
    settings: &Settings,
    folder: &Path,
    host: &Host,
    terminal: &Terminal,
) -> Outcome<Vec<OfferedDevice>> {
    let wanted = |which: Offered| {
        settings.devices.is_empty()
            || settings.devices.iter().any(|&device| device == which || device == Offered::All)
    };
    let mut backends = Vec::new();
    if wanted(Offered::Gpu) {
        backends.extend(
            Backend::gpus(&host.launcher).into_iter().filter(|gpu| settings.software || !gpu.device.software),
        );
    }
    if wanted(Offered::Cpu) {
        backends.push(Backend::cpu(settings.threads));
    }
    if backends.is_empty() {
        return Err(Failure::bad_input(
            "there is no device to offer; see `anneal devices`, or offer --device cpu",
        ));
    }
    let mut memory = Memory::read(folder);
    let mut offered = Vec::new();
    for (number, backend) in backends.into_iter().enumerate() {
        let tested = match memory.recall(&backend.device) {
            Some(tested) => tested,
            None => {
                terminal.note(format!("testing {}", backend.name()));
                let tested = host.launcher.test_and_measure(&backend)?;
                memory.keep(&backend.device, tested);
                tested
            }
        };
        terminal.note(format!(
            "{} passes {} conformance vectors and does {:.2e} gas a second",
            backend.name(),
            tested.vectors,
            tested.gas_per_second as f64
        ));
        let offer = offer(number as u32, &backend, tested, Price(settings.price_floor));
        let sensors_gpu = host.sensors_gpu;
        offered.push(OfferedDevice { backend, offer, gate: Arc::default(), sensors_gpu });
    }
    Ok(offered)
}

/// What is said of a device that has passed.
pub fn offer(number: u32, backend: &Backend, tested: Tested, price_floor: Price) -> DeviceOffer {
    let device = &backend.device;
    let memory_bytes = device.memory_bytes.unwrap_or(MEMORY_UNKNOWN_BYTES);
    DeviceOffer {
        device: number,
        name: device.name.chars().take(100).collect(),
        class: class(&device.backend, device.software, memory_bytes),
        memory_bytes,
        features: [device.backend.clone()].into(),
        software: device.software,
        selftest: Some(VERSIONS),
        speed_gas_per_second: tested.gas_per_second,
        price_floor,
    }
}

/// What a device is taken to have whose driver does not say.
const MEMORY_UNKNOWN_BYTES: u64 = 2 << 30;

/// What prices go by: the kind of device and its memory, rounded down to a power of two.
fn class(backend: &str, software: bool, memory_bytes: u64) -> String {
    let gib = (memory_bytes >> 30).max(1);
    match (backend, software) {
        ("gpu", true) => "gpu-software".to_owned(),
        ("gpu", false) => format!("gpu-{}g", 1_u64 << gib.ilog2()),
        (other, _) => other.to_owned(),
    }
}

impl OfferedDevice {
    /// As the owner's policy and the sensors know it.
    pub fn name(&self) -> DeviceName {
        let DeviceReport { backend, name, software, .. } = &self.backend.device;
        let is_gpu = backend == "gpu" && (!software || self.sensors_gpu.is_some());
        DeviceName { number: self.offer.device, name: name.clone(), is_gpu }
    }

    /// For the sensors.
    pub fn sensed(&self) -> SensedDevice {
        let sensed = devices::sensed(&self.backend);
        match self
            .sensors_gpu
            .filter(|_| self.backend.device.backend == "gpu" && self.backend.device.software)
        {
            Some(address) => {
                let kind = DeviceKind::Gpu(GpuIdentity { address: Some(address), id: None });
                SensedDevice { kind, ..sensed }
            }
            None => sensed,
        }
    }

    /// For one agent; agents share the gate.
    pub fn device(&self, host: &Host, requirement: Requirement, shares: &Shares) -> Device {
        let (host, backend, shares) = (host.clone(), self.backend.clone(), *shares);
        let mut offer = self.offer.clone();
        let share = if backend.device.backend == "gpu" { shares.gpu_memory } else { shares.ram };
        offer.memory_bytes = offer.memory_bytes.min(share.map_or(u64::MAX, |share| share.0));
        Device {
            offer,
            machine: Box::new(move || Box::new(host.launcher.worker_within(&backend, requirement, &shares))),
            gate: Arc::clone(&self.gate),
        }
    }
}

const MEMORY: &str = "tested.json";
const MEMORY_BYTES_MAX: u64 = 1 << 20;
/// Devices that are remembered.
const REMEMBERED_MAX: usize = 64;

/// Tests that were passed. Lost or damaged, it is made again.
struct Memory {
    path: PathBuf,
    passed: BTreeMap<String, Tested>,
}

impl Memory {
    fn read(folder: &Path) -> Memory {
        let path = folder.join(MEMORY);
        let bytes = anneal_files::read_bounded(&path, MEMORY_BYTES_MAX).unwrap_or_default();
        Memory { passed: serde_json::from_slice(&bytes).unwrap_or_default(), path }
    }

    fn recall(&self, device: &DeviceReport) -> Option<Tested> {
        self.passed.get(&key(device, env!("CARGO_PKG_VERSION"), VERSIONS)).copied()
    }

    fn keep(&mut self, device: &DeviceReport, tested: Tested) {
        if self.passed.len() >= REMEMBERED_MAX {
            self.passed.clear();
        }
        self.passed.insert(key(device, env!("CARGO_PKG_VERSION"), VERSIONS), tested);
        let json = serde_json::to_vec(&self.passed).expect("numbers by name are JSON");
        let written = anneal_files::folder_and_name(&self.path)
            .and_then(|(folder, name)| anneal_files::write_whole(&folder, &name, &json));
        if let Err(error) = written {
            tracing::warn!(%error, "what passed its test is not remembered");
        }
    }
}

/// What a test is about: another device, driver or number of threads, or another `anneal`, is tested again.
fn key(device: &DeviceReport, anneal: &str, versions: Versions) -> String {
    #[derive(Serialize, Deserialize)]
    struct Key<'a> {
        device: &'a str,
        backend: &'a str,
        driver: &'a str,
        threads: usize,
        memory_bytes: Option<u64>,
        anneal: &'a str,
        versions: Versions,
    }
    let key = Key {
        device: &device.name,
        backend: &device.backend,
        driver: &device.driver,
        threads: device.threads,
        memory_bytes: device.memory_bytes,
        anneal,
        versions,
    };
    serde_json::to_string(&key).expect("words and numbers are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu() -> DeviceReport {
        DeviceReport {
            backend: "gpu".to_owned(),
            name: "a GPU".to_owned(),
            driver: "driver 1".to_owned(),
            ..DeviceReport::default()
        }
    }

    #[test]
    fn what_passed_is_remembered_for_this_very_device_and_driver() {
        let folder = tempfile::tempdir().expect("a folder");
        let tested = Tested { vectors: 3, gas_per_second: 5 };
        Memory::read(folder.path()).keep(&gpu(), tested);
        assert_eq!(Memory::read(folder.path()).recall(&gpu()), Some(tested));
        let changed: [fn(&mut DeviceReport); 4] = [
            |gpu| gpu.driver = "driver 2".to_owned(),
            |gpu| gpu.name = "another".to_owned(),
            |gpu| gpu.memory_bytes = Some(1),
            |gpu| gpu.threads = 2,
        ];
        for change in changed {
            let mut other = gpu();
            change(&mut other);
            assert_eq!(Memory::read(folder.path()).recall(&other), None, "{other:?}");
        }
        let newer = Versions { numerics: VERSIONS.numerics + 1, ..VERSIONS };
        assert_ne!(key(&gpu(), "1", VERSIONS), key(&gpu(), "1", newer));
        assert_ne!(key(&gpu(), "1", VERSIONS), key(&gpu(), "2", VERSIONS));
        std::fs::write(folder.path().join(MEMORY), b"{").expect("written");
        assert_eq!(Memory::read(folder.path()).recall(&gpu()), None);
    }
}
