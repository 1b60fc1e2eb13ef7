//! Arbitrary sequences of host calls: what a guest could ask of the host, from bytes that anything may have
//! made, and what must hold whatever it asks. The property test and the fuzz target (`tests/fuzz`) share it.
//! What operations compute is the engine's to test; here they are evaluated only so that nothing is skipped.
//! What the calls cost the host is [`cost`]'s.

pub mod allocator;
pub mod cost;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use anneal_job::{Digest, Entry, Limits, Place, Task};
use anneal_tensor::{DType, Elements, Reference, Shape, Value};

use super::{
    bindings::{
        context::Host as _, data::Host as _, report::Host as _, tensors::Host as _, tensors::HostTensor as _,
    },
    *,
};
use crate::{VERSIONS, state::NamedValue};

type Handle = Resource<Tensor>;

/// What a call is made of.
#[derive(Clone, Debug)]
pub struct Call {
    function: usize,
    tensors: [usize; 4],
    words: Vec<u32>,
    number: f64,
    flag: bool,
    /// How long its lists and texts are, and how deep a chain of one operation.
    length: usize,
}

const FUNCTIONS: usize = 84;
/// Calls of one sequence.
const CALLS_MAX: usize = 200;
/// Gas of what is recorded and not yet evaluated, over which nothing is: evaluating it would only take time.
const PENDING_GAS_MAX: u64 = 3_000_000;
/// Words that find the edges of sizes, axes and indices.
const WORDS: [u32; 12] = [0, 1, 2, 3, 4, 5, 8, 65_535, 1 << 20, 1 << 27, 1 << 31, u32::MAX];
const LENGTHS: [usize; 16] = [0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 8, 9, 64, 65, 3000, 100_000];
/// Operations of one chain.
const CHAIN_MAX: usize = 3000;
const NUMBERS: [f64; 9] = [0.0, 1.0, -1.0, 0.5, 1e-30, 1e30, 1e300, f64::NAN, f64::NEG_INFINITY];

/// The calls that these bytes say; every byte string says some.
pub fn decode(bytes: &[u8]) -> Vec<Call> {
    let mut bytes = bytes.iter().copied();
    let mut calls = Vec::new();
    while let Some(function) = bytes.next()
        && calls.len() < CALLS_MAX
    {
        let mut byte = || usize::from(bytes.next().unwrap_or(0));
        let tensors = [byte(), byte(), byte(), byte()];
        let (count, number) = (byte() % 9, NUMBERS[byte() % NUMBERS.len()]);
        let (flag, length) = (byte(), byte());
        let words = (0..count).map(|_| match byte() {
            edge if edge < 192 => WORDS[edge % WORDS.len()],
            small => small as u32 - 192,
        });
        let words = words.collect();
        let (function, flag) = (usize::from(function) % FUNCTIONS, flag % 2 == 1);
        let length = LENGTHS[length % LENGTHS.len()];
        calls.push(Call { function, tensors, words, number, flag, length });
    }
    calls
}

/// A host whose guest made calls.
struct Played {
    host: Host,
    /// Handles that the guest holds.
    held: Vec<u32>,
    /// Handles that it gave back, which it may use all the same.
    stale: Vec<u32>,
    /// Gas since the last evaluation.
    pending: u64,
}

/// Makes the calls on a new host.
///
/// # Errors
/// Names what did not hold: an error without words, an end that is no [`Ending`], a byte or a handle that is
/// counted after everything was dropped.
pub fn play(calls: &[Call]) -> Result<(), String> {
    let mut played = Played::new(Box::new(Reference::new()));
    for call in calls {
        played.step(call)?;
    }
    played.end()
}

impl Played {
    /// Makes a call as the contract's binding would; gives its gas, and whether it would end the run.
    fn step(&mut self, call: &Call) -> Result<(u64, bool), String> {
        let mut ends = false;
        match self.make(call) {
            Ok(()) => {}
            Err(refusal @ Refusal::Call(_)) => {
                // What the binding does with it.
                if let Ok(error) = self.host.convert_error(refusal)
                    && (!error.message.contains(": ") || error.message.len() >= 2000)
                {
                    return Err(format!("{call:?} is refused with {:?}", error.message));
                }
            }
            Err(Refusal::End(error)) => {
                if !error.is::<Ending>() {
                    return Err(format!("{call:?} ends the run with {error}"));
                }
                ends = true;
            }
        }
        let gas = self.host.graph.meter().take_gas();
        self.pending = self.pending.saturating_add(gas);
        Ok((gas, ends))
    }

    /// Of what the guest gave back, it tries the newest again.
    fn forget_stale(&mut self) {
        let old = self.stale.len().saturating_sub(50);
        self.stale.drain(..old);
    }

    /// Gives everything back.
    fn end(self) -> Result<(), String> {
        let Played { mut host, held, .. } = self;
        let meter = host.graph.meter().clone();
        for handle in held {
            host.drop(Handle::new_own(handle)).map_err(|error| format!("handle {handle}: {error}"))?;
        }
        match (host.tensors, meter.bytes_live(), meter.tensors_live()) {
            (0, 0, 0) => Ok(()),
            left => Err(format!("{left:?} tensors of handles, bytes and tensors are left behind")),
        }
    }

    fn new(executor: Box<dyn Executor>) -> Played {
        let mut host = host(executor);
        let held = first_tensors(&mut host);
        Played { host, held, stale: vec![u32::MAX, 1000], pending: 0 }
    }

    fn make(&mut self, call: &Call) -> Result<(), Refusal> {
        let all = self.held.len() + self.stale.len();
        let rep = |index: usize| {
            let at = call.tensors[index] % all;
            self.held.get(at).copied().unwrap_or_else(|| self.stale[at - self.held.len()])
        };
        let word = |index: usize| call.words.get(index).copied().unwrap_or(1);
        let text =
            || ["", "loss", "table", "\u{1b}[2J\0", "../../etc/passwd"][call.tensors[1] % 5].to_owned();
        let long = || text().repeat(call.length);
        let host = &mut self.host;
        match call.function {
            70 if self.pending < PENDING_GAS_MAX => {
                let xs = (0..call.length).map(|index| Handle::new_borrow(rep(index % 4))).collect();
                self.pending = 0;
                self.held.extend(host.commit(xs).map_err(Refusal::End)?.iter().map(Resource::rep));
            }
            71 if self.pending < PENDING_GAS_MAX => {
                let _bytes = host.read(Handle::new_borrow(rep(0)))?;
            }
            72..76 => {
                let rep = rep(0);
                host.drop(Handle::new_own(rep)).map_err(Refusal::End)?;
                self.held.retain(|&held| held != rep);
                self.stale.push(rep);
            }
            76 => {
                let _shape = host.shape(Handle::new_borrow(rep(0))).map_err(Refusal::End)?;
                let _dtype = host.dtype(Handle::new_borrow(rep(0))).map_err(Refusal::End)?;
            }
            77 => host.metric(long(), u64::from(word(0)), call.number).map_err(Refusal::End)?,
            78 => host.log(long()).map_err(Refusal::End)?,
            79 => host.progress(u64::from(word(0)), u64::from(word(1))).map_err(Refusal::End)?,
            80 => host.panic(long(), text(), word(0), word(1)).map_err(Refusal::End)?,
            81 => {
                let _infos = host.inputs().map_err(Refusal::End)?;
                let _info = host.info(text())?;
            }
            82 => {
                let states = host.open_state(word(0) % 4)?;
                self.held.extend(states.iter().map(|named| named.tensor.rep()));
            }
            70 | 71 | 83 => {
                let _bytes = host.bytes(text(), u64::from(word(0)) << 32 | u64::from(word(1)), word(2))?;
            }
            _ => {
                let mut known: Vec<u32> = [0, 1, 2, 3].map(rep).into();
                let outcome = record(host, &mut known, call);
                // What was given before the call was refused is held too.
                self.held.extend(known.drain(4..));
                return outcome;
            }
        }
        Ok(())
    }
}

/// A task that merges: the entry that may ask for most.
fn task() -> Task {
    Task {
        component: Digest::of(b""),
        entry: Entry::Merge,
        place: Place { round: 0, segment: 0, segments: 1, worker: 0, workers: 1 },
        job_seed: 1,
        parameters: BTreeMap::new(),
        inputs: BTreeMap::new(),
        states: Vec::new(),
        limits: Limits { tensor_bytes: 1 << 30, handles: 200, ..Limits::DEFAULT },
        versions: VERSIONS,
    }
}

fn host(executor: Box<dyn Executor>) -> Host {
    let input = |shape: &[usize]| {
        let shape = Shape::of(shape);
        Value::host(DType::U8, shape, Elements::U8((0..shape.elements() as u8).collect()))
    };
    let inputs = BTreeMap::from([("table".to_owned(), input(&[3, 4])), ("one".to_owned(), input(&[]))]);
    let state = || State::new(vec![NamedValue { name: "w".to_owned(), value: input(&[2]) }]);
    let (events, _nobody_listens) = std::sync::mpsc::sync_channel(0);
    Host::new(HostParts {
        task: task(),
        inputs: Inputs::new(inputs).expect("they are inputs"),
        states: vec![state().expect("it is a state"), state().expect("it is a state")],
        executor,
        events,
        clock: Clock::start(Duration::from_secs(60), StopFlag::default(), None),
        trace: Trace::Off,
    })
}

/// Tensors of every dtype, and of the shapes that functions look for.
fn first_tensors(host: &mut Host) -> Vec<u32> {
    let shapes: [(wit::Dtype, &[u32]); 11] = [
        (wit::Dtype::F32, &[]),
        (wit::Dtype::F32, &[0]),
        (wit::Dtype::F32, &[2, 3]),
        (wit::Dtype::F32, &[3, 4]),
        (wit::Dtype::F32, &[1, 3, 4, 4]),
        (wit::Dtype::F32, &[2, 3, 3, 3]),
        (wit::Dtype::I32, &[5]),
        (wit::Dtype::Boolean, &[2, 3]),
        (wit::Dtype::U8, &[4]),
        (wit::Dtype::Bf16, &[2]),
        (wit::Dtype::F32, &[0, 1 << 31, 2]),
    ];
    shapes
        .into_iter()
        .map(|(dtype, shape)| host.full(dtype, shape.to_vec(), 0.0).expect("it is legal").rep())
        .collect()
}

/// Makes a call that records an operation; `known` begins with the four handles that it may use, and what it
/// gives comes after them.
fn record(host: &mut Host, known: &mut Vec<u32>, call: &Call) -> Result<(), Refusal> {
    let at = |index: usize| Handle::new_borrow(known[index]);
    let (a, b, c, d) = (at(0), at(1), at(2), at(3));
    let list = || -> Vec<u32> {
        match call.length {
            // As long as the words are, mostly: other lengths are refused by nearly every function.
            length if length > 9 => call.words.iter().copied().cycle().take(length).collect(),
            _ => call.words.clone(),
        }
    };
    let many = |reps: &[u32]| -> Vec<Handle> {
        reps.iter().cycle().take(call.length.max(reps.len())).map(|&rep| Handle::new_borrow(rep)).collect()
    };
    let word = |index: usize| call.words.get(index).copied().unwrap_or(1);
    let pair = |index: usize| (word(index), word(index + 1));
    let float = call.number as f32;
    let dtype = [
        wit::Dtype::F32,
        wit::Dtype::I32,
        wit::Dtype::U8,
        wit::Dtype::Boolean,
        wit::Dtype::Bf16,
        wit::Dtype::F16,
    ][call.tensors[3] % 6];
    let pool = wit::Pool2dOptions { kernel: pair(0), stride: pair(2), padding: pair(4) };
    let new = match call.function {
        0 => host.from_bytes(dtype, list(), vec![0; (word(0) as usize).min(call.length)]),
        1 => host.full(dtype, list(), call.number),
        2 => host.iota(list()),
        3 => host.uniform(list(), u64::from(word(0))),
        4 => host.normal(list(), u64::from(word(0))),
        5 => host.reshape(a, list()),
        6 => host.permute(a, list()),
        7 => host.broadcast_to(a, list()),
        8 => host.slice(a, list(), list(), vec![1; call.words.len()]),
        9 => host.slice(a, vec![0; call.words.len()], list(), list()),
        10 => host.pad(a, list(), list(), call.number),
        11 => host.concat(many(&known[..3]), word(0)),
        12 => host.flip(a, list()),
        13 => host.detach(a),
        14 => host.cast(a, dtype),
        15 => return chain(host, known, call.length),
        16 => host.abs(a),
        17 => host.sign(a),
        18 => host.recip(a),
        19 => host.exp(a),
        20 => host.ln(a),
        21 => host.sqrt(a),
        22 => host.rsqrt(a),
        23 => host.tanh(a),
        24 => host.sigmoid(a),
        25 => host.erf(a),
        26 => host.sin(a),
        27 => host.cos(a),
        28 => host.floor(a),
        29 => host.relu(a),
        30 => host.gelu(a),
        31 => host.silu(a),
        32 => host.logical_not(a),
        33 => host.add(a, b),
        34 => host.sub(a, b),
        35 => host.mul(a, b),
        36 => host.div(a, b),
        37 => host.pow(a, b),
        38 => host.maximum(a, b),
        39 => host.minimum(a, b),
        40 => host.eq(a, b),
        41 => host.lt(a, b),
        42 => host.le(a, b),
        43 => host.logical_and(a, b),
        44 => host.logical_or(a, b),
        45 => host.where_(a, b, c),
        46 => host.sum(a, list(), call.flag),
        47 => host.mean(a, list(), call.flag),
        48 => host.max(a, list(), call.flag),
        49 => host.min(a, list(), call.flag),
        50 => host.argmax(a, word(0), call.flag),
        51 => host.argmin(a, word(0), call.flag),
        52 => host.matmul(a, b, call.flag, word(0) % 2 == 0),
        53 => {
            let options =
                wit::Conv2dOptions { stride: pair(0), padding: pair(2), dilation: pair(4), groups: word(6) };
            host.conv2d(a, b, options)
        }
        54 => host.max_pool2d(a, pool),
        55 => host.avg_pool2d(a, pool),
        56 => host.softmax(a, word(0)),
        57 => host.log_softmax(a, word(0)),
        58 => host.layer_norm(a, word(0), float),
        59 => host.gather(a, word(0), b),
        60 => host.scatter_add(a, word(0), b, c),
        61 => host.one_hot(a, word(0)),
        62 => host.rows("table".to_owned(), list()),
        63 => host.rows("one".to_owned(), list()),
        64 => host.whole(["table", "one", "two"][call.tensors[0] % 3].to_owned()),
        65 => {
            let options = wit::SgdOptions {
                learning_rate: float,
                momentum: float,
                weight_decay: float,
                nesterov: call.flag,
            };
            let (parameter, velocity) = host.sgd(a, b, c, options)?;
            known.push(velocity.rep());
            Ok(parameter)
        }
        66 => {
            let options = wit::AdamwOptions {
                learning_rate: float,
                beta1: 0.9,
                beta2: float,
                epsilon: float,
                weight_decay: float,
                step: word(0),
            };
            let (parameter, first, second) = host.adamw(a, b, c, d, options)?;
            known.extend([first.rep(), second.rep()]);
            Ok(parameter)
        }
        67 => {
            let loss = host.sum(a, Vec::new(), false)?;
            known.push(loss.rep());
            let loss = Handle::new_borrow(loss.rep());
            known.extend(host.gradients(loss, many(&[b.rep(), c.rep()]))?.iter().map(Resource::rep));
            return Ok(());
        }
        68 => {
            let _bytes = host.bytes("table".to_owned(), u64::from(word(0)), word(1))?;
            return Ok(());
        }
        _ => {
            known.extend(host.open_state(word(0))?.iter().map(|named| named.tensor.rep()));
            return Ok(());
        }
    };
    known.push(new?.rep());
    Ok(())
}

/// One operation after the other, of which the guest keeps the last.
fn chain(host: &mut Host, known: &mut Vec<u32>, length: usize) -> Result<(), Refusal> {
    let mut last = host.neg(Handle::new_borrow(known[0]))?;
    for _ in 1..length.min(CHAIN_MAX) {
        let Ok(next) = host.neg(Handle::new_borrow(last.rep())) else { break };
        host.drop(std::mem::replace(&mut last, next)).map_err(Refusal::End)?;
    }
    known.push(last.rep());
    Ok(())
}
