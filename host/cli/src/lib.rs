//! The command `anneal`, as a library: the only crate that reads the environment, prints, or ends the process.
//!
//! `main` reads the arguments, runs the command and makes an exit status of what came of it. A command gives a
//! report or a [`failure::Failure`]; it is told to people on stderr and stdout by [`terminal`], or to programs as
//! one JSON object.

pub mod arguments;
pub mod build;
pub mod failure;
pub mod import;
mod manifest_override;
pub mod new;
pub mod terminal;
pub mod toolchain;

use std::{ffi::OsString, process::ExitCode};

use anneal_job::report::Envelope;
use clap::Parser;
use schemars::JsonSchema;
use serde::Serialize;

use arguments::{Arguments, Command};
use failure::{Failure, Outcome};
use terminal::Terminal;

/// Runs the command that the arguments name; the first argument is the program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match Arguments::try_parse_from(&arguments) {
        Ok(parsed) => ExitCode::from(dispatch(parsed.command)),
        Err(error) => ExitCode::from(usage(&error, &arguments)),
    }
}

fn dispatch(command: Command) -> u8 {
    match command {
        Command::New { directory, output } => tell("new", output.json, |terminal| {
            let report = new::new(&directory)?;
            terminal.data(new::describe(&report));
            Ok(report)
        }),
        Command::Build { directory, output } => tell("build", output.json, |terminal| {
            let report = build::build(&directory)?.report;
            terminal.data(build::describe(&report));
            Ok(report)
        }),
        _ => 2,
    }
}

/// Runs a command and tells its report or its failure; the exit status.
fn tell<T: Serialize + JsonSchema>(
    command: &str,
    json: bool,
    act: impl FnOnce(&Terminal) -> Outcome<T>,
) -> u8 {
    let terminal = Terminal::new(json);
    let (report, failure) = match act(&terminal) {
        Ok(report) => (Some(report), None),
        Err(failure) => (None, Some(failure)),
    };
    finish(&terminal, command, report, failure)
}

fn finish<T: Serialize + JsonSchema>(
    terminal: &Terminal,
    command: &str,
    report: Option<T>,
    failure: Option<Failure>,
) -> u8 {
    if let Some(failure) = &failure {
        terminal.error(failure);
    }
    terminal.object(&Envelope {
        command: command.to_owned(),
        anneal: env!("CARGO_PKG_VERSION").to_owned(),
        error: failure.as_ref().map(Failure::report),
        report,
    });
    failure.map_or(0, |failure| failure.exit_status())
}

/// Help and version are data; everything else that the parser says is a usage error.
fn usage(error: &clap::Error, arguments: &[OsString]) -> u8 {
    let text = error.render().to_string();
    let asked = !error.use_stderr();
    let json = !asked && arguments.iter().any(|argument| argument == "--json");
    let terminal = Terminal::new(json);
    if asked {
        terminal.print(text);
        return 0;
    }
    terminal.note(&text);
    let words = text.trim().strip_prefix("error: ").unwrap_or(&text).to_owned();
    terminal.object::<()>(&Envelope {
        command: arguments.get(1).map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        anneal: env!("CARGO_PKG_VERSION").to_owned(),
        error: Some(Failure::bad_input(words).report()),
        report: None,
    });
    2
}
