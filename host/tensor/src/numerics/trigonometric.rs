//! Sine and cosine over the whole canonical range, by an integer reduction of Payne and Hanek's kind.
//!
//! WGSL has neither 64-bit integers nor the upper half of a 32-bit product, so products are made of 16-bit
//! pieces. Angles are radians; [`cos_turn`] takes a fraction of a turn.

use super::Scalar;
use super::canonical::canon_sum;
use super::double::{Pair, fast_two_sum, floats, polynomial, split};

/// 160 bits of 2/π: bit i (from the top) has weight 2^(25 − i).
const TWO_OVER_PI: [u32; 5] = [0x0000_0028, 0xbe60_db93, 0x9105_4a7f, 0x09d5_f47d, 0x4d37_7036];
/// π/2 in parts of 12, 12 and 24 bits.
const HALF_PI: [f32; 3] = floats([0x3fc9_0000, 0x39fd_a000, 0x33a2_2169]);
/// π/2.
const HALF_PI_NEAREST: f32 = f32::from_bits(0x3fc9_0fdb);
/// (sin r / r − 1) / r² in r², minimax on |r| ≤ 0.786: 2^-28.0 as rounded.
const SIN: [f32; 4] = floats([0xbe2a_aaab, 0x3c08_8884, 0xb950_07bb, 0x3636_67fc]);
/// (cos r − 1 + r²/2) / r⁴ in r², minimax on |r| ≤ 0.786: 2^-30.4 as rounded.
const COS: [f32; 4] = floats([0x3d2a_aaab, 0xbab6_0b5c, 0x37d0_086c, 0xb492_0e8f]);

/// The upper 32 bits of a · b, for a < 2^24.
#[inline(always)]
fn product_high<S: Scalar>(s: &mut S, a: S::U, b: S::U) -> S::U {
    let sixteen = s.word(16);
    let lower = s.word(0xffff);
    let a1 = s.shr(a, sixteen);
    let a0 = s.and(a, lower);
    let b1 = s.shr(b, sixteen);
    let b0 = s.and(b, lower);
    let p00 = s.umul(a0, b0);
    let p01 = s.umul(a0, b1);
    let p10 = s.umul(a1, b0);
    let p11 = s.umul(a1, b1);
    let carry = s.shr(p00, sixteen);
    let middle = s.uadd(p01, carry);
    let middle_low = s.and(middle, lower);
    let middle_high = s.shr(middle, sixteen);
    let second = s.uadd(p10, middle_low);
    let second_high = s.shr(second, sixteen);
    let high = s.uadd(p11, middle_high);
    s.uadd(high, second_high)
}

/// a + b and the carry as a word.
#[inline(always)]
fn add_carry<S: Scalar>(s: &mut S, a: S::U, b: S::U) -> (S::U, S::U) {
    let zero = s.word(0);
    let one = s.word(1);
    let sum = s.uadd(a, b);
    let wrapped = s.ult(sum, a);
    let carry = s.uselect(wrapped, one, zero);
    (sum, carry)
}

/// |x| · 2/π modulo 4 as a 96-bit fixed-point number, highest word first, the binary point after the two
/// top bits; for 1/2 ≤ |x| ≤ 2^62. Off by less than 2^-70.
///
/// With |x| = M · 2^e the bits of 2/π that matter begin at weight 2^−(e−1): those above give multiples of 4.
#[inline(always)]
fn quarter_turns<S: Scalar>(s: &mut S, x: S::F) -> [S::U; 3] {
    let zero = s.word(0);
    let bits = s.bits(x);
    let exponent_position = s.word(23);
    let fraction_mask = s.word(0x007f_ffff);
    let hidden = s.word(0x0080_0000);
    let fraction = s.and(bits, fraction_mask);
    let significand = s.or(fraction, hidden);
    let first_exponent = s.word(126);
    let exponent = s.shr(bits, exponent_position);
    let offset = s.usub(exponent, first_exponent);

    let thirty_one = s.word(31);
    let in_first = s.ult(thirty_one, offset);
    let shift = s.and(offset, thirty_one);
    let complement = s.usub(thirty_one, shift);
    let one = s.word(1);
    let mut words = [zero; 4];
    for (i, word) in words.iter_mut().enumerate() {
        let here = s.word(TWO_OVER_PI[i]);
        let next = s.word(TWO_OVER_PI[i + 1]);
        *word = s.uselect(in_first, next, here);
    }
    let mut window = [zero; 3];
    for (i, word) in window.iter_mut().enumerate() {
        let left = s.shl(words[i], shift);
        // A shift by 32 − shift, in two steps because 32 is not a shift.
        let right = s.shr(words[i + 1], one);
        let right = s.shr(right, complement);
        *word = s.or(left, right);
    }

    let low2 = s.umul(significand, window[2]);
    let high2 = product_high(s, significand, window[2]);
    let low1 = s.umul(significand, window[1]);
    let high1 = product_high(s, significand, window[1]);
    let low0 = s.umul(significand, window[0]);
    let (middle, carry) = add_carry(s, low1, high2);
    let top = s.uadd(low0, high1);
    let top = s.uadd(top, carry);
    [top, middle, low2]
}

/// |x| as quadrant · π/2 + r: (quadrant modulo 4, r as a pair), |r| ≤ π/4; for 1/2 ≤ |x| ≤ 2^62.
#[inline(always)]
fn reduce<S: Scalar>(s: &mut S, x: S::F) -> (S::U, Pair<S>) {
    let [top, middle, low] = quarter_turns(s, x);
    let thirty = s.word(30);
    let half = s.word(1 << 29);
    let zero = s.word(0);
    let ones = s.word(u32::MAX);
    let shifted = s.uadd(top, half);
    let quadrant = s.shr(shifted, thirty);
    let whole = s.shl(quadrant, thirty);
    let fraction = s.usub(top, whole);
    // One's complement where negative: off by 2^-94 of a quarter turn.
    let negative = s.ilt(fraction, zero);
    let flip = s.uselect(negative, ones, zero);
    let top = s.xor(fraction, flip);
    let middle = s.xor(middle, flip);
    let low = s.xor(low, flip);

    // The magnitude, below 2^29 in the top word, in pieces of 23, 24 and 24 bits, each exact as a float.
    let six = s.word(6);
    let ten = s.word(10);
    let fourteen = s.word(14);
    let eighteen = s.word(18);
    let twenty_two = s.word(22);
    let mask6 = s.word(0x3f);
    let mask14 = s.word(0x3fff);
    let first = s.shr(top, six);
    let second_high = s.and(top, mask6);
    let second_high = s.shl(second_high, eighteen);
    let second_low = s.shr(middle, fourteen);
    let second = s.or(second_high, second_low);
    let third_high = s.and(middle, mask14);
    let third_high = s.shl(third_high, ten);
    let third_low = s.shr(low, twenty_two);
    let third = s.or(third_high, third_low);
    let unit1 = s.float(f32::from_bits(0x3380_0000));
    let unit2 = s.float(f32::from_bits(0x2780_0000));
    let unit3 = s.float(f32::from_bits(0x1b80_0000));
    let first = s.from_int(first);
    let first = s.mul(first, unit1);
    let second = s.from_int(second);
    let second = s.mul(second, unit2);
    let third = s.from_int(third);
    let third = s.mul(third, unit3);
    let sum = fast_two_sum(s, first, second);
    let turn_low = s.add(sum.low, third);

    let r = times_half_pi(s, sum.high, turn_low);
    let opposite_high = s.neg(r.high);
    let opposite_low = s.neg(r.low);
    let high = s.select(negative, opposite_high, r.high);
    let low = s.select(negative, opposite_low, r.low);
    (quadrant, Pair { high, low })
}

/// (high + low) · π/2 as a pair. The products of the leading 12-bit parts are exact; the pieces of a
/// reduced angle are at least 2^-34 or 0, so none is subnormal.
#[inline(always)]
fn times_half_pi<S: Scalar>(s: &mut S, high: S::F, low: S::F) -> Pair<S> {
    let part1 = s.float(HALF_PI[0]);
    let part2 = s.float(HALF_PI[1]);
    let part3 = s.float(HALF_PI[2]);
    let nearest = s.float(HALF_PI_NEAREST);
    let parts = split(s, high);
    let leading = s.mul(parts.high, part1);
    let cross1 = s.mul(parts.high, part2);
    let cross2 = s.mul(parts.low, part1);
    let small1 = s.mul(parts.low, part2);
    let small2 = s.mul(high, part3);
    let small3 = s.mul(low, nearest);
    let small = s.add(small2, small3);
    let small = s.add(small, small1);
    let sum = fast_two_sum(s, leading, cross2);
    let rest = s.add(sum.low, small);
    let rest = s.add(cross1, rest);
    fast_two_sum(s, sum.high, rest)
}

/// sin r and cos r for |r| ≤ π/4 and a small.
///
/// sin: r + (r³ · P(r²) + low); cos: with h = r²/2 and w = 1 − h,
/// w + (((1 − w) − h) + (r⁴ · Q(r²) − r · low)).
/// r² of a tiny r may be flushed; next to r or 1 it is nothing either way.
#[inline(always)]
fn sin_cos_reduced<S: Scalar>(s: &mut S, r: Pair<S>) -> (S::F, S::F) {
    let one = s.float(1.0);
    let half = s.float(0.5);
    let square = s.mul(r.high, r.high);
    let sin_curve = polynomial(s, square, &SIN);
    let sin_curve = s.mul(square, sin_curve);
    let sin_rest = s.mul(r.high, sin_curve);
    let sin_rest = s.add(sin_rest, r.low);
    let sin = s.add(r.high, sin_rest);

    let cos_curve = polynomial(s, square, &COS);
    let fourth = s.mul(square, square);
    let cos_rest = s.mul(fourth, cos_curve);
    let slope = s.mul(r.high, r.low);
    let cos_rest = s.sub(cos_rest, slope);
    let halved = s.mul(half, square);
    let whole = s.sub(one, halved);
    let seen = s.sub(one, whole);
    let unseen = s.sub(seen, halved);
    let cos_rest = s.add(unseen, cos_rest);
    let cos = s.add(whole, cos_rest);
    (sin, cos)
}

/// sin of the angle `quadrant` · π/2 + r.
#[inline(always)]
fn sin_quadrant<S: Scalar>(s: &mut S, quadrant: S::U, r: Pair<S>) -> S::F {
    let (sin, cos) = sin_cos_reduced(s, r);
    let one = s.word(1);
    let two = s.word(2);
    let zero = s.word(0);
    let odd = s.and(quadrant, one);
    let is_even = s.ueq(odd, zero);
    let value = s.select(is_even, sin, cos);
    let lower = s.and(quadrant, two);
    let is_upper = s.ueq(lower, zero);
    let opposite = s.neg(value);
    s.select(is_upper, value, opposite)
}

/// |x| reduced: a |x| below π/4 is its own remainder.
#[inline(always)]
fn reduce_any<S: Scalar>(s: &mut S, magnitude: S::F) -> (S::U, Pair<S>) {
    let zero = s.float(0.0);
    let zero_word = s.word(0);
    let half = s.float(0.5);
    let threshold = s.float(f32::from_bits(0x3f49_0fda));
    let safe = s.max(magnitude, half);
    let (quadrant, r) = reduce(s, safe);
    let is_small = s.lt(magnitude, threshold);
    let quadrant = s.uselect(is_small, zero_word, quadrant);
    let high = s.select(is_small, magnitude, r.high);
    let low = s.select(is_small, zero, r.low);
    (quadrant, Pair { high, low })
}

/// sin x, x in radians, for every canonical x.
#[inline(always)]
pub fn sin<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    let zero = s.float(0.0);
    let magnitude = s.abs(x);
    let (quadrant, r) = reduce_any(s, magnitude);
    let value = sin_quadrant(s, quadrant, r);
    let opposite = s.neg(value);
    let negative = s.lt(x, zero);
    let value = s.select(negative, opposite, value);
    canon_sum(s, value)
}

/// cos x, x in radians, for every canonical x.
#[inline(always)]
pub fn cos<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    let one = s.word(1);
    let magnitude = s.abs(x);
    let (quadrant, r) = reduce_any(s, magnitude);
    let quadrant = s.uadd(quadrant, one);
    let value = sin_quadrant(s, quadrant, r);
    canon_sum(s, value)
}

/// cos(2π · turn · 2^-24) for turn < 2^24; the reduction is exact.
#[inline(always)]
pub fn cos_turn<S: Scalar>(s: &mut S, turn: S::U) -> S::F {
    let half = s.word(1 << 21);
    let position = s.word(22);
    let three = s.word(3);
    let one = s.word(1);
    let zero = s.float(0.0);
    let unit = s.float(f32::from_bits(0x3480_0000));
    let shifted = s.uadd(turn, half);
    let quadrant = s.shr(shifted, position);
    let whole = s.shl(quadrant, position);
    let fraction = s.usub(turn, whole);
    let fraction = s.from_int(fraction);
    let fraction = s.mul(fraction, unit);
    let r = times_half_pi(s, fraction, zero);
    let quadrant = s.uadd(quadrant, one);
    let quadrant = s.and(quadrant, three);
    let value = sin_quadrant(s, quadrant, r);
    canon_sum(s, value)
}
