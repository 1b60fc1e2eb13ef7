//! The input `digits`: rows of 64 pixels from 0 to 16, and a label from 0 to 9.

use anneal_sdk::prelude::*;

const PIXELS: u32 = 64;
const BRIGHTEST: f32 = 16.0;

/// The images and their labels.
pub struct Images(Dataset);

impl Images {
    /// Fails where the input is missing or is not f32 `[images, 65]`.
    pub fn open() -> Result<Images> {
        let digits = Dataset::open("digits")?;
        match (digits.dtype(), digits.shape()) {
            (DType::F32, [_, columns]) if *columns == PIXELS + 1 => Ok(Images(digits)),
            (dtype, shape) => Err(Failure::new(format!(
                "the input `digits` is {dtype:?} {shape:?} and must be F32 [images, 65]: 64 pixels and a label a row"
            ))),
        }
    }

    /// How many.
    pub fn count(&self) -> u32 {
        self.0.row_count()
    }

    /// Pixels from 0 to 1, f32 `[rows, 64]`, and labels, i32 `[rows]`.
    pub fn batch(&self, rows: &[u32]) -> Result<(Tensor, Tensor)> {
        let table = self.0.rows(rows)?;
        let pixels = table.narrow(1, 0, PIXELS) / BRIGHTEST;
        let labels = table.narrow(1, PIXELS, 1).reshape(&[rows.len() as u32]).cast(DType::I32);
        Ok((pixels, labels))
    }
}
