//! The generator covers the contract, gives the same case again, and the comparison sees one wrong bit.

use super::*;
use crate::{DeviceInfo, Reference};

/// The reference, but with one bit of one element of one node wrong.
struct Wrong {
    reference: Reference,
    sequence: u64,
}

impl Executor for Wrong {
    fn device(&self) -> &DeviceInfo {
        self.reference.device()
    }

    fn evaluate(&mut self, targets: &[Tensor]) -> Result<Vec<Value>, ExecutorError> {
        let mut values = self.reference.evaluate(targets)?;
        for (target, value) in targets.iter().zip(&mut values) {
            if target.sequence() == self.sequence {
                let elements = value.elements().expect("the reference is on the host");
                let word = |at: usize| elements.word(at) ^ u32::from(at + 1 == elements.len());
                let wrong = Elements::from_words(value.dtype, (0..elements.len()).map(word));
                *value = Value::host(value.dtype, value.shape, wrong);
            }
        }
        Ok(values)
    }

    fn read(&mut self, value: &Value) -> Result<Arc<Elements>, ExecutorError> {
        self.reference.read(value)
    }
}

#[test]
fn one_case_covers_every_operation() {
    let mut coverage = Coverage::default();
    for seed in 0..2 {
        coverage.add(&random_graph(seed, 300).targets);
    }
    assert_eq!(coverage.missing(), Vec::<String>::new());
}

#[test]
fn a_seed_gives_the_same_case() {
    let digests = |seed| {
        let case = random_graph(seed, 150);
        let values = Reference::new().evaluate(&case.targets).unwrap();
        let digest = |value: &Value| {
            crate::digest::tensor_digest(&value.shape, value.dtype, &value.elements().unwrap().to_bytes())
        };
        values.iter().map(digest).collect::<Vec<_>>()
    };
    assert_eq!(digests(5), digests(5));
    assert_ne!(digests(5), digests(6));
}

#[test]
fn the_reference_agrees_with_itself_and_stays_canonical() {
    for seed in 0..20 {
        let case = random_graph(seed, 120);
        let outcome = check_equal(&mut Reference::new(), &mut Reference::new(), &case);
        assert!(outcome.is_ok(), "seed {seed}: {}", outcome.unwrap_err());
        let nodes = reachable(&case.targets);
        for (node, value) in nodes.iter().zip(Reference::new().evaluate(&nodes).unwrap()) {
            if let Elements::F32(elements) = &**value.elements().unwrap() {
                let bad = elements.iter().find(|&&x| !crate::numerics::canonical::is_canonical(x));
                assert_eq!(bad, None, "seed {seed}: {node:?}");
            }
        }
    }
}

#[test]
fn values_of_a_case_are_varied() {
    // A case whose results are all zero or saturated would prove little.
    let (mut interesting, mut all) = (0, 0);
    for seed in 0..10 {
        let case = random_graph(seed, 200);
        for value in Reference::new().evaluate(&reachable(&case.targets)).unwrap() {
            if let Elements::F32(elements) = &**value.elements().unwrap() {
                all += elements.len();
                interesting +=
                    elements.iter().filter(|x| **x != 0.0 && x.abs() < crate::numerics::MAX).count();
            }
        }
    }
    assert!(interesting * 2 > all, "{interesting} of {all} are neither zero nor saturated");
}

#[test]
fn one_wrong_bit_is_named() {
    let case = random_graph(3, 50);
    let nodes = reachable(&case.targets);
    let node = nodes.iter().rfind(|node| node.shape().elements() > 1 && node.value().is_none()).unwrap();
    let mut wrong = Wrong { reference: Reference::new(), sequence: node.sequence() };
    let error = check_equal(&mut Reference::new(), &mut wrong, &case).unwrap_err();
    let Mismatch::Element(mismatch) = &error else { panic!("{error}") };
    assert!(error.to_string().contains(&format!("{node:?}")), "{error}");
    assert_eq!((mismatch.expected ^ mismatch.found, mismatch.count), (1, 1));
}
