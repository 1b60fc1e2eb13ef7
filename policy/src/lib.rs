//! wip: a provider's limits

pub mod quantity;
mod readings;
pub mod schedule;
mod sensor;

pub use quantity::*;
pub use readings::*;
pub use sensor::*;
