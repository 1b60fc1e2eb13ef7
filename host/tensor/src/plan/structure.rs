//! What a plan depends on, read off the recorded nodes in one traversal: the structure and its key, and apart from
//! it the values and scalars that a run is given.
//!
//! This happens at every step of a training, so it is linear and looks at each node once. The gas of an evaluation
//! and the cache of plans both ask here, so that what is known to one is known to the other.

use std::{collections::HashMap, convert::Infallible};

use sha2::{Digest, Sha256};

use crate::{ElementOp, Op, ReduceKind, Tensor, Value, ViewOp, node::SequenceState};

/// What a run of a plan is given.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// The values of the first slots, in order.
    pub values: Vec<Value>,
    /// The scalar words. Word 0 is always zero; then those of each node in ascending sequence.
    pub scalars: Vec<u32>,
}

/// The name of a structure: two evaluations with equal keys have the same plan. It says the operations in the order
/// in which they were recorded, attributes, shapes, dtypes, edges, which nodes are given, and the targets; no
/// values, no scalars. Gas depends on it, so it is the same on every machine, and nobody can make two structures
/// of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StructureKey {
    digest: [u8; 32],
    words: usize,
}

/// The nodes that targets need, inputs before consumers.
pub struct Structure<'a> {
    /// In ascending sequence.
    pub nodes: Vec<&'a Tensor>,
    /// The positions of the inputs of each node in `nodes`, one node after the other; none for given nodes.
    pub inputs: Vec<usize>,
    /// Per node, where its inputs begin in `inputs`, and one more at the end.
    pub inputs_of: Vec<usize>,
    /// The positions of the targets in `nodes`.
    pub targets: Vec<usize>,
    /// Its name.
    pub key: StructureKey,
}

/// A structure with everything that a plan and its run are made from.
pub struct Recording<'a> {
    /// The structure; the nodes that have a value are given.
    pub structure: Structure<'a>,
    /// Per node, where its scalar words begin.
    pub scalars_of: Vec<usize>,
    /// The run's arguments.
    pub arguments: Arguments,
}

impl StructureKey {
    /// Words that it was made from: the size of a plan goes with it.
    pub fn words(&self) -> usize {
        self.words
    }
}

impl<'a> Structure<'a> {
    /// The structure behind the targets. The nodes that are given are not looked behind; every other one is
    /// visited once, before what it is computed from.
    ///
    /// # Errors
    /// Those of the visits.
    pub fn of<E>(
        targets: &[&'a Tensor],
        is_given: impl Fn(&Tensor) -> bool,
        mut visit: impl FnMut(&Tensor) -> Result<(), E>,
    ) -> Result<Structure<'a>, E> {
        let mut position: HashMap<u64, usize, SequenceState> =
            HashMap::with_capacity_and_hasher(256, SequenceState);
        let mut nodes: Vec<&Tensor> = Vec::with_capacity(256);
        nodes.extend(targets.iter().filter(|tensor| position.insert(tensor.sequence(), 0).is_none()));
        let mut next = 0;
        while let Some(&tensor) = nodes.get(next) {
            next += 1;
            if !is_given(tensor) {
                visit(tensor)?;
                let new = |input: &&Tensor| position.insert(input.sequence(), 0).is_none();
                nodes.extend(tensor.inputs().iter().filter(new));
            }
        }
        nodes.sort_unstable_by_key(|tensor| tensor.sequence());
        let mut inputs = Vec::with_capacity(2 * nodes.len());
        let mut inputs_of = Vec::with_capacity(nodes.len() + 1);
        let mut key = KeyHasher::new(nodes.len());
        for (at, tensor) in nodes.iter().enumerate() {
            position.insert(tensor.sequence(), at);
            inputs_of.push(inputs.len());
            let is_given = is_given(tensor);
            key.add(tensor, is_given);
            if !is_given {
                inputs.extend(tensor.inputs().iter().map(|input| position[&input.sequence()]));
                key.add_places(&inputs[inputs_of[at]..]);
            }
        }
        inputs_of.push(inputs.len());
        let targets: Vec<usize> = targets.iter().map(|target| position[&target.sequence()]).collect();
        key.add_places(&targets);
        Ok(Structure { nodes, inputs, inputs_of, targets, key: key.finish() })
    }

    /// The inputs of a node, as positions.
    pub fn inputs(&self, node: usize) -> &[usize] {
        &self.inputs[self.inputs_of[node]..self.inputs_of[node + 1]]
    }
}

impl<'a> Recording<'a> {
    /// Reads the graph behind the targets.
    pub fn of(targets: &'a [Tensor]) -> Recording<'a> {
        let targets: Vec<&Tensor> = targets.iter().collect();
        let free = |_: &Tensor| Ok::<(), Infallible>(());
        let Ok(structure) = Structure::of(&targets, |tensor| tensor.value().is_some(), free);
        let mut scalars_of = Vec::with_capacity(structure.nodes.len());
        let mut arguments = Arguments { values: Vec::new(), scalars: vec![0] };
        for tensor in &structure.nodes {
            scalars_of.push(arguments.scalars.len());
            match tensor.value() {
                Some(value) => arguments.values.push(value.clone()),
                None => scalars(tensor.op(), &mut arguments.scalars),
            }
        }
        Recording { structure, scalars_of, arguments }
    }
}

/// Words that are hashed at once.
const BLOCK_WORDS: usize = 512;

/// Makes a key from words. Every list has its length before it or follows from what came before, so no other structure
/// has these words.
struct KeyHasher {
    hasher: Sha256,
    /// Those that are not hashed yet.
    block: Vec<u64>,
    hashed: usize,
}

impl KeyHasher {
    fn new(nodes: usize) -> KeyHasher {
        let mut block = Vec::with_capacity(BLOCK_WORDS + 64);
        block.push(nodes as u64);
        KeyHasher { hasher: Sha256::new(), block, hashed: 0 }
    }

    fn add(&mut self, tensor: &Tensor, is_given: bool) {
        if self.block.len() >= BLOCK_WORDS {
            self.hash_block();
        }
        let tag = if is_given { 0 } else { tag(tensor.op()) };
        self.block.push(tag << 16 | (tensor.dtype() as u64) << 8 | tensor.shape().rank() as u64);
        self.block.extend(tensor.shape().iter().map(|&size| size as u64));
        if !is_given {
            attributes(tensor.op(), &mut self.block);
        }
    }

    fn add_places(&mut self, places: &[usize]) {
        self.block.push(places.len() as u64);
        for places in places.chunks(BLOCK_WORDS) {
            self.block.extend(places.iter().map(|&place| place as u64));
            if self.block.len() >= BLOCK_WORDS {
                self.hash_block();
            }
        }
    }

    fn hash_block(&mut self) {
        let mut bytes = [0; 8 * BLOCK_WORDS];
        for words in self.block.chunks(BLOCK_WORDS) {
            for (bytes, word) in bytes.chunks_exact_mut(8).zip(words) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            self.hasher.update(&bytes[..8 * words.len()]);
        }
        self.hashed += self.block.len();
        self.block.clear();
    }

    fn finish(mut self) -> StructureKey {
        self.hash_block();
        StructureKey { digest: self.hasher.finalize().into(), words: self.hashed }
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
