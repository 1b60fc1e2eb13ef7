//! What holds for every plan: steps in a legal order, limits kept, one plan per structure; and layouts
//! against naive index maps.

use super::{
    cache::KEY_WORDS_MAX,
    group,
    layout::{Layout, collapse},
    *,
};
use crate::{Graph, Meter, Op, Recorded, Shape, Tensor, ViewOp, WindowAttributes, testing::random_graph};

fn graph() -> Graph {
    Graph::new(1, Meter::new(1 << 40))
}

fn leaf(graph: &mut Graph, sizes: &[usize]) -> Tensor {
    let count: usize = sizes.iter().product();
    graph.from_bytes(DType::F32, sizes, &vec![0; 4 * count]).unwrap()
}

fn plan(make: impl FnOnce(&mut Graph) -> Recorded<Vec<Tensor>>) -> Plan {
    Plan::build(&make(&mut graph()).unwrap()).0
}

fn names(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| step.operations.join(" ")).collect()
}

#[test]
fn chains_become_one_map() {
    let plan = plan(|g| {
        let (x, row) = (leaf(g, &[5, 3]), leaf(g, &[3]));
        let sum = g.add(&x, &row)?;
        let sum = g.detach(&sum)?;
        let two = g.full(DType::F32, &[], 2.0)?;
        let scaled = g.mul(&sum, &two)?;
        let drawn = g.uniform(&[5, 3], 1)?;
        let noisy = g.add(&scaled, &drawn)?;
        Ok(vec![g.mul(&noisy, &sum)?])
    });
    assert_eq!(names(&plan), ["add mul uniform add mul"]);
    let StepKind::Map(map) = &plan.steps[0].kind else { panic!("a map") };
    assert_eq!((map.loads.len(), map.instructions.len(), map.stores.len()), (2, 6, 1));
    assert_eq!(map.loads[1].0.strides, [0, 1]);
    assert_eq!(plan.releases, [vec![0, 1]]);
}

#[test]
fn reductions_and_other_index_spaces_end_a_map() {
    // The second user of `powers` needs the sum first, so it is no cycle of maps.
    let softmax = plan(|g| {
        let x = leaf(g, &[4, 7]);
        Ok(vec![g.softmax(&x, 1)?])
    });
    assert_eq!(names(&softmax), ["max", "sub exp", "sum", "div"]);
    let turned = plan(|g| {
        let x = leaf(g, &[4, 4]);
        let y = g.exp(&x)?;
        let turned = g.permute(&y, &[1, 0])?;
        Ok(vec![g.add(&y, &turned)?])
    });
    assert_eq!(names(&turned), ["exp", "add"]);
}

#[test]
fn views_cost_nothing_until_strides_cannot_say_them() {
    let free = plan(|g| {
        let x = leaf(g, &[4, 6]);
        let y = g.reshape(&x, &[2, 2, 6])?;
        let y = g.slice(&y, &[0, 1, 0], &[2, 2, 6], &[1, 1, 2])?;
        let y = g.flip(&y, &[2])?;
        Ok(vec![g.sum(&y, &[0, 1, 2], false)?])
    });
    assert_eq!(names(&free), ["sum"]);
    let copied = plan(|g| {
        let x = leaf(g, &[4, 6]);
        let y = g.permute(&x, &[1, 0])?;
        let y = g.reshape(&y, &[24])?;
        Ok(vec![g.sum(&y, &[0], false)?])
    });
    assert_eq!(names(&copied), ["reshape", "sum"]);
}

#[test]
fn targets_are_contiguous_slots() {
    let plan = plan(|g| {
        let x = leaf(g, &[2, 3]);
        let flat = g.reshape(&x, &[6])?;
        let turned = g.permute(&x, &[1, 0])?;
        let constant = g.full(DType::F32, &[4], 1.0)?;
        Ok(vec![flat, turned.clone(), constant, turned])
    });
    assert_eq!(plan.targets[0], 0, "a whole view of an argument is the argument");
    assert_eq!(names(&plan), ["permute", "full", "permute"]);
    assert_eq!(plan.slots[plan.targets[2]].elements, 4);
}

#[test]
fn wide_groups_are_divided_within_the_limits() {
    let plan = plan(|g| {
        let mut sum = leaf(g, &[9]);
        for _ in 0..20 {
            let next = leaf(g, &[9]);
            sum = g.add(&sum, &next)?;
        }
        for _ in 0..100 {
            sum = g.neg(&sum)?;
        }
        Ok(vec![sum])
    });
    check(&plan);
    // 20 additions load 21 buffers, 6 a map beside its store; the last of 4 maps takes 59 negations too.
    assert_eq!(plan.steps.len(), 5, "{:?}", names(&plan));
}

/// Slots are written before they are read and not read after their release; limits hold.
fn check(plan: &Plan) {
    let mut live: Vec<bool> = plan.slots.iter().enumerate().map(|(at, _)| at < plan.arguments).collect();
    for (step, releases) in plan.steps.iter().zip(&plan.releases) {
        for slot in step.kind.reads() {
            assert!(live[slot] || plan.slots[slot].elements == 0, "{step:?} reads slot {slot}");
        }
        for slot in step.kind.writes() {
            assert!(slot >= plan.arguments, "{step:?} writes an argument");
            live[slot] = true;
        }
        if let StepKind::Map(map) = &step.kind {
            let buffers = step.kind.reads().len() + map.stores.len();
            assert!(buffers <= MAP_BUFFERS_MAX, "{buffers} buffers: {step:?}");
            assert!(map.instructions.len() <= MAP_INSTRUCTIONS_MAX, "{step:?}");
        }
        for &slot in releases {
            let was_live = std::mem::replace(&mut live[slot], false);
            assert!(was_live || plan.slots[slot].elements == 0, "slot {slot} is released twice");
        }
    }
    for &target in &plan.targets {
        assert!(live[target] || plan.slots[target].elements == 0, "target {target} is there at the end");
    }
}

#[test]
fn plans_of_random_graphs_are_legal() {
    for seed in 0..200 {
        let case = random_graph(seed, 20 + seed as usize % 200);
        let (plan, arguments) = Plan::build(&case.targets);
        check(&plan);
        assert_eq!(plan.arguments, arguments.values.len());
        assert_eq!(plan.scalars, arguments.scalars.len());
        assert_eq!(plan.targets.len(), case.targets.len());
    }
}

#[test]
fn scalars_and_values_are_no_structure() {
    let mut cache = PlanCache::new(2);
    let mut step = |sizes: &[usize], rate: f64, axis: usize| {
        let mut g = graph();
        let (x, rate) = (leaf(&mut g, sizes), g.full(DType::F32, &[], rate).unwrap());
        let y = g.mul(&x, &rate).unwrap();
        let y = g.pad(&y, &[1, 0], &[0, 0], 5.0 * f64::from(axis as u32)).unwrap();
        let y = g.sum(&y, &[axis], false).unwrap();
        let (plan, arguments) = cache.plan(&[y]);
        assert_eq!(arguments.scalars.len(), plan.scalars);
        (plan, arguments.scalars, cache.built())
    };
    let (first, scalars, built) = step(&[2, 3], 0.5, 0);
    assert_eq!(built, 1);
    let (same, others, built) = step(&[2, 3], 0.25, 0);
    assert!(std::sync::Arc::ptr_eq(&first, &same) && built == 1);
    assert_ne!(scalars, others);
    assert_eq!(step(&[3, 2], 0.5, 0).2, 2, "another shape");
    assert_eq!(step(&[3, 2], 0.5, 1).2, 3, "another attribute, and the first plan makes room");
    assert_eq!(step(&[2, 3], 0.5, 0).2, 4);
}

#[test]
fn leaves_that_coincide_are_structure() {
    let mut g = graph();
    let (x, y) = (leaf(&mut g, &[3]), leaf(&mut g, &[3]));
    let mut cache = PlanCache::default();
    for (a, b) in [(&x, &x), (&x, &y)] {
        let sum = g.add(a, b).unwrap();
        cache.plan(&[sum]);
    }
    assert_eq!(cache.built(), 2);
}

#[test]
fn a_group_is_named() {
    let mut g = graph();
    let x = leaf(&mut g, &[3]);
    let y = g.exp(&x).unwrap();
    let z = g.neg(&y).unwrap();
    let sum = g.sum(&z, &[0], false).unwrap();
    let (plan, _) = Plan::build(&[z, sum, x]);
    let expected = [
        "2 operations are computed in one pass: exp and neg",
        "sum is computed in a pass of its own",
        "the value was given, nothing is computed",
    ];
    assert_eq!(plan.groups(), expected);
}

/// From an output index to the input index it shows.
type IndexMap = Box<dyn Fn(&[usize]) -> Vec<usize>>;

/// A small generator of numbers for the tests of layouts.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }

    fn shape(&mut self, rank: usize) -> Shape {
        let sizes: Vec<usize> =
            (0..rank).map(|_| [1, 2, 3, 4, 5, 6, 0][self.below(20).min(self.below(7))]).collect();
        Shape::of(&sizes)
    }

    /// A view of a shape, its shape, and for each output index the input index it shows.
    fn view(&mut self, from: Shape) -> (ViewOp, Shape, IndexMap) {
        let rank = from.rank();
        match self.below(6) {
            0 => {
                let mut axes: Vec<usize> = (0..rank).collect();
                (0..rank).for_each(|axis| axes.swap(axis, self.below(rank)));
                let to = Shape::of(&axes.iter().map(|&axis| from[axis]).collect::<Vec<_>>());
                let order = axes.clone();
                let map = move |index: &[usize]| {
                    let mut input = vec![0; order.len()];
                    order.iter().zip(index).for_each(|(&axis, &at)| input[axis] = at);
                    input
                };
                (ViewOp::Permute { axes }, to, Box::new(map))
            }
            1 => {
                let axes: Vec<usize> = (0..rank).filter(|_| self.below(2) == 0).collect();
                let flipped = axes.clone();
                let map = move |index: &[usize]| {
                    let mut input = index.to_vec();
                    flipped.iter().for_each(|&axis| input[axis] = from[axis] - 1 - index[axis]);
                    input
                };
                (ViewOp::Flip { axes }, from, Box::new(map))
            }
            2 => {
                let starts: Vec<usize> = from.iter().map(|&size| self.below(size + 1)).collect();
                let steps: Vec<usize> = from.iter().map(|_| 1 + self.below(3)).collect();
                let sizes = (0..rank).map(|axis| (from[axis] - starts[axis]).div_ceil(steps[axis]));
                let to = Shape::of(&sizes.collect::<Vec<_>>());
                let (low, by) = (starts.clone(), steps.clone());
                let map = move |index: &[usize]| (0..rank).map(|i| low[i] + index[i] * by[i]).collect();
                (ViewOp::Slice { starts, steps }, to, Box::new(map))
            }
            3 if rank < 6 => {
                let mut sizes = vec![1 + self.below(3)];
                sizes.extend(from.iter().map(|&size| if size == 1 { 1 + self.below(3) } else { size }));
                let map = move |index: &[usize]| {
                    (0..rank).map(|i| if from[i] == 1 { 0 } else { index[i + 1] }).collect()
                };
                (ViewOp::Broadcast, Shape::of(&sizes), Box::new(map))
            }
            4 if rank == 4 && from[2] >= 2 && from[3] >= 2 => {
                let window = WindowAttributes { kernel: [2, 1], stride: [1, 2], dilation: [1, 3] };
                let sizes = [from[0], from[1], from[2] - 1, (from[3] - 1) / 2 + 1, 2, 1];
                let map = |i: &[usize]| vec![i[0], i[1], i[2] + i[4], i[3] * 2 + i[5] * 3];
                (ViewOp::Window(window), Shape::of(&sizes), Box::new(map))
            }
            _ => {
                // Split the elements another way, with an axis of size 1 somewhere.
                let elements = from.elements();
                let divisors: Vec<usize> =
                    (1..=elements).filter(|size| elements.is_multiple_of(*size)).collect();
                let first = divisors.get(self.below(divisors.len())).copied().unwrap_or(0);
                let rest = elements.checked_div(first).unwrap_or(3);
                let to = Shape::of(&[first, 1, rest]);
                (ViewOp::Reshape, to, Box::new(move |index| from.unravel(to.ravel(index))))
            }
        }
    }
}

#[test]
fn composed_views_equal_naive_index_maps() {
    let mut expressed = 0;
    for seed in 0..3000 {
        let mut draw = Draw(seed);
        let rank = draw.below(5);
        let shape = draw.shape(rank);
        let mut layout = Layout::contiguous(shape);
        let mut naive: Vec<usize> = (0..shape.elements()).collect();
        for _ in 0..5 {
            let from = layout.shape;
            let (op, to, map) = draw.view(from);
            naive = to.indices().map(|index| naive[from.ravel(&map(&index))]).collect();
            match layout.view(&op, to) {
                Some(view) => layout = view,
                // What strides cannot express is copied: contiguous again.
                None => {
                    assert_eq!(op, ViewOp::Reshape);
                    layout = Layout::contiguous(to);
                    naive = (0..to.elements()).collect();
                }
            }
            expressed += 1;
            assert_eq!(places(&layout.shape, layout.offset, &layout.strides), naive, "seed {seed}: {op:?}");
            let (mut sizes, mut strides) = (layout.shape.to_vec(), layout.strides.clone());
            collapse(&mut sizes, &mut [&mut strides]);
            assert_eq!(places(&Shape::of(&sizes), layout.offset, &strides), naive, "seed {seed}: collapsed");
        }
    }
    assert_eq!(expressed, 15_000);
}

fn places(shape: &Shape, offset: isize, strides: &[isize]) -> Vec<usize> {
    let place = |index: Vec<usize>| {
        let steps: isize = index.iter().zip(strides).map(|(&at, &stride)| at as isize * stride).sum();
        usize::try_from(offset + steps).expect("a view stays inside its buffer")
    };
    shape.indices().map(place).collect()
}

#[test]
fn attributes_that_no_element_reaches_do_not_overflow() {
    let layout = Layout::contiguous(Shape::of(&[1, 1, 1, 1]));
    let window = WindowAttributes {
        kernel: [1, 1],
        stride: [usize::MAX, 1 << 62],
        dilation: [usize::MAX, usize::MAX],
    };
    let view = layout.view(&ViewOp::Window(window), Shape::of(&[1; 6])).unwrap();
    assert_eq!((view.offset, view.strides), (0, vec![0; 6]));
    let plan = plan(|g| {
        let x = leaf(g, &[1, 1, 1, 1]);
        let conv = crate::Conv2dAttributes {
            stride: [usize::MAX, usize::MAX],
            padding: [0, 0],
            dilation: [usize::MAX, usize::MAX],
            groups: 1,
        };
        let y = g.conv2d(&x, &x, conv)?;
        let to_x = Op::Conv2dInputGradient(conv);
        Ok(vec![g.record(to_x, &[&y, &x], Shape::of(&[1, 1, 1, 1]), DType::F32)?])
    });
    check(&plan);
}

#[test]
fn a_cache_of_large_plans_is_bounded_by_their_size() {
    let mut g = graph();
    let mut cache = PlanCache::new(PLANS_MAX);
    let x = leaf(&mut g, &[3]);
    for length in 0..20 {
        let mut y = x.clone();
        // Twenty structures of 30,000 operations would be seven million words.
        for _ in 0..30_000 + length {
            y = g.neg(&y).unwrap();
        }
        cache.plan(&[y]);
        assert!(cache.words() <= KEY_WORDS_MAX && cache.words() > 0, "{}", cache.words());
        g.commit(&[], &mut crate::Reference::new()).unwrap().unwrap();
    }
    assert_eq!(cache.built(), 20);
}

/// Sixty thousand consumers of one node, each stored: the work is as many steps, not as many squared.
#[test]
fn a_wide_group_is_planned_in_one_pass() {
    let looked = |consumers: usize| {
        let mut g = graph();
        let x = leaf(&mut g, &[3]);
        let shared = g.exp(&x).unwrap();
        let mut all: Vec<Tensor> = (0..consumers).map(|_| g.neg(&shared).unwrap()).collect();
        all.push(shared);
        let before = group::looked();
        let (plan, _) = Plan::build(&all);
        let stored: usize = plan.steps.iter().map(|step| step.kind.writes().len()).sum();
        assert_eq!(stored, consumers + 1);
        group::looked() - before
    };
    let (few, many) = (looked(2000), looked(20_000));
    assert!(many <= 11 * few, "{few} looks for 2,000 operations, {many} for 20,000");
}
