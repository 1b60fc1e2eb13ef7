//! What gradients record: shapes, zeros, errors. Their values are tested against the f64 evaluator.

use crate::{CallErrorCode, DType, Graph, Meter, RecordError, SgdOptions, Tensor};

fn graph() -> Graph {
    Graph::new(0, Meter::new(1 << 30))
}

fn random(graph: &mut Graph, sizes: &[usize]) -> Tensor {
    graph.uniform(sizes, 0).expect("small")
}

#[test]
fn has_the_shape_of_what_is_asked() {
    let graph = &mut graph();
    let x = random(graph, &[5, 3, 4]);
    let weight = random(graph, &[4, 2]);
    let bias = random(graph, &[2]);
    let product = graph.matmul(&x, &weight, false, false).expect("fits");
    let sum = graph.add(&product, &bias).expect("fits");
    let loss = graph.mean(&sum, &[], false).expect("fits");
    let gradients = graph.gradients(&loss, &[&x, &weight, &bias]).expect("differentiable");
    for (gradient, tensor) in gradients.iter().zip([&x, &weight, &bias]) {
        assert_eq!((gradient.shape(), gradient.dtype()), (tensor.shape(), DType::F32));
    }
}

#[test]
fn a_shared_weight_is_one_product() {
    let graph = &mut graph();
    let x = random(graph, &[5, 3, 4]);
    let weight = random(graph, &[4, 2]);
    let product = graph.matmul(&x, &weight, false, false).expect("fits");
    let loss = graph.sum(&product, &[], false).expect("fits");
    let gradient = &graph.gradients(&loss, &[&weight]).expect("differentiable")[0];
    // The last recorded node is the reshape to the weight's shape; below it one product over 15 rows.
    let matmul = &gradient.inputs()[0];
    assert_eq!(matmul.op().name(), "matmul");
    assert_eq!(matmul.inputs()[0].shape()[..], [15, 4]);
}

#[test]
fn what_the_loss_does_not_depend_on_gives_zeros() {
    let graph = &mut graph();
    let x = random(graph, &[3]);
    let other = random(graph, &[2, 2]);
    let floor = graph.floor(&x).expect("f32");
    let detached = graph.detach(&x).expect("any");
    let sum = graph.add(&floor, &detached).expect("fits");
    let loss = graph.sum(&sum, &[], false).expect("fits");
    for gradient in graph.gradients(&loss, &[&x, &other]).expect("constants") {
        assert_eq!(gradient.op().name(), "full");
    }
}

#[test]
fn wrong_calls_are_named() {
    let graph = &mut graph();
    let x = random(graph, &[3]);
    let count = graph.iota(&[3]).expect("small");
    let step = SgdOptions { learning_rate: 0.1, momentum: 0.0, weight_decay: 0.0, nesterov: false };
    let (stepped, _velocity) = graph.sgd(&x, &x, &x, step).expect("alike");
    let after_step = graph.sum(&stepped, &[], false).expect("fits");
    let loss = graph.sum(&x, &[], false).expect("fits");
    let code = |result: Result<Vec<Tensor>, RecordError>| match result {
        Err(RecordError::Call(error)) => error.code,
        other => panic!("expected a call error, got {other:?}"),
    };
    assert_eq!(code(graph.gradients(&x, &[&x])), CallErrorCode::Shape);
    assert_eq!(code(graph.gradients(&loss, &[&count])), CallErrorCode::DType);
    assert_eq!(code(graph.gradients(&after_step, &[&x])), CallErrorCode::NoGradient);
}

#[test]
fn a_constant_that_is_asked_for_passes_nothing_on() {
    let graph = &mut graph();
    let x = random(graph, &[3]);
    for constant in [Graph::sign, Graph::floor, Graph::detach] {
        let y = constant(graph, &x).expect("f32");
        let loss = graph.sum(&y, &[], false).expect("fits");
        let [to_y, to_x] = &graph.gradients(&loss, &[&y, &x]).expect("constants")[..] else { panic!("two") };
        assert_eq!((to_y.op().name(), to_x.op().name()), ("broadcast", "full"));
    }
}
