//! The arguments of `anneal coordinator`.

use std::{net::SocketAddr, path::PathBuf};

use anneal_job::Identity;
use clap::{Args, Subcommand};

use super::Output;

/// `anneal coordinator`: serving, or looking after what is kept.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct CoordinatorArguments {
    /// What else than serving.
    #[command(subcommand)]
    pub keep: Option<Keep>,
    #[command(flatten)]
    pub serve: Serve,
}

/// `anneal coordinator` itself. What is not said here is as `coordinator.toml` in its folder says.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// Where it listens, 127.0.0.1:4200 where nothing is said; beyond loopback only with a certificate.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// How other processes of this coordinator reach this one; where it listens, where nothing is said.
    #[arg(long, value_name = "URL")]
    pub advertise: Option<String>,
    #[command(flatten)]
    pub data: Data,
    /// A proxy that is believed where requests come from, by X-Forwarded-For or Forwarded: an address or a network
    /// like 10.0.0.0/8. May be repeated.
    #[arg(long = "trusted-proxy", value_name = "NETWORK")]
    pub trusted_proxies: Vec<anneal_coordinator::Network>,
    /// The market's rules where they are not the defaults, TOML; for a store that is new.
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// A provider that you vouch for, by its key: its word is enough beside others'. May be repeated; three or more
    /// spare your trusted worker nearly all replays.
    #[arg(long = "anchor", value_name = "KEY")]
    pub anchors: Vec<Identity>,
    /// A developer that you vouch for, by its key: what providers earn with its jobs counts towards their standing.
    /// May be repeated.
    #[arg(long = "developer", value_name = "KEY")]
    pub developers: Vec<Identity>,
    /// Certificate chain, PEM.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// The certificate's private key, PEM.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// Replays at once; half of the cores where nothing is said.
    #[arg(long, value_name = "N")]
    pub replay_workers: Option<usize>,
}

/// Where a coordinator's data is.
#[derive(Clone, Debug, Args)]
pub struct Data {
    /// Where its key, settings, state and blobs are kept.
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Its settings; `coordinator.toml` in the folder where nothing is said.
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// The state: `sqlite:PATH` or `postgres://user@host/database`, on another machine over TLS (`?sslrootcert=FILE`
    /// for an authority of your own); a file in the folder where nothing is said.
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// The blobs: a folder or `s3://bucket/prefix`, with AWS_ENDPOINT, AWS_REGION, AWS_ACCESS_KEY_ID and
    /// AWS_SECRET_ACCESS_KEY in the environment; in the folder where nothing is said.
    #[arg(long, value_name = "PLACE")]
    pub blobs: Option<String>,
}

/// Looking after a coordinator's data.
#[derive(Clone, Debug, Subcommand)]
pub enum Keep {
    /// Look through the database page by page and row by row, the log, and every blob. It may run meanwhile.
    Check {
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        output: Output,
    },
    /// Copy key, settings, state and blobs into a new folder, and look through the copy. It may run meanwhile.
    Backup {
        #[command(flatten)]
        data: Data,
        /// The new folder. Whoever can read it can sign as this coordinator.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Bring a backup into a folder without a state. What the coordinator did after the backup is lost.
    Restore {
        /// The backup.
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// Where key, settings, state and blobs go.
        #[arg(long, value_name = "DIR")]
        folder: Option<PathBuf>,
        #[command(flatten)]
        output: Output,
    },
    /// Serve an identity no more: none of its requests is taken, its leases go to others, its jobs are wound up. The log
    /// says so with the reason.
    Ban(BanArguments),
    /// Serve it again.
    Unban(BanArguments),
}

/// `anneal coordinator ban` and `unban`.
#[derive(Clone, Debug, Args)]
pub struct BanArguments {
    /// Who: a provider's or developer's key.
    pub identity: Identity,
    /// Why: stands in the log, for everybody to read.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    pub data: Data,
    /// Where the coordinator, which must run, is reached; where its state says, where nothing is said.
    #[arg(long, value_name = "URL")]
    pub coordinator: Option<String>,
    #[command(flatten)]
    pub output: Output,
}
