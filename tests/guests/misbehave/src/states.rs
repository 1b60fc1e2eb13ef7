//! States that the host must refuse, and one that it must not.

use anneal_sdk::prelude::*;

/// Nothing is wrong with this one.
pub fn good() -> State {
    State::from([("weight", Tensor::ones(&[4]))])
}

pub fn overflow(_: &Task) -> Result<State> {
    Ok(State::from([("weight", Tensor::full(&[4], 100.0).exp())]))
}

pub fn duplicate(_: &Task) -> Result<State> {
    Ok(State::from([("weight", Tensor::ones(&[4])), ("weight", Tensor::zeros(&[4]))]))
}

pub fn unnamed(_: &Task) -> Result<State> {
    Ok(State::from([("", Tensor::ones(&[4]))]))
}

pub fn giant_name(_: &Task) -> Result<State> {
    Ok(State::from([("n".repeat(1 << 20), Tensor::ones(&[4]))]))
}

pub fn too_many(_: &Task) -> Result<State> {
    Ok((0..4_097).map(|number| (number.to_string(), Tensor::zeros(&[1]))).collect())
}

/// Legal: whoever writes it to a file, a terminal or JSON must not be led astray by it.
pub fn strange_name(_: &Task) -> Result<State> {
    Ok(["../../etc/passwd", "\u{1b}[31mred", "a\0b", "__metadata__", "\"},{\"", "ß\u{202e}"]
        .into_iter()
        .map(|name| (name, Tensor::ones(&[1])))
        .collect())
}

pub fn open_twice(_: &Task) -> Result<State> {
    merge::open(0)?;
    Ok(merge::open(0)?)
}

pub fn open_unknown_worker(task: &Task) -> Result<State> {
    Ok(merge::open(task.workers)?)
}
