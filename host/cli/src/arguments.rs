//! The command line: what may be written, and its help.

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

/// Verified training: jobs are WebAssembly components, and every device gives the same bits.
#[derive(Debug, Parser)]
#[command(
    name = "anneal",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Exit status: 0 success; 1 the job, the check or this machine failed, or the command was interrupted; \
                  2 bad input.\nSIGINT (Ctrl-C) and SIGTERM end every command within a second with status 1, and what is \
                  finished is kept. `provide` and `coordinator`, which serve until they are told to stop, leave in good \
                  order, within 10 seconds, with status 0. A second signal ends any command at once."
)]
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
    /// Say what a job would cost at a coordinator, without running it.
    Quote(Submit),
    /// Submit a job to a coordinator, and watch it.
    Submit(Submit),
    /// List your jobs at a coordinator.
    Jobs(Jobs),
    /// Watch a job until it ends.
    Watch(OneJob),
    /// Cancel a job: what runs finishes and is paid, the rest comes back.
    Cancel(OneJob),
    /// Let a job that was paused go on: what failed is tried again.
    Retry(OneJob),
    /// Download a job's weights, or the state after a segment, and the receipts.
    Fetch(Fetch),
    /// Serve as a coordinator: match, verify, settle; and look after its data.
    Coordinator(Box<CoordinatorArguments>),
    /// Run a whole network on this machine, with a liar in it.
    Demo(Demo),
    /// Ask what `anneal provide` must know: payout address, limits, coordinator; every answer is also a flag.
    Setup(Setup),
    /// Offer this machine's devices: take leases, run them, be verified.
    Provide(Provide),
    /// Check a coordinator's log: its chain, signatures, verdicts and payments.
    Audit(Audit),
    /// Repeat what a verdict judges on this machine, down to the operation that it names.
    Replay(Replay),
    /// Have a fault of your provider decided once more, on another backend.
    Appeal(Appeal),
    /// Let somebody read a private job of yours and replay its verdicts.
    Grant(MakeGrant),
    /// Show how this machine's provider does.
    Status(OfProvider),
    /// Let this machine's provider take nothing new until it is resumed; what runs goes on.
    Pause(OfProvider),
    /// Let it take work again, also where its coordinator has paused it.
    Resume(OfProvider),
    /// Let it complete what it has taken, and end.
    Finish(OfProvider),
    /// Run the provider as a service of systemd, from login to logout.
    Service(Service),
    /// Show what confines a component's processes on this machine, and what to do where something is missing.
    Doctor {
        #[command(flatten)]
        output: Output,
    },
    /// Your limits as a provider: check a policy, see what it would do now or on a recorded day.
    Policy {
        /// What to do.
        #[command(subcommand)]
        command: Policy,
    },
    /// Print the JSON Schema of `job.toml`, of `policy.toml` or of what `--json` prints.
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
    #[arg(default_value = ".")]
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

/// Which coordinator is meant.
#[derive(Clone, Debug, Args)]
pub struct Coordinator {
    /// The coordinator; ANNEAL_COORDINATOR where nothing is said.
    #[arg(long, value_name = "URL")]
    pub coordinator: Option<String>,
}

/// On which terms a job is run.
#[derive(Clone, Debug, Args)]
pub struct Terms {
    /// How many providers must agree: a number, or `adaptive`; instead of the manifest's.
    #[arg(long, value_name = "N")]
    pub redundancy: Option<Redundancy>,
    /// The most that you pay for 10^9 gas.
    #[arg(long, value_name = "CREDITS")]
    pub price_cap: Option<u64>,
    /// A provider that may take it; nobody else then. Again for more.
    #[arg(long, value_name = "PROVIDER")]
    pub allow: Vec<Identity>,
    /// Show the job to everybody, not to you alone, with its component, inputs and weights.
    #[arg(long)]
    pub public: bool,
    /// A test: software GPUs may take it, too.
    #[arg(long)]
    pub test: bool,
}

/// `anneal submit` and `anneal quote`.
#[derive(Clone, Debug, Args)]
pub struct Submit {
    #[command(flatten)]
    pub job: JobArguments,
    /// Also read and upload what the manifest names outside of its folder: by an absolute path, by `..` or by a
    /// link. Without it such a job is refused.
    #[arg(long)]
    pub allow_outside: bool,
    #[command(flatten)]
    pub coordinator: Coordinator,
    #[command(flatten)]
    pub terms: Terms,
    /// Do not ask before submitting.
    #[arg(long)]
    pub yes: bool,
    /// Do not wait for it to end.
    #[arg(long)]
    pub detach: bool,
    /// Where weights and receipts go when it has ended.
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
    /// The job, or the first digits of it.
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
    /// The state after this segment or round, not the last one; 0 is the first state.
    #[arg(long, value_name = "N")]
    pub segment: Option<u32>,
    /// Where it goes.
    #[arg(long, value_name = "DIR", default_value = "anneal-fetched")]
    pub out: PathBuf,
}

/// `anneal audit`.
#[derive(Clone, Debug, Args)]
pub struct Audit {
    /// Files that --save wrote, or coordinators' URLs; several are compared as mirrors. ANNEAL_COORDINATOR where
    /// nothing is said.
    #[arg(value_name = "FILE|URL")]
    pub sources: Vec<String>,
    /// Keep the log that is downloaded.
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// The coordinator's key, where you know it: another one's log is refused.
    #[arg(long, value_name = "KEY")]
    pub identity: Option<Identity>,
    /// Receipts that `anneal fetch` wrote: each must be in the log.
    #[arg(long, value_name = "FILE")]
    pub receipts: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

/// `anneal replay`.
#[derive(Clone, Debug, Args)]
pub struct Replay {
    /// The job, or JOB/TASK with the task's number in the plan; every verdict that faults somebody where no task is
    /// said.
    #[arg(value_name = "VERDICT")]
    pub verdict: String,
    #[command(flatten)]
    pub coordinator: Coordinator,
    /// The text of a grant, or a file with it: for somebody else's private job.
    #[arg(long, value_name = "GRANT")]
    pub grant: Option<String>,
    /// Where it is computed; the CPU where nothing is said.
    #[arg(long, value_enum)]
    pub backend: Option<Backend>,
    /// Where component, inputs and states are kept; a folder that goes afterwards where nothing is said.
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

/// `anneal appeal`.
#[derive(Clone, Debug, Args)]
pub struct Appeal {
    /// The attempt whose fault is to be decided once more; without it, the open ones are shown.
    #[arg(value_name = "ATTEMPT")]
    pub attempt: Option<AttemptId>,
    #[command(flatten)]
    pub coordinator: Coordinator,
    /// The folder that `anneal provide` works in.
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
    /// For how many days.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=30))]
    pub days: u32,
}

/// `anneal demo`.
#[derive(Clone, Debug, Args)]
pub struct Demo {
    /// The job that is trained.
    #[arg(default_value = "examples/digits")]
    pub job: PathBuf,
    /// Where everything is kept; what is there from an earlier demo goes.
    #[arg(long, value_name = "DIR", default_value = "target/demo/network")]
    pub folder: PathBuf,
    /// Where the coordinator listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Draws the lie; a fresh one where nothing is said.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub output: Output,
}

/// `anneal provide`. What is not said here is as `anneal setup` wrote it to the folder.
#[derive(Clone, Debug, Args)]
pub struct Provide {
    /// A coordinator; again for several. Those of `anneal setup`, or ANNEAL_COORDINATOR, where nothing is said.
    #[arg(long = "coordinator", value_name = "URL")]
    pub coordinators: Vec<String>,
    /// What is offered; again for several. All hardware where nothing is said.
    #[arg(long = "device", value_name = "cpu|gpu|all", value_enum)]
    pub devices: Vec<Offered>,
    /// Threads of the CPU that work; all where nothing is said.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// For people: how this provider is called.
    #[arg(long)]
    pub name: Option<String>,
    /// Where earnings go, once there is money: a Monero subaddress.
    #[arg(long, value_name = "ADDRESS")]
    pub payout: Option<String>,
    /// The owner's limits; policy.toml in its folder where nothing is said.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Work for no less than this for 10^9 gas.
    #[arg(long, value_name = "CREDITS")]
    pub price_floor: Option<u64>,
    /// Run nothing without this layer of the confinement, as `anneal doctor` names it; again for more, beside those
    /// of `anneal setup`. Strangers' work always needs a minimum.
    #[arg(long, value_name = "LAYER")]
    pub require: Vec<Layer>,
    /// Where this provider's key and work are kept.
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Offer GPUs that are programs, too: they take tests only.
    #[arg(long)]
    pub software: bool,
    /// The port of your page on 127.0.0.1; another at each start where nothing is said, so that nobody on this
    /// machine can wait on it.
    #[arg(long, value_name = "PORT")]
    pub page_port: Option<u16>,
    /// Serve no page.
    #[arg(long, conflicts_with = "page_port")]
    pub no_page: bool,
}

/// `anneal setup`.
#[derive(Clone, Debug, Args)]
pub struct Setup {
    #[command(flatten)]
    pub provide: Provide,
    /// Name no payout address yet.
    #[arg(long, conflicts_with = "payout")]
    pub no_payout: bool,
    /// Your limits of heat, power and time, to begin with: quiet-night, solar, gamer, dedicated or laptop.
    #[arg(long, value_name = "PRESET")]
    pub limits: Option<String>,
    /// Write the files anew where they are there already.
    #[arg(long)]
    pub force: bool,
    /// Install and start the service, too.
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
    /// The provider's folder, as `anneal setup` wrote it.
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

/// What is done with the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ServiceAction {
    /// Write the unit, and start it.
    Install,
    /// Stop it, and remove the unit.
    Remove,
    /// Print the unit, and whether it runs.
    Show,
}

/// `anneal status`, `pause`, `resume` and `finish`.
#[derive(Clone, Debug, Args)]
pub struct OfProvider {
    /// The folder that `anneal provide` works in.
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

/// What of a machine is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Offered {
    /// The CPU.
    Cpu,
    /// Every GPU.
    Gpu,
    /// All of it.
    All,
}

impl Offered {
    /// The word for it.
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
    /// An owner's limits.
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
