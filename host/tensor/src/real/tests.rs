//! The f64 evaluator against published values, and against the reference where that is exact.

use super::*;
use crate::{Executor, Graph, Meter, Reference};

/// Published to 16 digits (Abramowitz and Stegun, table 7.1, and its continuation).
#[test]
fn error_function_of_published_points() {
    let points = [
        (0.0, 0.0),
        (0.1, 0.112_462_916_018_284_9),
        (0.5, 0.520_499_877_813_046_5),
        (1.0, 0.842_700_792_949_714_9),
        (2.0, 0.995_322_265_018_952_7),
        (3.0, 0.999_977_909_503_001_4),
        (3.5, 0.999_999_256_901_627_7),
        (7.0, 1.0),
    ];
    for (x, expected) in points {
        assert!((erf(x) - expected).abs() <= 4e-16, "erf {x} = {} ≠ {expected}", erf(x));
        assert_eq!(erf(-x), -erf(x));
    }
    // The two forms meet.
    let (below, above) = (erf(3.0), erf(3.0 + 1e-12));
    assert!((above - below).abs() < 1e-15);
}

#[test]
fn leaves_can_be_moved() {
    let mut graph = Graph::new(0, Meter::new(1 << 20));
    let x = graph.full(DType::F32, &[2], 3.0).unwrap();
    let square = graph.mul(&x, &x).unwrap();
    let moved = |node: &Tensor| node.same(&x).then(|| vec![2.0, 0.5]);
    assert_eq!(evaluate(std::slice::from_ref(&square), &moved)[0].elements, [4.0, 0.25]);
    assert_eq!(evaluate(&[square], &|_| None)[0].elements, [9.0, 9.0]);
}

#[test]
fn integers_and_random_words_are_those_of_the_reference() {
    let mut graph = Graph::new(3, Meter::new(1 << 20));
    let words = graph.iota(&[5]).unwrap();
    let large = graph.full(DType::I32, &[5], 2_147_483_600.0).unwrap();
    let targets = [
        graph.add(&words, &large).unwrap(),
        graph.mul(&words, &large).unwrap(),
        graph.div(&large, &words).unwrap(),
        graph.uniform(&[100], 9).unwrap(),
        graph.sum(&large, &[], false).unwrap(),
    ];
    let values = Reference::new().evaluate(&targets).unwrap();
    for (real, value) in evaluate(&targets, &|_| None).iter().zip(values) {
        assert_eq!(real.elements, numbers(value.dtype, value.elements().unwrap()));
    }
}
