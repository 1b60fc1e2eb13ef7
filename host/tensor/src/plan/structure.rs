//! What a plan depends on, read off the recorded nodes in one traversal: the structure key, and apart from
//! it the values and scalars that a run is given.
//!
//! This happens at every step of a training, so it is linear and looks at each node once.

use std::collections::HashMap;

use crate::{ElementOp, Op, ReduceKind, Tensor, Value, ViewOp, node::SequenceState};

/// What a run of a plan is given.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// The values of the first slots, in order.
    pub values: Vec<Value>,
    /// The scalar words. Word 0 is always zero; then those of each node in ascending sequence.
    pub scalars: Vec<u32>,
}

/// The nodes that targets need, inputs before consumers, with everything a plan and its run are made from.
pub struct Recording<'a> {
    /// In ascending sequence.
    pub nodes: Vec<&'a Tensor>,
    /// Per node, where its scalar words begin.
    pub scalars_of: Vec<usize>,
    /// The positions of the inputs of each node in `nodes`, one node after the other; none for valued nodes.
    pub inputs: Vec<usize>,
    /// Per node, where its inputs begin in `inputs`, and one more at the end.
    pub inputs_of: Vec<usize>,
    /// The positions of the targets in `nodes`.
    pub targets: Vec<usize>,
    /// The run's arguments.
    pub arguments: Arguments,
    /// Two recordings with equal keys have the same plan: operations, attributes, shapes, dtypes, edges by
    /// position, which nodes are valued, the targets. No values, no scalars.
    pub key: Vec<u64>,
}

impl<'a> Recording<'a> {
    /// Reads the graph behind the targets.
    pub fn of(targets: &'a [Tensor]) -> Recording<'a> {
        let mut position: HashMap<u64, usize, SequenceState> =
            HashMap::with_capacity_and_hasher(256, SequenceState);
        let mut nodes: Vec<&Tensor> = Vec::with_capacity(256);
        nodes.extend(targets.iter().filter(|tensor| position.insert(tensor.sequence(), 0).is_none()));
        let mut next = 0;
        while let Some(&tensor) = nodes.get(next) {
            next += 1;
            if tensor.value().is_none() {
                let new = |input: &&Tensor| position.insert(input.sequence(), 0).is_none();
                nodes.extend(tensor.inputs().iter().filter(new));
            }
        }
        nodes.sort_unstable_by_key(|tensor| tensor.sequence());
        let mut recording = Recording {
            scalars_of: Vec::with_capacity(nodes.len()),
            inputs: Vec::with_capacity(2 * nodes.len()),
            inputs_of: Vec::with_capacity(nodes.len() + 1),
            targets: Vec::with_capacity(targets.len()),
            arguments: Arguments { values: Vec::new(), scalars: vec![0] },
            key: Vec::with_capacity(12 * nodes.len()),
            nodes,
        };
        for at in 0..recording.nodes.len() {
            let tensor = recording.nodes[at];
            position.insert(tensor.sequence(), at);
            recording.inputs_of.push(recording.inputs.len());
            recording.scalars_of.push(recording.arguments.scalars.len());
            recording.add(tensor, &position);
        }
        recording.inputs_of.push(recording.inputs.len());
        for target in targets {
            let at = position[&target.sequence()];
            recording.targets.push(at);
            recording.key.push(at as u64);
        }
        recording
    }

    /// The inputs of a node, as positions.
    pub fn inputs(&self, node: usize) -> &[usize] {
        &self.inputs[self.inputs_of[node]..self.inputs_of[node + 1]]
    }

    fn add(&mut self, tensor: &Tensor, position: &HashMap<u64, usize, SequenceState>) {
        let valued = tensor.value();
        let tag = if valued.is_some() { 0 } else { tag(tensor.op()) };
        let (dtype, rank) = (tensor.dtype() as u64, tensor.shape().rank() as u64);
        self.key.push(tag << 16 | dtype << 8 | rank);
        self.key.extend(tensor.shape().iter().map(|&size| size as u64));
        if let Some(value) = valued {
            self.arguments.values.push(value.clone());
            return;
        }
        attributes(tensor.op(), &mut self.key);
        scalars(tensor.op(), &mut self.arguments.scalars);
        self.key.push(tensor.inputs().len() as u64);
        for input in tensor.inputs() {
            let at = position[&input.sequence()];
            self.inputs.push(at);
            self.key.push(at as u64);
        }
    }
}

/// A structure as a number: what its key says, mixed. Gas depends on it, so it is the same on every machine, and a
/// change of it is one of the gas version.
pub struct StructureHasher {
    hash: u64,
    words: Vec<u64>,
}

impl StructureHasher {
    /// For an evaluation of so many targets.
    pub fn new(targets: usize) -> StructureHasher {
        StructureHasher { hash: targets as u64, words: Vec::with_capacity(32) }
    }

    /// The next node; it is an argument where it is given.
    pub fn add(&mut self, tensor: &Tensor, is_given: bool) {
        let tag = if is_given { 0 } else { tag(tensor.op()) };
        self.mix(tag << 16 | (tensor.dtype() as u64) << 8 | tensor.shape().rank() as u64);
        tensor.shape().iter().for_each(|&size| self.mix(size as u64));
        if !is_given {
            let mut words = std::mem::take(&mut self.words);
            attributes(tensor.op(), &mut words);
            words.drain(..).for_each(|word| self.mix(word));
            self.words = words;
            self.mix(tensor.inputs().len() as u64);
        }
    }

    /// An input of the node that was added last, by its place.
    pub fn add_input(&mut self, place: u64) {
        self.mix(place);
    }

    /// The number.
    pub fn finish(self) -> u64 {
        self.hash
    }

    fn mix(&mut self, word: u64) {
        let mixed = (self.hash ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93);
        self.hash = mixed.rotate_left(29) ^ mixed >> 32;
    }
}

/// Distinct for each kind of operation; 0 is a valued node.
fn tag(op: &Op) -> u64 {
    match op {
        Op::Leaf => 1,
        Op::Element(op) => 0x100 + element_tag(op),
        Op::View(ViewOp::Reshape) => 2,
        Op::View(ViewOp::Permute { .. }) => 3,
        Op::View(ViewOp::Broadcast) => 4,
        Op::View(ViewOp::Slice { .. }) => 5,
        Op::View(ViewOp::Detach) => 6,
        Op::View(ViewOp::Flip { .. }) => 7,
        Op::View(ViewOp::Window(_)) => 8,
        Op::Pad { .. } => 9,
        Op::Concat { .. } => 10,
        Op::Reduce { kind: ReduceKind::Sum, .. } => 11,
        Op::Reduce { kind: ReduceKind::Max, .. } => 12,
        Op::Reduce { kind: ReduceKind::Min, .. } => 13,
        Op::ArgReduce { largest: true, .. } => 14,
        Op::ArgReduce { largest: false, .. } => 15,
        Op::MatMul { .. } => 16,
        Op::Conv2d(_) => 17,
        Op::Conv2dInputGradient(_) => 18,
        Op::Conv2dWeightGradient(_) => 19,
        Op::Fold(_) => 20,
        Op::Gather { .. } => 21,
        Op::ScatterAdd { .. } => 22,
    }
}

fn element_tag(op: &ElementOp) -> u64 {
    use ElementOp::*;
    match op {
        Full(_) => 0,
        Iota => 1,
        Uniform(_) => 2,
        Normal(_) => 3,
        Cast => 4,
        Neg => 5,
        Abs => 6,
        Sign => 7,
        Recip => 8,
        Exp => 9,
        Ln => 10,
        Sqrt => 11,
        Rsqrt => 12,
        Tanh => 13,
        Sigmoid => 14,
        Erf => 15,
        Sin => 16,
        Cos => 17,
        Floor => 18,
        Not => 19,
        Add => 20,
        Sub => 21,
        Mul => 22,
        Div => 23,
        Max => 24,
        Min => 25,
        Pow => 26,
        Eq => 27,
        Lt => 28,
        Le => 29,
        And => 30,
        Or => 31,
        Xor => 32,
        Where => 33,
        SgdVelocity(_) => 34,
        SgdParameter(_) => 35,
        AdamwFirst(_) => 36,
        AdamwSecond(_) => 37,
        AdamwParameter(_) => 38,
    }
}

/// The attributes that a plan depends on. Lists that are as long as a shape in the key need no length.
fn attributes(op: &Op, key: &mut Vec<u64>) {
    let mut all = |list: &[usize]| key.extend(list.iter().map(|&number| number as u64));
    match op {
        Op::Leaf | Op::Element(_) => {}
        Op::View(ViewOp::Reshape | ViewOp::Broadcast | ViewOp::Detach) => {}
        Op::View(ViewOp::Permute { axes }) => all(axes),
        Op::View(ViewOp::Slice { starts, steps }) => {
            all(starts);
            all(steps);
        }
        Op::View(ViewOp::Flip { axes }) | Op::Reduce { axes, .. } | Op::ArgReduce { axes, .. } => {
            all(&[axes.len()]);
            all(axes);
        }
        Op::View(ViewOp::Window(window)) | Op::Fold(window) => {
            all(&window.kernel);
            all(&window.stride);
            all(&window.dilation);
        }
        Op::Pad { low, high, interior, value: _ } => {
            all(low);
            all(high);
            all(interior);
        }
        Op::Concat { axis } | Op::Gather { axis } | Op::ScatterAdd { axis } => all(&[*axis]),
        Op::MatMul { transpose_a, transpose_b } => {
            all(&[usize::from(*transpose_a) << 1 | usize::from(*transpose_b)]);
        }
        Op::Conv2d(conv) | Op::Conv2dInputGradient(conv) | Op::Conv2dWeightGradient(conv) => {
            all(&conv.stride);
            all(&conv.padding);
            all(&conv.dilation);
            all(&[conv.groups]);
        }
    }
}

/// The words of [`ElementOp::scalars`] without its allocation, and a pad's constant.
fn scalars(op: &Op, words: &mut Vec<u32>) {
    match op {
        Op::Element(ElementOp::Full(bits)) | Op::Pad { value: bits, .. } => words.push(*bits),
        Op::Element(ElementOp::Uniform(key) | ElementOp::Normal(key)) => words.extend(key),
        Op::Element(ElementOp::SgdVelocity(s) | ElementOp::SgdParameter(s)) => words.extend(s.words()),
        Op::Element(ElementOp::AdamwFirst(s) | ElementOp::AdamwSecond(s) | ElementOp::AdamwParameter(s)) => {
            words.extend(s.words())
        }
        _ => {}
    }
}
