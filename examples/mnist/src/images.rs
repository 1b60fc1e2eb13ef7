//! Images and labels as the IDX files have them: bytes.

use anneal_sdk::prelude::*;

const SIDE: u32 = 28;

/// Images and their labels.
pub struct Images {
    images: Dataset,
    labels: Dataset,
}

impl Images {
    /// Fails where an input is missing, or they are not u8 `[n, 28, 28]` and u8 `[n]`.
    pub fn open(images: &str, labels: &str) -> Result<Images> {
        let (images, labels) = (Dataset::open(images)?, Dataset::open(labels)?);
        let count = images.row_count();
        for (data, shape) in [(&images, &[count, SIDE, SIDE][..]), (&labels, &[count])] {
            if data.dtype() != DType::U8 || data.shape() != shape {
                return Err(Failure::new(format!(
                    "the input `{}` is {:?} {:?} and must be U8 {shape:?}",
                    data.name(),
                    data.dtype(),
                    data.shape()
                )));
            }
        }
        Ok(Images { images, labels })
    }

    /// How many.
    pub fn count(&self) -> u32 {
        self.images.row_count()
    }

    /// Pixels from 0 to 1, f32 `[rows, 1, 28, 28]`, and labels, i32 `[rows]`.
    pub fn batch(&self, rows: &[u32]) -> Result<(Tensor, Tensor)> {
        let pixels = self.images.rows(rows)?.cast(DType::F32) / 255.0;
        let labels = self.labels.rows(rows)?.cast(DType::I32);
        Ok((pixels.unsqueeze(1), labels))
    }
}
