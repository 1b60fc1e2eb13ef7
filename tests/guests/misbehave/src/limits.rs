//! Deeds that must end at a limit: gas, memory, tensor bytes, handles, recorded operations, the stack.

use std::hint::black_box;

use anneal_sdk::prelude::*;
use anneal_sdk::tensor::{commit, try_gradients};

use crate::count;
use crate::states::good;

/// One mebibyte of f32.
const MEBIBYTE: [u32; 1] = [1 << 18];

pub fn infinite_loop(_: &Task) -> Result<State> {
    let mut turns = 0_u64;
    while black_box(true) {
        turns = turns.wrapping_add(1);
    }
    Err(Failure::new(format!("it ended after {turns} turns")))
}

/// Spends its gas in host calls.
pub fn call_loop(_: &Task) -> Result<State> {
    loop {
        black_box(Tensor::scalar(1.0));
    }
}

/// Linear memory, each page touched.
pub fn memory_bomb(_: &Task) -> Result<State> {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(black_box(vec![1; 1 << 20]));
    }
}

/// Logical bytes on the host: live tensors, each evaluated.
pub fn tensor_bomb(_: &Task) -> Result<State> {
    let mut hoard = Vec::new();
    loop {
        let tensor = Tensor::full(&MEBIBYTE, hoard.len() as f32);
        hoard.extend(anneal_sdk::tensor::commit(&[&tensor]));
    }
}

/// Handles to tensors of no size.
pub fn handle_bomb(_: &Task) -> Result<State> {
    let mut hoard = Vec::new();
    loop {
        let tensor = Tensor::zeros(&[0]);
        hoard.extend(anneal_sdk::tensor::commit(&[&tensor]));
    }
}

/// One live handle, an ever longer history.
pub fn never_commits(_: &Task) -> Result<State> {
    let mut x = Tensor::zeros(&[1]);
    loop {
        x = x.neg();
    }
}

pub fn recursion(task: &Task) -> Result<State> {
    let depth = count(task, 100_000)?;
    Err(Failure::new(format!("it came back from a depth of {}", descend(depth))))
}

/// Not a loop to the compiler: each frame keeps something.
fn descend(depth: u32) -> u32 {
    let frame = black_box([depth; 64]);
    if depth == 0 { 0 } else { black_box(descend(depth - 1)) + u32::from(frame[63] == depth) }
}

/// A million chained operations, then all dropped at once.
pub fn deep_history(task: &Task) -> Result<State> {
    drop(chain(count(task, 1_000_000)?));
    Ok(good())
}

/// And their gradient.
pub fn gradient_of_deep_history(task: &Task) -> Result<State> {
    let (first, last) = chain(count(task, 1_000_000)?);
    let gradients = try_gradients(&last, &[&first])?;
    Ok(State::from([("gradient", gradients[0].clone())]))
}

/// A history of tensors without elements that is never committed, over commits of something else.
pub fn history_without_bytes(_: &Task) -> Result<State> {
    let (mut last, other) = (Tensor::zeros(&[0]), Tensor::scalar(1.0));
    loop {
        for _ in 0..60_000 {
            last = last.neg();
        }
        commit(&[&other]);
    }
}

/// Gradients for ever, each of a few new operations, through a long history.
pub fn long_walks(_: &Task) -> Result<State> {
    let ((_, last), other) = (chain(30_000), Tensor::scalar(1.0));
    loop {
        drop(try_gradients(&last, &[&other])?);
        commit(&[&other]);
    }
}

/// Commits for ever, each of one new operation, for which a long history is computed again.
pub fn computed_again(_: &Task) -> Result<State> {
    let (_, last) = chain(30_000);
    loop {
        commit(&[&last.detach()]);
    }
}

fn chain(length: u32) -> (Tensor, Tensor) {
    let first = Tensor::scalar(1.0);
    let last = (0..length).fold(first.clone(), |x, _| x.neg());
    (first, last)
}

/// Small inputs, large outputs: doubled until the tensor limit refuses.
pub fn broadcast_bomb(_: &Task) -> Result<State> {
    let mut x = Tensor::ones(&[1]);
    loop {
        x = Tensor::try_concat(&[&x; 64], 0)?;
    }
}

/// The same row ten million times; needs any input.
pub fn rows_bomb(task: &Task) -> Result<State> {
    let first = Dataset::all().into_iter().next().ok_or("this mode needs an input")?;
    let indices = vec![0; count(task, 10_000_000)? as usize];
    Ok(State::from([("rows", first.rows(&indices)?)]))
}
