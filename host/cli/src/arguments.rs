//! The command line: what may be written, and its help.

#![expect(missing_docs, reason = "the words of a flattened field are those of its type")]

use std::path::PathBuf;

use anneal_job::BackendChoice;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Verified training: jobs are WebAssembly components, and every device gives the same bits.
#[derive(Debug, Parser)]
#[command(name = "anneal", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a directory with a job that builds and trains as it is.
    New {
        /// The directory: empty, or not there yet.
        directory: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Compile a job to a component; print its size and digest.
    Build {
        /// The job's directory.
        #[arg(default_value = ".")]
        directory: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Say what a component is: its world, its imports and exports.
    Inspect {
        /// The component's file.
        component: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Run a job on this machine.
    Run(Run),
    /// Run a job on every backend of this machine and compare; at a difference, find the operation.
    Verify(Verify),
    /// Check every backend of this machine against the conformance vectors.
    Selftest {
        #[command(flatten)]
        output: Output,
    },
    /// List what this machine can compute on.
    Devices {
        #[command(flatten)]
        output: Output,
    },
    /// Show what confines a component's processes on this machine, and what to do where something is missing.
    Doctor {
        #[command(flatten)]
        output: Output,
    },
    /// Print the JSON Schema of `job.toml` or of what `--json` prints.
    Schema {
        /// Of what.
        #[arg(value_enum, default_value = "job")]
        of: SchemaOf,
    },
    /// One attempt, in a process of its own.
    #[command(name = "__worker", hide = true)]
    Worker,
    /// The GPUs that the drivers show, asked in a process of its own.
    #[command(name = "__drivers", hide = true)]
    Drivers,
    /// One compilation, in a process of its own.
    #[command(name = "__compile", hide = true)]
    Compile,
}

/// How results are told.
#[derive(Clone, Copy, Debug, Args)]
pub struct Output {
    /// Print one JSON object on stdout, also for a failure.
    #[arg(long)]
    pub json: bool,
}

/// What is run, and what of the manifest is replaced.
#[derive(Clone, Debug, Args)]
pub struct JobArguments {
    /// The job's directory, or a component.
    pub job: PathBuf,
    /// The manifest; `job.toml` in the directory where nothing is said.
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// A file for an input, instead of the manifest's.
    #[arg(long = "input", value_name = "NAME=PATH")]
    pub inputs: Vec<String>,
    /// A value for a parameter, instead of the manifest's.
    #[arg(long = "param", value_name = "KEY=VALUE")]
    pub parameters: Vec<String>,
    /// The seed, instead of the manifest's.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Workers of a round, instead of the manifest's.
    #[arg(long, value_name = "W", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: Option<u32>,
    /// Segments, instead of the manifest's.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub segments: Option<u32>,
}

/// `anneal run`.
#[derive(Clone, Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub job: JobArguments,
    /// Where tensors are computed, instead of the manifest's requirement.
    #[arg(long, value_enum)]
    pub backend: Option<Backend>,
    /// Run one exported function of a training job instead of its plan; needs --state.
    #[arg(long, value_enum, requires = "state", conflicts_with = "resume")]
    pub entry: Option<EntryArgument>,
    /// The state that the entry starts from: safetensors.
    #[arg(long, value_name = "FILE", requires = "entry")]
    pub state: Option<PathBuf>,
    /// Go on after the last finished segment of an earlier run's out directory.
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    pub resume: Option<PathBuf>,
    /// Where states and result.json go; anneal-out/ and the job's digest where nothing is said.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

/// `anneal verify`.
#[derive(Clone, Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    pub job: JobArguments,
    /// Leave out GPUs that are programs, like lavapipe.
    #[arg(long)]
    pub hardware_only: bool,
    /// Run the reference interpreter, too: plain loops, slow.
    #[arg(long)]
    pub reference: bool,
    #[command(flatten)]
    pub output: Output,
}

/// [`BackendChoice`] on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// The first GPU that is no program, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU.
    Gpu,
}

/// The entries that can be run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EntryArgument {
    /// How good the state is.
    Evaluate,
}

/// The schemas there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// The manifest.
    Job,
    /// `anneal run --json`; `result.json` is the same without the envelope's fields.
    Run,
    /// `anneal verify --json`.
    Verify,
}

impl From<Backend> for BackendChoice {
    fn from(backend: Backend) -> BackendChoice {
        match backend {
            Backend::Auto => BackendChoice::Auto,
            Backend::Cpu => BackendChoice::Cpu,
            Backend::Gpu => BackendChoice::Gpu,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
        for line in
            ["run . --entry evaluate", "run . --state x", "run . --resume a --out b", "run . --workers 0"]
        {
            assert!(
                Arguments::try_parse_from(["anneal"].into_iter().chain(line.split(' '))).is_err(),
                "{line}"
            );
        }
    }
}
