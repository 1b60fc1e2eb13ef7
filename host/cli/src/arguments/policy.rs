//! The arguments of `anneal policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Output;

/// What is done with a policy.
#[derive(Clone, Debug, Subcommand)]
pub enum Policy {
    /// Validate a policy, and say what it means on this machine.
    Check {
        /// The policy.
        file: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Read the sensors, and explain what would happen now.
    Explain {
        /// The policy. Default: your provider's policy.toml, or the built-in defaults.
        file: Option<PathBuf>,
        #[command(flatten)]
        output: Output,
    },
    /// Replay a recorded day: what would have run, earned and cost.
    Simulate(Simulate),
    /// Print a policy to start from; without a name, list them.
    Preset {
        /// The preset's name.
        name: Option<String>,
        /// The time zone of its hours. Default: this machine's.
        #[arg(long, value_name = "ZONE", requires = "name")]
        zone: Option<String>,
    },
}

/// `anneal policy simulate`.
#[derive(Clone, Debug, Args)]
pub struct Simulate {
    /// The policy.
    pub file: PathBuf,
    /// The recorded day: CSV with a `time` column and a column for each sensor.
    #[arg(long, value_name = "CSV")]
    pub trace: PathBuf,
    /// File for the chart.
    #[arg(long, value_name = "SVG", default_value = "policy-simulation.svg")]
    pub out: PathBuf,
    #[command(flatten)]
    pub output: Output,
}
