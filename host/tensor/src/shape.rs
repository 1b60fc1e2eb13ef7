//! Shapes: sizes along at most eight axes, and the index arithmetic on them. Not views: see `plan`.

use std::{fmt, ops::Deref};

use crate::limits::RANK_MAX;

/// The sizes along each axis, outermost first. Sizes may be zero; rank 0 is a single element.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    sizes: [usize; RANK_MAX],
    rank: usize,
}

impl Shape {
    /// Rank 0: one element.
    pub const SCALAR: Shape = Shape { sizes: [0; RANK_MAX], rank: 0 };

    /// The shape with these sizes, or `None` where there are more than [`RANK_MAX`] or the number of elements
    /// does not fit 2^48.
    pub fn new(sizes: &[usize]) -> Option<Shape> {
        if sizes.len() > RANK_MAX {
            return None;
        }
        // The product without the zeros must fit too: strides are computed from it.
        let product = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size.max(1)))?;
        if product > 1 << 48 {
            return None;
        }
        let mut all = [0; RANK_MAX];
        all[..sizes.len()].copy_from_slice(sizes);
        Some(Shape { sizes: all, rank: sizes.len() })
    }

    /// [`Shape::new`] for sizes that are known to fit: parts or permutations of an existing shape.
    ///
    /// # Panics
    /// Where they do not: a bug of ours.
    pub fn of(sizes: &[usize]) -> Shape {
        Shape::new(sizes).expect("sizes derived from a checked shape fit")
    }

    /// How many axes.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many elements.
    pub fn elements(&self) -> usize {
        self.iter().product()
    }

    /// Row-major strides, in elements.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1; self.rank];
        for axis in (1..self.rank).rev() {
            strides[axis - 1] = strides[axis] * self.sizes[axis].max(1);
        }
        strides
    }

    /// The shape that both broadcast to, as in NumPy, or `None`.
    pub fn broadcast(&self, other: &Shape) -> Option<Shape> {
        let rank = self.rank.max(other.rank);
        let mut sizes = [0; RANK_MAX];
        for (axis, size) in sizes[..rank].iter_mut().enumerate() {
            let of = |shape: &Shape| (axis + shape.rank).checked_sub(rank).map_or(1, |at| shape.sizes[at]);
            *size = match (of(self), of(other)) {
                (a, b) if a == b => a,
                (1, b) => b,
                (a, 1) => a,
                _ => return None,
            };
        }
        Shape::new(&sizes[..rank])
    }

    /// The shape with these axes of size 1.
    pub fn keeping(&self, axes: &[usize]) -> Shape {
        let mut shape = *self;
        for &axis in axes {
            shape.sizes[axis] = 1;
        }
        shape
    }

    /// The shape without these axes.
    pub fn without(&self, axes: &[usize]) -> Shape {
        let kept: Vec<usize> =
            self.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, &size)| size).collect();
        Shape::of(&kept)
    }

    /// Every index, row-major. For reference code and tests, not for hot paths.
    pub fn indices(&self) -> impl Iterator<Item = Vec<usize>> + use<> {
        let shape = *self;
        (0..shape.elements()).map(move |flat| shape.unravel(flat))
    }

    /// The index of the row-major position `flat`.
    pub fn unravel(&self, mut flat: usize) -> Vec<usize> {
        let mut index = vec![0; self.rank];
        for axis in (0..self.rank).rev() {
            index[axis] = flat % self.sizes[axis];
            flat /= self.sizes[axis];
        }
        index
    }

    /// The row-major position of an index.
    pub fn ravel(&self, index: &[usize]) -> usize {
        index.iter().zip(self.iter()).fold(0, |flat, (&at, &size)| flat * size + at)
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.sizes[..self.rank]
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
