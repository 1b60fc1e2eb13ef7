//! Measures how an owner's limits are held: a training of the digits in a real worker, on the CPU and on every GPU
//! (the tests' one is a program). Not a test: what is measured depends on the machine and on what else runs there.
//!
//! `cargo run --release -p anneal-cli --example limits -- [CASE …] [seconds=N] [COMPONENT]` in the workspace, once
//! `anneal` is built; prints a table for each case. Without a component it builds the digits.
//!
//! - `duty`: the busy fraction, over ten seconds at each of four duties.
//! - `pause`: how soon work stands after the word, twenty times.
//! - `heat`: how a temperature is held by duty for N seconds (900), where the device has a sensor and gets warm.
#![expect(clippy::print_stdout, reason = "tables for people are what this program is for")]

mod duty;
mod heat;
mod pause;
mod training;

use std::path::PathBuf;

use anneal_cli::host::Host;
use anneal_runner::Backend;
use anyhow::{Context, Result};

use training::Training;

const CASES: [&str; 3] = ["duty", "pause", "heat"];
/// A temperature is held for so long where nothing else is said.
const HELD_S: usize = 900;

fn main() -> Result<()> {
    let this = std::env::current_exe()?;
    let program = this.ancestors().nth(2).context("an example lies below the build's folder")?.join("anneal");
    let mut host = Host::here()?;
    host.launcher.program = program.clone();
    host.sensors.nvml_process = vec![program.into(), "__nvml".into()];
    let (mut cases, rest): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| CASES.contains(&argument.as_str()));
    if cases.is_empty() {
        cases = CASES.map(str::to_owned).into();
    }
    let (given, rest): (Vec<String>, Vec<String>) =
        rest.into_iter().partition(|argument| argument.starts_with("seconds="));
    let held_s = given.last().and_then(|given| given.strip_prefix("seconds="));
    let held_s = held_s.map_or(Ok(HELD_S), str::parse).context("seconds=N wants a number")?;
    let training = Training::load(&host, rest.first().map_or("examples/digits".into(), PathBuf::from))?;
    let backends: Vec<Backend> =
        [Backend::cpu(None)].into_iter().chain(Backend::gpus(&host.launcher)).collect();
    for case in cases {
        match case.as_str() {
            "duty" => duty::run(&training, &host, &backends)?,
            "pause" => pause::run(&training, &host, &backends)?,
            _ => heat::run(&training, &host, &backends, held_s)?,
        }
    }
    Ok(())
}
