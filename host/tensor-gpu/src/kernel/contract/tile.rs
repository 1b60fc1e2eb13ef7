//! The tile of a contraction: how operands get into workgroup memory and how the chain runs over it.

use anneal_tensor::{
    numerics::canonical::round12,
    plan::{Contract, View},
};

use crate::kernel::{
    Buffer, Shader, Tuning,
    index::{Addresses, Axes},
};

/// Terms of the sum that a tile holds.
pub(super) const TILE_TERMS: usize = 16;

/// The invocations of a workgroup, across columns and down rows; each has 4 × 4 outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) across: usize,
    pub(super) down: usize,
}

/// Square ones first; thin ones for a handful of rows or columns. With what an output costs in each,
/// relative to the first.
const TILES: [(Tile, f64); 4] = [
    (Tile { across: 16, down: 16 }, 1.0),
    (Tile { across: 8, down: 8 }, 1.3),
    (Tile { across: 32, down: 2 }, 1.8),
    (Tile { across: 2, down: 32 }, 1.8),
];

impl Tile {
    /// The tile that wastes least, small ones where large ones would leave the device idle.
    pub(super) fn for_extent(batch: usize, m: usize, n: usize, tuning: Tuning) -> Tile {
        let cost = |&(tile, factor): &(Tile, f64)| {
            let workgroups = tile.workgroups(batch, m, n);
            let idle = tuning.invocations as f64 / (workgroups * tile.invocations()) as f64;
            let computed = (workgroups * tile.rows() * tile.columns()) as f64;
            computed * factor * idle.clamp(1.0, 4.0)
        };
        let best = TILES.iter().min_by(|x, y| cost(x).total_cmp(&cost(y)));
        best.expect("there are tiles").0
    }

    pub(super) fn rows(self) -> usize {
        4 * self.down
    }

    pub(super) fn columns(self) -> usize {
        4 * self.across
    }

    pub(super) fn invocations(self) -> usize {
        self.across * self.down
    }

    pub(super) fn workgroups(self, batch: usize, m: usize, n: usize) -> usize {
        batch * m.div_ceil(self.rows()) * n.div_ceil(self.columns())
    }

    /// Declares both halves of the tile: vectors of four rows or columns, term by term, one vector of padding
    /// a term so that lanes that write one row do not meet in one bank.
    pub(super) fn declare(self, shader: &mut Shader) {
        for (name, vectors) in [("a", self.down), ("b", self.across)] {
            let size = TILE_TERMS * (vectors + 1);
            shader.global(&format!("var<workgroup> tile_{name}: array<vec4<f32>, {size}>;"));
        }
    }

    /// The chain over the terms of the tile.
    pub(super) fn accumulate(self, shader: &mut Shader, barrier_each_step: bool) {
        for term in 0..TILE_TERMS {
            shader.line("{");
            shader.line(format!("let a = tile_a[{}u + place_m];", term * (self.down + 1)));
            shader.line(format!("let b = tile_b[{}u + place_n];", term * (self.across + 1)));
            for (row, component) in super::COMPONENTS.iter().enumerate() {
                let step = format!("fma(vec4<f32>(a.{component}), b, c{row})");
                if barrier_each_step {
                    shader.line(format!("let s{row} = {step};"));
                    let barrier = format!("bitcast<vec4<u32>>(s{row}) | vec4<u32>(zero)");
                    shader.line(format!("c{row} = bitcast<vec4<f32>>({barrier});"));
                } else {
                    shader.line(format!("c{row} = {step};"));
                }
            }
            shader.line("}");
        }
    }
}

/// One operand: where its elements are.
pub(super) struct Operand {
    name: &'static str,
    buffer: String,
    base: String,
    batch: Addresses,
    rows: Addresses,
    terms: Addresses,
    /// Neighbouring lanes load neighbouring terms, not neighbouring rows.
    terms_first: bool,
}

/// An operand inside a kernel: the offsets of the rows that this invocation loads are named.
pub(super) struct Loader {
    operand: Operand,
    tile: Tile,
    /// Vectors of four rows in a term of the tile.
    vectors: usize,
    loads: Vec<Load>,
}

/// One vector that an invocation loads for each tile.
struct Load {
    /// Its number within the tile, an expression; legal where below the tile's size.
    number: String,
    term: String,
    vector: String,
    /// For each of the four rows: the name of its offset, and of the truth that it exists.
    rows: Vec<(String, String)>,
}

impl Operand {
    pub(super) fn new(
        shader: &mut Shader,
        contract: &Contract,
        view: &View,
        rows: &[usize],
        name: &'static str,
    ) -> Operand {
        let (batch_strides, rest) = view.strides.split_at(contract.batch.len());
        let (row_strides, term_strides) = rest.split_at(rows.len());
        let row_axes = Axes::merged(rows, &[row_strides]);
        let term_axes = Axes::merged(&contract.k, &[term_strides]);
        let innermost = |axes: &Axes| axes.strides[0].last().map_or(isize::MAX, |stride| stride.abs());
        let terms_first = innermost(&term_axes) <= innermost(&row_axes);
        Operand {
            name,
            buffer: shader.read(Buffer::Slot(view.slot)),
            base: shader.number(view.offset),
            batch: Axes::merged(&contract.batch, &[batch_strides]).arguments(shader),
            rows: row_axes.arguments(shader),
            terms: term_axes.arguments(shader),
            terms_first,
        }
    }

    /// Writes what stays the same for all tiles: `first` names the tile's first row, `count` the rows.
    pub(super) fn prepare(
        self,
        shader: &mut Shader,
        tile: Tile,
        vectors: usize,
        first: &str,
        count: &str,
    ) -> Loader {
        let name = self.name;
        let batch = self.batch.offsets(shader, "batch");
        shader.line(format!("let {name}_start = {} + {};", self.base, batch[0]));
        let mut loads = Vec::new();
        for load in 0..(vectors * TILE_TERMS).div_ceil(tile.invocations()) {
            let number = format!("{name}_number{load}");
            shader.line(format!("let {number} = lane + {}u;", load * tile.invocations()));
            let (term, vector) = (format!("{name}_term{load}"), format!("{name}_vector{load}"));
            let (fast, slow, size) =
                if self.terms_first { (&term, &vector, TILE_TERMS) } else { (&vector, &term, vectors) };
            shader.line(format!("let {fast} = {number} % {size}u;\nlet {slow} = {number} / {size}u;"));
            let mut rows = Vec::new();
            for row in 0..4 {
                let (at, exists) = (shader.name("row"), shader.name("exists"));
                shader.line(format!("let {at} = {first} + {vector} * 4u + {row}u;"));
                shader.line(format!("let {exists} = {at} < {count};"));
                // A row beyond the end loads the last one and drops it.
                let (legal, place) = (shader.name("legal"), shader.name("place"));
                shader.line(format!("let {legal} = min({at}, {count} - 1u);"));
                let offsets = self.rows.offsets(shader, &legal);
                shader.line(format!("let {place} = {name}_start + {};", offsets[0]));
                rows.push((place, exists));
            }
            loads.push(Load { number, term, vector, rows });
        }
        Loader { operand: self, tile, vectors, loads }
    }
}

impl Loader {
    /// Writes the load of the tile whose first term is `first`; terms from `end` on are zero. `count` names
    /// the number of all terms.
    pub(super) fn load(&self, shader: &mut Shader, first: &str, end: &str, count: &str) {
        let Operand { name, buffer, terms, .. } = &self.operand;
        let all = self.vectors * TILE_TERMS;
        for (at, load) in self.loads.iter().enumerate() {
            let partly = (at + 1) * self.tile.invocations() > all;
            shader.line(if partly { format!("if {} < {all}u {{", load.number) } else { "{".to_owned() });
            shader.line(format!("let at = {first} + {};", load.term));
            shader.line(format!("let legal = min(at, {count} - 1u);"));
            let offsets = terms.offsets(shader, "legal");
            let mut rounded = Vec::new();
            for (place, exists) in &load.rows {
                let word = format!("{buffer}[{place} + {}]", offsets[0]);
                let word = format!("select(0u, {word}, {exists} & (at < {end}))");
                let element = shader.emitter.float_of(&word);
                let element = round12(&mut shader.emitter, element);
                rounded.push(shader.emitter.float_name(element));
            }
            shader.emitted();
            let place = format!("{} * {}u + {}", load.term, self.vectors + 1, load.vector);
            shader.line(format!("tile_{name}[{place}] = vec4<f32>({});\n}}", rounded.join(", ")));
        }
    }
}
