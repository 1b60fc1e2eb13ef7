//! `anneal service`: the provider as a user's service of systemd. Writes and removes one unit, and asks systemctl
//! where it can be asked.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anneal_runner::failure::{Failure, Outcome};
use anyhow::{Context, anyhow};
use serde::Serialize;

use super::{
    owner,
    settings::{self, Settings},
};
use crate::{
    arguments::{Service, ServiceAction},
    host::Host,
    terminal::{Lines, Terminal},
};

const UNIT: &str = "anneal.service";

/// The service as it is now.
#[derive(Debug, Serialize)]
pub struct ServiceReport {
    /// The unit's file.
    pub unit: PathBuf,
    /// Whether the file is there.
    pub installed: bool,
    /// What systemd says of it, `active` for one; `None` where it cannot be asked.
    pub state: Option<String>,
    /// What the owner has to run, for systemd could not be asked.
    pub to_run: Vec<String>,
}

/// Installs, removes or shows the service.
///
/// # Errors
/// Where nothing was set up, or the unit cannot be written.
pub fn service(arguments: &Service, host: &Host, terminal: &Terminal) -> Outcome<ServiceReport> {
    match arguments.action {
        ServiceAction::Install => install(&owner::folder(arguments.folder.as_deref(), host), host, terminal),
        ServiceAction::Remove => remove(host, terminal),
        ServiceAction::Show => show(host, terminal),
    }
}

/// Installs the service for a folder, and starts it.
pub fn install(folder: &Path, host: &Host, terminal: &Terminal) -> Outcome<ServiceReport> {
    if !folder.join(settings::FILE).is_file() {
        return Err(Failure::bad_input(format!(
            "{} has no {}: run `anneal setup` first",
            folder.display(),
            settings::FILE
        )));
    }
    if Settings::read(folder)?.coordinators.is_empty() {
        return Err(Failure::bad_input(format!(
            "{} names no coordinators, and a service has no ANNEAL_COORDINATOR: name one there",
            folder.join(settings::FILE).display()
        )));
    }
    let folder = folder.canonicalize().with_context(|| format!("{} cannot be found", folder.display()))?;
    let path = host.config.join("systemd/user").join(UNIT);
    let text = unit(&host.launcher.program, &folder, &host.launcher.cache)?;
    let written =
        path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, text));
    written.with_context(|| format!("{} cannot be written", path.display())).map_err(Failure::host)?;
    terminal.data(format!("wrote {}", path.display()));
    let report = after(path, &[&["daemon-reload"], &["enable", "--now", UNIT]], terminal);
    terminal.note("it runs while you are logged in; `loginctl enable-linger` lets it run without");
    Ok(report)
}

fn remove(host: &Host, terminal: &Terminal) -> Outcome<ServiceReport> {
    let path = host.config.join("systemd/user").join(UNIT);
    if !path.exists() {
        terminal.data(format!("there is no {}", path.display()));
        return Ok(ServiceReport { unit: path, installed: false, state: None, to_run: Vec::new() });
    }
    // Stopped before its file goes: afterwards systemd knows it no more.
    let stopped = after(path.clone(), &[&["disable", "--now", UNIT]], terminal);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Failure::host(
                anyhow!(error).context(format!("{} cannot be removed", path.display())),
            ));
        }
        _ => terminal.data(format!("removed {}", path.display())),
    }
    let mut report = after(path, &[&["daemon-reload"]], terminal);
    report.to_run.splice(0..0, stopped.to_run);
    Ok(report)
}

fn show(host: &Host, terminal: &Terminal) -> Outcome<ServiceReport> {
    let path = host.config.join("systemd/user").join(UNIT);
    let report = ServiceReport { installed: path.exists(), state: state(), unit: path, to_run: Vec::new() };
    if report.installed {
        let text = std::fs::read_to_string(&report.unit);
        let text = text.with_context(|| format!("{} cannot be read", report.unit.display()))?;
        let state = report.state.as_deref().unwrap_or("systemd cannot be asked");
        terminal.data(format!("# {}: {state}", report.unit.display()));
        terminal.data(Lines::of_own(&text));
    } else {
        terminal.data(format!("there is no {}: `anneal service install` writes it", report.unit.display()));
    }
    Ok(report)
}

/// Runs systemctl, or says what the owner has to run.
fn after(unit: PathBuf, commands: &[&[&str]], terminal: &Terminal) -> ServiceReport {
    let mut to_run = Vec::new();
    for arguments in commands {
        // Once one could not be run, the others have no ground.
        if !to_run.is_empty() || systemctl(arguments).is_none_or(|(succeeded, _)| !succeeded) {
            to_run.push(format!("systemctl --user {}", arguments.join(" ")));
        }
    }
    if !to_run.is_empty() {
        terminal
            .warn(format!("systemd's user manager did not do it from here; run: {}", to_run.join(" && ")));
    }
    ServiceReport { installed: unit.exists(), unit, state: state(), to_run }
}

/// What systemd says of the service.
fn state() -> Option<String> {
    let (_, words) = systemctl(&["is-active", UNIT])?;
    (!words.is_empty()).then_some(words)
}

/// Whether it succeeded, and its first words; `None` where there is no systemctl.
fn systemctl(arguments: &[&str]) -> Option<(bool, String)> {
    let mut command = Command::new("systemctl");
    command.arg("--user").args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().ok()?;
    let words = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Some((output.status.success(), words))
}

/// The unit's text. SIGTERM goes to the agent alone: it gives back its leases and ends its workers itself.
fn unit(program: &Path, folder: &Path, cache: &Path) -> Outcome<String> {
    let cache = cache.parent().unwrap_or(cache);
    Ok(format!(
        "# Written by `anneal service install`, removed by `anneal service remove`.\n\
         [Unit]\n\
         Description=Anneal: rents out this machine's idle devices\n\
         \n\
         [Service]\n\
         Type=exec\n\
         ExecStart={} provide --folder {}\n\
         Environment={}\n\
         Restart=on-failure\n\
         RestartSec=30\n\
         # Wrong settings do not mend themselves.\n\
         RestartPreventExitStatus=2\n\
         # SIGTERM to the agent alone: it gives back what is not finished, and ends its workers.\n\
         KillMode=mixed\n\
         TimeoutStopSec=30\n\
         Nice=10\n\
         \n\
         [Install]\n\
         WantedBy=default.target\n",
        quoted("", program, true)?,
        quoted("", folder, true)?,
        quoted("ANNEAL_CACHE=", cache, false)?,
    ))
}

/// A word of a unit: specifiers, escapes and, in command lines, variables are taken literally.
fn quoted(before: &str, path: &Path, is_command: bool) -> Outcome<String> {
    let text = path.to_str().filter(|text| !text.contains(char::is_control)).ok_or_else(|| {
        Failure::bad_input(format!("the path {} cannot be written into a unit of systemd", path.display()))
    })?;
    let mut quoted = format!("\"{before}");
    for character in text.chars() {
        match character {
            '%' => quoted += "%%",
            '$' if is_command => quoted += "$$",
            '"' | '\\' => quoted.extend(['\\', character]),
            other => quoted.push(other),
        }
    }
    Ok(quoted + "\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_takes_every_path_literally() {
        for (path, command, variable) in [
            ("/opt/anneal", "\"/opt/anneal\"", "\"A=/opt/anneal\""),
            ("/a b/c%d", "\"/a b/c%%d\"", "\"A=/a b/c%%d\""),
            ("/a$b\"c\\d", "\"/a$$b\\\"c\\\\d\"", "\"A=/a$b\\\"c\\\\d\""),
        ] {
            assert_eq!(quoted("", Path::new(path), true).ok().as_deref(), Some(command));
            assert_eq!(quoted("A=", Path::new(path), false).ok().as_deref(), Some(variable));
        }
        assert!(quoted("", Path::new("/a\nExecStart=/b"), true).is_err());
    }

    #[test]
    fn a_unit_stops_the_agent_before_its_workers() {
        let unit = unit(Path::new("/bin/anneal"), Path::new("/data"), Path::new("/cache/components"));
        let unit = unit.expect("plain paths");
        for line in [
            "ExecStart=\"/bin/anneal\" provide --folder \"/data\"",
            "Environment=\"ANNEAL_CACHE=/cache\"",
            "Restart=on-failure",
            "KillMode=mixed",
            "WantedBy=default.target",
        ] {
            assert!(unit.lines().any(|found| found == line), "{line} in\n{unit}");
        }
    }
}
