//! [`Tensor`]: a handle to an array on the host, and the operations on it.
//!
//! Each operation is here twice: by its name, panicking at the caller's line with the contract's message,
//! and as `try_…`, returning the [`Error`]. The files of this module follow the groups of `wit/tensors.wit`,
//! which documents gas and the exact arithmetic.

use std::fmt;
use std::rc::Rc;

use crate::bindings::tensors as raw;
use crate::error::{Error, expect};

mod create;
mod element;
mod index;
mod linear;
mod movement;
mod operators;
mod read;
mod reduce;

pub use element::Operand;
pub use linear::{Conv2dOptions, Pool2dOptions};

/// An element type: `F32` and `I32` for arithmetic; `U8`, `Bf16` and `F16` for storage, to be
/// [cast](Tensor::cast) first; `Boolean` from comparisons.
pub use raw::Dtype as DType;

/// An immutable n-dimensional array on the host; cloning it clones the handle, not the elements.
///
/// Rank 0 to 8, sizes may be zero. Where two tensors meet element by element their shapes are broadcast as in
/// NumPy: aligned at the last axis, and a size 1 stretches. An `axis` may be negative: −1 is the last.
///
/// Its bytes count against the job's limit until no handle reaches it, neither itself nor through the history
/// of another tensor: [`commit`] ends histories.
#[derive(Clone)]
pub struct Tensor(pub(crate) Rc<raw::Tensor>);

impl Tensor {
    /// Size along each axis.
    pub fn shape(&self) -> Vec<u32> {
        self.0.shape()
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.0.shape().len()
    }

    /// The number of elements.
    pub fn element_count(&self) -> u64 {
        self.0.shape().iter().map(|&size| u64::from(size)).product()
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.0.dtype()
    }

    pub(crate) fn from_raw(raw: Result<raw::Tensor, raw::Error>) -> Result<Tensor, Error> {
        Ok(Tensor::own(raw?))
    }

    pub(crate) fn own(raw: raw::Tensor) -> Tensor {
        Tensor(Rc::new(raw))
    }

    /// The contract's axis for one that may count from the end.
    fn axis(&self, operation: &str, axis: i32) -> Result<u32, Error> {
        if axis >= 0 {
            return Ok(axis.unsigned_abs());
        }
        let rank = self.rank();
        u32::try_from(rank as i64 + i64::from(axis)).map_err(|_| {
            Error::argument(format!(
                "{operation}: axis {axis} of a tensor of rank {rank}; axes count from 0, or from -1 at the end"
            ))
        })
    }

    fn axes(&self, operation: &str, axes: &[i32]) -> Result<Vec<u32>, Error> {
        axes.iter().map(|&axis| self.axis(operation, axis)).collect()
    }
}

/// The shape and dtype; never the elements, which would wait for the device.
impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({:?} {:?})", self.dtype(), self.shape())
    }
}

/// The end of a step: evaluates the tensors together and returns them without history, in order.
///
/// Call it once a step with everything that lives on; the optimisers do. A tensor that is not among them
/// keeps its history, and with it the memory of all that it was computed from.
pub fn commit(tensors: &[&Tensor]) -> Vec<Tensor> {
    raw::commit(&handles(tensors)).into_iter().map(Tensor::own).collect()
}

/// The gradient of `loss` (f32, one element) with respect to each of `wrt`, shaped as the tensor; zeros where
/// the loss does not depend on it. Differentiates what was recorded since the last [`commit`].
///
/// # Panics
/// Where an operation on the way has no derivative; [`try_gradients`] gives the error.
#[track_caller]
pub fn gradients(loss: &Tensor, wrt: &[&Tensor]) -> Vec<Tensor> {
    expect(try_gradients(loss, wrt))
}

/// [`gradients`] as a `Result`.
pub fn try_gradients(loss: &Tensor, wrt: &[&Tensor]) -> Result<Vec<Tensor>, Error> {
    Ok(raw::gradients(&loss.0, &handles(wrt))?.into_iter().map(Tensor::own).collect())
}

fn handles<'a>(tensors: &[&'a Tensor]) -> Vec<&'a raw::Tensor> {
    tensors.iter().map(|tensor| &*tensor.0).collect()
}

/// Defines operations, each as `name` (panics at the caller) and `try_name` (returns the error).
macro_rules! operations {
    ($(
        $(#[$meta:meta])*
        fn $name:ident / $try_name:ident ($this:ident $(, $argument:ident: $type:ty)* $(,)?) -> $out:ty $body:block
    )*) => {
        impl Tensor {$(
            $(#[$meta])*
            ///
            /// # Panics
            #[doc = concat!("Where the contract refuses it; [`Tensor::", stringify!($try_name), "`] gives the error.")]
            #[track_caller]
            pub fn $name(&$this $(, $argument: $type)*) -> $out {
                $crate::error::expect($this.$try_name($($argument),*))
            }

            #[doc = concat!("[`Tensor::", stringify!($name), "`] as a `Result`.")]
            pub fn $try_name(&$this $(, $argument: $type)*) -> Result<$out, Error> $body
        )*}
    };
}

/// The same for functions that make a tensor of none.
macro_rules! constructors {
    ($(
        $(#[$meta:meta])*
        fn $name:ident / $try_name:ident ($($argument:ident: $type:ty),* $(,)?) $body:block
    )*) => {
        impl Tensor {$(
            $(#[$meta])*
            ///
            /// # Panics
            #[doc = concat!("Where the contract refuses it; [`Tensor::", stringify!($try_name), "`] gives the error.")]
            #[track_caller]
            pub fn $name($($argument: $type),*) -> Tensor {
                $crate::error::expect(Tensor::$try_name($($argument),*))
            }

            #[doc = concat!("[`Tensor::", stringify!($name), "`] as a `Result`.")]
            pub fn $try_name($($argument: $type),*) -> Result<Tensor, Error> $body
        )*}
    };
}

use {constructors, operations};
