//! Accuracy, canon and insensitivity of the scalar functions on a stratified sample.

use super::super::canonical::{self, import};
use super::super::element::{Lane, evaluate};
use super::*;
use crate::{AdamwScalars, DType, ElementOp, SgdScalars};

/// The worst error allowed, in units in the last place.
fn allowed(function: UnaryFunction) -> f64 {
    match function {
        UnaryFunction::Neg | UnaryFunction::Abs | UnaryFunction::Sign | UnaryFunction::Floor => 0.0,
        UnaryFunction::Recip | UnaryFunction::Sqrt => 0.5,
        UnaryFunction::Rsqrt => 1.5,
        UnaryFunction::Exp => 0.7,
        UnaryFunction::Ln => 0.8,
        UnaryFunction::Tanh => 1.4,
        UnaryFunction::Sigmoid => 1.9,
        UnaryFunction::Erf => 1.4,
        UnaryFunction::Sin | UnaryFunction::Cos => 1.0,
    }
}

#[test]
fn functions_are_accurate_canonical_and_blind_to_flushing() {
    let mut report = String::new();
    let mut good = true;
    for function in UnaryFunction::ALL {
        let mut flushing = Flushing::new(1);
        let mut worst = WorstCase::NONE;
        for x in canonical_samples(1 << 19) {
            worst = worst.merge(case(function, x, &mut flushing));
        }
        let input = f32::from_bits(worst.input);
        report += &format!("{function:?}: {worst:?} at {input:e}\n");
        good &= worst.ulp <= allowed(function) && worst.not_canonical == 0 && worst.moved == 0;
    }
    assert!(good, "{report}");
}

#[test]
fn pow_is_accurate_canonical_and_blind_to_flushing() {
    let mut flushing = Flushing::new(1);
    let mut worst = WorstCase::NONE;
    let mut worst_b = 0.0;
    let mut check = |a: f32, b: f32| {
        let case = pow_case(a, b, &mut flushing);
        if case.ulp > worst.ulp {
            worst_b = b;
        }
        worst = worst.merge(case);
    };
    let special = [0.0, 1.0, -1.0, 2.0, 3.0, -3.0, 0.5, -0.5, 1e7, 16_777_217.0, 16_777_215.0, MAX, GRID];
    for a in canonical_samples(0) {
        for b in special {
            check(a, b);
            check(b, a);
        }
    }
    let samples: Vec<f32> = canonical_samples(1 << 17).collect();
    for (i, &a) in samples.iter().enumerate() {
        let i = i as u32;
        check(a, samples[scramble(i) as usize % samples.len()]);
        // An exponent that brings the result within range.
        let logarithm = f64::from(a.abs().max(GRID)).ln();
        let target = f64::from(scramble(i)) / 4_294_967_296.0 * 112.0 - 69.0;
        let b = import((target / logarithm) as f32).unwrap_or(2.0);
        check(a.abs(), b);
        let near_one = 1.0 + (scramble(!i) as i32 as f32) / 8_589_934_592.0;
        let b = (target / f64::from(near_one).ln()) as f32;
        check(near_one, import(b).unwrap_or(1.0));
    }
    let input = f32::from_bits(worst.input);
    let message = format!("{worst:?}: {input:e} to the power {worst_b:e}");
    assert!(worst.ulp <= 0.7 && worst.not_canonical == 0 && worst.moved == 0, "{message}");
}

/// The result of an operation on f32 with [`Native`] and with [`Flushing`], as words.
fn both(op: &ElementOp, inputs: &[f32], flushing: &mut Flushing) -> (f32, u32, u32) {
    let dtypes = [DType::F32; 3];
    let scalars = op.scalars();
    let native: Vec<Lane<Native>> = inputs.iter().map(|&x| Lane::F(x)).collect();
    let hostile: Vec<Lane<Flushing>> = inputs.iter().map(|&x| Lane::F(x)).collect();
    let dtypes = &dtypes[..inputs.len()];
    let plain = match evaluate(&mut Native, op, &native, dtypes, DType::F32, &scalars, 0) {
        Lane::F(x) => x,
        _ => panic!("{} gave another dtype", op.name()),
    };
    let other = match evaluate(flushing, op, &hostile, dtypes, DType::F32, &scalars, 0) {
        Lane::F(x) => x,
        _ => panic!("{} gave another dtype", op.name()),
    };
    (plain, canonical_word(plain), canonical_word(other))
}

#[test]
fn arithmetic_is_exact_canonical_and_blind_to_flushing() {
    let mut flushing = Flushing::new(5);
    let samples: Vec<f32> = canonical_samples(1 << 18).collect();
    let boundary: Vec<f32> = canonical_samples(0).collect();
    let pairs = samples.iter().enumerate().map(|(i, &a)| {
        let j = scramble(i as u32) as usize;
        // A partner of any size, a boundary, or one of about the same size, where sums cancel.
        let b = match j % 3 {
            0 => samples[j / 3 % samples.len()],
            1 => boundary[j / 3 % boundary.len()],
            _ => f32::from_bits(a.to_bits().wrapping_add(j as u32 % 0x0200_0000).wrapping_sub(0x0100_0000)),
        };
        (a, import(b).unwrap_or(1.0))
    });
    for (a, b) in pairs {
        let (x, y) = (f64::from(a), f64::from(b));
        let quotient = if b == 0.0 { f64::from(if a < 0.0 { -MAX } else { MAX }) } else { x / y };
        let cases = [
            (ElementOp::Add, (x + y) as f32, false),
            (ElementOp::Sub, (x - y) as f32, false),
            (ElementOp::Mul, (x * y) as f32, true),
            // Rounding a quotient to f64 and then to f32 is rounding it once (53 ≥ 2 · 24 + 2).
            (ElementOp::Div, quotient as f32, true),
            (ElementOp::Max, a.max(b), false),
            (ElementOp::Min, a.min(b), false),
        ];
        for (op, rounded, is_product) in cases {
            let flushed = if is_product && rounded.abs() < MIN_PRODUCT { 0.0 } else { rounded };
            let expected = flushed.clamp(-MAX, MAX);
            let (value, word, hostile) = both(&op, &[a, b], &mut flushing);
            assert_eq!(word, canonical_word(expected), "{} {a:e} {b:e}", op.name());
            assert_eq!(word, hostile, "{} {a:e} {b:e}", op.name());
            assert!(is_canonical(value));
        }
    }
}

#[test]
fn quotients_by_zero_follow_the_sign_of_the_dividend() {
    for (a, expected) in [(0.0, MAX), (-0.0, MAX), (GRID, MAX), (-GRID, -MAX), (-1.0, -MAX)] {
        assert_eq!(canonical::div(a, 0.0), expected);
        assert_eq!(canonical::div(a, -0.0), expected);
    }
}

/// A canonical value for an optimiser: ordinary, or of any size.
fn any(i: u32, salt: u32) -> f32 {
    let word = scramble(i.wrapping_mul(16).wrapping_add(salt));
    let other = scramble(word);
    let bits = match word % 4 {
        0 => (other % 186 + 4) << 23 | word >> 9,
        1 => (other % 24 + 4) << 23 | word >> 9 & 0x007f_0000,
        2 => (other % 20 + 117) << 23 | word >> 9,
        _ => [0, MAX.to_bits(), GRID.to_bits(), MIN_PRODUCT.to_bits()][other as usize % 4],
    };
    import(f32::from_bits(bits | word << 31)).unwrap_or(0.0)
}

#[test]
fn optimisers_are_canonical_and_blind_to_flushing() {
    let mut flushing = Flushing::new(9);
    for i in 0..1 << 18 {
        let sgd = SgdScalars {
            learning_rate: any(i, 0),
            momentum: any(i, 1),
            weight_decay: any(i, 2),
            nesterov: i % 2 == 0,
        };
        let adamw = AdamwScalars {
            learning_rate: any(i, 3),
            beta1: any(i, 4),
            beta2: any(i, 5),
            epsilon: any(i, 6),
            weight_decay: any(i, 7),
            correction1: any(i, 8),
            correction2: any(i, 9),
        };
        let inputs = [any(i, 10), any(i, 11), any(i, 12)];
        let ops = [
            (ElementOp::SgdVelocity(sgd), 3),
            (ElementOp::SgdParameter(sgd), 3),
            (ElementOp::AdamwFirst(adamw), 2),
            (ElementOp::AdamwSecond(adamw), 2),
            (ElementOp::AdamwParameter(adamw), 3),
        ];
        for (op, arity) in ops {
            let (value, word, hostile) = both(&op, &inputs[..arity], &mut flushing);
            assert!(is_canonical(value), "{op:?} {inputs:?}");
            assert_eq!(word, hostile, "{op:?} {inputs:?}");
        }
    }
}

#[test]
fn optimisers_follow_their_formulas() {
    let sgd = SgdScalars { learning_rate: 0.1, momentum: 0.9, weight_decay: 0.01, nesterov: false };
    let ahead = SgdScalars { nesterov: true, ..sgd };
    let adamw = AdamwScalars {
        learning_rate: 0.001,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.01,
        correction1: canonical::sub(1.0, canonical::powi(0.9, 3)),
        correction2: canonical::sub(1.0, canonical::powi(0.999, 3)),
    };
    let (p, g, v) = (0.75, -0.25, 0.5);
    let first =
        (0.75 - 0.001 * 0.01 * 0.75) - 0.001 * (-0.25 / 0.271) / ((0.5_f64 / 0.002_997_001).sqrt() + 1e-8);
    let cases = [
        (ElementOp::SgdVelocity(sgd), vec![v, g, p], 0.9 * 0.5 + (-0.25 + 0.01 * 0.75)),
        (ElementOp::SgdParameter(sgd), vec![p, g, v], 0.75 - 0.1 * 0.5),
        (ElementOp::SgdParameter(ahead), vec![p, g, v], 0.75 - 0.1 * (0.9 * 0.5 + (-0.25 + 0.01 * 0.75))),
        (ElementOp::AdamwFirst(adamw), vec![p, g], 0.9 * 0.75 - 0.1 * 0.25),
        (ElementOp::AdamwSecond(adamw), vec![p, g], 0.999 * 0.75 + 0.001 * 0.0625),
        (ElementOp::AdamwParameter(adamw), vec![p, g, v], first),
    ];
    let mut flushing = Flushing::new(1);
    for (op, inputs, expected) in cases {
        let (value, _, _) = both(&op, &inputs, &mut flushing);
        assert!((f64::from(value) - expected).abs() < 1e-6, "{}: {value} for {expected}", op.name());
    }
}

#[test]
fn draws_are_blind_to_flushing() {
    let mut flushing = Flushing::new(2);
    for i in 0..1 << 16 {
        let key = [scramble(i), 17];
        for op in [ElementOp::Uniform(key), ElementOp::Normal(key)] {
            let (value, word, hostile) = both(&op, &[], &mut flushing);
            assert!(is_canonical(value));
            assert_eq!(word, hostile);
        }
    }
}

#[test]
fn round12_is_blind_to_flushing() {
    let mut flushing = Flushing::new(4);
    for x in canonical_samples(1 << 19) {
        let plain = canonical::round12(&mut Native, x);
        let hostile = canonical::round12(&mut flushing, x);
        assert_eq!(canonical_word(plain), canonical_word(hostile), "{x:e}");
        if plain != 0.0 && plain.abs() != canonical::ROUND12_MAX {
            assert!((f64::from(plain) / f64::from(x) - 1.0).abs() <= 2_f64.powi(-12), "{x:e}");
            assert_eq!(plain.to_bits() & 0xfff, 0);
        }
    }
}

#[test]
fn casts_between_all_dtypes_follow_the_table() {
    let s = &mut Native;
    let lanes = |dtype| match dtype {
        DType::F32 => Lane::<Native>::F(3.0),
        DType::Bf16 => Lane::U(0x4040),
        DType::F16 => Lane::U(0x4200),
        DType::Bool => Lane::B(true),
        DType::I32 | DType::U8 => Lane::U(3),
    };
    for from in DType::ALL {
        for to in DType::ALL {
            let result = evaluate(s, &ElementOp::Cast, &[lanes(from)], &[from], to, &[], 0);
            let one = from == DType::Bool;
            let good = match (to, result) {
                (DType::F32, Lane::F(x)) => x == if one { 1.0 } else { 3.0 },
                (DType::Bf16, Lane::U(x)) => x == if one { 0x3f80 } else { 0x4040 },
                (DType::F16, Lane::U(x)) => x == if one { 0x3c00 } else { 0x4200 },
                (DType::I32 | DType::U8, Lane::U(x)) => x == if one { 1 } else { 3 },
                (DType::Bool, Lane::B(x)) => x,
                _ => false,
            };
            assert!(good, "{from} to {to}");
        }
    }
    let byte = evaluate(s, &ElementOp::Cast, &[Lane::U(0x1ff)], &[DType::I32], DType::U8, &[], 0);
    assert!(matches!(byte, Lane::U(0xff)));
    let full = evaluate(s, &ElementOp::Full(0), &[], &[], DType::F16, &[0x1_4200], 0);
    assert!(matches!(full, Lane::U(0x4200)));
}

#[test]
fn truth_values_and_words() {
    let s = &mut Native;
    for (a, b) in [(false, false), (false, true), (true, false), (true, true)] {
        let inputs = [Lane::<Native>::B(a), Lane::B(b)];
        let dtypes = [DType::Bool; 2];
        for (op, expected) in [
            (ElementOp::And, a & b),
            (ElementOp::Or, a | b),
            (ElementOp::Xor, a ^ b),
            (ElementOp::Eq, a == b),
        ] {
            let result = evaluate(s, &op, &inputs, &dtypes, DType::Bool, &[], 0);
            assert!(matches!(result, Lane::B(x) if x == expected), "{} {a} {b}", op.name());
        }
    }
    let words = |a: i32, b: i32| [Lane::<Native>::U(a as u32), Lane::U(b as u32)];
    let dtypes = [DType::I32; 2];
    for (op, a, b, expected) in [
        (ElementOp::Add, i32::MAX, 1, i32::MIN),
        (ElementOp::Sub, i32::MIN, 1, i32::MAX),
        (ElementOp::Mul, 1 << 20, 1 << 12, 0),
        (ElementOp::Div, 7, 0, 0),
        (ElementOp::Div, -7, 2, -3),
        (ElementOp::Div, i32::MIN, -1, i32::MIN),
        (ElementOp::Max, -1, 1, 1),
        (ElementOp::Min, -1, 1, -1),
    ] {
        let result = evaluate(s, &op, &words(a, b), &dtypes, DType::I32, &[], 0);
        assert!(matches!(result, Lane::U(x) if x as i32 == expected), "{} {a} {b}", op.name());
    }
}
