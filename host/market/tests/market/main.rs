//! The market's tests: simulated networks, generated histories, and each rule on its own.

#[path = "../../simulation/simulation.rs"]
mod simulation;

mod histories;
mod networks;
