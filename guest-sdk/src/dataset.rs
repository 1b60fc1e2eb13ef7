//! [`Dataset`]: an input of the job, as a table of rows.

use crate::bindings::data as raw;
use crate::error::Error;
use crate::{DType, Tensor};

/// An input of the manifest, by its name. Axis 0 counts rows. Nothing is read before it is asked for.
#[derive(Clone, Debug)]
pub struct Dataset {
    name: String,
    dtype: DType,
    shape: Vec<u32>,
}

impl Dataset {
    /// The input `name`; fails where the job has none of that name.
    pub fn open(name: &str) -> Result<Dataset, Error> {
        Ok(raw::info(name)?.into())
    }

    /// Every input, ascending by name.
    pub fn all() -> Vec<Dataset> {
        raw::inputs().into_iter().map(Dataset::from).collect()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The element type: images stay `U8` until they are [cast](Tensor::cast).
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Size along each axis; `[bytes]` where the file was taken as it is.
    pub fn shape(&self) -> &[u32] {
        &self.shape
    }

    /// How many rows; 1 for a tensor of rank 0.
    pub fn row_count(&self) -> u32 {
        self.shape.first().copied().unwrap_or(1)
    }

    /// The rows at `indices` (repeats allowed), in that order: `[indices, …]`.
    pub fn rows(&self, indices: &[u32]) -> Result<Tensor, Error> {
        Tensor::from_raw(raw::rows(&self.name, indices))
    }

    /// The whole input as one tensor of at most 128 MiB.
    pub fn whole(&self) -> Result<Tensor, Error> {
        Tensor::from_raw(raw::whole(&self.name))
    }

    /// `length` raw bytes of the elements from `offset` on, at most 4 MiB, into guest memory.
    pub fn bytes(&self, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        Ok(raw::bytes(&self.name, offset, length)?)
    }
}

impl From<raw::InputInfo> for Dataset {
    fn from(info: raw::InputInfo) -> Dataset {
        Dataset { name: info.name, dtype: info.dtype, shape: info.shape }
    }
}
