//! Sums of products by rule 4: packed panels, a register tile, chunks of 256 terms.
//!
//! Operands are rounded to 12 bits while they are packed, so every product is exact. A tile sums one chunk
//! from zero, then the chunk sum is added to the output in the order of k. Tiling over m and n decides where
//! a sum is computed, never its order.

use super::{
    instruction_set::Kernel,
    team::{Team, cut, ranges},
    walk::{offsets, offsets_into},
};
use crate::{
    numerics::{
        Native,
        canonical::{MATMUL_CHUNK, canon_sum, round12},
    },
    plan::Contract,
};

/// Columns that are packed at once: 256 × 768 floats stay in the second-level cache.
const COLUMNS_MAX: usize = 768;

/// Products that take as long as an element operation: what a thread is worth waking for is told in those.
const PRODUCTS_PER_ELEMENT: usize = 16;

/// Rows or columns of an operand: where each begins, and where each term of the sum is from there.
#[derive(Clone, Copy)]
struct Side<'a> {
    elements: &'a [f32],
    sizes: &'a [usize],
    strides: &'a [isize],
    offset: isize,
    k_offsets: &'a [isize],
}

/// A rectangle of one output matrix, and what it is computed from.
struct Job<'a> {
    a: Side<'a>,
    b: Side<'a>,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    /// Row-major, of these rows and columns.
    out: &'a mut [f32],
}

/// Computes a contraction.
pub fn run(team: &Team, contract: &Contract, a: &[f32], b: &[f32], out: &mut [f32]) {
    let count = |sizes: &[usize]| sizes.iter().product::<usize>();
    let (batches, m, n, k) =
        (count(&contract.batch), count(&contract.m), count(&contract.n), count(&contract.k));
    let axes = contract.batch.len();
    let k_axes = |strides: &[isize]| offsets(&contract.k, &strides[strides.len() - contract.k.len()..], 0);
    let (a_terms, b_terms) = (k_axes(&contract.a.strides), k_axes(&contract.b.strides));
    let a_batch = offsets(&contract.batch, &contract.a.strides[..axes], contract.a.offset);
    let b_batch = offsets(&contract.batch, &contract.b.strides[..axes], contract.b.offset);
    let a_side = |batch: usize| Side {
        elements: a,
        sizes: &contract.m,
        strides: &contract.a.strides[axes..axes + contract.m.len()],
        offset: a_batch[batch],
        k_offsets: &a_terms,
    };
    let b_side = |batch: usize| Side {
        elements: b,
        sizes: &contract.n,
        strides: &contract.b.strides[axes..axes + contract.n.len()],
        offset: b_batch[batch],
        k_offsets: &b_terms,
    };
    let wanted = if team.threads == 1 { 1 } else { (2 * team.threads).div_ceil(batches) };
    let part_min = PRODUCTS_PER_ELEMENT * team.work_min;
    let parts = wanted.min(m * n * k / part_min).max(1);
    let small = batches * m * n * k < part_min;
    if parts > 1 && m < n && m < 2 * parts * team.set.tile_size().0 {
        for (batch, out) in out.chunks_mut(m * n).enumerate() {
            by_columns(team, [a_side(batch), b_side(batch)], m, n, parts, out);
        }
        return;
    }
    let rows = ranges(m, parts);
    let mut jobs = Vec::with_capacity(batches * rows.len());
    for (batch, out) in out.chunks_mut(m * n).enumerate() {
        for (rows, out) in rows.iter().zip(cut(out, rows.iter().map(|rows| rows.len() * n))) {
            jobs.push(Job { a: a_side(batch), b: b_side(batch), rows: rows.clone(), columns: 0..n, out });
        }
    }
    if small {
        jobs.into_iter().for_each(|job| rectangle(team, job));
    } else {
        team.each(jobs, |job| rectangle(team, job));
    }
}

/// Cuts a wide matrix by columns: each part is computed apart and then copied into its columns.
fn by_columns(team: &Team, [a, b]: [Side<'_>; 2], m: usize, n: usize, parts: usize, out: &mut [f32]) {
    let columns = ranges(n, parts);
    let mut pieces: Vec<Vec<f32>> = columns.iter().map(|columns| vec![0.0; m * columns.len()]).collect();
    let tasks = columns.iter().cloned().zip(&mut pieces);
    let jobs = tasks.map(|(columns, piece)| Job { a, b, rows: 0..m, columns, out: piece });
    team.each(jobs.collect(), |job| rectangle(team, job));
    for (columns, piece) in columns.iter().zip(&pieces) {
        for (row, piece) in piece.chunks(columns.len()).enumerate() {
            out[row * n..][columns.clone()].copy_from_slice(piece);
        }
    }
}

/// Computes a rectangle, with the tile's rows along whichever side wastes less of the tile.
fn rectangle(team: &Team, job: Job<'_>) {
    let (tile_rows, tile_columns) = team.set.tile_size();
    let (m, n) = (job.rows.len(), job.columns.len());
    let padded = |rows: usize, columns: usize| {
        rows.next_multiple_of(tile_rows) * columns.next_multiple_of(tile_columns)
    };
    let tall = Ends { side: job.a, range: job.rows, out_stride: n };
    let wide = Ends { side: job.b, range: job.columns, out_stride: 1 };
    let terms = job.a.k_offsets.len();
    if padded(n, m) < padded(m, n) {
        blocks(team, &wide, &tall, terms, job.out);
    } else {
        blocks(team, &tall, &wide, terms, job.out);
    }
}

/// One side of a rectangle and how the output moves along it.
struct Ends<'a> {
    side: Side<'a>,
    range: std::ops::Range<usize>,
    out_stride: usize,
}

fn blocks(team: &Team, rows: &Ends<'_>, columns: &Ends<'_>, terms: usize, out: &mut [f32]) {
    let (tile_rows, tile_columns) = team.set.tile_size();
    let mut tile = vec![0.0; tile_rows * tile_columns];
    let mut row_panel = Vec::new();
    let mut column_panels = Vec::new();
    if terms == 0 {
        out.fill(0.0);
    }
    for first_column in (0..columns.range.len()).step_by(COLUMNS_MAX) {
        let width = (columns.range.len() - first_column).min(COLUMNS_MAX);
        for first_term in (0..terms).step_by(MATMUL_CHUNK) {
            let chunk = first_term..(first_term + MATMUL_CHUNK).min(terms);
            let columns_start = columns.range.start + first_column;
            pack(
                team,
                &columns.side,
                columns_start..columns_start + width,
                &chunk,
                tile_columns,
                &mut column_panels,
            );
            for first_row in (0..rows.range.len()).step_by(tile_rows) {
                team.pass();
                let height = (rows.range.len() - first_row).min(tile_rows);
                let rows_start = rows.range.start + first_row;
                pack(team, &rows.side, rows_start..rows_start + height, &chunk, tile_rows, &mut row_panel);
                for (panel, b) in column_panels.chunks(tile_columns * chunk.len()).enumerate() {
                    team.set.tile(&row_panel, b, &mut tile);
                    let column = first_column + panel * tile_columns;
                    let place = Place {
                        at: first_row * rows.out_stride + column * columns.out_stride,
                        rows: (height, rows.out_stride),
                        columns: ((columns.range.len() - column).min(tile_columns), columns.out_stride),
                        tile_columns,
                        is_first: first_term == 0,
                        is_last: chunk.end == terms,
                    };
                    team.set.run(AddTile { place, tile: &tile, out });
                }
            }
        }
    }
}

/// Panels of `width` rows or columns: `[panel][term][within]`, rounded, absent ones zero.
fn pack(
    team: &Team,
    side: &Side<'_>,
    range: std::ops::Range<usize>,
    chunk: &std::ops::Range<usize>,
    width: usize,
    panels: &mut Vec<f32>,
) {
    let mut starts = Vec::new();
    offsets_into(side.sizes, side.strides, side.offset, range.start, range.len(), &mut starts);
    panels.clear();
    panels.resize(range.len().next_multiple_of(width) * chunk.len(), 0.0);
    let terms = &side.k_offsets[chunk.clone()];
    for (starts, panel) in starts.chunks(width).zip(panels.chunks_mut(width * chunk.len())) {
        team.set.run(Pack { elements: side.elements, starts, terms, width, panel });
    }
}

struct Pack<'a> {
    elements: &'a [f32],
    starts: &'a [isize],
    terms: &'a [isize],
    width: usize,
    panel: &'a mut [f32],
}

impl Kernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Pack { elements, starts, terms, width, panel } = self;
        let neighbours = |offsets: &[isize]| offsets.windows(2).all(|pair| pair[1] == pair[0] + 1);
        if neighbours(starts) {
            for (to, &term) in panel.chunks_exact_mut(width).zip(terms) {
                let from = &elements[(starts[0] + term) as usize..][..starts.len()];
                to[..starts.len()].copy_from_slice(from);
            }
        } else if neighbours(terms) {
            let line = |start: isize| &elements[(start + terms[0]) as usize..][..terms.len()];
            let (fours, rest) = starts.as_chunks::<4>();
            for (number, starts) in fours.iter().enumerate() {
                let lines = starts.map(line);
                for (term, to) in panel.chunks_exact_mut(width).enumerate() {
                    let to = &mut to[4 * number..4 * number + 4];
                    to.copy_from_slice(&lines.map(|line| line[term]));
                }
            }
            for (column, &start) in rest.iter().enumerate() {
                for (to, &from) in panel.chunks_exact_mut(width).zip(line(start)) {
                    to[4 * fours.len() + column] = from;
                }
            }
        } else {
            for (to, &term) in panel.chunks_exact_mut(width).zip(terms) {
                for (to, &start) in to.iter_mut().zip(starts) {
                    *to = elements[(start + term) as usize];
                }
            }
        }
        for x in panel.iter_mut() {
            *x = round12(&mut Native, *x);
        }
    }
}

/// Where a tile belongs in the output.
struct Place {
    at: usize,
    /// How many, and how far apart.
    rows: (usize, usize),
    columns: (usize, usize),
    tile_columns: usize,
    is_first: bool,
    is_last: bool,
}

/// Adds a chunk sum to the output: the first one begins it, the last one is clamped.
struct AddTile<'a> {
    place: Place,
    tile: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for AddTile<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let AddTile { place, tile, out } = self;
        let finish = |total: f32| if place.is_last { canon_sum(&mut Native, total) } else { total };
        for (row, tile) in tile.chunks_exact(place.tile_columns).take(place.rows.0).enumerate() {
            let at = place.at + row * place.rows.1;
            if place.columns.1 == 1 {
                let out = &mut out[at..at + place.columns.0];
                for (out, &sum) in out.iter_mut().zip(tile) {
                    *out = finish(if place.is_first { sum } else { *out + sum });
                }
            } else {
                for (column, &sum) in tile[..place.columns.0].iter().enumerate() {
                    let out = &mut out[at + column * place.columns.1];
                    *out = finish(if place.is_first { sum } else { *out + sum });
                }
            }
        }
    }
}
