//! What this machine's operating system enforces around a stranger's component, and what to
//! do where it does not. It asks real processes, confined as `anneal run`'s are.

use anneal_job::{FaultCode, HostFault, report::ErrorKind};
use anneal_sandbox::{
    compile::{self, CompileLimits},
    confine::{ConfinementReport, GpuPaths, Layer, Requirement, STRANGERS_MINIMUM},
};
use serde::Serialize;

use crate::{
    backends::Backend,
    failure::{Failure, Outcome},
    launcher::Launcher,
};

/// Memory of the worker that is asked: a limit, for without one the layer of limits does not hold.
const MEMORY_BYTES: u64 = 4 << 30;

/// What holds the processes of this machine.
#[derive(Clone, Debug, Serialize)]
pub struct DoctorReport {
    /// Whether a stranger's work may be taken.
    pub strangers: bool,
    /// The layers without which it may not.
    pub minimum: Vec<Layer>,
    /// The process that runs a component.
    pub worker: ConfinementReport,
    /// The process that compiles one.
    pub compiler: ConfinementReport,
    /// What a worker sees of the machine where it computes on a GPU.
    pub gpu: GpuPaths,
    /// Every GPU, and whether it computes in a confined worker.
    pub gpus: Vec<GpuCheck>,
}

/// A GPU in a confined worker.
#[derive(Clone, Debug, Serialize)]
pub struct GpuCheck {
    /// Its name.
    pub name: String,
    /// Why it does not compute there; `None` where it does.
    pub fault: Option<String>,
}

/// Asks a worker and a compiling process how they are confined.
///
/// # Errors
/// Where one of them does not start.
pub fn doctor(launcher: &Launcher) -> Outcome<DoctorReport> {
    let worker = launcher.worker(&Backend::cpu(Some(1)), Some(MEMORY_BYTES)).check().map_err(fault)?;
    let compiler = compile::check(&launcher.compiler(), CompileLimits::DEFAULT).map_err(Failure::host)?;
    let check = |backend: &Backend| GpuCheck {
        name: backend.name(),
        fault: launcher.worker(backend, None).check().err().map(|fault| fault.message),
    };
    let unmet = [&worker, &compiler].iter().any(|report| report.unmet(Requirement::STRANGERS).is_some());
    Ok(DoctorReport {
        strangers: !unmet,
        minimum: STRANGERS_MINIMUM.to_vec(),
        worker,
        compiler,
        gpu: GpuPaths::find(&launcher.environment),
        gpus: Backend::gpus(launcher).iter().map(check).collect(),
    })
}

/// The failure that a machine below the minimum, or below what its owner requires, ends with.
pub fn failure(report: &DoctorReport, requirement: Requirement) -> Option<Failure> {
    let unmet = |process: &str, confined: &ConfinementReport, requirement: Requirement| {
        confined.unmet(requirement).map(|words| format!("{process}: {words}"))
    };
    let unmet = unmet("the worker", &report.worker, requirement)
        .or_else(|| unmet("the compiling process", &report.compiler, requirement.for_compiler()));
    unmet.map(|message| fault(HostFault { code: FaultCode::Confinement, message }))
}

/// This machine's fault as the command's failure, with its code.
pub fn fault(fault: HostFault) -> Failure {
    let code = serde_json::to_value(fault.code).ok();
    let failure = Failure::new(ErrorKind::HostFault, anyhow::anyhow!(fault.message));
    match code.as_ref().and_then(serde_json::Value::as_str) {
        Some(code) => failure.with_code(code),
        None => failure,
    }
}
