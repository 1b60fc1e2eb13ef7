//! The trait that every canonical scalar function is written over, and its native instantiation.
//!
//! A scalar function (`exp`, `adamw`, a comparison) is one generic Rust function over [`Scalar`].
//! With [`Native`] it runs on the CPU, where LLVM vectorises it; with the shader emitter of
//! `anneal-tensor-gpu` it writes WGSL, barriers included. Nothing here knows about tensors.
//!
//! Functions over this trait select, they never branch on data: both sides of a selection are
//! computed, so the same sequence is a vector loop on a CPU and straight-line code in a shader.

/// The arithmetic a canonical scalar function may use.
///
/// `F` is a 32-bit float, `U` a 32-bit word (also used for two's complement integers), `B` a truth
/// value. Every float method is *one* correctly rounded IEEE-754 binary32 operation (ties to even)
/// whose result cannot be fused or reassociated with its neighbours; where a platform promises less,
/// the instantiation restores it (a barrier, an integer correction). No method canonicalises its
/// result: see [`super::canonical`] for `canon_sum`, `canon_product` and `round12`.
///
/// Callers keep float values finite. Subnormal inputs or results may be flushed to zero by an
/// instantiation, and the sign of zero is unspecified, so a function must give the same canonical
/// result either way.
#[expect(clippy::wrong_self_convention, reason = "self is the platform that computes, not the value")]
pub trait Scalar {
    /// A binary32 value.
    type F: Copy;
    /// A 32-bit word.
    type U: Copy;
    /// A truth value.
    type B: Copy;

    /// The float with these bits. The bits must be finite and not subnormal.
    fn float(&mut self, value: f32) -> Self::F;
    /// The word with this value.
    fn word(&mut self, value: u32) -> Self::U;

    /// a + b, rounded once.
    fn add(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// a - b, rounded once.
    fn sub(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// a * b, rounded once.
    fn mul(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// a / b, rounded once; a is zero or in [2^-100, 2^100] in magnitude, b in [2^-100, 2^100], and the
    /// quotient is below 2^128 in magnitude. It may be subnormal, and then flushed like any other.
    fn div(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// The square root, rounded once; a is zero or in [2^-123, 2^124].
    fn sqrt(&mut self, a: Self::F) -> Self::F;

    /// -a (exact).
    fn neg(&mut self, a: Self::F) -> Self::F;
    /// |a| (exact).
    fn abs(&mut self, a: Self::F) -> Self::F;
    /// The smaller of two finite values.
    fn min(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// The larger of two finite values.
    fn max(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// a < b.
    fn lt(&mut self, a: Self::F, b: Self::F) -> Self::B;
    /// a <= b.
    fn le(&mut self, a: Self::F, b: Self::F) -> Self::B;
    /// a == b; both zeros are equal.
    fn eq(&mut self, a: Self::F, b: Self::F) -> Self::B;

    /// The bits of a float.
    fn bits(&mut self, a: Self::F) -> Self::U;
    /// The float with these bits; the caller makes sure it is finite and not subnormal.
    fn from_bits(&mut self, a: Self::U) -> Self::F;
    /// Truncation towards zero; |a| < 2^31.
    fn to_int(&mut self, a: Self::F) -> Self::U;
    /// The float equal to a two's complement word; |a| <= 2^24, so it is exact.
    fn from_int(&mut self, a: Self::U) -> Self::F;

    /// Wrapping sum.
    fn uadd(&mut self, a: Self::U, b: Self::U) -> Self::U;
    /// Wrapping difference.
    fn usub(&mut self, a: Self::U, b: Self::U) -> Self::U;
    /// Wrapping product (low 32 bits).
    fn umul(&mut self, a: Self::U, b: Self::U) -> Self::U;
    /// Bitwise and.
    fn and(&mut self, a: Self::U, b: Self::U) -> Self::U;
    /// Bitwise or.
    fn or(&mut self, a: Self::U, b: Self::U) -> Self::U;
    /// Bitwise exclusive or.
    fn xor(&mut self, a: Self::U, b: Self::U) -> Self::U;
    /// Left shift by `n & 31`.
    fn shl(&mut self, a: Self::U, n: Self::U) -> Self::U;
    /// Logical right shift by `n & 31`.
    fn shr(&mut self, a: Self::U, n: Self::U) -> Self::U;
    /// Arithmetic right shift by `n & 31`.
    fn sar(&mut self, a: Self::U, n: Self::U) -> Self::U;
    /// a / b of two's complement words, truncated; b = 0 gives 0, MIN / -1 gives MIN.
    fn idiv(&mut self, a: Self::U, b: Self::U) -> Self::U;
    /// a == b.
    fn ueq(&mut self, a: Self::U, b: Self::U) -> Self::B;
    /// a < b, unsigned.
    fn ult(&mut self, a: Self::U, b: Self::U) -> Self::B;
    /// a < b, two's complement.
    fn ilt(&mut self, a: Self::U, b: Self::U) -> Self::B;

    /// Logical and.
    fn both(&mut self, a: Self::B, b: Self::B) -> Self::B;
    /// Logical or.
    fn either(&mut self, a: Self::B, b: Self::B) -> Self::B;
    /// Logical not.
    fn not(&mut self, a: Self::B) -> Self::B;
    /// `yes` where the condition holds, else `no`.
    fn select(&mut self, condition: Self::B, yes: Self::F, no: Self::F) -> Self::F;
    /// `yes` where the condition holds, else `no`.
    fn uselect(&mut self, condition: Self::B, yes: Self::U, no: Self::U) -> Self::U;
}

/// The CPU instantiation: plain IEEE arithmetic, one instruction a method.
#[derive(Clone, Copy, Debug, Default)]
pub struct Native;

impl Scalar for Native {
    type F = f32;
    type U = u32;
    type B = bool;

    #[inline(always)]
    fn float(&mut self, value: f32) -> f32 {
        value
    }
    #[inline(always)]
    fn word(&mut self, value: u32) -> u32 {
        value
    }
    #[inline(always)]
    fn add(&mut self, a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    fn sub(&mut self, a: f32, b: f32) -> f32 {
        a - b
    }
    #[inline(always)]
    fn mul(&mut self, a: f32, b: f32) -> f32 {
        a * b
    }
    #[inline(always)]
    fn div(&mut self, a: f32, b: f32) -> f32 {
        a / b
    }
    #[inline(always)]
    fn sqrt(&mut self, a: f32) -> f32 {
        a.sqrt()
    }
    #[inline(always)]
    fn neg(&mut self, a: f32) -> f32 {
        -a
    }
    #[inline(always)]
    fn abs(&mut self, a: f32) -> f32 {
        a.abs()
    }
    #[inline(always)]
    fn min(&mut self, a: f32, b: f32) -> f32 {
        if a < b { a } else { b }
    }
    #[inline(always)]
    fn max(&mut self, a: f32, b: f32) -> f32 {
        if a > b { a } else { b }
    }
    #[inline(always)]
    fn lt(&mut self, a: f32, b: f32) -> bool {
        a < b
    }
    #[inline(always)]
    fn le(&mut self, a: f32, b: f32) -> bool {
        a <= b
    }
    #[inline(always)]
    fn eq(&mut self, a: f32, b: f32) -> bool {
        a == b
    }
    #[inline(always)]
    fn bits(&mut self, a: f32) -> u32 {
        a.to_bits()
    }
    #[inline(always)]
    fn from_bits(&mut self, a: u32) -> f32 {
        f32::from_bits(a)
    }
    #[inline(always)]
    fn to_int(&mut self, a: f32) -> u32 {
        a as i32 as u32
    }
    #[inline(always)]
    fn from_int(&mut self, a: u32) -> f32 {
        a as i32 as f32
    }
    #[inline(always)]
    fn uadd(&mut self, a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }
    #[inline(always)]
    fn usub(&mut self, a: u32, b: u32) -> u32 {
        a.wrapping_sub(b)
    }
    #[inline(always)]
    fn umul(&mut self, a: u32, b: u32) -> u32 {
        a.wrapping_mul(b)
    }
    #[inline(always)]
    fn and(&mut self, a: u32, b: u32) -> u32 {
        a & b
    }
    #[inline(always)]
    fn or(&mut self, a: u32, b: u32) -> u32 {
        a | b
    }
    #[inline(always)]
    fn xor(&mut self, a: u32, b: u32) -> u32 {
        a ^ b
    }
    #[inline(always)]
    fn shl(&mut self, a: u32, n: u32) -> u32 {
        a << (n & 31)
    }
    #[inline(always)]
    fn shr(&mut self, a: u32, n: u32) -> u32 {
        a >> (n & 31)
    }
    #[inline(always)]
    fn sar(&mut self, a: u32, n: u32) -> u32 {
        ((a as i32) >> (n & 31)) as u32
    }
    #[inline(always)]
    fn idiv(&mut self, a: u32, b: u32) -> u32 {
        if b == 0 { 0 } else { (a as i32).wrapping_div(b as i32) as u32 }
    }
    #[inline(always)]
    fn ueq(&mut self, a: u32, b: u32) -> bool {
        a == b
    }
    #[inline(always)]
    fn ult(&mut self, a: u32, b: u32) -> bool {
        a < b
    }
    #[inline(always)]
    fn ilt(&mut self, a: u32, b: u32) -> bool {
        (a as i32) < (b as i32)
    }
    #[inline(always)]
    fn both(&mut self, a: bool, b: bool) -> bool {
        a & b
    }
    #[inline(always)]
    fn either(&mut self, a: bool, b: bool) -> bool {
        a | b
    }
    #[inline(always)]
    fn not(&mut self, a: bool) -> bool {
        !a
    }
    #[inline(always)]
    fn select(&mut self, condition: bool, yes: f32, no: f32) -> f32 {
        if condition { yes } else { no }
    }
    #[inline(always)]
    fn uselect(&mut self, condition: bool, yes: u32, no: u32) -> u32 {
        if condition { yes } else { no }
    }
}
