//! The arguments of `anneal policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Output;

/// What is done with a policy.
#[derive(Clone, Debug, Subcommand)]
pub enum Policy {
    /// Read a policy, and say what it means on this machine.
    Check {
        /// The policy.
        file: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Read the sensors, and say what would happen now and why.
    Explain {
        /// The policy; your provider's policy.toml where nothing is said, or the defaults.
        file: Option<PathBuf>,
        #[command(flatten)]
        output: Output,
    },
    /// Go through a recorded day: what would have run, earned and cost.
    Simulate(Simulate),
    /// Print a policy to begin with; without a name, list them.
    Preset {
        /// Which.
        name: Option<String>,
        /// Whose clock its hours are by; this machine's where nothing is said.
        #[arg(long, value_name = "ZONE", requires = "name")]
        zone: Option<String>,
    },
}

/// `anneal policy simulate`.
#[derive(Clone, Debug, Args)]
pub struct Simulate {
    /// The policy.
    pub file: PathBuf,
    /// The recorded day: CSV with a `time`, and a column for each sensor.
    #[arg(long, value_name = "CSV")]
    pub trace: PathBuf,
    /// Where the picture of it goes.
    #[arg(long, value_name = "SVG", default_value = "policy-simulation.svg")]
    pub out: PathBuf,
    #[command(flatten)]
    pub output: Output,
}
