//! The command `anneal`, as a library: the only crate that reads the environment, prints, or exits.
//!
//! Exit status: 0 for success; 1 where the job, the check or this machine failed, or the command was interrupted by
//! SIGINT or SIGTERM, which it ends within a second of ([`interrupt`]); 2 for bad input.
//!
//! `main` reads the arguments, runs the command and makes an exit status of what came of it. A command gives
//! a report or a [`Failure`]; it is told to people on stderr and stdout by [`terminal`], or to
//! programs as one JSON object.

pub mod arguments;
pub mod build;
pub mod devices;
pub mod doctor;
pub mod host;
pub mod inspect;
pub mod interrupt;
pub mod job;
mod journal;
pub mod network;
pub mod new;
pub mod policy;
pub mod progress;
pub mod run;
pub mod terminal;
pub mod toolchain;

use std::{ffi::OsString, process::ExitCode};

use anneal_job::report::{Envelope, RunReport, VerifyReport};
use anneal_provider::Wish;
use anneal_runner::{
    Backend, backends,
    failure::{Failure, Outcome},
    selftest, verify,
};
use anneal_tensor::float_mode;
use clap::Parser;
use serde::Serialize;

use arguments::{Arguments, Command, SchemaOf};
use host::Host;
use network::{appeal, audit, coordinator, demo, developer, fetch, owner, provide, replay, service, setup};
use terminal::{Lines, Terminal};

/// Runs the command that the arguments name; the first argument is the program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match Arguments::try_parse_from(&arguments) {
        Ok(parsed) => {
            compute_as_defined(&parsed.command);
            dispatch(parsed.command)
        }
        Err(error) => ExitCode::from(with_output(usage(&error, &arguments))),
    }
}

/// Sets this thread's floating-point mode right, and so that of all that it starts: data that are imported are
/// rounded here. Processes that compute a task or a test do so themselves, and refuse where it was wrong.
fn compute_as_defined(command: &Command) {
    let refuses = matches!(
        command,
        Command::Worker | Command::Compile | Command::Selftest { .. } | Command::SelftestOne { .. }
    );
    if !refuses && let Err(wrong) = float_mode::check(float_mode::AT_START) {
        Terminal::new(true).note(format!("warning: {wrong}"));
    }
}

fn dispatch(command: Command) -> ExitCode {
    let status = match command {
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
        Command::Inspect { component, output } => tell("inspect", output.json, |terminal| {
            let report = inspect::inspect(&component)?;
            terminal.data(inspect::describe(&report));
            Ok(report)
        }),
        Command::Devices { output } => tell("devices", output.json, |terminal| {
            let report = devices::devices(&Host::here().map_err(Failure::host)?.launcher);
            terminal.data(devices::describe(&report));
            Ok(report)
        }),
        Command::Selftest { output } => tell_both("selftest", output.json, |terminal| match Host::here() {
            Ok(host) => {
                let (report, failure) = selftest::selftest(&host.launcher, &mut |line| terminal.data(line));
                (Some(report), failure)
            }
            Err(error) => (None, Some(Failure::host(error))),
        }),
        Command::Doctor { output } => tell_both("doctor", output.json, |terminal| {
            match Host::here()
                .map_err(Failure::host)
                .and_then(|host| anneal_runner::doctor::doctor(&host.launcher))
            {
                Ok(report) => {
                    terminal.data(doctor::describe(&report));
                    let strangers = anneal_sandbox::confine::Requirement::STRANGERS;
                    let failure = anneal_runner::doctor::failure(&report, strangers);
                    (Some(report), failure)
                }
                Err(failure) => (None, Some(failure)),
            }
        }),
        Command::Run(arguments) => tell_both("run", arguments.output.json, |terminal| {
            match Host::here().map_err(Failure::host).map(|host| (host, interrupt::stop_flag())) {
                Ok((host, stop)) => run::run(&arguments, &host, &stop, terminal),
                Err(failure) => (None, Some(failure)),
            }
        }),
        Command::Verify(arguments) => {
            tell_both("verify", arguments.output.json, |terminal| match verified(&arguments, terminal) {
                Ok(report) => {
                    let tasks = report.job.plan.task_count();
                    let failure = report.difference.as_ref().map(|found| verify::failure(found, tasks));
                    (Some(report), failure)
                }
                Err(failure) => (None, Some(failure)),
            })
        }
        Command::Quote(arguments) => on_host("quote", arguments.output.json, |host, terminal| {
            developer::quote(&arguments, host, terminal)
        }),
        Command::Submit(arguments) => on_host("submit", arguments.output.json, |host, terminal| {
            developer::submit(&arguments, host, terminal)
        }),
        Command::Jobs(arguments) => on_host("jobs", arguments.output.json, |host, terminal| {
            developer::jobs(&arguments, host, terminal)
        }),
        Command::Watch(arguments) => on_host("watch", arguments.output.json, |host, terminal| {
            developer::watch_job(&arguments, host, terminal)
        }),
        Command::Cancel(arguments) => on_host("cancel", arguments.output.json, |host, terminal| {
            developer::cancel(&arguments, host, terminal)
        }),
        Command::Retry(arguments) => on_host("retry", arguments.output.json, |host, terminal| {
            developer::retry(&arguments, host, terminal)
        }),
        Command::Fetch(arguments) => on_host("fetch", arguments.job.output.json, |host, terminal| {
            fetch::fetch(&arguments, host, terminal)
        }),
        Command::Coordinator(arguments) => match arguments.keep {
            None => on_host("coordinator", false, |host, terminal| {
                journal::write();
                coordinator::coordinator(&arguments.serve, host, terminal)
            }),
            Some(keep) => keep_coordinator(keep),
        },
        Command::Demo(arguments) => {
            on_host("demo", arguments.output.json, |host, terminal| demo::demo(&arguments, host, terminal))
        }
        Command::Provide(arguments) => on_host("provide", false, |host, terminal| {
            journal::write();
            provide::provide(&arguments, host, terminal)
        }),
        Command::Policy { command } => policy(command),
        Command::Audit(arguments) => {
            tell_both("audit", arguments.output.json, |terminal| match Host::here() {
                Ok(host) => audit::audit(&arguments, &host, terminal),
                Err(error) => (None, Some(Failure::host(error))),
            })
        }
        Command::Replay(arguments) => {
            tell_both("replay", arguments.output.json, |terminal| {
                match Host::here().map_err(Failure::host).map(|host| (host, interrupt::stop_flag())) {
                    Ok((host, stop)) => replay::replay(&arguments, &host, &stop, terminal),
                    Err(failure) => (None, Some(failure)),
                }
            })
        }
        Command::Appeal(arguments) => on_host("appeal", arguments.output.json, |host, terminal| {
            appeal::appeal(&arguments, host, terminal)
        }),
        Command::Grant(arguments) => on_host("grant", arguments.job.output.json, |host, terminal| {
            replay::grant(&arguments, host, terminal)
        }),
        Command::Setup(arguments) => {
            on_host("setup", arguments.output.json, |host, terminal| setup::setup(&arguments, host, terminal))
        }
        Command::Service(arguments) => on_host("service", arguments.output.json, |host, terminal| {
            service::service(&arguments, host, terminal)
        }),
        Command::Status(arguments) => on_host("status", arguments.output.json, |host, terminal| {
            owner::status(&arguments, host, terminal)
        }),
        Command::Pause(arguments) => wish("pause", &arguments, Wish::Pause),
        Command::Resume(arguments) => wish("resume", &arguments, Wish::Run),
        Command::Finish(arguments) => wish("finish", &arguments, Wish::Finish),
        Command::Schema { of } => {
            Terminal::new(false).print(&schema(of));
            0
        }
        Command::Drivers => {
            let devices = serde_json::to_string(&backends::drivers_show()).expect("devices are JSON");
            Terminal::new(false).print(&devices);
            0
        }
        Command::SelftestOne { backend, threads } => {
            let request = anneal_sandbox::BackendRequest { backend, threads, ..Default::default() };
            let tested = serde_json::to_string(&selftest::test_one(&request)).expect("a test's end is JSON");
            Terminal::new(false).print(&tested);
            0
        }
        Command::Worker => return anneal_sandbox::worker::serve(backends::executor),
        Command::Compile => return anneal_sandbox::compile::serve(),
        Command::Nvml => return anneal_sensors::serve_nvml(),
    };
    ExitCode::from(with_output(status))
}

/// The exit status, where what was told has reached stdout; another one where it did not.
fn with_output(status: u8) -> u8 {
    match terminal::lost_output() {
        None => status,
        Some(failure) => {
            Terminal::new(false).error(&failure);
            if status == 0 { failure.exit_status() } else { status }
        }
    }
}

fn keep_coordinator(keep: arguments::Keep) -> u8 {
    use arguments::Keep;
    use network::coordinator::keep;
    match keep {
        Keep::Check { data, output } => {
            tell_both("coordinator check", output.json, |terminal| match Host::here() {
                Ok(host) => keep::check(&data, &host, terminal),
                Err(error) => (None, Some(Failure::host(error))),
            })
        }
        Keep::Backup { data, out, output } => on_host("coordinator backup", output.json, |host, terminal| {
            keep::backup(&data, &out, host, terminal)
        }),
        Keep::Restore { from, folder, output } => {
            on_host("coordinator restore", output.json, |host, terminal| {
                keep::restore(&from, folder.as_deref(), host, terminal)
            })
        }
        Keep::Ban(arguments) => on_host("coordinator ban", arguments.output.json, |host, terminal| {
            keep::ban(&arguments, true, host, terminal)
        }),
        Keep::Unban(arguments) => on_host("coordinator unban", arguments.output.json, |host, terminal| {
            keep::ban(&arguments, false, host, terminal)
        }),
    }
}

fn policy(command: arguments::Policy) -> u8 {
    match command {
        arguments::Policy::Check { file, output } => {
            on_host("policy check", output.json, |host, terminal| policy::check(&file, host, terminal))
        }
        arguments::Policy::Explain { file, output } => {
            on_host("policy explain", output.json, |host, terminal| {
                policy::explain(file.as_deref(), host, terminal)
            })
        }
        arguments::Policy::Simulate(arguments) => {
            tell("policy simulate", arguments.output.json, |terminal| policy::simulate(&arguments, terminal))
        }
        arguments::Policy::Preset { name, zone } => on_host("policy preset", false, |host, terminal| {
            policy::preset(name.as_deref(), zone.as_deref(), host, terminal)
        }),
    }
}

fn wish(command: &str, arguments: &arguments::OfProvider, wish: Wish) -> u8 {
    let json = arguments.output.json;
    on_host(command, json, |host, terminal| owner::wish(arguments, wish, host, terminal))
}

fn verified(arguments: &arguments::Verify, terminal: &Terminal) -> Outcome<VerifyReport> {
    let host = Host::here().map_err(Failure::host)?;
    let stop = interrupt::stop_flag();
    let job = job::load(&arguments.job, &host, terminal)?;
    let backends = Backend::to_verify(arguments.hardware_only, arguments.reference, &host.launcher);
    let machines = backends.iter().map(|backend| host.launcher.machine(backend)).collect();
    verify::verify(&job, machines, &stop, &mut |line| terminal.data(line))
}

fn schema(of: SchemaOf) -> String {
    let schema = match of {
        SchemaOf::Job => anneal_job::manifest::schema(),
        SchemaOf::Run => schemars::schema_for!(Envelope<RunReport>),
        SchemaOf::Verify => schemars::schema_for!(Envelope<VerifyReport>),
        SchemaOf::Policy => anneal_policy::file::schema(),
    };
    serde_json::to_string_pretty(&schema).expect("a schema is JSON")
}

/// As [`tell`], for a command that needs to know this machine.
fn on_host<T: Serialize>(command: &str, json: bool, act: impl FnOnce(&Host, &Terminal) -> Outcome<T>) -> u8 {
    tell(command, json, |terminal| act(&Host::here().map_err(Failure::host)?, terminal))
}

/// Runs a command and tells its report or its failure; the exit status.
fn tell<T: Serialize>(command: &str, json: bool, act: impl FnOnce(&Terminal) -> Outcome<T>) -> u8 {
    tell_both(command, json, |terminal| match act(terminal) {
        Ok(report) => (Some(report), None),
        Err(failure) => (None, Some(failure)),
    })
}

/// As [`tell`], for commands that have something to report although they failed.
fn tell_both<T: Serialize>(
    command: &str,
    json: bool,
    act: impl FnOnce(&Terminal) -> (Option<T>, Option<Failure>),
) -> u8 {
    let terminal = Terminal::new(json);
    let name = command.to_owned();
    let interrupted = move |terminal: &Terminal| {
        let failure = interrupt::failure();
        terminal.error(&failure);
        terminal.object::<()>(&envelope(&name, None, Some(&failure)));
    };
    let (report, failure) = match interrupt::listen(interrupted, terminal) {
        Ok(()) => act(&terminal),
        Err(failure) => (None, Some(failure)),
    };
    if let Some(failure) = &failure {
        terminal.error(failure);
    }
    terminal.object(&envelope(command, report, failure.as_ref()));
    failure.map_or(0, |failure| failure.exit_status())
}

fn envelope<T>(command: &str, report: Option<T>, failure: Option<&Failure>) -> Envelope<T> {
    Envelope {
        command: command.to_owned(),
        anneal: env!("CARGO_PKG_VERSION").to_owned(),
        error: failure.map(Failure::report),
        report,
    }
}

/// Help and version are data; everything else that the parser says is a usage error.
fn usage(error: &clap::Error, arguments: &[OsString]) -> u8 {
    let text = error.render().to_string();
    let asked = !error.use_stderr();
    let json = !asked && arguments.iter().any(|argument| argument == "--json");
    let terminal = Terminal::new(json);
    if asked {
        terminal.print(&text);
        return 0;
    }
    terminal.note(Lines::of_own(&text));
    let words = text.trim().strip_prefix("error: ").unwrap_or(&text).to_owned();
    let command = arguments.get(1).map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    terminal.object::<()>(&envelope(&command, None, Some(&Failure::bad_input(words))));
    2
}
