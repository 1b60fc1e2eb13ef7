//! Counter-based random numbers: Threefry-2x32-20 and what is drawn from it.
//!
//! Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). Not for
//! secrets. There is no generator state: an element's number depends on the key and its index alone.

use super::canonical::canon_product;
use super::logarithm::ln;
use super::trigonometric::cos_turn;
use super::{Native, Scalar};

/// Rotations, repeated every eight rounds.
const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
/// The parity of the key schedule.
const PARITY: u32 = 0x1bd1_1bda;

/// Threefry-2x32 with 20 rounds.
#[inline(always)]
pub fn threefry<S: Scalar>(s: &mut S, key: [S::U; 2], counter: [S::U; 2]) -> [S::U; 2] {
    let parity = s.word(PARITY);
    let both = s.xor(key[0], key[1]);
    let third = s.xor(parity, both);
    let schedule = [key[0], key[1], third];
    let mut x0 = s.uadd(counter[0], key[0]);
    let mut x1 = s.uadd(counter[1], key[1]);
    for group in 0..5 {
        for round in 0..4 {
            let rotation = ROTATIONS[(4 * group + round) % 8];
            x0 = s.uadd(x0, x1);
            let left = s.word(rotation);
            let right = s.word(32 - rotation);
            let upper = s.shl(x1, left);
            let lower = s.shr(x1, right);
            let rotated = s.or(upper, lower);
            x1 = s.xor(rotated, x0);
        }
        let number = s.word(group as u32 + 1);
        x0 = s.uadd(x0, schedule[(group + 1) % 3]);
        x1 = s.uadd(x1, schedule[(group + 2) % 3]);
        x1 = s.uadd(x1, number);
    }
    [x0, x1]
}

/// [`threefry`] on the host.
pub fn threefry_words(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    threefry(&mut Native, key, counter)
}

/// The key of a stream: Threefry under the seed's words (low, high) of the stream's words (low, high).
pub fn subkey(seed: u64, stream: u64) -> [u32; 2] {
    threefry_words([seed as u32, (seed >> 32) as u32], [stream as u32, (stream >> 32) as u32])
}

/// A multiple of 2^-24 in [0, 1): the upper 24 bits of Threefry(key, (index, 0))[0].
#[inline(always)]
pub fn uniform<S: Scalar>(s: &mut S, key: [S::U; 2], index: S::U) -> S::F {
    let zero = s.word(0);
    let eight = s.word(8);
    let unit = s.float(f32::from_bits(0x3380_0000));
    let [word, _] = threefry(s, key, [index, zero]);
    let upper = s.shr(word, eight);
    let integer = s.from_int(upper);
    s.mul(integer, unit)
}

/// A standard normal number by Box and Muller: with a and b the upper 24 bits of the two words of
/// Threefry(key, (index, 0)), sqrt(−2 ln((a + 1) · 2^-24)) · cos(2π · b · 2^-24). At most 5.77 in magnitude.
#[inline(always)]
pub fn normal<S: Scalar>(s: &mut S, key: [S::U; 2], index: S::U) -> S::F {
    let zero = s.word(0);
    let eight = s.word(8);
    let one = s.word(1);
    let unit = s.float(f32::from_bits(0x3380_0000));
    let [radius_word, angle_word] = threefry(s, key, [index, zero]);
    let upper = s.shr(radius_word, eight);
    let upper = s.uadd(upper, one);
    let integer = s.from_int(upper);
    let fraction = s.mul(integer, unit);
    let logarithm = ln(s, fraction);
    let minus_two = s.float(-2.0);
    let square = s.mul(minus_two, logarithm);
    // ln 1 = 0 may give a zero of either sign.
    let zero_float = s.float(0.0);
    let square = s.max(square, zero_float);
    let radius = s.sqrt(square);
    let turn = s.shr(angle_word, eight);
    let cosine = cos_turn(s, turn);
    let value = s.mul(radius, cosine);
    canon_product(s, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors() {
        // kat_vectors of Random123: key, counter, result.
        let cases = [
            ([0, 0], [0, 0], [0x6b20_0159, 0x99ba_4efe]),
            ([u32::MAX; 2], [u32::MAX; 2], [0x1cb9_96fc, 0xbb00_2be7]),
            ([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3], [0xc492_3a9c, 0x483d_f7a0]),
        ];
        for (key, counter, result) in cases {
            assert_eq!(threefry_words(key, counter), result);
        }
    }

    #[test]
    fn draws_have_their_moments() {
        let key = subkey(7, 11);
        let count = 1 << 18;
        let (mut mean, mut square, mut fourth, mut uniform_mean) = (0.0, 0.0, 0.0, 0.0);
        for index in 0..count {
            let x = f64::from(normal(&mut Native, key, index));
            mean += x;
            square += x * x;
            fourth += x * x * x * x;
            let u = uniform(&mut Native, key, index);
            assert!((0.0..1.0).contains(&u));
            uniform_mean += f64::from(u);
        }
        let count = f64::from(count);
        assert!((mean / count).abs() < 0.01);
        assert!((square / count - 1.0).abs() < 0.02);
        assert!((fourth / count - 3.0).abs() < 0.1);
        assert!((uniform_mean / count - 0.5).abs() < 0.005);
    }
}
