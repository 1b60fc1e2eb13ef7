//! A provider's limits as a pure decision: what a device may do until the next reading, and why.
//!
//! An owner writes a `policy.toml` ([`Policy::parse`]; every key is in `policy/policy.toml`, [`preset`] has some
//! to begin with). Once a second the host reads its sensors and asks [`decide`]: run at a duty, pause, give the
//! task back, or refuse. [`admit::admit`] says whether an offered task may be taken at all. [`explain()`] says it
//! in words, [`Policy::doubts`] what can hardly be meant, [`simulate`] goes through a recorded day, and [`picture()`] draws it.
//!
//! Not here: reading sensors, holding a duty between dispatches, asking a network for prices, printing. This
//! crate has no clock, no files and no randomness; time zones come with it, so that the same policy means the
//! same on every machine.
//!
//! ```text
//! policy.toml ─ Policy ┐
//! sensors ──── Readings ├─ decide ─ Decision, reasons, what would have to change
//! last time ──  History ┤         └ History, to give to the next decision
//! two clocks ─  Moment ─┘
//! ```
//!
//! # What a decision holds to
//! - At a reading at a limit or over it, nothing runs; so no limit is passed for longer than a sensor period.
//! - For equal history a hotter reading never raises the duty, and neither does a sensor that is lost.
//! - A sensor that is missing, lost or says what cannot be stops the work that needs it, and is named; what
//!   it would have said is never guessed. Only a temperature whose `required` is false, and a supply of
//!   which the policy says nothing, may be missing.
//! - Work begins only when nothing was in its way for `owner.resume-after-seconds`: whatever flickers, work
//!   does not.
//! - Every decision but to run has a reason, and every reason says what would have to change.
//! - Energy is counted at the larger of two powers and by calendar day, so neither a clock that is set nor a
//!   machine that sleeps loses what was used.
//!
//! `decide/tests/properties.rs` holds these over generated days, `decide/tests/holding.rs` the controllers over
//! simulated devices.
//!
//! # What a host must do
//! - Ask once a second, from one place per device, and hand the history back; keep it in a file over restarts.
//! - Stop by itself when it has no decision for two seconds: a function cannot notice that it is not asked.
//! - Read power as a mean over about a second. A peak between two readings is seen by no policy.
//! - Say [`Sensor::Absent`] only for what the machine does not have, [`Sensor::Lost`] for what failed.
//! - Give the energy of the machine's other devices ([`History::energy_on`]) in [`Readings::energy_elsewhere`].
//! - Say [`Readings::is_idle`] only where nothing was under way on the device at any time since the last reading.
//! - Begin no segment that does not end before [`Decided::until`].

pub mod admit;
mod controller;
mod decide;
mod doubt;
mod earnings;
mod explain;
pub mod file;
mod history;
mod picture;
pub mod policy;
pub mod preset;
mod quantity;
mod readings;
mod reason;
pub mod schedule;
mod sensor;
pub mod simulate;

pub use decide::{Decided, Decision, Limiter, decide};
pub use doubt::{Capacity, Doubt};
pub use earnings::Profit;
pub use explain::{explain, explain_decided, outline};
pub use file::PolicyError;
pub use history::{EnergyLedger, History};
pub use picture::picture;
pub use policy::Policy;
pub use quantity::{Celsius, Duty, KilowattHours, Percent, Piconero, Watts};
pub use readings::{EnergyUsed, Moment, Readings};
pub use reason::{ChannelReason, EnergyReason, Note, OwnerReason, Reason, SensorReason, TimeReason};
pub use sensor::{CHANNELS, Sensor, SensorName};
