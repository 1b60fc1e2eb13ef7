//! The error function. Not gelu, which is a composition of it.

use super::Scalar;
use super::canonical::canon_product;
use super::double::{floats, limit, polynomial, with_sign};
use super::exponential::exp_bounded;

/// erf x / x − 1 in x², minimax on |x| ≤ 0.95: 2^-27.0 as rounded.
const NEAR: [f32; 7] =
    floats([0x3e03_75d4, 0xbec0_93a1, 0x3de7_16e5, 0xbcdc_04b1, 0x3baa_4b32, 0xba54_46c5, 0x38ab_a764]);
/// −ln(1 − erf x) on [0.92, 4], minimax for the relative error of erf: 2^-31 as rounded.
const FAR: [f32; 8] = floats([
    0xb937_2b27,
    0x3f90_93f2,
    0x3f22_2306,
    0x3ddd_c1f1,
    0xbccd_c73c,
    0x3b88_ad60,
    0xb9e3_c876,
    0x37b0_f517,
]);

/// The error function: x + x · P(x²) below 0.94, else 1 − e^−Q(min(|x|, 4)) with the sign of x.
///
/// Below 2^-100 the result is 0, as for a product.
#[inline(always)]
pub fn erf<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    let one = s.float(1.0);
    let magnitude = s.abs(x);

    let close = limit(s, x, -1.0, 1.0);
    let square = s.mul(close, close);
    let curve = polynomial(s, square, &NEAR);
    let rest = s.mul(close, curve);
    let near = s.add(close, rest);

    // Q lies in [0, 19] on [0, 4].
    let limited = limit(s, magnitude, 0.0, 4.0);
    let decay = polynomial(s, limited, &FAR);
    let decay = s.neg(decay);
    let complement = exp_bounded(s, decay);
    let far = s.sub(one, complement);
    let far = with_sign(s, far, x);

    let threshold = s.float(0.94);
    let is_near = s.lt(magnitude, threshold);
    let value = s.select(is_near, near, far);
    canon_product(s, value)
}
