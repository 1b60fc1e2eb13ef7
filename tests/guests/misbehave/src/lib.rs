//! A guest that does every forbidden thing, one a run: the parameter `mode` names it.
//!
//! The host must answer each with one clear error and stay alive. `ok` does nothing wrong. A mode acts in `train`
//! but for those that begin with `merge-` or `evaluate-`. Some take the parameter `count`.

mod calls;
mod limits;
mod reports;
mod states;

use anneal_sdk::prelude::*;

struct Misbehave;

/// A misdeed: what it returns becomes the state.
type Deed = fn(&Task) -> Result<State>;

/// One of `evaluate`.
type Judgement = fn() -> Result<Metrics>;

const IN_TRAIN: &[(&str, Deed)] = &[
    ("ok", |_| Ok(states::good())),
    // calls that the contract refuses
    ("wrong-shape", calls::wrong_shape),
    ("wrong-dtype", calls::wrong_dtype),
    ("wrong-axis", calls::wrong_axis),
    ("nan-scalar", calls::nan_scalar),
    ("nan-bytes", calls::nan_bytes),
    ("short-bytes", calls::short_bytes),
    ("rank-9", calls::rank_9),
    ("too-large", calls::too_large),
    ("size-overflow", calls::size_overflow),
    ("concat-65", calls::concat_65),
    ("read-too-much", calls::read_too_much),
    ("no-gradient", calls::no_gradient),
    ("gradient-of-vector", calls::gradient_of_vector),
    ("unknown-input", calls::unknown_input),
    ("row-out-of-range", calls::row_out_of_range),
    ("bytes-out-of-range", calls::bytes_out_of_range),
    ("open-state-outside-merge", calls::open_state_outside_merge),
    ("overflow-read", calls::overflow_read),
    // a job's own end
    ("error", calls::error),
    ("giant-error", calls::giant_error),
    ("panic", calls::panic),
    ("giant-panic", calls::giant_panic),
    ("trap", calls::trap),
    // nothing wrong: arithmetic of its own, whose bits a thread's mode would change
    ("own-floats", calls::own_floats),
    // limits
    ("infinite-loop", limits::infinite_loop),
    ("call-loop", limits::call_loop),
    ("memory-bomb", limits::memory_bomb),
    ("tensor-bomb", limits::tensor_bomb),
    ("handle-bomb", limits::handle_bomb),
    ("never-commits", limits::never_commits),
    ("recursion", limits::recursion),
    ("deep-history", limits::deep_history),
    ("gradient-of-deep-history", limits::gradient_of_deep_history),
    ("history-without-bytes", limits::history_without_bytes),
    ("long-walks", limits::long_walks),
    ("computed-again", limits::computed_again),
    ("broadcast-bomb", limits::broadcast_bomb),
    ("rows-bomb", limits::rows_bomb),
    // reports
    ("giant-log", reports::giant_log),
    ("endless-log", reports::endless_log),
    ("giant-metric-name", reports::giant_metric_name),
    ("too-many-metrics", reports::too_many_metrics),
    ("nan-metric", reports::nan_metric),
    ("overflow-metric", reports::overflow_metric),
    ("strange-progress", reports::strange_progress),
    ("hostile-names", reports::hostile_names),
    ("hostile-error", reports::hostile_error),
    ("hostile-panic", reports::hostile_panic),
    // states
    ("state-overflow", states::overflow),
    ("state-duplicate", states::duplicate),
    ("state-unnamed", states::unnamed),
    ("state-giant-name", states::giant_name),
    ("state-too-many", states::too_many),
    ("state-strange-name", states::strange_name),
    ("state-empty", |_| Ok(State::new())),
];

const IN_MERGE: &[(&str, Deed)] = &[
    ("merge-twice", states::open_twice),
    ("merge-unknown-worker", states::open_unknown_worker),
    ("merge-none", |_| Ok(states::good())),
];

const IN_EVALUATE: &[(&str, Judgement)] = &[
    ("evaluate-nan", || Ok(Metrics::from([("accuracy", f64::NAN)]))),
    ("evaluate-overflow", || Ok(Metrics::from([("accuracy", 1e300)]))),
    ("evaluate-duplicate", || Ok(Metrics::from([("accuracy", 0.0), ("accuracy", 1.0)]))),
    ("evaluate-hostile-name", || Ok(Metrics::from([(reports::HOSTILE, 0.5)]))),
    ("evaluate-unnamed", || Ok(Metrics::from([("", 0.0)]))),
    ("evaluate-giant-name", || Ok(Metrics::from([("n".repeat(1 << 20), 0.0)]))),
    ("evaluate-too-many", || {
        Ok((0..20_000).fold(Metrics::default(), |mut metrics, number| {
            metrics.push(number.to_string(), 0.0);
            metrics
        }))
    }),
];

impl Trainer for Misbehave {
    fn init(_task: &Task) -> Result<State> {
        Ok(states::good())
    }

    fn train(task: &Task, state: State) -> Result<State> {
        let mode = mode(task)?;
        match find(IN_TRAIN, &mode) {
            Some(deed) => deed(task),
            None if find(IN_MERGE, &mode).is_some() || find(IN_EVALUATE, &mode).is_some() => Ok(state),
            None => Err(unknown(&mode)),
        }
    }

    fn merge(task: &Task) -> Result<State> {
        match find(IN_MERGE, &mode(task)?) {
            Some(deed) => deed(task),
            None => merge::mean(task),
        }
    }

    fn evaluate(task: &Task, state: State) -> Result<Metrics> {
        match find(IN_EVALUATE, &mode(task)?) {
            Some(deed) => deed(),
            None => Ok(Metrics::from([("tensors", state.len() as f64)])),
        }
    }
}

fn mode(task: &Task) -> Result<String> {
    task.parameter("mode", "ok".to_owned())
}

fn count(task: &Task, default: u32) -> Result<u32> {
    task.parameter("count", default)
}

fn find<T: Copy>(modes: &[(&str, T)], mode: &str) -> Option<T> {
    modes.iter().find(|(name, _)| *name == mode).map(|&(_, deed)| deed)
}

fn unknown(mode: &str) -> Failure {
    let modes: Vec<&str> = IN_TRAIN
        .iter()
        .chain(IN_MERGE)
        .map(|(name, _)| *name)
        .chain(IN_EVALUATE.iter().map(|(name, _)| *name))
        .collect();
    Failure::new(format!("the mode `{mode}` is unknown; there are: {}", modes.join(", ")))
}

anneal_sdk::export_training!(Misbehave);
