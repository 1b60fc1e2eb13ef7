//! Every gradient rule, first and second order, three ways: the recorded gradient in f64 against differences
//! of the function in f64, and the canonical gradient against the one in f64.

use std::collections::{BTreeSet, HashMap};

use super::{evaluate, numbers};
use crate::{
    Conv2dAttributes, DType, ElementOp, Elements, Executor, Graph, Meter, Op, Pool2dOptions, Recorded,
    Reference, Shape, Tensor, Value, ViewOp, reachable,
    testing::{dtypes_of, every_element_op, values::Random},
};

/// Where a leaf's values lie.
#[derive(Clone, Copy)]
enum Range {
    /// From −2 to 2.
    Any,
    /// From 0.4 to 2.5: where roots, logarithms, powers and quotients are tame.
    Positive,
}
use Range::{Any, Positive};

/// A function of some leaves.
struct Case {
    name: &'static str,
    leaves: &'static [(&'static [usize], Range)],
    record: fn(&mut Graph, &[Tensor]) -> Recorded,
}

const fn case(
    name: &'static str,
    leaves: &'static [(&'static [usize], Range)],
    record: fn(&mut Graph, &[Tensor]) -> Recorded,
) -> Case {
    Case { name, leaves, record }
}

const PLAIN: Conv2dAttributes =
    Conv2dAttributes { stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1 };
const ODD: Conv2dAttributes =
    Conv2dAttributes { stride: [2, 1], padding: [1, 2], dilation: [1, 2], groups: 2 };
const POOL: Pool2dOptions = Pool2dOptions { kernel: [2, 3], stride: [1, 2], padding: [1, 1] };

const CASES: &[Case] = &[
    case("neg", &[(&[7], Any)], |g, x| g.neg(&x[0])),
    case("abs", &[(&[7], Any)], |g, x| g.abs(&x[0])),
    case("sign", &[(&[7], Any)], |g, x| g.sign(&x[0])),
    case("floor", &[(&[7], Any)], |g, x| g.floor(&x[0])),
    case("recip", &[(&[7], Positive)], |g, x| g.recip(&x[0])),
    case("exp", &[(&[7], Any)], |g, x| g.exp(&x[0])),
    case("ln", &[(&[7], Positive)], |g, x| g.ln(&x[0])),
    case("sqrt", &[(&[7], Positive)], |g, x| g.sqrt(&x[0])),
    case("rsqrt", &[(&[7], Positive)], |g, x| g.rsqrt(&x[0])),
    case("tanh", &[(&[7], Any)], |g, x| g.tanh(&x[0])),
    case("sigmoid", &[(&[7], Any)], |g, x| g.sigmoid(&x[0])),
    case("erf", &[(&[7], Any)], |g, x| g.erf(&x[0])),
    case("sin", &[(&[7], Any)], |g, x| g.sin(&x[0])),
    case("cos", &[(&[7], Any)], |g, x| g.cos(&x[0])),
    case("relu", &[(&[7], Any)], |g, x| g.relu(&x[0])),
    case("gelu", &[(&[7], Any)], |g, x| g.gelu(&x[0])),
    case("silu", &[(&[7], Any)], |g, x| g.silu(&x[0])),
    case("add", &[(&[3, 1, 2], Any), (&[4, 1], Any)], |g, x| g.add(&x[0], &x[1])),
    case("sub", &[(&[3, 1, 2], Any), (&[4, 1], Any)], |g, x| g.sub(&x[0], &x[1])),
    case("mul", &[(&[3, 1, 2], Any), (&[4, 1], Any)], |g, x| g.mul(&x[0], &x[1])),
    case("div", &[(&[3, 1, 2], Any), (&[4, 1], Positive)], |g, x| g.div(&x[0], &x[1])),
    case("pow", &[(&[3, 1, 2], Positive), (&[4, 1], Any)], |g, x| g.pow(&x[0], &x[1])),
    case("maximum", &[(&[3, 1, 2], Any), (&[4, 1], Any)], |g, x| g.maximum(&x[0], &x[1])),
    case("minimum", &[(&[3, 1, 2], Any), (&[4, 1], Any)], |g, x| g.minimum(&x[0], &x[1])),
    case("of itself twice", &[(&[5], Positive)], |g, x| {
        let square = g.mul(&x[0], &x[0])?;
        let quotient = g.div(&square, &x[0])?;
        let power = g.pow(&x[0], &quotient)?;
        g.sub(&power, &square)
    }),
    case("where", &[(&[3, 4], Any), (&[4], Any), (&[3, 1], Any)], |g, x| {
        let condition = g.lt(&x[0], &x[1])?;
        g.select(&condition, &x[2], &x[0])
    }),
    case("cast through halves", &[(&[6], Any)], |g, x| {
        let half = g.cast(&x[0], DType::F16)?;
        let brain = g.cast(&half, DType::Bf16)?;
        let back = g.cast(&brain, DType::F32)?;
        g.mul(&back, &x[0])
    }),
    case("reshape", &[(&[2, 6], Any)], |g, x| g.reshape(&x[0], &[3, 1, 4])),
    case("permute", &[(&[2, 3, 4], Any)], |g, x| g.permute(&x[0], &[2, 0, 1])),
    case("broadcast_to", &[(&[3, 1], Any)], |g, x| g.broadcast_to(&x[0], &[2, 3, 4])),
    case("slice", &[(&[5, 7], Any)], |g, x| g.slice(&x[0], &[1, 2], &[5, 7], &[2, 3])),
    case("pad", &[(&[2, 3], Any)], |g, x| g.pad(&x[0], &[1, 0], &[2, 1], 1.5)),
    case("pad_between", &[(&[2, 3], Any)], |g, x| g.pad_bits(&x[0], &[1, 0], &[2, 1], &[2, 1], 0)),
    case("concat", &[(&[2, 1, 2], Any), (&[2, 3, 2], Any)], |g, x| g.concat(&[&x[0], &x[1], &x[0]], 1)),
    case("flip", &[(&[2, 3, 2], Any)], |g, x| g.flip(&x[0], &[0, 2])),
    case("detach", &[(&[5], Any)], |g, x| {
        let fixed = g.detach(&x[0])?;
        g.mul(&fixed, &x[0])
    }),
    case("sum", &[(&[3, 4, 2], Any)], |g, x| g.sum(&x[0], &[0, 2], false)),
    case("mean", &[(&[3, 4, 2], Any)], |g, x| g.mean(&x[0], &[1], true)),
    case("max", &[(&[3, 4, 2], Any)], |g, x| g.max(&x[0], &[0, 2], false)),
    case("min", &[(&[3, 4, 2], Any)], |g, x| g.min(&x[0], &[1], true)),
    case("matmul", &[(&[2, 3, 4], Any), (&[2, 4, 5], Any)], |g, x| g.matmul(&x[0], &x[1], false, false)),
    case("matmul aᵀ", &[(&[4, 3], Any), (&[4, 5], Any)], |g, x| g.matmul(&x[0], &x[1], true, false)),
    case("matmul bᵀ", &[(&[3, 4], Any), (&[5, 4], Any)], |g, x| g.matmul(&x[0], &x[1], false, true)),
    case("matmul aᵀ bᵀ", &[(&[2, 4, 3], Any), (&[2, 5, 4], Any)], |g, x| {
        g.matmul(&x[0], &x[1], true, true)
    }),
    case("matmul, b shared", &[(&[2, 2, 3, 4], Any), (&[4, 2], Any)], |g, x| {
        g.matmul(&x[0], &x[1], false, false)
    }),
    case("matmul, bᵀ shared by some", &[(&[2, 3, 2, 4], Any), (&[2, 1, 3, 4], Any)], |g, x| {
        g.matmul(&x[0], &x[1], false, true)
    }),
    case("matmul, aᵀ shared", &[(&[4, 2], Any), (&[3, 4, 2], Any)], |g, x| {
        g.matmul(&x[0], &x[1], true, false)
    }),
    case("matmul, a shared, bᵀ", &[(&[3, 4], Any), (&[2, 2, 4], Any)], |g, x| {
        g.matmul(&x[0], &x[1], false, true)
    }),
    case("conv2d", &[(&[2, 2, 4, 3], Any), (&[3, 2, 3, 2], Any)], |g, x| g.conv2d(&x[0], &x[1], PLAIN)),
    case("conv2d, odd", &[(&[1, 4, 5, 4], Any), (&[2, 2, 2, 3], Any)], |g, x| g.conv2d(&x[0], &x[1], ODD)),
    case("max_pool2d", &[(&[1, 2, 4, 5], Any)], |g, x| g.max_pool2d(&x[0], POOL)),
    case("avg_pool2d", &[(&[1, 2, 4, 5], Any)], |g, x| g.avg_pool2d(&x[0], POOL)),
    case("softmax", &[(&[3, 4], Any)], |g, x| g.softmax(&x[0], 1)),
    case("log_softmax", &[(&[3, 4], Any)], |g, x| g.log_softmax(&x[0], 0)),
    case("layer_norm", &[(&[2, 3, 4], Any)], |g, x| g.layer_norm(&x[0], 2, 1e-3)),
    case("gather", &[(&[3, 4, 2], Any)], |g, x| {
        let indices = indices(g, &[2, 3])?;
        g.gather(&x[0], 1, &indices)
    }),
    case("scatter_add", &[(&[3, 4, 2], Any), (&[3, 6, 2], Any)], |g, x| {
        let indices = indices(g, &[6])?;
        g.scatter_add(&x[0], 1, &indices, &x[1])
    }),
];

/// Some twice, some out of range.
fn indices(g: &mut Graph, sizes: &[usize]) -> Recorded {
    let bytes: Vec<u8> = [1, 3, 1, -1, 4, 0i32].into_iter().flat_map(i32::to_le_bytes).collect();
    g.from_bytes(DType::I32, sizes, &bytes)
}

/// A case recorded: its leaves, a scalar made of its result, and that scalar's gradients.
struct Recording {
    leaves: Vec<Tensor>,
    loss: Tensor,
    gradients: Vec<Tensor>,
}

/// First order: the loss is a random linear form of the result. Second order: of the first gradients and the
/// result.
fn record(case: &Case, order: usize) -> Recording {
    let mut g = Graph::new(0, Meter::new(1 << 30));
    let mut random = Random::new(7);
    let leaves: Vec<Tensor> = case
        .leaves
        .iter()
        .map(|(sizes, range)| {
            let value = spread(&mut random, sizes, *range);
            g.leaf(value).unwrap()
        })
        .collect();
    let wrt: Vec<&Tensor> = leaves.iter().collect();
    let result = (case.record)(&mut g, &leaves).unwrap();
    let mut loss = linear_form(&mut g, &mut random, &result);
    let mut gradients = g.gradients(&loss, &wrt).unwrap();
    if order == 2 {
        for gradient in &gradients {
            // Squared, so that linear functions have a second derivative too.
            let square = g.mul(gradient, gradient).unwrap();
            let form = linear_form(&mut g, &mut random, &square);
            loss = g.add(&loss, &form).unwrap();
        }
        gradients = g.gradients(&loss, &wrt).unwrap();
    }
    Recording { leaves, loss, gradients }
}

fn linear_form(g: &mut Graph, random: &mut Random, x: &Tensor) -> Tensor {
    let weights = g.leaf(spread(random, x.shape(), Positive)).unwrap();
    let products = g.mul(x, &weights).unwrap();
    g.sum(&products, &[], false).unwrap()
}

/// Values far from each other in random order, and so from ties; with a half a step of jitter.
fn spread(random: &mut Random, sizes: &[usize], range: Range) -> Value {
    let shape = Shape::of(sizes);
    let count = shape.elements();
    let (low, high) = match range {
        Any => (-2.0, 2.0),
        Positive => (0.4, 2.5),
    };
    let mut places: Vec<usize> = (0..count).collect();
    let value = |_| {
        let place = places.swap_remove(random.below(places.len()));
        let jitter = random.below(1 << 16) as f32 / (2 << 16) as f32;
        low + (high - low) * (place as f32 + 0.25 + jitter) / count as f32
    };
    let elements: Vec<f32> = (0..count).map(value).collect();
    Value::host(DType::F32, shape, Elements::F32(elements))
}

fn check_differences(case: &Case, order: usize) {
    let Recording { leaves, loss, gradients } = record(case, order);
    // Detached values are constants to a gradient, so a difference must not move them either.
    let detached: Vec<Tensor> = reachable(std::slice::from_ref(&loss))
        .into_iter()
        .filter(|node| matches!(node.op(), Op::View(ViewOp::Detach)))
        .collect();
    let fixed: HashMap<u64, Vec<f64>> = detached
        .iter()
        .map(Tensor::sequence)
        .zip(evaluate(&detached, &|_| None).into_iter().map(|tensor| tensor.elements))
        .collect();
    let real = evaluate(&gradients, &|_| None);
    for (leaf, gradient) in leaves.iter().zip(&real) {
        let start = numbers(leaf.dtype(), leaf.value().unwrap().elements().unwrap());
        let largest = gradient.elements.iter().fold(0f64, |largest, x| largest.max(x.abs()));
        for at in 0..start.len() {
            let loss_at = |step: f64| {
                let mut moved = start.clone();
                moved[at] += step;
                let known = |node: &Tensor| {
                    if node.same(leaf) { Some(moved.clone()) } else { fixed.get(&node.sequence()).cloned() }
                };
                evaluate(std::slice::from_ref(&loss), &known)[0].elements[0]
            };
            // Five points: the error is h⁴ f⁽⁵⁾ / 30, and rounding gives about 2e-16 / h of the loss.
            let h = 3e-4;
            let near = loss_at(h) - loss_at(-h);
            let far = loss_at(2.0 * h) - loss_at(-2.0 * h);
            let difference = (8.0 * near - far) / (12.0 * h);
            let found = gradient.elements[at];
            // The constants of the gradient rules are f32: 2^-25 of a term, at each order.
            let tolerance = 2e-7 * largest + 1e-9 * (1.0 + loss_at(0.0).abs());
            assert!(
                (found - difference).abs() <= tolerance,
                "{} (order {order}): gradient at {at} is {found}, the difference {difference}",
                case.name
            );
        }
    }
}

fn check_canonical(case: &Case, order: usize) {
    let Recording { gradients, .. } = record(case, order);
    let canonical = Reference::new().evaluate(&gradients).unwrap();
    let names: BTreeSet<&str> = reachable(&gradients).iter().map(|node| node.op().name()).collect();
    let rounded = names.iter().any(|name| name.starts_with("matmul") || name.starts_with("conv2d"));
    // An operand of 12 bits is off by 2^-12 of itself, so a product by 2^-11; an f32 by 2^-24 at each step,
    // and a value that went through bf16 by 2^-8. Sums of differing signs lose up to five bits of it here.
    let unit = if names.contains("cast") && case.name.contains("halves") {
        2f64.powi(-8)
    } else if rounded {
        2f64.powi(-11)
    } else {
        2f64.powi(-24)
    };
    for (real, value) in evaluate(&gradients, &|_| None).iter().zip(canonical) {
        let found = numbers(value.dtype, value.elements().unwrap());
        let largest = real.elements.iter().fold(1e-3f64, |largest, x| largest.max(x.abs()));
        for (at, (found, expected)) in found.iter().zip(&real.elements).enumerate() {
            assert!(
                (found - expected).abs() <= 32.0 * unit * largest,
                "{} (order {order}): canonical gradient at {at} is {found}, in f64 {expected}",
                case.name
            );
        }
    }
}

#[test]
fn recorded_gradients_are_differences() {
    for case in CASES {
        check_differences(case, 1);
    }
}

#[test]
fn recorded_second_gradients_are_differences() {
    for case in CASES {
        check_differences(case, 2);
    }
}

#[test]
fn canonical_gradients_are_near_those_in_f64() {
    for case in CASES {
        check_canonical(case, 1);
        check_canonical(case, 2);
    }
}

#[test]
fn every_differentiable_operation_is_a_case() {
    let seen: BTreeSet<&str> = CASES
        .iter()
        .map(|case| record(case, 2))
        .flat_map(|Recording { loss, gradients, .. }| reachable(&[&gradients[..], &[loss]].concat()))
        .map(|node| node.op().name())
        .collect();
    let optimiser = |op: &ElementOp| op.name().starts_with("sgd") || op.name().starts_with("adamw");
    let elements: Vec<&str> = every_element_op()
        .iter()
        .filter(|op| op.arity() > 0 && !optimiser(op))
        .filter(|op| dtypes_of(op).contains(&(DType::F32, DType::F32)))
        .map(ElementOp::name)
        .collect();
    let other = [
        "cast",
        "reshape",
        "permute",
        "broadcast",
        "slice",
        "detach",
        "flip",
        "window",
        "pad",
        "concat",
        "sum",
        "max",
        "min",
        "matmul",
        "conv2d",
        "conv2d_input_gradient",
        "conv2d_weight_gradient",
        "fold",
        "gather",
        "scatter_add",
    ];
    let missing: Vec<&str> = elements.into_iter().chain(other).filter(|name| !seen.contains(name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}
