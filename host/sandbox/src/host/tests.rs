//! Random calls of the contract: whatever a guest gives, the host answers or traps. Nothing is evaluated
//! here: what operations compute is the engine's to test.

use std::{collections::BTreeMap, time::Duration};

use anneal_job::Limits;
use anneal_tensor::{DType, Elements, Shape, Value};
use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    bindings::{context::Host as _, data::Host as _, tensors::Host as _, tensors::HostTensor as _},
    *,
};
use crate::testing::{reference, task};

type Handle = Resource<Tensor>;

/// What a random call is made of.
#[derive(Clone, Debug)]
struct Call {
    function: usize,
    tensors: [usize; 4],
    words: Vec<u32>,
    number: f64,
    flag: bool,
}

const FUNCTIONS: usize = 70;

fn host() -> Host {
    let input = |shape: &[usize]| {
        let shape = Shape::of(shape);
        Value::host(DType::U8, shape, Elements::U8((0..shape.elements() as u8).collect()))
    };
    let inputs = BTreeMap::from([("table".to_owned(), input(&[3, 4])), ("one".to_owned(), input(&[]))]);
    let (events, _heard) = std::sync::mpsc::sync_channel(0);
    Host::new(HostParts {
        task: task(b"", Limits { tensor_bytes: 1 << 30, handles: 200, ..Limits::DEFAULT }),
        inputs: Inputs::new(inputs).expect("they are inputs"),
        states: Vec::new(),
        executor: reference(),
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

/// Makes the call; whoever ends the run is believed, whoever panics is caught by the test.
fn make(host: &mut Host, known: &mut Vec<u32>, call: &Call) -> Result<(), Refusal> {
    let at = |index: usize| Handle::new_borrow(known[call.tensors[index] % known.len()]);
    let (a, b, c, d) = (at(0), at(1), at(2), at(3));
    let list = || call.words.clone();
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
        0 => host.from_bytes(dtype, list(), vec![0; word(0).min(100) as usize]),
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
        11 => host.concat(vec![a, b, c], word(0)),
        12 => host.flip(a, list()),
        13 => host.detach(a),
        14 => host.cast(a, dtype),
        15 => host.neg(a),
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
            known.extend(host.gradients(loss, vec![b, c])?.iter().map(Resource::rep));
            return Ok(());
        }
        68 => {
            let _bytes = host.bytes("table".to_owned(), u64::from(word(0)), word(1))?;
            return Ok(());
        }
        _ => {
            let _states = host.open_state(word(0))?;
            return Ok(());
        }
    };
    known.push(new?.rep());
    Ok(())
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let words = select(vec![0, 1, 2, 3, 4, 5, 8, 65_535, 1 << 20, 1 << 27, 1 << 31, u32::MAX]);
    let number = select(vec![0.0, 1.0, -1.0, 0.5, 1e-30, 1e30, 1e300, f64::NAN, f64::NEG_INFINITY]);
    let tensors = [0usize..40, 0..40, 0..40, 0..40];
    let call = (0..FUNCTIONS, tensors, vec(words, 0..9), number, any::<bool>());
    let call = call.prop_map(|(function, tensors, words, number, flag)| Call {
        function,
        tensors,
        words,
        number,
        flag,
    });
    vec(call, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn no_call_panics_and_no_byte_is_lost(calls in calls()) {
        let mut host = host();
        let meter = host.graph.meter().clone();
        let mut known = first_tensors(&mut host);
        for call in &calls {
            match make(&mut host, &mut known, call) {
                Ok(()) => {}
                Err(Refusal::Call(error)) => {
                    prop_assert!(error.message.contains(": ") && error.message.len() < 2000);
                },
                Err(Refusal::End(error)) => prop_assert!(error.is::<Ending>(), "{error}"),
            }
            meter.take_gas();
        }
        for handle in known {
            prop_assert!(host.drop(Handle::new_own(handle)).is_ok());
        }
        prop_assert_eq!((host.tensors, meter.bytes_live()), (0, 0));
    }
}
