//! One state of several: what happens at the end of a data-parallel round.

use crate::bindings::context;
use crate::error::{Error, Failure, Result};
use crate::tensor::commit;
use crate::{DType, State, Task, Tensor};

/// The state of one worker. Each may be opened once in a task.
pub fn open(worker: u32) -> Result<State, Error> {
    Ok(State::from_raw(context::open_state(worker)?))
}

/// The mean of all workers' states, the default of [`Trainer::merge`](crate::Trainer::merge).
///
/// Floats (f32, and bf16 and f16 by way of it) are added in the workers' order and divided by their number.
/// Integers and booleans, such as step counters, must be equal. Fails where the states differ in names, dtypes
/// or shapes.
pub fn mean(task: &Task) -> Result<State> {
    let mut sums: Vec<(String, DType, Tensor)> = Vec::new();
    for (name, tensor) in open(0)? {
        let dtype = tensor.dtype();
        sums.push((name, dtype, if is_float(dtype) { tensor.try_cast(DType::F32)? } else { tensor }));
    }
    for worker in 1..task.workers {
        let state = open(worker)?;
        if !state.iter().map(|(name, _)| name).eq(sums.iter().map(|(name, ..)| name)) {
            return Err(Failure::new(format!(
                "merge: the states of the workers 0 and {worker} have other names"
            )));
        }
        for ((name, dtype, sum), (_, tensor)) in sums.iter_mut().zip(state) {
            *sum = join(sum, &tensor, *dtype)
                .map_err(|failure| failure.context(format_args!("merge: `{name}` of worker {worker}")))?;
        }
        let committed = commit(&sums.iter().map(|(_, _, sum)| sum).collect::<Vec<_>>());
        for ((_, _, sum), tensor) in sums.iter_mut().zip(committed) {
            *sum = tensor;
        }
    }
    let workers = task.workers.max(1) as f32;
    let finish = |(name, dtype, sum): (String, DType, Tensor)| {
        let tensor = if is_float(dtype) { sum.try_div(workers)?.try_cast(dtype)? } else { sum };
        Ok((name, tensor))
    };
    sums.into_iter().map(finish).collect()
}

/// The sum so far with one more tensor.
fn join(sum: &Tensor, tensor: &Tensor, dtype: DType) -> Result<Tensor> {
    if tensor.dtype() != dtype || tensor.shape() != sum.shape() {
        return Err(Failure::new(format!(
            "it is {tensor:?}, that of worker 0 is {dtype:?} {:?}",
            sum.shape()
        )));
    }
    if is_float(dtype) {
        return Ok(sum.try_add(tensor.try_cast(DType::F32)?)?);
    }
    let differing = sum.try_ne(tensor)?.try_cast(DType::I32)?.try_sum(&[])?.try_item_i32()?;
    match differing {
        0 => Ok(sum.clone()),
        _ => Err(Failure::new(
            "its integers differ from worker 0's, and there is no mean of them: write your own merge",
        )),
    }
}

fn is_float(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::Bf16 | DType::F16)
}
