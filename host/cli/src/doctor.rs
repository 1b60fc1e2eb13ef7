//! `anneal doctor`: what this machine's operating system enforces around a stranger's component, and what to
//! do where it does not. It asks real processes, confined as `anneal run`'s are.

use anneal_job::{FaultCode, HostFault, report::ErrorKind};
use anneal_sandbox::{
    compile::{self, CompileLimits},
    confine::{ConfinementReport, GpuPaths, Layer, LayerState, Requirement, STRANGERS_MINIMUM},
};
use serde::Serialize;

use crate::{
    backends::Backend,
    failure::{Failure, Outcome},
    host::Host,
    terminal::table,
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
pub fn doctor(host: &Host) -> Outcome<DoctorReport> {
    let worker = host.worker(&Backend::cpu(Some(1)), Some(MEMORY_BYTES)).check().map_err(fault)?;
    let compiler = compile::check(&host.compiler(), CompileLimits::DEFAULT).map_err(Failure::host)?;
    let check = |backend: &Backend| GpuCheck {
        name: backend.name(),
        fault: host.worker(backend, None).check().err().map(|fault| fault.message),
    };
    let unmet = [&worker, &compiler].iter().any(|report| report.unmet(Requirement::STRANGERS).is_some());
    Ok(DoctorReport {
        strangers: !unmet,
        minimum: STRANGERS_MINIMUM.to_vec(),
        worker,
        compiler,
        gpu: GpuPaths::find(&host.environment),
        gpus: Backend::gpus(host).iter().map(check).collect(),
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

/// For people: a table, what to do, and what a GPU opens.
pub fn describe(report: &DoctorReport) -> Vec<String> {
    let cell = |confined: &ConfinementReport, layer: Layer| {
        let found = confined.layers.iter().find(|report| report.layer == layer);
        match found.map(|report| &report.state) {
            None => "-",
            Some(LayerState::Enforced { .. }) => "enforced",
            Some(LayerState::Unavailable { .. }) => "unavailable",
        }
    };
    let row = |&layer: &Layer| {
        let needed = if report.minimum.contains(&layer) { "yes" } else { "no" };
        let cells = [layer.name(), cell(&report.worker, layer), cell(&report.compiler, layer), needed];
        cells.map(str::to_owned).to_vec()
    };
    let rows: Vec<Vec<String>> = Layer::ALL.iter().map(row).collect();
    let mut lines = table(&["LAYER", "WORKER", "COMPILER", "NEEDED FOR STRANGERS' WORK"], &rows);
    for (process, confined) in [("worker", &report.worker), ("compiler", &report.compiler)] {
        lines.extend([String::new(), process.to_owned()]);
        for layer in &confined.layers {
            lines.push(match &layer.state {
                LayerState::Enforced { how } => format!("  {}: {how}", layer.layer.name()),
                LayerState::Unavailable { reason, advice } => {
                    format!("  {}: NOT ENFORCED: {reason}; to have it: {advice}", layer.layer.name())
                }
            });
        }
    }
    lines.extend([String::new(), "a worker on a GPU also reads".to_owned()]);
    lines.extend(report.gpu.readable.iter().map(|path| format!("  {}", path.display())));
    lines.push("and reads, writes and commands".to_owned());
    lines.extend(report.gpu.devices.iter().map(|path| format!("  {}", path.display())));
    for gpu in &report.gpus {
        let verdict = gpu.fault.as_deref().unwrap_or("computes in a confined worker");
        lines.extend([String::new(), format!("{}: {verdict}", gpu.name)]);
    }
    let strangers = if report.strangers { "may" } else { "may not" };
    lines.extend([String::new(), format!("This machine {strangers} take strangers' work.")]);
    lines
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

#[cfg(test)]
mod tests {
    use anneal_sandbox::confine::LayerReport;

    use super::*;

    #[test]
    fn a_missing_layer_of_the_minimum_is_told_and_fails() {
        let layer = |layer, missing: bool| LayerReport {
            layer,
            state: if missing {
                LayerState::Unavailable { reason: "Landlock is off".into(), advice: "switch it on".into() }
            } else {
                LayerState::Enforced { how: "by the kernel".into() }
            },
        };
        let report = |missing: Option<Layer>| {
            let layers = Layer::ALL.iter().map(|&one| layer(one, missing == Some(one))).collect();
            let confined = ConfinementReport { layers };
            DoctorReport {
                strangers: confined.unmet(Requirement::STRANGERS).is_none(),
                minimum: STRANGERS_MINIMUM.to_vec(),
                worker: confined.clone(),
                compiler: confined,
                gpu: GpuPaths::default(),
                gpus: Vec::new(),
            }
        };
        assert!(failure(&report(None), Requirement::STRANGERS).is_none());
        assert!(failure(&report(Some(Layer::Scope)), Requirement::STRANGERS).is_none());
        // What an owner requires beside the minimum; a compiling process joins no control group.
        let scope = Requirement::BEST_EFFORT.with(Layer::Scope);
        assert!(failure(&report(Some(Layer::Scope)), scope).is_some());
        let grouped = DoctorReport { worker: report(None).worker, ..report(Some(Layer::Group)) };
        assert!(failure(&grouped, Requirement::BEST_EFFORT.with(Layer::Group)).is_none());
        let missing = report(Some(Layer::Files));
        let failure = failure(&missing, Requirement::STRANGERS).expect("files are in the minimum");
        assert_eq!((failure.exit_status(), failure.code.as_deref()), (1, Some("confinement")));
        assert!(failure.to_string().contains("switch it on"), "{failure}");
        let text = describe(&missing).join("\n");
        assert!(text.contains("files: NOT ENFORCED: Landlock is off; to have it: switch it on"), "{text}");
        assert!(text.contains("may not take"), "{text}");
    }
}
