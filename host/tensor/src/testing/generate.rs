//! Random graphs through the recorder: every operation on odd shapes, strange views and painful values.

use super::{
    operations::{self, Operation},
    values::{Random, Stratum},
};
use crate::{DType, Graph, Meter, Shape, Tensor, reachable};

/// A recorded graph and what is asked of it.
pub struct Case {
    /// The recorder, to record more.
    pub graph: Graph,
    /// What to evaluate: everything that nothing else uses, and some of the rest.
    pub targets: Vec<Tensor>,
}

/// A graph of about `size` operations of the contract, drawn from a seed. From about 200 on every operation
/// is in it.
///
/// # Panics
/// Where the recorder refuses a drawn operation: a bug of ours.
pub fn random_graph(seed: u64, size: usize) -> Case {
    let mut generator = Generator::new(seed);
    let mut deck: Vec<Operation> = Vec::new();
    for _ in 0..size {
        if deck.is_empty() {
            deck = operations::every();
        }
        let operation = deck.swap_remove(generator.random.below(deck.len()));
        let made = operation.record(&mut generator).expect("a drawn operation is legal");
        generator.pool.extend(made);
    }
    let targets = generator.targets();
    Case { graph: generator.graph, targets }
}

/// The state of a random recording.
pub(super) struct Generator {
    pub(super) random: Random,
    pub(super) graph: Graph,
    pub(super) pool: Vec<Tensor>,
}

/// Elements of a drawn tensor, where an operation does not ask for more.
const ELEMENTS_MAX: usize = 400;

impl Generator {
    pub(super) fn new(seed: u64) -> Generator {
        let mut random = Random::new(seed);
        let task_seed = u64::from(random.word());
        Generator { random, graph: Graph::new(task_seed, Meter::new(1 << 40)), pool: Vec::new() }
    }

    fn targets(&mut self) -> Vec<Tensor> {
        let used: std::collections::HashSet<u64> =
            reachable(&self.pool).iter().flat_map(|node| node.inputs()).map(Tensor::sequence).collect();
        let random = &mut self.random;
        self.pool
            .iter()
            .filter(|node| !used.contains(&node.sequence()) || random.chance(10))
            .cloned()
            .collect()
    }

    /// Sizes of a rank: mostly small odd ones, sometimes 1, seldom 0.
    pub(super) fn sizes(&mut self, rank: usize) -> Vec<usize> {
        let mut room = ELEMENTS_MAX;
        let mut sizes: Vec<usize> = (0..rank)
            .map(|_| {
                let size = match self.random.below(40) {
                    0 => 0,
                    1..=9 => 1,
                    10..=15 => 1 + self.random.below(70),
                    _ => 1 + self.random.below(5),
                };
                let size = if size > room { 1 } else { size };
                room /= size.max(1);
                size
            })
            .collect();
        // The largest need not come first.
        if rank > 1 {
            sizes.rotate_left(self.random.below(rank));
        }
        sizes
    }

    /// Sizes of any rank, 0 to 8.
    pub(super) fn any_sizes(&mut self) -> Vec<usize> {
        let rank = self.random.pick(&[0, 1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 7, 8]);
        self.sizes(rank)
    }

    /// A new leaf.
    pub(super) fn leaf(&mut self, dtype: DType, sizes: &[usize]) -> Tensor {
        let stratum = match self.random.below(10) {
            0..=3 => Stratum::Ordinary,
            4 | 5 => Stratum::Mixed,
            _ => self.random.pick(&Stratum::ALL),
        };
        let value = self.random.value(dtype, Shape::of(sizes), stratum);
        self.graph.leaf(value).expect("a small leaf")
    }

    /// A tensor made before, where there is one.
    fn earlier(&mut self, dtype: DType) -> Option<Tensor> {
        let fitting: Vec<&Tensor> =
            self.pool.iter().filter(|x| x.dtype() == dtype && x.shape().elements() <= 1 << 14).collect();
        (!fitting.is_empty()).then(|| fitting[self.random.below(fitting.len())].clone())
    }

    /// Any tensor of a dtype: new or made before, as it is or through a view.
    pub(super) fn any(&mut self, dtype: DType) -> Tensor {
        let sizes = self.any_sizes();
        let earlier = if self.random.chance(60) { self.earlier(dtype) } else { None };
        let x = earlier.unwrap_or_else(|| self.leaf(dtype, &sizes));
        if self.random.chance(40) { self.view(&x) } else { x }
    }

    /// As [`Generator::any`], of at least `rank` axes.
    pub(super) fn of_rank(&mut self, dtype: DType, rank: usize) -> Tensor {
        let x = self.any(dtype);
        if x.shape().rank() >= rank {
            return x;
        }
        let sizes = self.sizes(rank);
        self.sized(dtype, &sizes)
    }

    /// A tensor of exactly these sizes: new, or cut and repeated from one made before; permuted and flipped
    /// now and then.
    pub(super) fn sized(&mut self, dtype: DType, sizes: &[usize]) -> Tensor {
        let count: usize = sizes.iter().product();
        let earlier = if self.random.chance(50) { self.earlier(dtype) } else { None };
        match earlier {
            Some(x) if count > 0 && x.shape().elements() > 0 => self.cut(&x, sizes, count),
            _ => self.scrambled(dtype, sizes),
        }
    }

    fn cut(&mut self, x: &Tensor, sizes: &[usize], count: usize) -> Tensor {
        let have = x.shape().elements();
        let graph = &mut self.graph;
        let flat = graph.reshape(x, &[have]).expect("as many elements");
        let copies = count.div_ceil(have);
        let many = match copies {
            1 => flat,
            _ => {
                let repeated = graph.broadcast_to(&flat, &[copies, have]).expect("a new axis");
                graph.reshape(&repeated, &[copies * have]).expect("as many elements")
            }
        };
        let spare = copies * have - count;
        let start = self.random.below(spare + 1);
        let some = self.graph.slice(&many, &[start], &[start + count], &[1]).expect("inside");
        self.graph.reshape(&some, sizes).expect("as many elements")
    }

    /// A new leaf, stored in another order than it is seen.
    fn scrambled(&mut self, dtype: DType, sizes: &[usize]) -> Tensor {
        let axes = self.permutation(sizes.len());
        let mut stored = vec![0; sizes.len()];
        for (to, &from) in axes.iter().enumerate() {
            stored[from] = sizes[to];
        }
        let leaf = self.leaf(dtype, &stored);
        if self.random.chance(50) {
            return if stored == sizes {
                leaf
            } else {
                self.graph.permute(&leaf, &axes).expect("a permutation")
            };
        }
        let some = self.some_axes(sizes.len());
        let permuted = self.graph.permute(&leaf, &axes).expect("a permutation");
        self.graph.flip(&permuted, &some).expect("axes of it")
    }

    /// A tensor that broadcasts to these sizes.
    pub(super) fn broadcasting(&mut self, dtype: DType, sizes: &[usize]) -> Tensor {
        let mut smaller = sizes.to_vec();
        if self.random.chance(50) {
            for size in &mut smaller {
                if self.random.chance(30) {
                    *size = 1;
                }
            }
            smaller.drain(..self.random.below(sizes.len() + 1));
        }
        self.sized(dtype, &smaller)
    }

    pub(super) fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut left: Vec<usize> = (0..count).collect();
        (0..count).map(|_| left.remove(self.random.below(left.len()))).collect()
    }

    /// Some axes, in any order; perhaps none.
    pub(super) fn some_axes(&mut self, rank: usize) -> Vec<usize> {
        let mut axes = self.permutation(rank);
        axes.truncate(self.random.below(rank + 1));
        axes
    }

    /// The tensor seen in another way.
    pub(super) fn view(&mut self, x: &Tensor) -> Tensor {
        let rank = x.shape().rank();
        let seen = match self.random.below(6) {
            0 => {
                let axes = self.permutation(rank);
                self.graph.permute(x, &axes)
            }
            1 => {
                let axes = self.some_axes(rank);
                self.graph.flip(x, &axes)
            }
            2 => self.sliced(x),
            3 => self.repeated(x),
            4 => self.reshaped(x),
            _ => self.graph.detach(x),
        };
        seen.expect("a view of what there is")
    }

    pub(super) fn sliced(&mut self, x: &Tensor) -> crate::Recorded {
        let sizes = x.shape().to_vec();
        let starts: Vec<usize> = sizes.iter().map(|&size| self.random.below(size / 2 + 1)).collect();
        let ends: Vec<usize> =
            (0..sizes.len()).map(|i| sizes[i] - self.random.below((sizes[i] - starts[i]) / 2 + 1)).collect();
        let steps: Vec<usize> = sizes.iter().map(|_| self.random.pick(&[1, 1, 1, 2, 3])).collect();
        self.graph.slice(x, &starts, &ends, &steps)
    }

    pub(super) fn repeated(&mut self, x: &Tensor) -> crate::Recorded {
        let mut sizes = x.shape().to_vec();
        if sizes.len() < 8 && x.shape().elements() <= ELEMENTS_MAX {
            sizes.insert(0, 1 + self.random.below(3));
        }
        self.graph.broadcast_to(x, &sizes)
    }

    /// The same elements under other sizes: some axes joined, one split.
    pub(super) fn reshaped(&mut self, x: &Tensor) -> crate::Recorded {
        let mut sizes = x.shape().to_vec();
        while sizes.len() > 1 && self.random.chance(60) {
            let at = self.random.below(sizes.len() - 1);
            let joined = sizes.remove(at);
            sizes[at] *= joined;
        }
        if !sizes.is_empty() && sizes.len() < 8 {
            let at = self.random.below(sizes.len());
            let divisor =
                [2, 3, 5, 7].into_iter().find(|&divisor| sizes[at].is_multiple_of(divisor)).unwrap_or(1);
            sizes[at] /= divisor;
            sizes.insert(at + self.random.below(2), divisor);
        }
        self.graph.reshape(x, &sizes)
    }
}
