//! Known answers, worked out by hand, for what the reference alone decides: which elements meet.

use super::*;
use crate::{Conv2dAttributes, Graph, Meter, Op, Recorded, Shape, ViewOp, WindowAttributes};

fn graph() -> Graph {
    Graph::new(7, Meter::new(1 << 30))
}

fn floats(graph: &mut Graph, sizes: &[usize], elements: &[f32]) -> Tensor {
    let bytes: Vec<u8> = elements.iter().flat_map(|x| x.to_le_bytes()).collect();
    graph.from_bytes(DType::F32, sizes, &bytes).unwrap()
}

fn integers(graph: &mut Graph, sizes: &[usize], elements: &[i32]) -> Tensor {
    let bytes: Vec<u8> = elements.iter().flat_map(|x| x.to_le_bytes()).collect();
    graph.from_bytes(DType::I32, sizes, &bytes).unwrap()
}

/// 1, 2, 3 … as f32.
fn counting(graph: &mut Graph, sizes: &[usize]) -> Tensor {
    let count: usize = sizes.iter().product();
    floats(graph, sizes, &(1..=count).map(|x| x as f32).collect::<Vec<_>>())
}

#[track_caller]
fn check(recorded: Recorded, sizes: &[usize], expected: &[f32]) {
    let tensor = recorded.unwrap();
    let value = Reference::new().evaluate(std::slice::from_ref(&tensor)).unwrap().remove(0);
    assert_eq!(value.shape[..], *sizes, "shape of {tensor:?}");
    let found: Vec<f32> = match &**value.elements().unwrap() {
        Elements::F32(elements) => elements.clone(),
        Elements::I32(elements) => elements.iter().map(|&x| x as f32).collect(),
        other => panic!("{other:?}"),
    };
    assert_eq!(found, expected, "elements of {tensor:?}");
}

#[test]
fn views_show_the_elements_they_say() {
    let mut g = graph();
    let x = counting(&mut g, &[2, 3]);
    check(g.permute(&x, &[1, 0]), &[3, 2], &[1., 4., 2., 5., 3., 6.]);
    check(g.flip(&x, &[0, 1]), &[2, 3], &[6., 5., 4., 3., 2., 1.]);
    check(g.slice(&x, &[0, 1], &[2, 3], &[1, 2]), &[2, 1], &[2., 5.]);
    check(g.reshape(&x, &[3, 2]), &[3, 2], &[1., 2., 3., 4., 5., 6.]);
    let row = counting(&mut g, &[3]);
    check(g.broadcast_to(&row, &[2, 3]), &[2, 3], &[1., 2., 3., 1., 2., 3.]);
    check(g.pad(&row, &[1], &[2], 9.0), &[6], &[9., 1., 2., 3., 9., 9.]);
    check(g.pad_bits(&row, &[0], &[1], &[1], 0), &[6], &[1., 0., 2., 0., 3., 0.]);
    let column = floats(&mut g, &[2, 1], &[7., 8.]);
    check(g.concat(&[&x, &column], 1), &[2, 4], &[1., 2., 3., 7., 4., 5., 6., 8.]);
    let empty = floats(&mut g, &[0, 3], &[]);
    check(g.concat(&[&empty, &x], 0), &[2, 3], &[1., 2., 3., 4., 5., 6.]);
    check(g.flip(&empty, &[0]), &[0, 3], &[]);
}

#[test]
fn windows_and_their_adjoint() {
    let mut g = graph();
    let x = counting(&mut g, &[1, 1, 3, 3]);
    let window = WindowAttributes { kernel: [2, 2], stride: [1, 1], dilation: [1, 1] };
    let windows = g.window(&x, window).unwrap();
    let expected = [1., 2., 4., 5., 2., 3., 5., 6., 4., 5., 7., 8., 5., 6., 8., 9.];
    check(Ok(windows.clone()), &[1, 1, 2, 2, 2, 2], &expected);
    // Every element once for each window that shows it: 1 at corners, 2 at edges, 4 in the middle.
    let fold = g.record(Op::Fold(window), &[&windows], *x.shape(), DType::F32);
    check(fold, &[1, 1, 3, 3], &[1., 4., 3., 8., 20., 12., 7., 16., 9.]);
    let strided = WindowAttributes { kernel: [1, 2], stride: [2, 1], dilation: [1, 2] };
    let windows = g.window(&x, strided).unwrap();
    check(Ok(windows.clone()), &[1, 1, 2, 1, 1, 2], &[1., 3., 7., 9.]);
    let fold = g.record(Op::Fold(strided), &[&windows], *x.shape(), DType::F32);
    check(fold, &[1, 1, 3, 3], &[1., 0., 3., 0., 0., 0., 7., 0., 9.]);
}

#[test]
fn reductions_over_some_and_over_nothing() {
    let mut g = graph();
    let x = floats(&mut g, &[2, 3], &[3., 1., 3., -2., 5., 5.]);
    check(g.sum(&x, &[0], false), &[3], &[1., 6., 8.]);
    check(g.sum(&x, &[1], true), &[2, 1], &[7., 8.]);
    check(g.sum(&x, &[], false), &[], &[15.]);
    check(g.max(&x, &[1], false), &[2], &[3., 5.]);
    check(g.min(&x, &[0], false), &[3], &[-2., 1., 3.]);
    check(g.argmax(&x, 1, false), &[2], &[0., 1.]);
    check(g.argmin(&x, 0, true), &[1, 3], &[1., 0., 0.]);
    let empty = floats(&mut g, &[2, 0], &[]);
    check(g.sum(&empty, &[1], false), &[2], &[0., 0.]);
    check(g.max(&empty, &[1], false), &[2], &[-MAX, -MAX]);
    check(g.min(&empty, &[1], false), &[2], &[MAX, MAX]);
    check(g.arg_reduce(true, &empty, &[1]), &[2, 1], &[0., 0.]);
    let words = integers(&mut g, &[2], &[i32::MAX, 1]);
    check(g.sum(&words, &[], false), &[], &[i32::MIN as f32]);
}

#[test]
fn matrices_in_every_orientation() {
    let mut g = graph();
    let a = counting(&mut g, &[2, 3]);
    let b = counting(&mut g, &[3, 2]);
    let product = [22., 28., 49., 64.];
    check(g.matmul(&a, &b, false, false), &[2, 2], &product);
    let at = g.permute(&a, &[1, 0]).unwrap();
    let bt = g.permute(&b, &[1, 0]).unwrap();
    check(g.matmul(&at, &bt, true, true), &[2, 2], &product);
    check(g.matmul(&at, &b, true, false), &[2, 2], &product);
    let twice = g.concat(&[&a, &a], 0).unwrap();
    let batch = g.reshape(&twice, &[2, 2, 3]).unwrap();
    check(g.matmul(&batch, &b, false, false), &[2, 2, 2], &[product, product].concat());
    let none = floats(&mut g, &[2, 0], &[]);
    let none_too = floats(&mut g, &[0, 2], &[]);
    check(g.matmul(&none, &none_too, false, false), &[2, 2], &[0.; 4]);
    // 4097 has 13 significant bits and is a tie between 4096 and 4098.
    let wide = floats(&mut g, &[1, 1], &[4097.0]);
    let one = floats(&mut g, &[1, 1], &[1.0]);
    check(g.matmul(&wide, &one, false, false), &[1, 1], &[4096.0]);
}

#[test]
fn convolutions_and_their_gradients() {
    let mut g = graph();
    let x = counting(&mut g, &[1, 1, 3, 3]);
    let w = counting(&mut g, &[1, 1, 2, 2]);
    let plain = Conv2dAttributes { stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 };
    let y = g.conv2d(&x, &w, plain).unwrap();
    check(Ok(y.clone()), &[1, 1, 2, 2], &[37., 47., 67., 77.]);
    let ones = floats(&mut g, &[1, 1, 2, 2], &[1.; 4]);
    let dx = g.record(Op::Conv2dInputGradient(plain), &[&ones, &w], *x.shape(), DType::F32);
    check(dx, &[1, 1, 3, 3], &[1., 3., 2., 4., 10., 6., 3., 7., 4.]);
    let dw = g.record(Op::Conv2dWeightGradient(plain), &[&x, &ones], *w.shape(), DType::F32);
    check(dw, &[1, 1, 2, 2], &[12., 16., 24., 28.]);

    // Strided, padded, dilated, two groups of one channel: tap (0, 0) lies on the padding everywhere.
    let x = counting(&mut g, &[1, 2, 2, 2]);
    let w = floats(&mut g, &[2, 1, 1, 2], &[1., 10., 100., 1000.]);
    let odd = Conv2dAttributes { stride: [2, 1], padding: [0, 1], dilation: [1, 3], groups: 2 };
    // Of a padded row 0, a, b, 0 only output column 0 fits: taps at columns 0 and 3, both padding.
    check(g.conv2d(&x, &w, odd), &[1, 2, 1, 1], &[0., 0.]);
    let odd = Conv2dAttributes { stride: [2, 1], padding: [0, 1], dilation: [1, 2], groups: 2 };
    // Columns: taps 0 and 2 (padding, b), then 1 and 3 (a, padding).
    check(g.conv2d(&x, &w, odd), &[1, 2, 1, 2], &[20., 1., 6000., 500.]);
    let dy = floats(&mut g, &[1, 2, 1, 2], &[1., 2., 3., 4.]);
    let dx = g.record(Op::Conv2dInputGradient(odd), &[&dy, &w], *x.shape(), DType::F32);
    check(dx, &[1, 2, 2, 2], &[2., 10., 0., 0., 400., 3000., 0., 0.]);
    let dw = g.record(Op::Conv2dWeightGradient(odd), &[&x, &dy], *w.shape(), DType::F32);
    check(dw, &[2, 1, 1, 2], &[2., 2., 20., 18.]);
}

#[test]
fn gathers_and_scatters_ignore_what_is_out_of_range() {
    let mut g = graph();
    let x = counting(&mut g, &[2, 3]);
    let indices = integers(&mut g, &[2, 2], &[2, -1, 3, 0]);
    let gathered = [3., 0., 0., 1., 6., 0., 0., 4.];
    check(g.gather(&x, 1, &indices), &[2, 2, 2], &gathered);
    let rows = integers(&mut g, &[3], &[1, 1, i32::MIN]);
    let source = counting(&mut g, &[3, 3]);
    check(g.scatter_add(&x, 0, &rows, &source), &[2, 3], &[1., 2., 3., 9., 12., 15.]);
    // Each addition rounds and clamps: after the largest value, a smaller one is subtracted from it.
    let base = floats(&mut g, &[1], &[MAX]);
    let source = floats(&mut g, &[2], &[MAX, -MAX]);
    let zeros = integers(&mut g, &[2], &[0, 0]);
    check(g.scatter_add(&base, 0, &zeros, &source), &[1], &[0.0]);
    let word = g.iota(&[3]).unwrap();
    check(g.one_hot(&word, 2), &[3, 2], &[1., 0., 0., 1., 0., 0.]);
}

#[test]
fn a_view_of_rank_eight_and_a_scalar() {
    let mut g = graph();
    let x = counting(&mut g, &[1, 2, 1, 2, 1, 1, 2, 1]);
    let axes = [7, 6, 5, 4, 3, 2, 1, 0];
    check(g.permute(&x, &axes), &[1, 2, 1, 1, 2, 1, 2, 1], &[1., 5., 3., 7., 2., 6., 4., 8.]);
    let scalar = floats(&mut g, &[], &[3.0]);
    let seen = g.record(Op::View(ViewOp::Broadcast), &[&scalar], Shape::of(&[2]), DType::F32);
    check(seen, &[2], &[3., 3.]);
}

#[test]
fn valued_nodes_are_not_computed_again() {
    let mut g = graph();
    let x = g.full(DType::F32, &[1], 1.0).unwrap();
    let y = g.add(&x, &x).unwrap();
    y.set_value(Value::host(DType::F32, Shape::of(&[1]), Elements::F32(vec![5.0])));
    check(g.add(&y, &x), &[1], &[6.0]);
}
