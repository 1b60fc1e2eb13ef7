//! What a coordinator is set up with. Read from files and arguments by the command; here it is only data.

mod duration;

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anneal_api::SecretKey;
use anneal_job::{Credits, Identity, Versions};
use serde::Deserialize;

use crate::{blobs::BlobPlace, proxy::Network, store::StoreUrl};

/// What a coordinator is set up with.
#[derive(Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Certificate and key; without them it listens on loopback only.
    pub tls: Option<TlsFiles>,
    /// Proxies that are believed where a request came from.
    pub trusted_proxies: Vec<Network>,
    /// How other processes of the same coordinator reach this one; by default where it listens.
    pub advertise: Option<String>,
    /// Who it is: signs the log. The same for all processes of one coordinator.
    pub key: Arc<SecretKey>,
    /// Where state is kept.
    pub store: StoreUrl,
    /// Where blobs are kept.
    pub blobs: BlobPlace,
    /// A folder of this machine for unfinished uploads and replays.
    pub scratch: PathBuf,
    /// What tasks must name.
    pub versions: Versions,
    /// `anneal`'s own version.
    pub version: String,
    /// What strangers may send.
    pub limits: Limits,
    /// What newcomers get as long as there is no money.
    pub grants: Grants,
    /// Whom the coordinator's operator vouches for.
    pub vouched: Vouched,
    /// Whether a SQLite database is looked through, page by page and row by row, before this process leads on it.
    pub check_at_start: bool,
    /// Rules of the market, for an empty store.
    pub parameters: anneal_market::Parameters,
}

impl Config {
    /// What another process of this coordinator is believed by: the same certificate.
    pub(crate) fn leader_certificates(&self) -> Vec<&std::path::Path> {
        self.tls.iter().map(|files| files.certificate.as_path()).collect()
    }
}

/// Certificate chain and private key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the own one first.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// What newcomers get as long as there is no money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// For a developer's jobs. Work for who was only granted funds counts as nobody's cover.
    pub developer: Credits,
}

/// Whom the coordinator's operator vouches for. Nobody by default: then trusted workers take the place of anchors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vouched {
    /// Providers that are anchors without any cover.
    pub anchors: BTreeSet<Identity>,
    /// Developers, work for whom counts as cover.
    pub developers: BTreeSet<Identity>,
}

/// What strangers may send, and what they get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections at once.
    pub connections_max: usize,
    /// Connections of one network prefix at once; this machine and trusted proxies are not counted.
    pub prefix_connections_max: usize,
    /// Connections of one address at once; this machine and trusted proxies are not counted.
    pub address_connections_max: usize,
    /// Requests of all that are being answered at once.
    pub answering_max: usize,
    /// Of a network prefix; this machine is not counted.
    pub prefix_answering_max: usize,
    /// Of an identity, and of an address without one; this machine's address is not counted.
    pub identity_answering_max: usize,
    /// Bodies of more than 64 KiB in memory at once.
    pub large_bodies_max: usize,
    /// Of a network prefix; this machine is not counted.
    pub prefix_large_bodies_max: usize,
    /// Of an identity.
    pub identity_large_bodies_max: usize,
    /// A request's headers must be there by then.
    #[serde(deserialize_with = "duration::read")]
    pub header_time: Duration,
    /// A request's body must be there by then, however large.
    #[serde(deserialize_with = "duration::read")]
    pub body_time: Duration,
    /// Requests per minute of an identity, and of an address without one. A network prefix may send ten times that.
    pub requests_per_minute: u32,
    /// Of those, at once.
    pub requests_burst: u32,
    /// Entries of the log per minute that an identity's commands cause. A network prefix may cause ten times that.
    pub events_per_minute: u32,
    /// Of those, at once.
    pub events_burst: u32,
    /// Entries of the log per minute of an identity that no work stands for: that it enrols, changes its devices, pauses.
    /// A network prefix may cause ten times that, all together a hundred times.
    pub announcements_per_minute: u32,
    /// Of those, at once.
    pub announcements_burst: u32,
    /// Providers that enrol for the first time, per hour, of a network prefix; this machine is not counted.
    pub prefix_enrolments_per_hour: u32,
    /// Of all together. A prefix may have as many as are left, so that a few never leave none for another.
    pub enrolments_per_hour: u32,
    /// Bytes of a blob.
    pub blob_bytes_max: u64,
    /// Bytes of blobs that an identity keeps.
    pub identity_bytes_max: u64,
    /// Unfinished uploads of an identity.
    pub identity_uploads_max: usize,
    /// Unfinished uploads of a network prefix; this machine is not counted.
    pub prefix_uploads_max: usize,
    /// Unfinished uploads of all.
    pub uploads_max: usize,
    /// An unfinished upload that nobody goes on with is removed after this.
    #[serde(deserialize_with = "duration::read")]
    pub upload_idle: Duration,
    /// A blob that no live job needs is removed after this.
    #[serde(deserialize_with = "duration::read")]
    pub blob_retention: Duration,
    /// Free bytes of the disk below which no upload is taken.
    pub disk_reserve_bytes: u64,
    /// How long a stop waits for requests that are being answered.
    #[serde(deserialize_with = "duration::read")]
    pub shutdown_time: Duration,
    /// How long a component may take to compile before its job opens: less than any provider gives it.
    #[serde(deserialize_with = "duration::read")]
    pub admission_time: Duration,
    /// For so long a component is compiled at first; one that takes longer begins anew behind the others.
    pub admission_slice: Duration,
    /// Replays at once, beside one that takes none that have taken long.
    pub replay_workers: usize,
    /// A replay's first slice of time: one that takes longer begins anew with a longer one when it is its turn again.
    #[serde(deserialize_with = "duration::read")]
    pub replay_slice: Duration,
    /// A replay's longest slice: one that takes longer has failed.
    #[serde(deserialize_with = "duration::read")]
    pub replay_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 20_000,
            prefix_connections_max: 2_048,
            address_connections_max: 512,
            answering_max: 20_000,
            prefix_answering_max: 2_048,
            identity_answering_max: 256,
            large_bodies_max: 128,
            prefix_large_bodies_max: 64,
            identity_large_bodies_max: 8,
            header_time: Duration::from_secs(20),
            body_time: Duration::from_secs(300),
            requests_per_minute: 6_000,
            requests_burst: 1_000,
            events_per_minute: 3_000,
            events_burst: 5_000,
            announcements_per_minute: 20,
            announcements_burst: 200,
            prefix_enrolments_per_hour: 1_024,
            enrolments_per_hour: 20_000,
            blob_bytes_max: 16 << 30,
            identity_bytes_max: 64 << 30,
            identity_uploads_max: 16,
            prefix_uploads_max: 1_024,
            uploads_max: 4_096,
            upload_idle: Duration::from_secs(10 * 60),
            blob_retention: Duration::from_secs(30 * 24 * 3600),
            disk_reserve_bytes: 1 << 30,
            shutdown_time: Duration::from_secs(10),
            admission_slice: Duration::from_secs(5),
            admission_time: Duration::from_secs(60),
            replay_workers: 1,
            replay_slice: Duration::from_secs(3 * 60),
            replay_time_max: Duration::from_secs(2 * 3600),
        }
    }
}

impl Default for Grants {
    fn default() -> Grants {
        Grants { developer: Credits(1_000_000_000_000) }
    }
}
