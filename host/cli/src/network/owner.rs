//! `anneal status`, `pause`, `resume` and `finish`: a provider that runs on this machine, asked over its folder's
//! socket.

use std::path::{Path, PathBuf};

use anneal_job::shown_name;
use anneal_provider::{
    OwnerStatus, Wish,
    control::{self, ControlError},
    status::{DeviceLimits, DeviceStatus, Status},
};
use anneal_runner::failure::{Failure, Outcome};
use anyhow::anyhow;

use super::wait_for;
use crate::{
    arguments::OfProvider,
    host::Host,
    terminal::{Terminal, table},
};

/// Lines of what happened that are shown.
const LINES_SHOWN: usize = 5;

/// The folder of this machine's provider.
pub fn folder(given: Option<&Path>, host: &Host) -> PathBuf {
    given.map_or_else(|| host.data.join("provider"), Path::to_owned)
}

/// How the provider does.
///
/// # Errors
/// Where none runs.
pub fn status(arguments: &OfProvider, host: &Host, terminal: &Terminal) -> Outcome<OwnerStatus> {
    let folder = folder(arguments.folder.as_deref(), host);
    let status = wait_for(async { control::status(&folder).await.map_err(failure) })?;
    terminal.data(describe(&status));
    Ok(status)
}

/// Tells the provider what its owner wants.
///
/// # Errors
/// Where none runs.
pub fn wish(arguments: &OfProvider, wish: Wish, host: &Host, terminal: &Terminal) -> Outcome<OwnerStatus> {
    let folder = folder(arguments.folder.as_deref(), host);
    let status = wait_for(async { control::wish(&folder, wish).await.map_err(failure) })?;
    let mut words = vec![in_words(status.wish).to_owned()];
    for device in status.coordinators.iter().flat_map(|known| known.devices.values()) {
        if let Some(work) = device.work.as_ref().filter(|_| status.wish != Wish::Run) {
            words.push(format!("still runs: {} on {}", work.describe(), shown_name(&device.name)));
        }
    }
    terminal.data(words);
    Ok(status)
}

fn failure(error: ControlError) -> Failure {
    match &error {
        ControlError::NotRunning { .. } => Failure::host(anyhow!(error)).with_code("not-running"),
        ControlError::Refused { code, .. } => {
            let code = code.clone();
            Failure::host(anyhow!(error)).with_code(code)
        }
        _ => Failure::host(anyhow!(error)),
    }
}

fn in_words(wish: Wish) -> &'static str {
    match wish {
        Wish::Run => "takes work",
        Wish::Pause => "paused: takes nothing new, until `anneal resume`",
        Wish::Finish => "finishing: takes nothing new, and ends once everything that it took is judged",
        Wish::Leave => "leaving: gives back what is not finished",
    }
}

/// For people: what is wanted, a table of devices, sums, and the last lines.
pub fn describe(status: &OwnerStatus) -> Vec<String> {
    let mut lines = vec![format!("provider in {}, process {}", status.folder.display(), status.process)];
    lines.push(in_words(status.wish).to_owned());
    if let Some(page) = &status.page {
        lines.push(format!("page {page}"));
    }
    for known in &status.coordinators {
        lines.push(String::new());
        lines.extend(describe_one(known, status.wish));
    }
    lines
}

fn describe_one(status: &Status, wish: Wish) -> Vec<String> {
    let identity = status.identity.get(..12).unwrap_or("(not yet)");
    let mut lines = vec![format!("{} as {identity}", status.coordinator)];
    if let Some(trouble) = &status.trouble {
        lines.push(format!("trouble: {trouble}"));
    }
    let limited = status.devices.values().any(|device| device.limits.is_some());
    let mut headings = vec!["DEVICE", "DOES"];
    if limited {
        headings.push("LIMITS");
    }
    let row = |device: &DeviceStatus| {
        let mut cells = vec![shown_name(&device.name).into_owned(), does(device, wish)];
        if limited {
            cells.push(device.limits.as_ref().map_or_else(|| "-".to_owned(), limits));
        }
        cells
    };
    let rows: Vec<Vec<String>> = status.devices.values().map(row).collect();
    lines.extend(table(&headings, &rows));
    lines.push(format!(
        "{} finished ({} wait for a verdict), {} gas, {} failed here",
        status.finished, status.waiting, status.gas, status.faults
    ));
    let last = status.lines.iter().skip(status.lines.len().saturating_sub(LINES_SHOWN));
    lines.extend(last.map(|line| format!("  {line}")));
    lines
}

/// What a device does, in a few words.
pub(super) fn does(device: &DeviceStatus, wish: Wish) -> String {
    match (&device.work, &device.no_lease) {
        (Some(work), _) => work.describe(),
        (None, Some(hint)) if wish == Wish::Run => format!("waits ({hint})"),
        (None, _) => "idle".to_owned(),
    }
}

fn limits(limits: &DeviceLimits) -> String {
    let mut words = limits.doing.clone();
    if let Some(duty) = limits.duty {
        words += &format!(" at {:.0} %", duty * 100.0);
    }
    if !limits.reasons.is_empty() {
        words += &format!(": {}", limits.reasons.join("; "));
    }
    words
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_status_reads_as_a_table_with_limits_where_there_are_some() {
        let idle = DeviceStatus { name: "a GPU".to_owned(), ..DeviceStatus::default() };
        let limits = DeviceLimits {
            doing: "pauses".to_owned(),
            reasons: vec!["72 °C, below 70 °C it goes on".to_owned()],
            duty: Some(0.25),
        };
        let waiting = DeviceStatus { no_lease: Some("no-tasks".to_owned()), ..idle.clone() };
        let limited = DeviceStatus { limits: Some(limits), ..idle.clone() };
        let status = |devices: Vec<DeviceStatus>, wish| OwnerStatus {
            version: "0".to_owned(),
            process: 7,
            folder: "/there".into(),
            page: None,
            wish,
            coordinators: vec![Status {
                devices: BTreeMap::from_iter((0..).zip(devices)),
                ..Status::default()
            }],
        };
        let text = describe(&status(vec![idle.clone(), waiting.clone()], Wish::Run)).join("\n");
        assert!(text.contains("DEVICE  DOES\na GPU   idle\na GPU   waits (no-tasks)"), "{text}");
        let text = describe(&status(vec![waiting], Wish::Pause)).join("\n");
        assert!(text.contains("paused") && !text.contains("no-tasks"), "{text}");
        let text = describe(&status(vec![idle, limited], Wish::Run)).join("\n");
        assert!(text.contains("pauses at 25 %: 72 °C, below 70 °C it goes on"), "{text}");
    }
}
