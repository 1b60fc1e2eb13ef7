//! Which elements meet in which order: every operation, one node after the other, over any arithmetic.
//!
//! The reference runs this over canonical words, the real evaluator over f64. What is done with the elements
//! that meet is [`Arithmetic`]'s; nothing is rounded here.

use std::collections::HashMap;

use super::{contract, places::Places};
use crate::{DType, ElementOp, Op, ReduceKind, Shape, Tensor, reachable};

/// What is computed on elements.
pub(crate) trait Arithmetic {
    /// An element of any dtype. Its `Default` is zero.
    type Element: Copy + Default;

    /// The element with these bits in a dtype.
    fn constant(&self, dtype: DType, bits: u32) -> Self::Element;

    /// An element operation on `count` elements, row-major; the inputs are broadcast already.
    fn map(
        &self,
        op: &ElementOp,
        inputs: &[Operand<Self::Element>],
        output: DType,
        count: usize,
    ) -> Vec<Self::Element>;

    /// A reduction of all the elements to one; of none, the value that [`ReduceKind`] names.
    fn reduce(&self, kind: ReduceKind, dtype: DType, elements: &[Self::Element]) -> Self::Element;

    /// a < b.
    fn less(&self, dtype: DType, a: Self::Element, b: Self::Element) -> bool;

    /// One step of a scatter: a + b.
    fn add(&self, dtype: DType, a: Self::Element, b: Self::Element) -> Self::Element;

    /// What an operand of a matrix product or convolution is before it is multiplied.
    fn factor(&self, x: Self::Element) -> Self::Element;

    /// The sum of products of factors, in order.
    fn dot(&self, terms: impl Iterator<Item = (Self::Element, Self::Element)>) -> Self::Element;

    /// An i32 element.
    fn integer(&self, x: Self::Element) -> i64;

    /// The i32 element of a position.
    fn position(&self, position: usize) -> Self::Element;
}

/// The elements of one input of an element operation.
pub(crate) struct Operand<E> {
    /// As many as the output has.
    pub(crate) elements: Vec<E>,
    /// Their type.
    pub(crate) dtype: DType,
}

/// The elements of each target. `known` gives those of a node that is not to be computed; it knows every leaf.
pub(crate) fn evaluate<A: Arithmetic, Error>(
    arithmetic: &A,
    targets: &[Tensor],
    mut known: impl FnMut(&Tensor) -> Result<Option<Vec<A::Element>>, Error>,
) -> Result<Vec<Vec<A::Element>>, Error> {
    let mut computed: HashMap<u64, Vec<A::Element>> = HashMap::new();
    for node in reachable(targets) {
        let elements = match known(&node)? {
            Some(elements) => elements,
            None => {
                let inputs: Vec<&[A::Element]> =
                    node.inputs().iter().map(|input| &computed[&input.sequence()][..]).collect();
                compute(arithmetic, &node, &inputs)
            }
        };
        assert_eq!(elements.len(), node.shape().elements(), "{node:?} has as many elements as its shape");
        computed.insert(node.sequence(), elements);
    }
    Ok(targets.iter().map(|target| computed[&target.sequence()].clone()).collect())
}

/// The elements of a node from those of its inputs.
fn compute<A: Arithmetic>(arithmetic: &A, node: &Tensor, inputs: &[&[A::Element]]) -> Vec<A::Element> {
    let shape = node.shape();
    let from: Vec<&Shape> = node.inputs().iter().map(Tensor::shape).collect();
    match node.op() {
        Op::Leaf => unreachable!("a leaf holds its value"),
        Op::Element(op) => element(arithmetic, op, node, inputs),
        Op::View(view) => look_up(inputs[0], &Places::view(view, from[0], shape), shape),
        Op::Pad { low, interior, value, .. } => {
            let constant = arithmetic.constant(node.dtype(), *value);
            pad(inputs[0], from[0], shape, low, interior, constant)
        }
        Op::Concat { axis } => concat(inputs, &from, *axis),
        Op::Reduce { kind, axes } => groups(inputs[0], from[0], axes)
            .map(|group| arithmetic.reduce(*kind, node.dtype(), &group))
            .collect(),
        Op::ArgReduce { largest, axes } => {
            let dtype = node.inputs()[0].dtype();
            groups(inputs[0], from[0], axes)
                .map(|group| arithmetic.position(extreme(arithmetic, *largest, dtype, &group)))
                .collect()
        }
        Op::MatMul { transpose_a, transpose_b } => {
            contract::matmul(arithmetic, inputs, &from, shape, *transpose_a, *transpose_b)
        }
        Op::Conv2d(attributes) => contract::conv2d(arithmetic, inputs, &from, shape, attributes),
        Op::Conv2dInputGradient(attributes) => {
            contract::conv2d_input_gradient(arithmetic, inputs, &from, shape, attributes)
        }
        Op::Conv2dWeightGradient(attributes) => {
            contract::conv2d_weight_gradient(arithmetic, inputs, &from, shape, attributes)
        }
        Op::Fold(window) => contract::fold(arithmetic, inputs[0], from[0], node, window),
        Op::Gather { axis } => gather(arithmetic, inputs, from[0], *axis),
        Op::ScatterAdd { axis } => scatter_add(arithmetic, inputs, node.dtype(), shape, *axis),
    }
}

fn element<A: Arithmetic>(
    arithmetic: &A,
    op: &ElementOp,
    node: &Tensor,
    inputs: &[&[A::Element]],
) -> Vec<A::Element> {
    let operands: Vec<Operand<A::Element>> = node
        .inputs()
        .iter()
        .zip(inputs)
        .map(|(input, elements)| Operand {
            elements: look_up(elements, &Places::broadcast(input.shape(), node.shape()), node.shape()),
            dtype: input.dtype(),
        })
        .collect();
    arithmetic.map(op, &operands, node.dtype(), node.shape().elements())
}

fn look_up<E: Copy>(elements: &[E], places: &Places, shape: &Shape) -> Vec<E> {
    places.positions(shape).map(|position| elements[position]).collect()
}

fn pad<E: Copy>(
    elements: &[E],
    from: &Shape,
    to: &Shape,
    low: &[usize],
    interior: &[usize],
    constant: E,
) -> Vec<E> {
    let mut padded = vec![constant; to.elements()];
    for (index, &element) in from.indices().zip(elements) {
        let moved: Vec<usize> =
            index.iter().enumerate().map(|(axis, &at)| low[axis] + at * (interior[axis] + 1)).collect();
        padded[to.ravel(&moved)] = element;
    }
    padded
}

fn concat<E: Copy>(inputs: &[&[E]], from: &[&Shape], axis: usize) -> Vec<E> {
    let before: usize = from[0][..axis].iter().product();
    let mut joined = Vec::new();
    for outer in 0..before {
        for (elements, shape) in inputs.iter().zip(from) {
            let run: usize = shape[axis..].iter().product();
            joined.extend_from_slice(&elements[outer * run..][..run]);
        }
    }
    joined
}

/// For every kept index, row-major, the elements that are reduced there, row-major over `axes`.
fn groups<E: Copy>(elements: &[E], from: &Shape, axes: &[usize]) -> impl Iterator<Item = Vec<E>> {
    let places = Places::contiguous(from);
    let reduced = Shape::of(&axes.iter().map(|&axis| from[axis]).collect::<Vec<_>>());
    let kept: Vec<usize> = places.positions(&from.keeping(axes)).collect();
    // Where nothing is kept, what would be reduced has no bound: a tensor without elements may be long elsewhere.
    let within: Vec<usize> =
        if kept.is_empty() { Vec::new() } else { places.axes(axes).positions(&reduced).collect() };
    kept.into_iter().map(move |first| within.iter().map(|&at| elements[first + at]).collect())
}

/// The position of the largest or smallest element, the lowest of a tie, 0 where there is none.
fn extreme<A: Arithmetic>(arithmetic: &A, largest: bool, dtype: DType, elements: &[A::Element]) -> usize {
    let mut best = 0;
    for (at, &element) in elements.iter().enumerate() {
        let (low, high) = if largest { (elements[best], element) } else { (element, elements[best]) };
        if arithmetic.less(dtype, low, high) {
            best = at;
        }
    }
    best
}

fn gather<A: Arithmetic>(
    arithmetic: &A,
    inputs: &[&[A::Element]],
    from: &Shape,
    axis: usize,
) -> Vec<A::Element> {
    let [elements, indices] = inputs[..] else { unreachable!("gather has two inputs") };
    let (before, size, after) = around(from, axis);
    let mut gathered = Vec::with_capacity(before * indices.len() * after);
    for outer in 0..before {
        for &index in indices {
            match slice_at(arithmetic.integer(index), size) {
                Some(at) => gathered.extend_from_slice(&elements[(outer * size + at) * after..][..after]),
                None => gathered.extend(std::iter::repeat_n(A::Element::default(), after)),
            }
        }
    }
    gathered
}

fn scatter_add<A: Arithmetic>(
    arithmetic: &A,
    inputs: &[&[A::Element]],
    dtype: DType,
    shape: &Shape,
    axis: usize,
) -> Vec<A::Element> {
    let [base, indices, source] = inputs[..] else { unreachable!("scatter_add has three inputs") };
    let (before, size, after) = around(shape, axis);
    let mut sums = base.to_vec();
    for outer in 0..before {
        for (number, &index) in indices.iter().enumerate() {
            let Some(at) = slice_at(arithmetic.integer(index), size) else { continue };
            for inner in 0..after {
                let sum = &mut sums[(outer * size + at) * after + inner];
                *sum = arithmetic.add(dtype, *sum, source[(outer * indices.len() + number) * after + inner]);
            }
        }
    }
    sums
}

/// How many elements lie before an axis, along it, and after it.
fn around(shape: &Shape, axis: usize) -> (usize, usize, usize) {
    (shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product())
}

fn slice_at(index: i64, size: usize) -> Option<usize> {
    usize::try_from(index).ok().filter(|&index| index < size)
}
