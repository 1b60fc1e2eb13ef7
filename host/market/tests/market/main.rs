//! The market's tests: simulated networks, generated histories, and each rule on its own.

#[path = "../../simulation/simulation.rs"]
mod simulation;

mod admit;
mod desk;
mod histories;
mod jobs;
mod log;
mod lost;
mod networks;
mod offers;
mod standing;
mod verdicts;
mod versions;
