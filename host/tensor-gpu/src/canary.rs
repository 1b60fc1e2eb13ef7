//! What a device computes before it is trusted: small graphs whose bits change under everything that a
//! shader compiler may do to float arithmetic, compared with the reference.

use anneal_tensor::{
    DType, Elements, Executor, ExecutorError, Graph, Meter, RecordError, Reference, Shape, Tensor, Value,
};

/// What differs from the reference, or `None` where nothing does.
///
/// # Errors
/// Where the device fails.
pub(crate) fn difference(executor: &mut dyn Executor) -> Result<Option<String>, ExecutorError> {
    let mut graph = Graph::new(0, Meter::new(1 << 30));
    let tests = record(&mut graph).expect("the canary's graph is legal");
    let targets: Vec<Tensor> = tests.iter().map(|(_, tensor)| tensor.clone()).collect();
    let expected = Reference::new().evaluate(&targets)?;
    let found = executor.evaluate(&targets)?;
    for (at, (name, _)) in tests.iter().enumerate() {
        let expected = expected[at].elements().expect("the reference computes in host memory");
        if executor.read(&found[at])?.to_bytes() != expected.to_bytes() {
            return Ok(Some((*name).to_owned()));
        }
    }
    Ok(None)
}

/// Matrices whose sums depend on the order of every addition, sums that a compiler could cancel or fuse, and
/// quotients and roots that need their correction.
fn record(graph: &mut Graph) -> Result<Vec<(&'static str, Tensor)>, RecordError> {
    let mut seed = 1u64;
    let mut values = |sizes: &[usize]| {
        let shape = Shape::of(sizes);
        let next = |_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let word = (seed >> 32) as u32;
            // A sign, seven exponents and any fraction.
            let exponent = 124 + (word >> 24) % 7;
            f32::from_bits(word & 0x8000_0000 | exponent << 23 | word & 0x007f_ffff)
        };
        Value::host(DType::F32, shape, Elements::F32((0..shape.elements()).map(next).collect()))
    };
    // Each kind of tile, one chunk and several.
    let mut products = Vec::new();
    for (rows, terms, columns) in [(64, 520, 64), (3, 300, 130), (130, 40, 3), (33, 256, 20)] {
        let (a, b) = (graph.leaf(values(&[rows, terms]))?, graph.leaf(values(&[terms, columns]))?);
        let product = graph.matmul(&a, &b, false, false)?;
        products.push(("the order of a chain of fused multiply-adds", product));
    }
    let (x, y) = (graph.leaf(values(&[2048]))?, graph.leaf(values(&[2048]))?);
    let xy = graph.mul(&x, &y)?;
    let fused = graph.add(&xy, &x)?;
    let fused = graph.sub(&fused, &xy)?;
    let quotient = graph.div(&x, &y)?;
    let square = graph.mul(&quotient, &quotient)?;
    let root = graph.sqrt(&square)?;
    let exponential = graph.exp(&y)?;
    let total = graph.sum(&exponential, &[0], false)?;
    products.extend([
        ("a product followed by sums", fused),
        ("a quotient", quotient),
        ("a square root", root),
        ("an exponential", exponential),
        ("a sum", total),
    ]);
    Ok(products)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hostile::{Hostile, Hostility},
        kernel::Tuning,
    };

    /// What the canary says of a hostile machine with this tuning.
    fn verdict(hostility: Hostility, tuning: Tuning) -> Option<String> {
        difference(&mut Hostile::new(hostility, 1, tuning)).unwrap()
    }

    #[test]
    fn a_device_that_wgsl_allows_passes() {
        assert_eq!(verdict(Hostility::FULL, Tuning::default()), None);
    }

    #[test]
    fn a_device_that_reorders_chains_is_found_and_gets_barriers() {
        let hostility = Hostility { reorder_chains: true, ..Hostility::NONE };
        let found = verdict(hostility, Tuning::default());
        assert_eq!(found.as_deref(), Some("the order of a chain of fused multiply-adds"));
        assert_eq!(verdict(hostility, Tuning { barrier_each_step: true, ..Tuning::default() }), None);
    }

    #[test]
    fn a_barrier_that_does_not_hold_is_found() {
        let tuning = Tuning { leave_out_barrier: Some(0), ..Tuning::default() };
        assert!(verdict(Hostility::FULL, tuning).is_some());
    }
}
