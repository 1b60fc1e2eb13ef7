//! Going through a recorded day.

mod plant;

pub use plant::ThermalPlant;
