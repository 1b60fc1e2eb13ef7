//! Compiling one loop for several instruction sets, and choosing one when the program starts.
//!
//! The only place of this crate with `unsafe`: calls of functions that need a target feature, after it was
//! detected. Rust never fuses or reorders float operations, so the bits do not depend on the choice; the
//! micro-kernels fuse, which changes nothing because their products are exact (rule 4).
#![expect(
    unsafe_code,
    reason = "calls into functions of a detected target feature, and vector loads in bounds"
)]

/// An instruction set that loops are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSet {
    /// What every CPU of the architecture has.
    Baseline,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    Avx512,
}

/// A loop that is to be compiled once per instruction set. `run` is `#[inline(always)]`.
pub trait Kernel {
    /// What it gives.
    type Output;

    /// Does it.
    fn run(self) -> Self::Output;
}

impl InstructionSet {
    /// Every one, the best last.
    pub const ALL: [InstructionSet; 3] =
        [InstructionSet::Baseline, InstructionSet::Avx2, InstructionSet::Avx512];

    /// The best one of this machine.
    pub fn detect() -> InstructionSet {
        let available = InstructionSet::ALL.into_iter().rfind(|set| set.is_available());
        available.unwrap_or(InstructionSet::Baseline)
    }

    /// This machine has it.
    pub fn is_available(self) -> bool {
        match self {
            InstructionSet::Baseline => true,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => {
                InstructionSet::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(not(target_arch = "x86_64"))]
            InstructionSet::Avx2 | InstructionSet::Avx512 => false,
        }
    }

    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            InstructionSet::Baseline => "baseline",
            InstructionSet::Avx2 => "avx2",
            InstructionSet::Avx512 => "avx512",
        }
    }
}

/// An instruction set that this machine was seen to have: the proof that the calls below are sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detected(InstructionSet);

impl Detected {
    /// The set, where the machine has it.
    pub fn new(set: InstructionSet) -> Option<Detected> {
        set.is_available().then_some(Detected(set))
    }

    /// Runs a loop as compiled for the set.
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            // SAFETY: a `Detected` exists only for a set that `is_available` found on this machine.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => unsafe { x86::run_avx512(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => unsafe { x86::run_avx2(kernel) },
            _ => kernel.run(),
        }
    }

    /// Rows and columns of the tile that [`Detected::tile`] computes.
    pub fn tile_size(self) -> (usize, usize) {
        match self.0 {
            InstructionSet::Avx512 => (14, 32),
            InstructionSet::Avx2 => (6, 16),
            InstructionSet::Baseline => (4, 8),
        }
    }

    /// `tile[i][j] = Σ over t in order of a[t][i] · b[t][j]`, from zero; a and b are packed panels of as many
    /// rows and columns as the tile has, with exact products.
    #[inline]
    pub fn tile(self, a: &[f32], b: &[f32], tile: &mut [f32]) {
        match self.0 {
            // SAFETY: a `Detected` exists only for a set that `is_available` found on this machine.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => unsafe { x86::tile_avx512(a, b, tile) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => unsafe { x86::tile_avx2(a, b, tile) },
            _ => tile_portable::<4, 8>(a, b, tile),
        }
    }
}

/// The tile without vector intrinsics and without fusing.
fn tile_portable<const ROWS: usize, const COLUMNS: usize>(a: &[f32], b: &[f32], tile: &mut [f32]) {
    let mut sums = [[0.0f32; COLUMNS]; ROWS];
    for (a, b) in a.as_chunks::<ROWS>().0.iter().zip(b.as_chunks::<COLUMNS>().0) {
        for i in 0..ROWS {
            for j in 0..COLUMNS {
                sums[i][j] += a[i] * b[j];
            }
        }
    }
    tile.copy_from_slice(sums.as_flattened());
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Kernel;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    pub fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
        kernel.run()
    }

    #[target_feature(enable = "avx2,fma")]
    pub fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
        kernel.run()
    }

    macro_rules! tile {
        ($(#[$doc:meta])* $name:ident, $features:literal, $rows:literal, $vectors:literal, $width:literal,
         $zero:ident, $load:ident, $store:ident, $splat:ident, $fma:ident) => {
            $(#[$doc])*
            #[target_feature(enable = $features)]
            pub fn $name(a: &[f32], b: &[f32], tile: &mut [f32]) {
                const COLUMNS: usize = $vectors * $width;
                let mut sums = [[$zero(); $vectors]; $rows];
                for (a, b) in a.as_chunks::<$rows>().0.iter().zip(b.as_chunks::<COLUMNS>().0) {
                    let mut columns = [$zero(); $vectors];
                    for (v, column) in columns.iter_mut().enumerate() {
                        // SAFETY: b has COLUMNS elements, v is below their number of vectors.
                        *column = unsafe { $load(b.as_ptr().add(v * $width)) };
                    }
                    for i in 0..$rows {
                        let row = $splat(a[i]);
                        for v in 0..$vectors {
                            sums[i][v] = $fma(row, columns[v], sums[i][v]);
                        }
                    }
                }
                let (rows, _) = tile.as_chunks_mut::<COLUMNS>();
                for (row, sums) in rows.iter_mut().zip(&sums) {
                    for (v, sum) in sums.iter().enumerate() {
                        // SAFETY: the row has COLUMNS elements, v is below their number of vectors.
                        unsafe { $store(row.as_mut_ptr().add(v * $width), *sum) };
                    }
                }
            }
        };
    }

    tile! {
        /// 14 rows of 32 columns: 28 of the 32 registers are sums.
        tile_avx512, "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma", 14, 2, 16,
        _mm512_setzero_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_fmadd_ps
    }
    tile! {
        /// 6 rows of 16 columns: 12 of the 16 registers are sums.
        tile_avx2, "avx2,fma", 6, 2, 8,
        _mm256_setzero_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_fmadd_ps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numerics::{Native, canonical::round12};

    #[test]
    fn every_tile_equals_separate_multiplication_and_addition() {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let exponent = 127 + (state >> 8) % 24 - 12;
            let x = f32::from_bits(exponent << 23 | state & 0x807f_ffff);
            round12(&mut Native, x)
        };
        for set in InstructionSet::ALL.into_iter().filter_map(Detected::new) {
            let (rows, columns) = set.tile_size();
            for k in [0, 1, 7, 256] {
                let a: Vec<f32> = (0..k * rows).map(|_| next()).collect();
                let b: Vec<f32> = (0..k * columns).map(|_| next()).collect();
                let mut tile = vec![f32::NAN; rows * columns];
                set.tile(&a, &b, &mut tile);
                for (at, &found) in tile.iter().enumerate() {
                    let (i, j) = (at / columns, at % columns);
                    let expected = (0..k).fold(0.0f32, |sum, t| sum + a[t * rows + i] * b[t * columns + j]);
                    assert_eq!(found, expected, "{set:?} k = {k} at {i}, {j}");
                }
            }
        }
    }
}
