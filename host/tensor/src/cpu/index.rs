//! Gather, scatter-add, fold and the position of an extreme element: steps that look elements up.

use std::ops::Range;

use super::{
    memory::{Slice, SliceMut, floats, integers},
    reduce::short_sum,
    team::{Team, cut, ranges},
    walk::offsets,
};
use crate::{
    Elements,
    numerics::{Native, canonical::canon_sum},
    plan::{ArgReduce, Fold, Gather, ScatterAdd, View},
};

/// `out[a, i, b] = x[a, indices[i], b]`, zero where the index is out of range.
pub fn gather(team: &Team, gather: &Gather, x: &Elements, indices: &Elements, out: &mut Elements) {
    let indices = looked_up(indices, &gather.indices_shape, &gather.indices);
    match (Slice::of(x), SliceMut::of(out)) {
        (Slice::Words(x), SliceMut::Words(out)) => gather_as(team, gather, x, &indices, out),
        (Slice::Halves(x), SliceMut::Halves(out)) => gather_as(team, gather, x, &indices, out),
        (Slice::Bytes(x), SliceMut::Bytes(out)) => gather_as(team, gather, x, &indices, out),
        _ => panic!("a plan gathers into another dtype"),
    }
}

fn gather_as<T: Copy + Default + Send + Sync>(
    team: &Team,
    gather: &Gather,
    x: &[T],
    indices: &[i32],
    out: &mut [T],
) {
    let axis = gather.before.len();
    let strides = &gather.x.strides;
    let before = offsets(&gather.before, &strides[..axis], gather.x.offset);
    let after = offsets(&gather.after, &strides[axis + 1..], 0);
    let contiguous = after.windows(2).all(|pair| pair[1] == pair[0] + 1);
    let rows = before.len() * indices.len();
    let ranges = ranges(rows, team.parts(rows, out.len()));
    let pieces = cut(out, ranges.iter().map(|range| range.len() * after.len()));
    team.each(ranges.into_iter().zip(pieces).collect(), |(rows, out)| {
        for (row, out) in rows.zip(out.chunks_exact_mut(after.len())) {
            let index = indices[row % indices.len()];
            let Some(index) = within(index, gather.size) else {
                out.fill(T::default());
                continue;
            };
            let start = before[row / indices.len()] + index as isize * strides[axis];
            if contiguous {
                out.copy_from_slice(&x[start as usize..][..after.len()]);
            } else {
                for (out, offset) in out.iter_mut().zip(&after) {
                    *out = x[(start + offset) as usize];
                }
            }
        }
    });
}

/// `out = base`, then for i ascending `out[a, indices[i], b] += source[a, i, b]`, dropped out of range.
pub fn scatter_add(team: &Team, scatter: &ScatterAdd, reads: [&Elements; 3], out: &mut Elements) {
    let [base, indices, source] = reads;
    let indices = looked_up(indices, &scatter.indices_shape, &scatter.indices);
    match out {
        Elements::F32(out) => {
            let add = |a: f32, b: f32| canon_sum(&mut Native, a + b);
            scatter_as(team, scatter, [floats(base), floats(source)], &indices, out, add);
        }
        Elements::I32(out) => {
            scatter_as(team, scatter, [integers(base), integers(source)], &indices, out, i32::wrapping_add);
        }
        _ => panic!("a plan adds only f32 and i32"),
    }
}

/// Threads own ranges of the output's rows, so every element is added to in the order of the indices.
fn scatter_as<T: Copy + Send + Sync>(
    team: &Team,
    scatter: &ScatterAdd,
    [base, source]: [&[T]; 2],
    indices: &[i32],
    out: &mut [T],
    add: impl Fn(T, T) -> T + Send + Sync,
) {
    let axis = scatter.before.len();
    let source_axis = axis + scatter.indices_shape.len();
    let base_strides = &scatter.base.strides;
    let source_strides = &scatter.source.strides;
    let base_before = offsets(&scatter.before, &base_strides[..axis], scatter.base.offset);
    let base_after = offsets(&scatter.after, &base_strides[axis + 1..], 0);
    let source_before = offsets(&scatter.before, &source_strides[..axis], scatter.source.offset);
    let source_rows = offsets(&scatter.indices_shape, &source_strides[axis..source_axis], 0);
    let source_after = offsets(&scatter.after, &source_strides[source_axis..], 0);
    let width = base_after.len();
    let rows = base_before.len() * scatter.size;
    let work = out.len() + source_before.len() * indices.len() * width;
    let ranges = ranges(rows, team.parts(rows, work));
    let pieces = cut(out, ranges.iter().map(|range| range.len() * width));
    team.each(ranges.into_iter().zip(pieces).collect(), |(rows, out)| {
        for (row, out) in rows.clone().zip(out.chunks_exact_mut(width)) {
            let start = base_before[row / scatter.size] + (row % scatter.size) as isize * base_strides[axis];
            for (out, offset) in out.iter_mut().zip(&base_after) {
                *out = base[(start + offset) as usize];
            }
        }
        let befores = rows.start / scatter.size..rows.end.div_ceil(scatter.size);
        for before in befores {
            for (&index, row_offset) in indices.iter().zip(&source_rows) {
                let Some(index) = within(index, scatter.size) else { continue };
                let Some(row) = inside(before * scatter.size + index, &rows) else { continue };
                let start = source_before[before] + row_offset;
                for (out, offset) in out[row * width..][..width].iter_mut().zip(&source_after) {
                    *out = add(*out, source[(start + offset) as usize]);
                }
            }
        }
    });
}

fn inside(row: usize, rows: &Range<usize>) -> Option<usize> {
    rows.contains(&row).then(|| row - rows.start)
}

fn within(index: i32, size: usize) -> Option<usize> {
    usize::try_from(index).ok().filter(|&index| index < size)
}

fn looked_up(indices: &Elements, shape: &[usize], view: &View) -> Vec<i32> {
    let indices = integers(indices);
    offsets(shape, &view.strides, view.offset).into_iter().map(|at| indices[at as usize]).collect()
}

/// `out[n, c, y, x]` is the sum of the windows' elements that lie there, row-major over kernel positions,
/// absent ones zero.
pub fn fold(team: &Team, fold: &Fold, windows: &[f32], out: &mut [f32]) {
    let [n, c, oh, ow, kh, kw] = fold.windows_shape;
    let strides = &fold.windows.strides;
    let images = offsets(&[n, c], &strides[..2], fold.windows.offset);
    let [h, w] = fold.size;
    let rows = Axis::all(h, oh, kh, fold.stride[0], fold.dilation[0], strides[2], strides[4]);
    let columns = Axis::all(w, ow, kw, fold.stride[1], fold.dilation[1], strides[3], strides[5]);
    let lines = images.len() * h;
    let ranges = ranges(lines, team.parts(lines, out.len() * kh * kw));
    let pieces = cut(out, ranges.iter().map(|range| range.len() * w));
    team.each(ranges.into_iter().zip(pieces).collect(), |(lines, out)| {
        let mut terms = vec![0.0; kh * kw];
        for (line, out) in lines.zip(out.chunks_exact_mut(w)) {
            let image = images[line / h];
            for (x, out) in out.iter_mut().enumerate() {
                terms.fill(0.0);
                for &(ky, row) in &rows[line % h] {
                    for &(kx, column) in &columns[x] {
                        terms[ky * kw + kx] = windows[(image + row + column) as usize];
                    }
                }
                *out = short_sum(&terms);
            }
        }
    });
}

/// The kernel positions that cover a row or column, and where they are in the windows.
struct Axis;

impl Axis {
    fn all(
        size: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
        dilation: usize,
        output_stride: isize,
        tap_stride: isize,
    ) -> Vec<Vec<(usize, isize)>> {
        let mut covers = vec![Vec::new(); size];
        for tap in 0..kernel {
            for output in 0..outputs {
                let at = output * stride + tap * dilation;
                covers[at].push((tap, output as isize * output_stride + tap as isize * tap_stride));
            }
        }
        covers
    }
}

/// The row-major position of the largest or smallest reduced element; the lowest of equals, 0 of none.
pub fn arg_reduce(team: &Team, reduce: &ArgReduce, x: &Elements, out: &mut [i32]) {
    match x {
        Elements::F32(x) => arg_reduce_as(team, reduce, x, out),
        Elements::I32(x) => arg_reduce_as(team, reduce, x, out),
        _ => panic!("a plan compares only f32 and i32"),
    }
}

fn arg_reduce_as<T: Copy + PartialOrd + Send + Sync>(
    team: &Team,
    reduce: &ArgReduce,
    x: &[T],
    out: &mut [i32],
) {
    let axes = reduce.kept.len();
    let kept = offsets(&reduce.kept, &reduce.x.strides[..axes], reduce.x.offset);
    let reduced = offsets(&reduce.reduced, &reduce.x.strides[axes..], 0);
    let ranges = ranges(kept.len(), team.parts(kept.len(), kept.len() * reduced.len()));
    let pieces = cut(out, ranges.iter().map(Range::len));
    team.each(ranges.into_iter().zip(pieces).collect(), |(range, out)| {
        for (&start, out) in kept[range].iter().zip(out) {
            let at = |position: usize| x[(start + reduced[position]) as usize];
            let mut best = 0;
            for position in 1..reduced.len() {
                let better = if reduce.largest { at(best) < at(position) } else { at(position) < at(best) };
                if better {
                    best = position;
                }
            }
            *out = best as i32;
        }
    });
}
