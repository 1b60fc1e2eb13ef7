//! Sums of products by rule 4: tiles in workgroup memory, an explicit fma chain inside a chunk of 256 terms.
//!
//! An invocation computes 4 × 4 outputs in named vectors. Operands are rounded to 12 bits on their way into
//! a tile, so every product is exact and a driver that unfuses the chain changes nothing; the chain's order
//! is the driver's promise, checked by the order canary (`device`). Each chunk's sum passes the emitter's
//! barrier and is added in order. Where few tiles meet many chunks, chunks are computed apart and added by a
//! second kernel in the same order.

mod tile;

use anneal_tensor::{
    numerics::{
        Scalar,
        canonical::{MATMUL_CHUNK, canon_sum},
    },
    plan::Contract,
};

use super::{Buffer, Dispatch, ELEMENTS_MAX, Lowered, Shader, Tuning};
use tile::{Operand, TILE_TERMS, Tile};

/// Lanes of the kernel that adds chunk sums.
const SUM_WORKGROUP: u32 = 64;
/// The components of a vector of four.
const COMPONENTS: [char; 4] = ['x', 'y', 'z', 'w'];

/// A contraction with its groups of axes counted.
struct Extent {
    batch: usize,
    m: usize,
    n: usize,
    k: usize,
}

impl Extent {
    fn outputs(&self) -> usize {
        self.batch * self.m * self.n
    }

    fn chunks(&self) -> usize {
        self.k.div_ceil(MATMUL_CHUNK).max(1)
    }
}

pub(super) fn lower(contract: &Contract, tuning: Tuning) -> Lowered {
    let count = |axes: &[usize]| axes.iter().product::<usize>();
    let extent = Extent {
        batch: count(&contract.batch),
        m: count(&contract.m),
        n: count(&contract.n),
        k: count(&contract.k),
    };
    if extent.outputs() == 0 {
        return Lowered::default();
    }
    let tile = Tile::for_extent(extent.batch, extent.m, extent.n, tuning);
    let chunks = extent.chunks();
    let apart = chunks > 1
        && tile.workgroups(extent.batch, extent.m, extent.n) * tile.invocations() * 2 <= tuning.invocations
        && chunks * extent.outputs() <= ELEMENTS_MAX / 16;
    let out = Buffer::Slot(contract.out);
    if !apart {
        let dispatch = tiles(contract, &extent, tile, out, false, tuning);
        return Lowered { dispatches: vec![dispatch], temporaries: Vec::new() };
    }
    let partial = Buffer::Temporary(0);
    let dispatches = vec![
        tiles(contract, &extent, tile, partial, true, tuning),
        add_chunks(&extent, partial, out, tuning),
    ];
    Lowered { dispatches, temporaries: vec![chunks * extent.outputs()] }
}

/// The tiled kernel. Where chunks are computed `apart`, it writes each chunk's sum, chunk by chunk.
fn tiles(
    contract: &Contract,
    extent: &Extent,
    tile: Tile,
    to: Buffer,
    apart: bool,
    tuning: Tuning,
) -> Dispatch {
    let several = extent.chunks() > 1 && !apart;
    let mut shader = Shader::new(tuning);
    let operand =
        |shader: &mut Shader, view, rows: &[usize], name| Operand::new(shader, contract, view, rows, name);
    let a = operand(&mut shader, &contract.a, &contract.m, "a");
    let b = operand(&mut shader, &contract.b, &contract.n, "b");
    let to = shader.write(to);
    let workgroups =
        tile.workgroups(extent.batch, extent.m, extent.n) * if apart { extent.chunks() } else { 1 };
    let numbers = [workgroups, extent.m.div_ceil(tile.rows()), extent.n.div_ceil(tile.columns())];
    let [groups, tiles_m, tiles_n] = numbers.map(|number| shader.number(number as isize));
    let [batch, m, n, k] =
        [extent.batch, extent.m, extent.n, extent.k].map(|number| shader.number(number as isize));
    tile.declare(&mut shader);

    shader.line(format!("if group >= {groups} {{ return; }}"));
    shader.line(format!("let across = group / {tiles_n};\nlet tile_n = group - across * {tiles_n};"));
    shader.line(format!("let down = across / {tiles_m};\nlet tile_m = across - down * {tiles_m};"));
    shader.line(format!("let part = down / {batch};\nlet batch = down - part * {batch};"));
    shader.line(format!("let first_row = tile_m * {}u;", tile.rows()));
    shader.line(format!("let first_column = tile_n * {}u;", tile.columns()));
    shader.line(format!("let place_n = lane % {0}u;\nlet place_m = lane / {0}u;", tile.across));
    let a = a.prepare(&mut shader, tile, tile.down, "first_row", &m);
    let b = b.prepare(&mut shader, tile, tile.across, "first_column", &n);
    for row in 0..4 {
        shader.line(format!("var c{row} = vec4<f32>();"));
        if several {
            shader.line(format!("var total{row} = vec4<f32>();"));
        }
    }
    if apart {
        shader.line(format!("let chunk = part * {MATMUL_CHUNK}u;"));
    } else if several {
        shader.line(format!("for (var chunk = 0u; chunk < {k}; chunk += {MATMUL_CHUNK}u) {{"));
    } else {
        shader.line("let chunk = 0u;");
    }
    shader.line(format!("let end = min(chunk + {MATMUL_CHUNK}u, {k});"));
    shader.line(format!("for (var term = chunk; term < end; term += {TILE_TERMS}u) {{"));
    // Nobody may still read the tile before.
    shader.line("workgroupBarrier();");
    a.load(&mut shader, "term", "end", &k);
    b.load(&mut shader, "term", "end", &k);
    shader.line("workgroupBarrier();");
    tile.accumulate(&mut shader, tuning.barrier_each_step);
    shader.line("}");
    if several {
        add_to_totals(&mut shader);
        shader.line("}");
    }
    let offset = if apart { format!("(part * {batch} + batch)") } else { "batch".to_owned() };
    shader.line("let row = first_row + place_m * 4u;\nlet column = first_column + place_n * 4u;");
    for row in 0..4 {
        shader.line(format!("if row + {row}u < {m} {{"));
        shader.line(format!("let start = ({offset} * {m} + row + {row}u) * {n} + column;"));
        for (column, component) in COMPONENTS.iter().enumerate() {
            let sum = if several {
                shader.emitter.float_value(&format!("total{row}.{component}"))
            } else {
                shader.emitter.float_behind_barrier(&format!("c{row}.{component}"))
            };
            let sum = if apart { sum } else { canon_sum(&mut shader.emitter, sum) };
            let word = shader.emitter.float_bits(sum);
            shader.emitted();
            shader.line(format!("if column + {column}u < {n} {{ {to}[start + {column}u] = {word}; }}"));
        }
        shader.line("}");
    }
    shader.launch(tile.invocations() as u32, workgroups)
}

/// Adds the finished chunk to the totals and starts the next one from zero.
fn add_to_totals(shader: &mut Shader) {
    for row in 0..4 {
        let mut sums = Vec::new();
        for component in COMPONENTS {
            let total = shader.emitter.float_value(&format!("total{row}.{component}"));
            let chunk = shader.emitter.float_behind_barrier(&format!("c{row}.{component}"));
            let sum = shader.emitter.add(total, chunk);
            sums.push(shader.emitter.float_name(sum));
        }
        shader.emitted();
        shader.line(format!("total{row} = vec4<f32>({});\nc{row} = vec4<f32>();", sums.join(", ")));
    }
}

/// One invocation an output: the chunk sums, in order.
fn add_chunks(extent: &Extent, from: Buffer, to: Buffer, tuning: Tuning) -> Dispatch {
    let mut shader = Shader::new(tuning);
    let from = shader.read(from);
    let to = shader.write(to);
    let outputs = shader.number(extent.outputs() as isize);
    let chunks = shader.number(extent.chunks() as isize);
    shader.line(format!("let output = group * {SUM_WORKGROUP}u + lane;"));
    shader.line(format!("if output >= {outputs} {{ return; }}"));
    shader.line("var sum: u32 = 0u;");
    shader.line(format!("for (var chunk = 0u; chunk < {chunks}; chunk++) {{"));
    let total = shader.emitter.float_of("sum");
    let part = shader.emitter.float_of(&format!("{from}[chunk * {outputs} + output]"));
    let next = shader.emitter.add(total, part);
    let next = shader.emitter.float_bits(next);
    shader.emitted();
    shader.line(format!("sum = {next};\n}}"));
    let sum = shader.emitter.float_of("sum");
    let sum = canon_sum(&mut shader.emitter, sum);
    let word = shader.emitter.float_bits(sum);
    shader.emitted();
    shader.line(format!("{to}[output] = {word};"));
    shader.launch(SUM_WORKGROUP, extent.outputs().div_ceil(SUM_WORKGROUP as usize))
}
