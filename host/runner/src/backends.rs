//! What this machine can compute on, and which of it a run takes.

use std::thread;

use anneal_job::{BackendChoice, ByteCount, Requirements, report::DeviceReport};
use anneal_sandbox::BackendRequest;
use anneal_tensor::{Cpu, DeviceInfo, Executor, Reference};
use anneal_tensor_gpu::{Adapter, GpuExecutor, adapters};
use anyhow::{Context, Result, ensure};

use crate::launcher::Launcher;

/// Something to compute on, and how a worker is told to.
#[derive(Clone, Debug)]
pub struct Backend {
    /// `cpu`, `reference`, or `gpu:` and the adapter's place in the list.
    pub address: String,
    /// Threads of the CPU; `None` takes all.
    pub threads: Option<usize>,
    /// What it is.
    pub device: DeviceReport,
}

impl Backend {
    /// The CPU with so many threads; all of them where nothing is said.
    pub fn cpu(threads: Option<usize>) -> Backend {
        let device = DeviceReport {
            backend: "cpu".to_owned(),
            name: cpu_name(),
            threads: threads.unwrap_or_else(all_threads),
            ..DeviceReport::default()
        };
        Backend { address: "cpu".to_owned(), threads, device }
    }

    /// The reference interpreter.
    pub fn reference() -> Backend {
        let device = device_report(Reference::new().device());
        Backend { address: "reference".to_owned(), threads: None, device }
    }

    /// Every GPU, real ones first. A process of its own asks the drivers: what one prints or breaks stays
    /// there, and then there is none.
    pub fn gpus(launcher: &Launcher) -> Vec<Backend> {
        let gpu = |(index, device)| Backend { address: format!("gpu:{index}"), threads: None, device };
        launcher.ask_drivers().unwrap_or_default().into_iter().enumerate().map(gpu).collect()
    }

    /// What a run takes.
    ///
    /// # Errors
    /// Where a GPU is wanted and there is none, or none with as much memory.
    pub fn choose(
        choice: BackendChoice,
        requirements: &Requirements,
        launcher: &Launcher,
    ) -> Result<Backend> {
        if choice == BackendChoice::Cpu {
            return Ok(Backend::cpu(None));
        }
        let found = Backend::gpus(launcher);
        let enough = |backend: &&Backend| match (requirements.device_memory, backend.device.memory_bytes) {
            (Some(ByteCount(needed)), Some(has)) => has >= needed,
            _ => true,
        };
        let hardware = |backend: &&Backend| choice == BackendChoice::Gpu || !backend.device.software;
        if let Some(backend) = found.iter().filter(hardware).find(enough) {
            return Ok(backend.clone());
        }
        if choice == BackendChoice::Auto {
            return Ok(Backend::cpu(None));
        }
        ensure!(
            !found.is_empty(),
            "there is no GPU here that Vulkan, Metal or DX12 shows; use --backend cpu"
        );
        let needed = requirements.device_memory.unwrap_or_default();
        anyhow::bail!(
            "no GPU here has the {needed} that requirements.device-memory asks for; use --backend cpu"
        )
    }

    /// What `anneal verify` compares: the CPU with one, two and all threads, and every GPU.
    pub fn to_verify(hardware_only: bool, reference: bool, launcher: &Launcher) -> Vec<Backend> {
        let mut counts = vec![1, 2, all_threads()];
        counts.sort_unstable();
        counts.dedup();
        let mut backends: Vec<Backend> = counts.into_iter().map(|count| Backend::cpu(Some(count))).collect();
        backends
            .extend(Backend::gpus(launcher).into_iter().filter(|gpu| !hardware_only || !gpu.device.software));
        if reference {
            backends.push(Backend::reference());
        }
        backends
    }

    /// Its memory, where it is a GPU and says so.
    pub fn gpu_memory(&self) -> Option<ByteCount> {
        self.device.memory_bytes.filter(|_| self.device.backend == "gpu").map(ByteCount)
    }

    /// What it is called in messages.
    pub fn name(&self) -> String {
        let DeviceReport { backend, name, threads, .. } = &self.device;
        match backend.as_str() {
            "cpu" if *threads == 1 => "cpu (1 thread)".to_owned(),
            "cpu" => format!("cpu ({threads} threads)"),
            "gpu" => format!("gpu ({name})"),
            other => other.to_owned(),
        }
    }
}

/// What the drivers of this machine show: the answer of the process that [`Launcher::ask_drivers`] starts.
pub fn drivers_show() -> Vec<DeviceReport> {
    let report = |adapter: &Adapter| DeviceReport {
        pci_address: adapter.pci_address(),
        pci_id: adapter.pci_id(),
        ..device_report(adapter.info())
    };
    adapters().iter().map(report).collect()
}

/// The executor that a worker is told to use.
///
/// # Errors
/// Says in words why there is none.
pub fn executor(request: &BackendRequest) -> Result<Box<dyn Executor>, String> {
    let made = || -> Result<Box<dyn Executor>> {
        match request.backend.split_once(':') {
            None if request.backend == "cpu" => {
                Ok(Box::new(Cpu::new(request.threads.unwrap_or_else(all_threads))?))
            }
            None if request.backend == "reference" => Ok(Box::new(Reference::new())),
            Some(("gpu", index)) => {
                let index: usize = index.parse().context("a GPU is named by its number")?;
                let adapters = adapters();
                let adapter = adapters.get(index).context("the GPU is gone; see `anneal devices`")?;
                let mut executor = GpuExecutor::new(adapter)?;
                executor.limit_memory(request.device_memory_bytes);
                Ok(Box::new(executor))
            }
            _ => anyhow::bail!("there is no backend {:?}", request.backend),
        }
    };
    made().map_err(|error| format!("{error:#}"))
}

/// What a device is, for reports.
pub fn device_report(info: &DeviceInfo) -> DeviceReport {
    DeviceReport {
        backend: info.backend.to_owned(),
        name: info.name.clone(),
        driver: info.driver.clone(),
        threads: info.threads,
        memory_bytes: info.memory_bytes,
        software: info.software,
        ..DeviceReport::default()
    }
}

fn all_threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The CPU's instruction set, as its executor names it.
fn cpu_name() -> String {
    format!("{} {}", std::env::consts::ARCH, anneal_tensor::InstructionSet::detect().name())
}
