//! The orders of rules 4 and 5: the only sums there are.

use crate::numerics::{
    Native,
    canonical::{MATMUL_CHUNK, SUM_BLOCK, SUM_LANES, canon_sum},
};

/// Rule 5's sum of f32 elements.
///
/// Blocks of 1024 elements are summed by [`block_sum`], the block sums are summed as the elements were, and so
/// on until one is left; that one is clamped. A sum of no elements is 0.
pub(crate) fn sum(elements: &[f32]) -> f32 {
    let mut sums = elements.to_vec();
    while sums.len() > 1 {
        sums = sums.chunks(SUM_BLOCK).map(block_sum).collect();
    }
    canon_sum(&mut Native, sums.first().copied().unwrap_or(0.0))
}

/// The sum of at most 1024 elements; absent ones count as 0.
///
/// Lane l begins at 0 and adds the elements l, l + 64, l + 128 … in that order. Then lane l adds lane l + 32
/// for l < 32, lane l + 16 for l < 16, and so on; lane 0 is the sum.
fn block_sum(elements: &[f32]) -> f32 {
    let mut lanes = [0.0; SUM_LANES];
    for (i, element) in elements.iter().enumerate() {
        lanes[i % SUM_LANES] += element;
    }
    let mut half = SUM_LANES / 2;
    while half > 0 {
        for l in 0..half {
            lanes[l] += lanes[l + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Rule 4's sum of products of rounded operands.
///
/// Terms are taken in chunks of 256. A chunk's sum begins at 0 and adds its terms in order; the total begins
/// at 0 and adds the chunk sums in order; the total is clamped. A sum of no terms is 0. Products of operands
/// of 12 significant bits are exact, so `sum + a · b` is what a fused multiply-add gives.
pub(crate) fn dot(terms: impl Iterator<Item = (f32, f32)>) -> f32 {
    let mut total = 0.0;
    let mut chunk = 0.0;
    let mut length = 0;
    for (a, b) in terms {
        chunk += a * b;
        length += 1;
        if length == MATMUL_CHUNK {
            total += chunk;
            (chunk, length) = (0.0, 0);
        }
    }
    // Of a last chunk without terms the sum is 0, and adding it changes nothing.
    canon_sum(&mut Native, total + chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Powers of two far enough apart that every order but the rule's gives another result.
    #[test]
    fn lanes_and_halves_are_added_in_order() {
        let big = 16_777_216.0;
        // One lane: 2^24 + 1 is a tie to even, twice.
        let mut elements = vec![0.0; 1024];
        (elements[0], elements[64], elements[128]) = (big, 1.0, 1.0);
        assert_eq!(sum(&elements), big);
        // The two ones meet in lane 1 first, which then meets the 2^24 of lane 0.
        let mut elements = vec![0.0; 1024];
        (elements[0], elements[1], elements[65]) = (big, 1.0, 1.0);
        assert_eq!(sum(&elements), big + 2.0);
        // Lane 32 is added to lane 0 before lanes 1 and 17 come.
        let mut elements = vec![0.0; 64];
        (elements[0], elements[32], elements[1], elements[17]) = (big, 1.0, 1.0, 1.0);
        assert_eq!(sum(&elements), big + 2.0);
    }

    #[test]
    fn blocks_are_summed_like_elements() {
        let big = 16_777_216.0;
        // The block sums are 2^24, 1, 1: they are elements 0, 1 and 2 of a sum, where 1 and 2 are in two
        // lanes; lane 2 is added to lane 0 first, then lane 1.
        let mut elements = vec![0.0; 3 * 1024];
        (elements[0], elements[1024], elements[2048]) = (big, 1.0, 1.0);
        assert_eq!(sum(&elements), big);
        // In one block the same three would be in lane 0.
        assert_eq!(sum(&[]), 0.0);
        assert_eq!(sum(&[f32::from_bits(0x5e80_0000); 3]), f32::from_bits(0x5e80_0000));
        let many = vec![1.0; 3_000_000];
        assert_eq!(sum(&many), 3_000_000.0);
    }

    #[test]
    fn chunks_of_256_begin_at_zero() {
        let big = 16_777_216.0;
        let terms =
            |ones: usize| std::iter::once((4096.0, 4096.0)).chain(std::iter::repeat_n((1.0, 1.0), ones));
        // 255 ones are lost one after the other in the first chunk; the next 256 are added up first.
        assert_eq!(dot(terms(255)), big);
        assert_eq!(dot(terms(255 + 256)), big + 256.0);
        assert_eq!(dot(terms(255 + 3)), big + 4.0);
        assert_eq!(dot(std::iter::empty()), 0.0);
    }
}
