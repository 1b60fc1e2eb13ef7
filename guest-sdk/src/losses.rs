//! Losses: one number to make smaller, as an f32 tensor of rank 0.

use crate::Tensor;
use crate::error::{Error, ErrorCode, expect};

/// The mean cross-entropy of `logits` (f32 `[…, classes]`, not yet a softmax) against `labels` (i32 `[…]`, the
/// index of the right class; one out of range counts as nothing).
///
/// # Panics
/// Where shapes or dtypes do not fit; [`try_cross_entropy`] gives the error.
#[track_caller]
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Tensor {
    expect(try_cross_entropy(logits, labels))
}

/// [`cross_entropy`] as a `Result`.
pub fn try_cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor, Error> {
    let shape = logits.shape();
    let given = labels.shape();
    match shape.split_last() {
        Some((&classes, batch)) if batch == given => {
            let right = logits.try_log_softmax(-1)?.try_mul(labels.try_one_hot(classes)?)?;
            right.try_sum(&[-1])?.try_mean(&[])?.try_neg()
        }
        _ => Err(Error {
            code: ErrorCode::Shape,
            message: format!(
                "cross_entropy: logits {shape:?} take labels of the same shape without its last axis, not {given:?}"
            ),
        }),
    }
}

/// The mean squared difference of two f32 tensors, broadcast.
///
/// # Panics
/// Where shapes or dtypes do not fit; [`try_mse`] gives the error.
#[track_caller]
pub fn mse(predictions: &Tensor, targets: &Tensor) -> Tensor {
    expect(try_mse(predictions, targets))
}

/// [`mse`] as a `Result`.
pub fn try_mse(predictions: &Tensor, targets: &Tensor) -> Result<Tensor, Error> {
    predictions.try_sub(targets)?.try_square()?.try_mean(&[])
}

/// The mean binary cross-entropy of `logits` (f32, not yet a sigmoid) against `targets` (f32 in [0, 1]),
/// broadcast: max(x, 0) − x · y + ln(1 + e^−|x|), which does not overflow.
///
/// # Panics
/// Where shapes or dtypes do not fit; [`try_bce_with_logits`] gives the error.
#[track_caller]
pub fn bce_with_logits(logits: &Tensor, targets: &Tensor) -> Tensor {
    expect(try_bce_with_logits(logits, targets))
}

/// [`bce_with_logits`] as a `Result`.
pub fn try_bce_with_logits(logits: &Tensor, targets: &Tensor) -> Result<Tensor, Error> {
    let softplus = logits.try_abs()?.try_neg()?.try_exp()?.try_add(1.0)?.try_ln()?;
    logits.try_relu()?.try_sub(logits.try_mul(targets)?)?.try_add(softplus)?.try_mean(&[])
}
