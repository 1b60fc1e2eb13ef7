//! The library of NVIDIA's driver, loaded and called: in the process that `service` is, and in no other.
//!
//! It is loaded when it is first needed, by nvml-wrapper. A call that says that the driver or the GPU is gone closes
//! it, and a later reading tries to open it again: so a driver that is updated, or a GPU that falls off its bus, is
//! lost until it is back, and what was read before is never given again. A call can also hang or crash where a driver
//! dies; nothing here can help that.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use nvml_wrapper::{Device, Nvml, error::NvmlError};

use super::device;
use crate::{
    energy::EnergyMeter,
    gap::{Found, Gap},
    gpu::{GpuIdentity, GpuReadings},
    pci::PciId,
    processes::Processes,
};

/// After a failure to open it, it is left alone for so long.
const REST: Duration = Duration::from_secs(2);

/// NVIDIA's library.
#[derive(Debug)]
pub(super) struct NvmlLibrary {
    library: PathBuf,
    state: State,
}

#[derive(Debug)]
enum State {
    Open(Box<Nvml>),
    /// Why it is not open, and when that was found out.
    Closed(Option<(Instant, Gap)>),
}

impl NvmlLibrary {
    /// The library at this path, or of this name where the system looks for libraries.
    pub(super) fn new(library: PathBuf) -> NvmlLibrary {
        NvmlLibrary { library, state: State::Closed(None) }
    }

    /// Everything that is known of a GPU.
    pub(super) fn read(
        &mut self,
        gpu: &GpuIdentity,
        meter: &mut EnergyMeter,
        now: Instant,
        processes: &Processes,
    ) -> GpuReadings {
        let nvml = match self.open(now) {
            Ok(nvml) => nvml,
            Err(gap) => return GpuReadings::none(&gap),
        };
        let mut watch = Watch::default();
        let readings = match find(nvml, gpu, &mut watch) {
            Ok(device) => device::read(&device, meter, now, processes, &mut watch),
            Err(gap) => GpuReadings::none(&gap),
        };
        if watch.is_gone {
            self.state = State::Closed(None);
        }
        readings
    }

    fn open(&mut self, now: Instant) -> Found<&Nvml> {
        if let State::Closed(failed) = &self.state {
            if let Some((when, gap)) = failed
                && now.saturating_duration_since(*when) < REST
            {
                return Err(gap.clone());
            }
            self.state = match Nvml::builder().lib_path(self.library.as_os_str()).init() {
                Ok(nvml) => State::Open(Box::new(nvml)),
                Err(error) => State::Closed(Some((now, self.closed(&error)))),
            };
        }
        match &self.state {
            State::Open(nvml) => Ok(nvml),
            State::Closed(Some((_, gap))) => Err(gap.clone()),
            State::Closed(None) => Err(Gap::lost("NVIDIA's library is closed")),
        }
    }

    fn closed(&self, error: &NvmlError) -> Gap {
        let library = self.library.display();
        match error {
            NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => Gap::absent(format!(
                "{library} cannot be loaded: {error}; it comes with NVIDIA's driver (Debian: libnvidia-ml1)"
            )),
            _ => Gap::lost(format!("{library} does not start: {error}; is NVIDIA's driver loaded?")),
        }
    }
}

/// What was seen on the way of a reading.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The driver or the GPU is gone: the library must be opened anew.
    is_gone: bool,
}

impl Watch {
    /// The words for an error of a call, and whether the machine has no such sensor.
    pub(super) fn gap(&mut self, what: &str, error: &NvmlError) -> Gap {
        let why = format!("NVML, {what}: {error}");
        match error {
            NvmlError::NotSupported | NvmlError::FunctionNotFound | NvmlError::FailedToLoadSymbol(_) => {
                Gap::absent(why)
            }
            NvmlError::GpuLost
            | NvmlError::Uninitialized
            | NvmlError::DriverNotLoaded
            | NvmlError::LibRmVersionMismatch
            | NvmlError::ResetRequired
            | NvmlError::NotFound
            | NvmlError::Unknown => {
                self.is_gone = true;
                Gap::lost(why)
            }
            _ => Gap::lost(why),
        }
    }

    pub(super) fn found<T>(&mut self, what: &str, read: Result<T, NvmlError>) -> Found<T> {
        read.map_err(|error| self.gap(what, &error))
    }
}

/// The GPU that is meant: by its place, or by its kind where there is one of it.
fn find<'nvml>(nvml: &'nvml Nvml, gpu: &GpuIdentity, watch: &mut Watch) -> Found<Device<'nvml>> {
    if let Some(address) = gpu.address {
        // NVML writes the domain with eight digits, and takes four as well.
        return watch.found(&format!("GPU at {address}"), nvml.device_by_pci_bus_id(address.to_string()));
    }
    let count = watch.found("number of GPUs", nvml.device_count())?;
    let mut same = Vec::new();
    for index in 0..count {
        let device = watch.found("GPU", nvml.device_by_index(index))?;
        let pci = watch.found("place of a GPU", device.pci_info())?;
        // The model stands above the vendor.
        let id = PciId { vendor: pci.pci_device_id as u16, device: (pci.pci_device_id >> 16) as u16 };
        if gpu.is(pci.bus_id.parse().ok(), Some(id)) {
            same.push(device);
        }
    }
    gpu.only(same, "NVML")
}
