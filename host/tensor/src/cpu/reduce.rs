//! Reductions: rule 5's sums, and largest and smallest elements.
//!
//! One pass turns every block of 1024 reduced elements into one; passes follow until one is left. A pass goes
//! along rows (the reduced elements of one output, lane by lane) or across columns (many outputs at once),
//! whichever reads memory in order; the additions of one output are the same.

use std::ops::Range;

use super::{
    instruction_set::Kernel,
    memory::{floats, integers},
    team::{Team, cut, ranges},
    walk::{Walk, offsets_into},
};
use crate::{
    Elements, ReduceKind,
    numerics::{
        MAX, Native,
        canonical::{SUM_BLOCK, SUM_LANES, canon_sum},
    },
    plan::Reduce,
};

/// Outputs that a pass across columns computes at once.
const COLUMNS: usize = 32;

/// How elements are combined.
pub trait Combine: Copy + Send + Sync {
    /// The element.
    type Element: Copy + Send + Sync + PartialEq;
    /// Combined with it, an element stays.
    const NEUTRAL: Self::Element;
    /// Two in order.
    fn combine(a: Self::Element, b: Self::Element) -> Self::Element;
}

macro_rules! combine {
    ($($(#[$doc:meta])* $name:ident: $element:ty, $neutral:expr, |$a:ident, $b:ident| $combine:expr;)*) => {
        $($(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name;
        impl Combine for $name {
            type Element = $element;
            const NEUTRAL: $element = $neutral;
            #[inline(always)]
            fn combine($a: $element, $b: $element) -> $element {
                $combine
            }
        })*
    };
}

combine! {
    /// a + b, not clamped: the whole sum is, at its end.
    FloatSum: f32, 0.0, |a, b| a + b;
    /// The larger.
    FloatMax: f32, -MAX, |a, b| if a < b { b } else { a };
    /// The smaller.
    FloatMin: f32, MAX, |a, b| if b < a { b } else { a };
    /// a + b, wrapping.
    IntegerSum: i32, 0, |a, b| a.wrapping_add(b);
    /// The larger.
    IntegerMax: i32, i32::MIN, |a, b| if a < b { b } else { a };
    /// The smaller.
    IntegerMin: i32, i32::MAX, |a, b| if b < a { b } else { a };
}

/// Computes a reduction.
pub fn run(team: &Team, reduce: &Reduce, x: &Elements, out: &mut Elements) {
    let space = Space {
        kept: &reduce.kept,
        reduced: &reduce.reduced,
        kept_strides: &reduce.x.strides[..reduce.kept.len()],
        reduced_strides: &reduce.x.strides[reduce.kept.len()..],
        offset: reduce.x.offset,
    };
    match out {
        Elements::F32(out) => {
            let x = floats(x);
            match reduce.kind {
                ReduceKind::Sum => {
                    passes::<FloatSum>(team, &space, x, out);
                    for sum in out.iter_mut() {
                        *sum = canon_sum(&mut Native, *sum);
                    }
                }
                ReduceKind::Max => passes::<FloatMax>(team, &space, x, out),
                ReduceKind::Min => passes::<FloatMin>(team, &space, x, out),
            }
        }
        Elements::I32(out) => {
            let x = integers(x);
            match reduce.kind {
                ReduceKind::Sum => passes::<IntegerSum>(team, &space, x, out),
                ReduceKind::Max => passes::<IntegerMax>(team, &space, x, out),
                ReduceKind::Min => passes::<IntegerMin>(team, &space, x, out),
            }
        }
        _ => panic!("a plan reduces only f32 and i32"),
    }
}

/// What is reduced: the sizes and strides of what stays and what goes.
#[derive(Clone, Copy)]
struct Space<'a> {
    kept: &'a [usize],
    reduced: &'a [usize],
    kept_strides: &'a [isize],
    reduced_strides: &'a [isize],
    offset: isize,
}

impl Space<'_> {
    /// Rows where the reduced elements of an output are neighbours and enough to fill the lanes.
    fn goes_along_rows(&self) -> bool {
        let elements: usize = self.reduced.iter().product();
        let outputs: usize = self.kept.iter().product();
        let contiguous = self.reduced_strides.last() == Some(&1);
        outputs < 8 || (contiguous && elements >= SUM_LANES)
    }
}

/// Reduces block by block until one element is left for each output.
fn passes<C: Combine>(team: &Team, space: &Space<'_>, x: &[C::Element], out: &mut [C::Element]) {
    let outputs = out.len();
    let elements: usize = space.reduced.iter().product();
    if elements == 0 {
        out.fill(C::NEUTRAL);
        return;
    }
    let blocks = elements.div_ceil(SUM_BLOCK);
    let along_rows = space.goes_along_rows();
    if blocks == 1 {
        pass::<C>(team, space, along_rows, x, out);
        return;
    }
    let mut sums = vec![C::NEUTRAL; outputs * blocks];
    pass::<C>(team, space, along_rows, x, &mut sums);
    // Rows leave [output, block], columns leave [block, output].
    let strides = if along_rows { [blocks as isize, 1] } else { [1, outputs as isize] };
    let next = Space {
        kept: &[outputs],
        reduced: &[blocks],
        kept_strides: &strides[..1],
        reduced_strides: &strides[1..],
        offset: 0,
    };
    passes::<C>(team, &next, &sums, out);
}

fn pass<C: Combine>(
    team: &Team,
    space: &Space<'_>,
    along_rows: bool,
    x: &[C::Element],
    out: &mut [C::Element],
) {
    let elements: usize = space.reduced.iter().product();
    let outputs: usize = space.kept.iter().product();
    let blocks = elements.div_ceil(SUM_BLOCK);
    let work = elements * outputs;
    if along_rows {
        let ranges = ranges(out.len(), team.parts(out.len(), work));
        let pieces = cut(out, ranges.iter().map(Range::len));
        team.each(ranges.into_iter().zip(pieces).collect(), |(range, out)| {
            team.set.run(Rows::<C> { space, x, range, blocks, elements, out });
        });
    } else {
        let mut tasks = Vec::new();
        for (block, out) in out.chunks_mut(outputs).enumerate() {
            let units = outputs.div_ceil(COLUMNS);
            let columns = ranges(units, team.parts(units, work / blocks))
                .into_iter()
                .map(|units| units.start * COLUMNS..(units.end * COLUMNS).min(outputs));
            let columns: Vec<Range<usize>> = columns.collect();
            let pieces = cut(out, columns.iter().map(Range::len));
            tasks.extend(columns.into_iter().zip(pieces).map(|(columns, out)| (block, columns, out)));
        }
        team.each(tasks, |(block, columns, out)| {
            team.set.run(Across::<C> { space, x, block, columns, elements, out });
        });
    }
}

/// The sum of at most one block: element i is in lane i mod 64, lanes are halved until one is left. Lanes
/// beyond the elements hold the neutral element and are not looked at.
#[inline(always)]
fn block_of<C: Combine>(elements: &[C::Element]) -> C::Element {
    let mut lanes = [C::NEUTRAL; SUM_LANES];
    let (full, rest) = elements.as_chunks::<SUM_LANES>();
    for chunk in full {
        for lane in 0..SUM_LANES {
            lanes[lane] = C::combine(lanes[lane], chunk[lane]);
        }
    }
    for (lane, &element) in lanes.iter_mut().zip(rest) {
        *lane = C::combine(*lane, element);
    }
    let mut half = SUM_LANES / 2;
    while half > 0 {
        if half < elements.len() {
            for lane in 0..half {
                lanes[lane] = C::combine(lanes[lane], lanes[lane + half]);
            }
        }
        half /= 2;
    }
    lanes[0]
}

/// Blocks number `range` of [output, block], each along its elements.
struct Rows<'a, C: Combine> {
    space: &'a Space<'a>,
    x: &'a [C::Element],
    range: Range<usize>,
    blocks: usize,
    elements: usize,
    out: &'a mut [C::Element],
}

impl<C: Combine> Kernel for Rows<'_, C> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let mut gathered = [C::NEUTRAL; SUM_BLOCK];
        let space = self.space;
        let flat = space.reduced.len() == 1 && space.reduced_strides[0] == 1;
        for (number, out) in self.range.zip(self.out) {
            let (output, block) = (number / self.blocks, number % self.blocks);
            let start = block * SUM_BLOCK;
            let count = (self.elements - start).min(SUM_BLOCK);
            let offset = match space.kept.len() {
                0 => space.offset,
                1 => space.offset + output as isize * space.kept_strides[0],
                _ => Walk::new(space.kept, space.kept_strides, space.offset, output).position() as isize,
            };
            if flat {
                *out = block_of::<C>(&self.x[offset as usize + start..][..count]);
                continue;
            }
            let mut walk = Walk::new(space.reduced, space.reduced_strides, offset, start);
            let mut filled = 0;
            while filled < count {
                let run = walk.run(count - filled);
                let mut at = run.at as isize;
                for to in &mut gathered[filled..filled + run.count] {
                    *to = self.x[at as usize];
                    at += run.stride;
                }
                filled += run.count;
            }
            *out = block_of::<C>(&gathered[..count]);
        }
    }
}

/// One block of the outputs `columns`, 32 at a time.
struct Across<'a, C: Combine> {
    space: &'a Space<'a>,
    x: &'a [C::Element],
    block: usize,
    columns: Range<usize>,
    elements: usize,
    out: &'a mut [C::Element],
}

impl<C: Combine> Kernel for Across<'_, C> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let space = self.space;
        let start = self.block * SUM_BLOCK;
        let count = (self.elements - start).min(SUM_BLOCK);
        let mut rows = Vec::new();
        offsets_into(space.reduced, space.reduced_strides, 0, start, count, &mut rows);
        let mut kept = Vec::new();
        let mut lanes = [[C::NEUTRAL; COLUMNS]; SUM_LANES];
        for (number, out) in self.out.chunks_mut(COLUMNS).enumerate() {
            let first = self.columns.start + number * COLUMNS;
            offsets_into(space.kept, space.kept_strides, space.offset, first, out.len(), &mut kept);
            lanes[..count.min(SUM_LANES)].fill([C::NEUTRAL; COLUMNS]);
            let contiguous = out.len() == COLUMNS
                && kept[COLUMNS - 1] - kept[0] == COLUMNS as isize - 1
                && kept.windows(2).all(|pair| pair[1] == pair[0] + 1);
            for (i, &row) in rows.iter().enumerate() {
                let lane = &mut lanes[i % SUM_LANES];
                if contiguous {
                    // Whole arrays, so that the loop becomes a few vector instructions.
                    let x = self.x[(kept[0] + row) as usize..].first_chunk::<COLUMNS>();
                    let x = x.expect("a view stays inside its slot");
                    let mut sums = *lane;
                    for column in 0..COLUMNS {
                        sums[column] = C::combine(sums[column], x[column]);
                    }
                    *lane = sums;
                } else {
                    for (lane, &column) in lane.iter_mut().zip(&kept) {
                        *lane = C::combine(*lane, self.x[(column + row) as usize]);
                    }
                }
            }
            halve::<C>(&mut lanes, count);
            out.copy_from_slice(&lanes[0][..out.len()]);
        }
    }
}

/// The halving of [`block_of`] for all columns; lanes from `count` on are not looked at.
#[inline(always)]
fn halve<C: Combine>(lanes: &mut [[C::Element; COLUMNS]; SUM_LANES], count: usize) {
    let mut half = SUM_LANES / 2;
    while half > 0 {
        for lane in 0..half.min(count.saturating_sub(half)) {
            let (mut sums, high) = (lanes[lane], lanes[lane + half]);
            for column in 0..COLUMNS {
                sums[column] = C::combine(sums[column], high[column]);
            }
            lanes[lane] = sums;
        }
        half /= 2;
    }
}

/// The sum by rule 5 of a few f32, for windows.
#[inline(always)]
pub fn short_sum(elements: &[f32]) -> f32 {
    let sum = if elements.len() <= SUM_BLOCK {
        block_of::<FloatSum>(elements)
    } else {
        let mut sums: Vec<f32> = elements.chunks(SUM_BLOCK).map(block_of::<FloatSum>).collect();
        while sums.len() > 1 {
            sums = sums.chunks(SUM_BLOCK).map(block_of::<FloatSum>).collect();
        }
        sums[0]
    };
    canon_sum(&mut Native, sum)
}
