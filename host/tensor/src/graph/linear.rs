//! Sums of products: matmul and 2-D convolution.

use super::{Graph, Recorded, argument_error, check_dtype, movement::windows_along, shape_error, shape_of};
use crate::{CallErrorCode, Conv2dAttributes, DType, Op, RecordError, Shape, Tensor, gas, limits};

impl Graph {
    /// Batched matrix product; batch axes are broadcast.
    pub fn matmul(&mut self, a: &Tensor, b: &Tensor, transpose_a: bool, transpose_b: bool) -> Recorded {
        check_dtype("matmul", a, &[DType::F32])?;
        check_dtype("matmul", b, &[DType::F32])?;
        let ([.., a0, a1], [.., b0, b1]) = (&a.shape()[..], &b.shape()[..]) else {
            return shape_error(
                "matmul",
                format!("{} and {}: both need rank 2 or more", a.shape(), b.shape()),
            );
        };
        let (m, k) = if transpose_a { (*a1, *a0) } else { (*a0, *a1) };
        let (k_b, n) = if transpose_b { (*b1, *b0) } else { (*b0, *b1) };
        let mismatch = |what: &str| {
            let flag = |transposed| if transposed { " transposed" } else { "" };
            format!("{}{} and {}{}: {what}", a.shape(), flag(transpose_a), b.shape(), flag(transpose_b))
        };
        if k != k_b {
            return shape_error("matmul", mismatch(&format!("the inner sizes {k} and {k_b} differ")));
        }
        check_terms("matmul", k)?;
        let batch = |x: &Tensor| Shape::of(&x.shape()[..x.shape().rank() - 2]);
        let Some(batch) = batch(a).broadcast(&batch(b)) else {
            return shape_error("matmul", mismatch("the axes before the last two do not broadcast"));
        };
        self.labelled("matmul", |graph| {
            let a = graph.with_batch(a, &batch)?;
            let b = graph.with_batch(b, &batch)?;
            let shape = shape_of("matmul", &[&batch[..], &[m, n]].concat())?;
            graph.record(Op::MatMul { transpose_a, transpose_b }, &[&a, &b], shape, DType::F32)
        })
    }

    fn with_batch(&mut self, x: &Tensor, batch: &Shape) -> Recorded {
        let last = &x.shape()[x.shape().rank() - 2..];
        let sizes = [&batch[..], last].concat();
        if sizes == x.shape()[..] { Ok(x.clone()) } else { self.broadcast_to(x, &sizes) }
    }

    /// 2-D convolution (cross-correlation).
    pub fn conv2d(&mut self, x: &Tensor, weight: &Tensor, attributes: Conv2dAttributes) -> Recorded {
        check_dtype("conv2d", x, &[DType::F32])?;
        check_dtype("conv2d", weight, &[DType::F32])?;
        let Conv2dAttributes { stride, padding, dilation, groups } = attributes;
        if stride.contains(&0) || dilation.contains(&0) || groups == 0 {
            let message =
                format!("stride {stride:?}, dilation {dilation:?}, groups {groups}: each is at least 1");
            return argument_error("conv2d", message);
        }
        if padding.iter().any(|&rows| rows > limits::TENSOR_BYTES_MAX) {
            return argument_error("conv2d", format!("padding {padding:?} is larger than any tensor"));
        }
        let Some(shape) = conv2d_shape(x.shape(), weight.shape(), &attributes) else {
            let message = format!(
                "x {} and weight {} with {attributes:?}: expected x [n, c, h, w] and weight [o, c / groups, kh, \
                 kw], o a multiple of groups, the window within the padded image",
                x.shape(),
                weight.shape()
            );
            return shape_error("conv2d", message);
        };
        check_terms("conv2d", weight.shape()[1..].iter().product())?;
        check_workspace("conv2d", gas::padded(x.shape(), &attributes))?;
        let shape = shape_of("conv2d", &shape)?;
        self.record(Op::Conv2d(attributes), &[x, weight], shape, DType::F32)
    }
}

/// `[n, o, oh, ow]` of a convolution, or `None` where the shapes do not fit.
pub fn conv2d_shape(x: &Shape, weight: &Shape, attributes: &Conv2dAttributes) -> Option<[usize; 4]> {
    let ([n, c, h, w], [o, cg, kh, kw]) = (&x[..], &weight[..]) else { return None };
    let Conv2dAttributes { stride, padding, dilation, groups } = *attributes;
    if *c != cg * groups || o % groups != 0 || *kh == 0 || *kw == 0 {
        return None;
    }
    let rows = windows_along(h + 2 * padding[0], *kh, stride[0], dilation[0])?;
    let columns = windows_along(w + 2 * padding[1], *kw, stride[1], dilation[1])?;
    Some([*n, *o, rows, columns])
}

/// An image that an executor makes on the way is within its limit: a small result may need a large one.
pub(crate) fn check_workspace(operation: &'static str, sizes: [usize; 4]) -> Recorded<()> {
    let bytes = sizes.iter().try_fold(size_of::<f32>(), |bytes, &size| bytes.checked_mul(size));
    if bytes.is_some_and(|bytes| bytes <= limits::CONVOLUTION_WORKSPACE_BYTES_MAX) {
        return Ok(());
    }
    let message = format!(
        "needs an image of {sizes:?} on the way, over {} bytes: use less padding, a smaller stride, or split the \
         batch",
        limits::CONVOLUTION_WORKSPACE_BYTES_MAX
    );
    Err(RecordError::call(CallErrorCode::Limit, operation, message))
}

/// The number of terms of each sum keeps every partial sum finite (rule 4).
pub(crate) fn check_terms(operation: &'static str, terms: usize) -> Recorded<()> {
    if terms > limits::CONTRACTION_TERMS_MAX {
        let message =
            format!("{terms} products in one sum, at most {}: split it", limits::CONTRACTION_TERMS_MAX);
        return argument_error(operation, message);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{CallErrorCode, Conv2dAttributes, DType, Graph, Meter, RecordError, Tensor};

    fn limit(result: Result<impl Sized, RecordError>) {
        match result {
            Err(RecordError::Call(error)) => assert_eq!(error.code, CallErrorCode::Limit, "{error}"),
            Err(other) => panic!("expected a call error, got {other}"),
            Ok(_) => panic!("it was recorded"),
        }
    }

    #[test]
    fn a_small_result_of_a_huge_image_is_refused() {
        let graph = &mut Graph::new(0, Meter::new(1 << 30));
        let ones = |graph: &mut Graph, sizes: &[usize]| -> Tensor {
            graph.full(DType::F32, sizes, 1.0).expect("within the limits")
        };
        let [x, weight] = [[1, 1, 4, 4], [1, 1, 1, 1]].map(|sizes| ones(graph, &sizes));
        let far =
            Conv2dAttributes { stride: [1 << 20; 2], padding: [1 << 20; 2], dilation: [1; 2], groups: 1 };
        limit(graph.conv2d(&x, &weight, far));
        // The forward pass fits; spreading its gradient over every channel does not.
        let [x, weight] = [[1, 1, 3000, 3000], [4096, 1, 1, 1]].map(|sizes| ones(graph, &sizes));
        let sparse = Conv2dAttributes { stride: [1000; 2], padding: [0; 2], dilation: [1; 2], groups: 1 };
        let y = graph.conv2d(&x, &weight, sparse).expect("nine pixels a channel");
        let loss = graph.sum(&y, &[], false).expect("f32");
        limit(graph.gradients(&loss, &[&x]));
    }
}
