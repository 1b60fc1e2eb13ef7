//! The command line: commands, arguments and their help.

#![expect(missing_docs, reason = "the words of a flattened field are those of its type")]

mod coordinator;
mod policy;

use std::{net::SocketAddr, path::PathBuf};

use anneal_job::{AttemptId, BackendChoice, Identity, Redundancy};
use anneal_sandbox::confine::Layer;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Deserialize;

pub use coordinator::{BanArguments, CoordinatorArguments, Data, Keep, Serve};
pub use policy::{Policy, Simulate};

/// Verified training: jobs are WebAssembly components, and every device computes the same bits.
#[derive(Debug, Parser)]
#[command(
    name = "anneal",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Exit status: 0 for success; 1 if the job, the check or this machine failed, or the command was \
                  interrupted; 2 for bad input.\nSIGINT (Ctrl-C), SIGTERM and SIGHUP end every command within a second with \
                  status 1; finished tasks are kept. `provide` and `coordinator` run until they are told to stop, and \
                  then shut down within 10 seconds with status 0. A second signal ends any command at once."
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a job that builds and trains as it is.
    New {
        /// An empty or new directory.
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
    /// Show a component's world, imports, exports and digest.
    Inspect {
        /// The component's file.
        component: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Run a job on this machine.
    Run(Run),
    /// Run a job on every backend of this machine and compare; if two differ, find the operation.
    Verify(Verify),
    /// Run the conformance vectors on every backend of this machine.
    Selftest {
        #[command(flatten)]
        output: Output,
    },
    /// List the devices that this machine can compute on.
    Devices {
        #[command(flatten)]
        output: Output,
    },
    /// Ask a coordinator what a job would cost, without running it.
    Quote(Submit),
    /// Submit a job to a coordinator and watch it.
    Submit(Submit),
    /// List your jobs at a coordinator.
    Jobs(Jobs),
    /// Watch a job until it ends.
    Watch(OneJob),
    /// Cancel a job: running tasks finish and are paid, the rest is refunded.
    Cancel(OneJob),
    /// Resume a paused job and try failed tasks again.
    Retry(OneJob),
    /// Download a job's weights, or the state after a segment, and the receipts.
    Fetch(Fetch),
    /// Run a coordinator, or maintain its data.
    Coordinator(Box<CoordinatorArguments>),
    /// Run a whole network on this machine, with a provider that lies.
    Demo(Demo),
    /// Set up a provider: payout address, limits, coordinator; every question has a flag, too.
    Setup(Setup),
    /// Offer this machine's devices to a coordinator and run leased tasks.
    Provide(Provide),
    /// Check a coordinator's log: its chain, signatures, verdicts and payments.
    Audit(Audit),
    /// Repeat a verdict on this machine, down to the operation that it names.
    Replay(Replay),
    /// Appeal a fault of your provider: it is decided again on another backend.
    Appeal(Appeal),
    /// Allow somebody to read a private job of yours and replay its verdicts.
    Grant(MakeGrant),
    /// Show what this machine's provider is doing.
    Status(OfProvider),
    /// Take no new leases until `anneal resume`; running tasks continue.
    Pause(OfProvider),
    /// Take leases again, even if the coordinator has paused this provider.
    Resume(OfProvider),
    /// Take no new leases, and exit when everything that was taken is judged.
    Finish(OfProvider),
    /// Run the provider as a systemd service, from login to logout.
    Service(Service),
    /// Check what confines a component's processes on this machine, and what to do if something is missing.
    Doctor {
        #[command(flatten)]
        output: Output,
    },
    /// Check a policy, and see what it would do now or on a recorded day.
    Policy {
        /// What to do.
        #[command(subcommand)]
        command: Policy,
    },
    /// Print the JSON Schema of `job.toml`, `policy.toml` or a command's `--json` output.
    Schema {
        /// Of what.
        #[arg(value_enum, default_value = "job")]
        of: SchemaOf,
    },
    /// One attempt, in a process of its own.
    #[command(name = "__worker", hide = true)]
    Worker,
    /// The library of NVIDIA's driver, called in a process of its own.
    #[command(name = "__nvml", hide = true)]
    Nvml,
    /// The GPUs that the drivers show, asked in a process of its own.
    #[command(name = "__drivers", hide = true)]
    Drivers,
    /// The conformance vectors on one backend and its speed, in a process of its own.
    #[command(name = "__selftest", hide = true)]
    SelftestOne {
        /// The backend's address.
        backend: String,
        /// Threads of the CPU.
        #[arg(long)]
        threads: Option<usize>,
    },
    /// One compilation, in a process of its own.
    #[command(name = "__compile", hide = true)]
    Compile,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Args)]
pub struct Output {
    /// Print one JSON object on stdout, even if the command fails.
    #[arg(long)]
    pub json: bool,
}

/// The job to run, and overrides of its manifest.
#[derive(Clone, Debug, Args)]
pub struct JobArguments {
    /// A job's directory, or a component.
    #[arg(default_value = ".")]
    pub job: PathBuf,
    /// The manifest. Default: `job.toml` in the job's directory.
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// Read an input from this file instead of the manifest's.
    #[arg(long = "input", value_name = "NAME=PATH")]
    pub inputs: Vec<String>,
    /// Override a parameter of the manifest.
    #[arg(long = "param", value_name = "KEY=VALUE")]
    pub parameters: Vec<String>,
    /// Override the manifest's seed.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Override the manifest's number of workers.
    #[arg(long, value_name = "W", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: Option<u32>,
    /// Override the manifest's number of segments.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub segments: Option<u32>,
}

/// `anneal run`.
#[derive(Clone, Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub job: JobArguments,
    /// Compute on this backend instead of the manifest's.
    #[arg(long, value_enum)]
    pub backend: Option<Backend>,
    /// Run one exported function of a training job instead of its plan. Needs --state.
    #[arg(long, value_enum, requires = "state", conflicts_with = "resume")]
    pub entry: Option<EntryArgument>,
    /// The state that the entry starts from, a safetensors file.
    #[arg(long, value_name = "FILE", requires = "entry")]
    pub state: Option<PathBuf>,
    /// Continue after the last finished segment of this out directory.
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    pub resume: Option<PathBuf>,
    /// Directory for states and result.json. Default: anneal-out/DIGEST, with the job's digest.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

/// The coordinator to talk to.
#[derive(Clone, Debug, Args)]
pub struct Coordinator {
    /// The coordinator. Default: ANNEAL_COORDINATOR.
    #[arg(long, value_name = "URL")]
    pub coordinator: Option<String>,
}

/// The terms on which a job is run.
#[derive(Clone, Debug, Args)]
pub struct Terms {
    /// How many providers must agree: a number, or `adaptive`. Overrides the manifest's.
    #[arg(long, value_name = "N")]
    pub redundancy: Option<Redundancy>,
    /// The most that you pay for 10^9 gas.
    #[arg(long, value_name = "CREDITS")]
    pub price_cap: Option<u64>,
    /// Lease tasks only to this provider. Can be repeated.
    #[arg(long, value_name = "PROVIDER")]
    pub allow: Vec<Identity>,
    /// Show the job, its component, inputs and weights to everybody, not only to you.
    #[arg(long)]
    pub public: bool,
    /// Mark the job as a test, which software GPUs may run, too.
    #[arg(long)]
    pub test: bool,
}

/// `anneal submit` and `anneal quote`.
#[derive(Clone, Debug, Args)]
pub struct Submit {
    #[command(flatten)]
    pub job: JobArguments,
    /// Also upload files outside of the manifest's folder, named by an absolute path, by `..` or by a link. Without
    /// this, such a job is refused.
    #[arg(long)]
    pub allow_outside: bool,
    #[command(flatten)]
    pub coordinator: Coordinator,
    #[command(flatten)]
    pub terms: Terms,
    /// Do not ask before submitting.
    #[arg(long)]
    pub yes: bool,
    /// Do not wait for the job to end.
    #[arg(long)]
    pub detach: bool,
    /// Directory for weights and receipts.
    #[arg(long, value_name = "DIR", conflicts_with = "detach")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

/// `anneal jobs`.
#[derive(Clone, Debug, Args)]
pub struct Jobs {
    #[command(flatten)]
    pub coordinator: Coordinator,
    #[command(flatten)]
    pub output: Output,
}

/// `anneal watch` and `anneal cancel`.
#[derive(Clone, Debug, Args)]
pub struct OneJob {
    /// The job's id, or its first digits.
    #[arg(value_name = "JOB")]
    pub id: String,
    #[command(flatten)]
    pub coordinator: Coordinator,
    #[command(flatten)]
    pub output: Output,
}

/// `anneal fetch`.
#[derive(Clone, Debug, Args)]
pub struct Fetch {
    #[command(flatten)]
    pub job: OneJob,
    /// Download the state after this segment or round instead of the last one; 0 is the first state.
    #[arg(long, value_name = "N")]
    pub segment: Option<u32>,
    /// Directory for the files.
    #[arg(long, value_name = "DIR", default_value = "anneal-fetched")]
    pub out: PathBuf,
}

/// `anneal audit`.
#[derive(Clone, Debug, Args)]
pub struct Audit {
    /// Files that --save wrote, or coordinators' URLs. Several are compared as mirrors. Default: ANNEAL_COORDINATOR.
    #[arg(value_name = "FILE|URL")]
    pub sources: Vec<String>,
    /// Save the downloaded log to this file.
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// The coordinator's key, if you know it: a log by another key is refused.
    #[arg(long, value_name = "KEY")]
    pub identity: Option<Identity>,
    /// Receipts that `anneal fetch` wrote. Each must be in the log.
    #[arg(long, value_name = "FILE")]
    pub receipts: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

/// `anneal replay`.
#[derive(Clone, Debug, Args)]
pub struct Replay {
    /// The job, or JOB/TASK with the task's number in the plan. Without a task, every verdict that faults somebody is
    /// repeated.
    #[arg(value_name = "VERDICT")]
    pub verdict: String,
    #[command(flatten)]
    pub coordinator: Coordinator,
    /// A grant for somebody else's private job: its text, or a file.
    #[arg(long, value_name = "GRANT")]
    pub grant: Option<String>,
    /// The backend. Default: the CPU.
    #[arg(long, value_enum)]
    pub backend: Option<Backend>,
    /// Keep component, inputs and states in this folder. Default: a temporary one.
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

/// `anneal appeal`.
#[derive(Clone, Debug, Args)]
pub struct Appeal {
    /// The attempt whose fault you appeal. Without it, open faults are listed.
    #[arg(value_name = "ATTEMPT")]
    pub attempt: Option<AttemptId>,
    #[command(flatten)]
    pub coordinator: Coordinator,
    /// The provider's folder.
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

/// `anneal grant`.
#[derive(Clone, Debug, Args)]
pub struct MakeGrant {
    #[command(flatten)]
    pub job: OneJob,
    /// How many days the grant is valid.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=30))]
    pub days: u32,
}

/// `anneal demo`.
#[derive(Clone, Debug, Args)]
pub struct Demo {
    /// The job to train.
    #[arg(default_value = "examples/digits")]
    pub job: PathBuf,
    /// Folder for everything. Files of an earlier demo in it are removed.
    #[arg(long, value_name = "DIR", default_value = "target/demo/network")]
    pub folder: PathBuf,
    /// The address that the coordinator listens on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Draws the operation that the liar falsifies. Default: a random seed.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub output: Output,
}

/// `anneal provide`. What is not said here is as `anneal setup` wrote it to the folder.
#[derive(Clone, Debug, Args)]
pub struct Provide {
    /// A coordinator. Can be repeated. Default: those of `anneal setup`, or ANNEAL_COORDINATOR.
    #[arg(long = "coordinator", value_name = "URL")]
    pub coordinators: Vec<String>,
    /// The devices to offer. Can be repeated. Default: all hardware.
    #[arg(long = "device", value_name = "cpu|gpu|all", value_enum)]
    pub devices: Vec<Offered>,
    /// CPU threads to use. Default: all.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// The provider's display name.
    #[arg(long)]
    pub name: Option<String>,
    /// The Monero subaddress for earnings, once there is money.
    #[arg(long, value_name = "ADDRESS")]
    pub payout: Option<String>,
    /// The policy. Default: policy.toml in the provider's folder.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// The lowest price for 10^9 gas that you accept.
    #[arg(long, value_name = "CREDITS")]
    pub price_floor: Option<u64>,
    /// Refuse to run without this layer of confinement, as `anneal doctor` names it. Can be repeated, and adds to those
    /// of `anneal setup`. Strangers' work always needs a minimum.
    #[arg(long, value_name = "LAYER")]
    pub require: Vec<Layer>,
    /// Folder for this provider's key and work.
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Offer software GPUs, too. They run test jobs only.
    #[arg(long)]
    pub software: bool,
    /// The port of your page on 127.0.0.1. Default: a new port at each start, so that no other user of this machine can
    /// take it first.
    #[arg(long, value_name = "PORT")]
    pub page_port: Option<u16>,
    /// Do not serve the page.
    #[arg(long, conflicts_with = "page_port")]
    pub no_page: bool,
}

/// `anneal setup`.
#[derive(Clone, Debug, Args)]
pub struct Setup {
    #[command(flatten)]
    pub provide: Provide,
    /// Set no payout address yet.
    #[arg(long, conflicts_with = "payout")]
    pub no_payout: bool,
    /// The policy to start from: quiet-night, solar, gamer, dedicated or laptop.
    #[arg(long, value_name = "PRESET")]
    pub limits: Option<String>,
    /// Overwrite existing files.
    #[arg(long)]
    pub force: bool,
    /// Also install and start the service.
    #[arg(long)]
    pub service: bool,
    #[command(flatten)]
    pub output: Output,
}

/// `anneal service`.
#[derive(Clone, Debug, Args)]
pub struct Service {
    /// What to do.
    #[arg(value_enum)]
    pub action: ServiceAction,
    /// The provider's folder.
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

/// The subcommands of `anneal service`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ServiceAction {
    /// Write the systemd unit and start it.
    Install,
    /// Stop the service and remove its unit.
    Remove,
    /// Print the unit and whether it runs.
    Show,
}

/// `anneal status`, `pause`, `resume` and `finish`.
#[derive(Clone, Debug, Args)]
pub struct OfProvider {
    /// The provider's folder.
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

/// Kinds of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Offered {
    /// The CPU.
    Cpu,
    /// Every GPU.
    Gpu,
    /// The CPU and every GPU.
    All,
}

impl Offered {
    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Offered::Cpu => "cpu",
            Offered::Gpu => "gpu",
            Offered::All => "all",
        }
    }
}

/// `anneal verify`.
#[derive(Clone, Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    pub job: JobArguments,
    /// Leave out software GPUs such as lavapipe.
    #[arg(long)]
    pub hardware_only: bool,
    /// Also run the reference interpreter, which is slow.
    #[arg(long)]
    pub reference: bool,
    #[command(flatten)]
    pub output: Output,
}

/// [`BackendChoice`] on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// The first hardware GPU, or the CPU if there is none.
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU.
    Gpu,
}

/// The entries that `--entry` accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EntryArgument {
    /// Evaluate the state.
    Evaluate,
}

/// The schemas that `anneal schema` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// The manifest.
    Job,
    /// `anneal run --json`. `result.json` is the same without the envelope's fields.
    Run,
    /// `anneal verify --json`.
    Verify,
    /// The policy.
    Policy,
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
