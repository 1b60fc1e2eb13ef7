//! The job that a command's arguments name.

use std::path::{Path, PathBuf};

use anneal_runner::{Job, JobSource, failure::Outcome, overrides::Overrides};

use crate::{arguments::JobArguments, build, host::Host, terminal::Terminal};

/// Reads, builds and compiles it.
///
/// # Errors
/// Bad input, with the file and what is wrong with it; or this machine's.
pub fn load(arguments: &JobArguments, host: &Host, terminal: &Terminal) -> Outcome<Job> {
    load_from(arguments, true, host, terminal)
}

/// The same, to be uploaded: what the manifest names must lie in its folder, unless the owner allows more.
///
/// # Errors
/// As for [`load`], and where a file lies elsewhere.
pub fn load_to_upload(
    arguments: &JobArguments,
    allow_outside: bool,
    host: &Host,
    terminal: &Terminal,
) -> Outcome<Job> {
    load_from(arguments, allow_outside, host, terminal)
}

fn load_from(
    arguments: &JobArguments,
    may_leave_folder: bool,
    host: &Host,
    terminal: &Terminal,
) -> Outcome<Job> {
    let build = |directory: &Path| built(directory, terminal);
    let overrides = Overrides {
        inputs: arguments.inputs.clone(),
        parameters: arguments.parameters.clone(),
        seed: arguments.seed,
        workers: arguments.workers,
        segments: arguments.segments,
    };
    let source = JobSource {
        job: arguments.job.clone(),
        manifest: arguments.manifest.clone(),
        overrides,
        may_leave_folder,
        build: &build,
    };
    Job::load(&source, &host.launcher, terminal)
}

fn built(directory: &Path, terminal: &Terminal) -> Outcome<PathBuf> {
    let built = build::build(directory)?;
    let mut told = build::describe(&built.report);
    told[0].insert_str(0, "built ");
    terminal.note(told);
    Ok(built.path)
}
