//! `anneal devices`: what there is to compute on, and how its sensors are asked for.

use anneal_job::{
    ByteCount,
    report::{DeviceReport, DevicesReport},
};
use anneal_runner::{Backend, Launcher};
use anneal_sensors::{DeviceKind, GpuIdentity, SensedDevice};

use crate::terminal::table;

/// What this machine can compute on.
pub fn devices(launcher: &Launcher) -> DevicesReport {
    let cpu = Backend::cpu(None).device;
    let (programs, real): (Vec<DeviceReport>, Vec<DeviceReport>) =
        Backend::gpus(launcher).into_iter().map(|backend| backend.device).partition(|device| device.software);
    DevicesReport { devices: real.into_iter().chain([cpu]).chain(programs).collect() }
}

/// A table of them.
pub fn describe(report: &DevicesReport) -> Vec<String> {
    let row = |device: &DeviceReport| {
        let memory = device.memory_bytes.map_or_else(|| "-".to_owned(), |bytes| ByteCount(bytes).to_string());
        let threads = if device.threads > 0 { device.threads.to_string() } else { "-".to_owned() };
        let kind = if device.software { "program" } else { "hardware" };
        let driver = if device.driver.is_empty() { "-".to_owned() } else { device.driver.clone() };
        vec![device.backend.clone(), device.name.clone(), driver, threads, memory, kind.to_owned()]
    };
    let rows: Vec<Vec<String>> = report.devices.iter().map(row).collect();
    table(&["BACKEND", "DEVICE", "DRIVER", "THREADS", "MEMORY", "KIND"], &rows)
}

/// A backend as its sensors are asked for. A GPU that is a program works on the processor.
pub fn sensed(backend: &Backend) -> SensedDevice {
    let DeviceReport { backend, name, software, pci_address, pci_id, .. } = &backend.device;
    let kind = if backend != "gpu" || *software {
        DeviceKind::Processor
    } else {
        DeviceKind::Gpu(GpuIdentity {
            address: pci_address.as_ref().and_then(|address| address.parse().ok()),
            id: pci_id.as_ref().and_then(|id| id.parse().ok()),
        })
    };
    SensedDevice { name: name.clone(), kind }
}
