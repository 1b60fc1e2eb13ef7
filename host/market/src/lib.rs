//! The pure core of the network.

mod account;
mod attempt;
pub mod audit;
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
mod open;
mod operator;
mod parameters;
mod presence;
mod price;
mod provider;
mod rejection;
mod replay;
mod reply;
mod secret;
mod spec;
mod store;
mod submit;
mod task;
mod totals;
mod verify;
pub mod view;

pub use account::{Account, Posting};
pub use audit::{AuditReport, Discrepancy};
pub use command::{Command, DeviceOffer, GiveBackReason, Nonce, OperatorMarks};
pub use effect::{Effect, ReplayOrder};
pub use escrow::Books;
pub use event::{
    CloseReason, AuditDraw, EndKind, Event, EventKind, Evidence, Finding, JobEnd, Judged, PauseReason, Payer,
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
