//! The arguments of `anneal coordinator`.

use std::{net::SocketAddr, path::PathBuf};

use anneal_job::Identity;
use clap::{Args, Subcommand};

use super::Output;

/// `anneal coordinator`: serving, or looking after what is kept.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct CoordinatorArguments {
    /// A maintenance command.
    #[command(subcommand)]
    pub keep: Option<Keep>,
    #[command(flatten)]
    pub serve: Serve,
}

/// `anneal coordinator` itself. What is not said here is as `coordinator.toml` in its folder says.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// The address to listen on. Default: 127.0.0.1:4200. Anything but loopback needs a certificate.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// The URL by which other processes of this coordinator reach this one. Default: the listening address.
    #[arg(long, value_name = "URL")]
    pub advertise: Option<String>,
    #[command(flatten)]
    pub data: Data,
    /// A reverse proxy whose X-Forwarded-For or Forwarded header is believed: an address, or a network like 10.0.0.0/8.
    /// Can be repeated.
    #[arg(long = "trusted-proxy", value_name = "NETWORK")]
    pub trusted_proxies: Vec<anneal_coordinator::Network>,
    /// Market rules that differ from the defaults, a TOML file. Only for a new store.
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// The key of a provider that you vouch for: it is an anchor at once. Can be repeated. With three or more, your
    /// trusted worker has almost nothing to replay.
    #[arg(long = "anchor", value_name = "KEY")]
    pub anchors: Vec<Identity>,
    /// The key of a developer that you vouch for: earnings from its jobs count towards providers' standing. Can be
    /// repeated.
    #[arg(long = "developer", value_name = "KEY")]
    pub developers: Vec<Identity>,
    /// The certificate chain, PEM.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// The certificate's private key, PEM.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// How many replays run at once. Default: half of the cores.
    #[arg(long, value_name = "N")]
    pub replay_workers: Option<usize>,
}

/// Where a coordinator's data is.
#[derive(Clone, Debug, Args)]
pub struct Data {
    /// Folder for key, settings, state and blobs.
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// The settings. Default: `coordinator.toml` in the folder.
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// The state: `sqlite:PATH` or `postgres://user@host/database`. A database on another machine is reached over TLS
    /// (`?sslrootcert=FILE` for your own authority). Default: an SQLite file in the folder.
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// The blobs: a folder, or `s3://bucket/prefix` with AWS_ENDPOINT, AWS_REGION, AWS_ACCESS_KEY_ID and
    /// AWS_SECRET_ACCESS_KEY in the environment. Default: a folder in the folder.
    #[arg(long, value_name = "PLACE")]
    pub blobs: Option<String>,
}

/// Maintenance commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Keep {
    /// Check the database page by page and row by row, the log, and every blob. The coordinator may be running.
    Check {
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        output: Output,
    },
    /// Copy key, settings, state and blobs into a new folder, and check the copy. The coordinator may be running.
    Backup {
        #[command(flatten)]
        data: Data,
        /// The new folder. Whoever can read it can sign as this coordinator.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Restore a backup into a folder without a state. What the coordinator did after the backup is lost.
    Restore {
        /// The backup.
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// Folder for key, settings, state and blobs.
        #[arg(long, value_name = "DIR")]
        folder: Option<PathBuf>,
        #[command(flatten)]
        output: Output,
    },
    /// Ban a key: its requests are refused, its leases go to others, and its jobs end. The log says so, with the reason.
    Ban(BanArguments),
    /// Lift a ban.
    Unban(BanArguments),
}

/// `anneal coordinator ban` and `unban`.
#[derive(Clone, Debug, Args)]
pub struct BanArguments {
    /// The key of a provider or a developer.
    pub identity: Identity,
    /// The reason, which everybody can read in the log.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    pub data: Data,
    /// The URL of the running coordinator. Default: the one that its state names.
    #[arg(long, value_name = "URL")]
    pub coordinator: Option<String>,
    #[command(flatten)]
    pub output: Output,
}
