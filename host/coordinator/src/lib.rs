//! The coordinator's service around the market: HTTP, store, log, blobs, effects.
//!
//! - [`store`]: rows, the hash-chained log, commands' replies, the outbox, and who leads; SQLite or PostgreSQL.
//! - `writer`: the one thread that owns the market. Handlers send it turns; a group of turns is one transaction,
//!   and replies follow the commit.
//! - [`blobs`]: bytes by their SHA-256.
//! - `http`: the guards and a handler per request of the table in `anneal_api::endpoints`; the web page.
//! - `fair`: whose turn it is, who gets a place and who must give one up; `places`, `blobs` and the guards use it.
//! - `proxy`: where a request came from. `possession`: which blobs a job may use.
//! - `sweep` and `scrub`: blobs that nobody needs go, and so do those whose bytes have rotted.
//! - `admit`: components are compiled before their jobs open, and what came of it is kept by their digests.
//! - [`check`] and [`backup`]: whether the data is what was written, a copy of it, and the way back; `bans` and `disk`:
//!   who is served, and for as long as there is room. `FAILOVER.md` is the operator's guide.
//! - `replay`: trusted replays, by a worker that the command gives ([`Replayer`]), in an order that is fair.
//!
//! What is decided is decided in `anneal-market`. Nothing here reads the environment or prints.

mod admit;
mod app;
pub mod backup;
mod bans;
pub mod blobs;
pub mod check;
mod clock;
mod config;
mod convert;
mod disk;
mod doubt;
mod fair;
mod http;
mod metrics;
mod places;
mod possession;
mod profile;
mod proxy;
mod queue;
mod replay;
mod scrub;
mod service;
pub mod store;
mod sweep;
mod views;
mod waiters;
mod writer;

pub use config::{Config, Grants, Limits, TlsFiles, Vouched};
pub use http::TlsError;
pub use proxy::{Network, NetworkError};
pub use replay::{AdmitError, ReplayDone, ReplayError, ReplayRequest, Replayer};
pub use service::{Coordinator, StartError};
pub use writer::LeadError;
