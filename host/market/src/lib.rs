//! The pure core of the network: who runs which task, what counts as its result, and what is paid for it.
//!
//! [`Market::apply`] takes a time, random bits and a [`Command`], and gives a reply, events for the public log,
//! effects for the service, and which entities have changed. No clock, no randomness of its own, no files, no
//! network: the same commands make the same market. It is not a service: signatures, HTTP, the store, the
//! workers that replay and the blobs are the coordinator's. The rules with their numbers, the bound on wrong
//! results and its derivation are in `VERIFICATION.md`.
//!
//! How it is laid out:
//! - What goes in and out: `command`, `reply`, `effect`, `event`, `rejection`, `key`, `parameters`, `spec`.
//! - Entities, each a row: `totals`, `operator`, `provider`, `developer`, `job`, `task`, `attempt`, `class`.
//!   `store` writes and loads them, `index` is what follows from them, `presence` is in no row.
//! - What happens: `market` dispatches. `enrol` (providers, devices, epochs), `submit` (jobs), `open` (tasks come
//!   to exist when their states are there), `standing` (what a key has shown, whose turn it is), `matching` and `lease`, `commit` (to the receipt), `verify` (to the
//!   verdict, and after), `case` (faults, forfeits, appeals), `escrow` (postings), `price` (and deadlines).
//! - [`audit()`](audit::audit) recomputes a log from its events alone.
//!
//! A command is first checked, then done: a rejected one has changed nothing (asserted). What it does to a task
//! or a job is put on an agenda, which is worked off before `apply` returns; so every rule looks at one task's
//! state and nothing else, and it does not matter how it got there. A command's cost depends on what is open,
//! not on what has been: settled tasks and ended jobs leave memory with their last rows.

mod account;
mod admit;
mod attempt;
pub mod audit;
mod ban;
mod case;
mod class;
mod command;
mod commit;
mod developer;
mod effect;
mod enrol;
mod escrow;
mod event;
mod index;
mod job;
mod key;
mod lease;
mod market;
mod matching;
mod name;
mod offer;
mod open;
mod operator;
mod parameters;
mod presence;
mod price;
mod provider;
mod rejection;
mod replay;
mod reply;
pub mod row;
mod secret;
mod spec;
mod standing;
mod store;
mod submit;
mod task;
mod totals;
mod verify;
mod versions;
pub mod view;

pub use account::{Account, Posting};
pub use admit::Waiting;
pub use audit::{AuditReport, Discrepancy};
pub use command::{Command, DeviceOffer, GiveBackReason, Nonce, OperatorMarks};
pub use effect::{Effect, ReplayOrder};
pub use escrow::Books;
pub use event::{
    AuditDraw, CloseReason, EndKind, Event, EventKind, Evidence, Finding, JobEnd, Judged, PauseReason, Payer,
    ReplicateDraw,
};
pub use key::{Key, KeyError};
pub use market::{Applied, EndedRow, Market, Seed};
pub use name::{DeviceClass, DeviceId, JobTag, TaskKey, TaskTag};
pub use parameters::Parameters;
pub use rejection::Rejection;
pub use replay::{ReplayId, ReplayOutcome, TraceLevel};
pub use reply::{Demand, Lease, NothingHint, Quote, Reply, StateRef, TraceReport};
pub use secret::{Draw, EpochSecret, MILLION};
pub use spec::{JobRequirements, JobSpec};
pub use store::LoadError;
