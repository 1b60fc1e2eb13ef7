//! Reductions: many elements to one, along some axes or all.

use super::{Tensor, operations, raw};
use crate::error::Error;

/// A reduction in its two shapes: reduced axes gone, or kept with size 1.
macro_rules! reductions {
    ($($(#[$meta:meta])* $name:ident / $try_name:ident, $keep:ident / $try_keep:ident)*) => {
        operations! {$(
            $(#[$meta])*
            /// An empty list of axes means all; the reduced axes go.
            fn $name / $try_name(self, axes: &[i32]) -> Tensor {
                Tensor::from_raw(raw::$name(&self.0, &self.axes(stringify!($name), axes)?, false))
            }

            #[doc = concat!("As [`Tensor::", stringify!($name), "`]; the reduced axes stay, with size 1.")]
            fn $keep / $try_keep(self, axes: &[i32]) -> Tensor {
                Tensor::from_raw(raw::$name(&self.0, &self.axes(stringify!($name), axes)?, true))
            }
        )*}
    };
}

reductions! {
    /// Sum along `axes`, in one fixed order on every device; f32 or i32. Over nothing: 0.
    sum / try_sum, sum_keep / try_sum_keep
    /// Mean along `axes`, of at least one element; f32.
    mean / try_mean, mean_keep / try_mean_keep
    /// The largest element along `axes`; f32 or i32. The gradient of a tie goes to the first.
    max / try_max, max_keep / try_max_keep
    /// The smallest element along `axes`; f32 or i32. The gradient of a tie goes to the first.
    min / try_min, min_keep / try_min_keep
}

operations! {
    /// The index of the largest element along `axis`, the lowest of a tie → i32; f32 or i32. The axis goes.
    fn argmax / try_argmax(self, axis: i32) -> Tensor {
        Tensor::from_raw(raw::argmax(&self.0, self.axis("argmax", axis)?, false))
    }

    /// The index of the smallest element along `axis`, the lowest of a tie → i32; f32 or i32. The axis goes.
    fn argmin / try_argmin(self, axis: i32) -> Tensor {
        Tensor::from_raw(raw::argmin(&self.0, self.axis("argmin", axis)?, false))
    }
}
