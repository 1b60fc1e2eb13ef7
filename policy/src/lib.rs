//! wip: a provider's limits

pub mod admit;
mod controller;
mod decide;
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
