//! `anneal doctor` in words: a table of the layers, and what to do where one is missing.

use anneal_runner::doctor::DoctorReport;
use anneal_sandbox::confine::{ConfinementReport, Layer, LayerState};

use crate::terminal::table;

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

#[cfg(test)]
mod tests {
    use anneal_runner::doctor::failure;
    use anneal_sandbox::confine::{GpuPaths, LayerReport, Requirement, STRANGERS_MINIMUM};

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
