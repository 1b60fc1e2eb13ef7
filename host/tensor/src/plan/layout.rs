//! Layouts: an affine map from the index of a tensor to an element of a buffer, and how views compose.
//!
//! Pure index arithmetic. Which buffer is meant, and whether it exists, is the builder's business.

use crate::{Shape, ViewOp, WindowAttributes};

/// Element `offset + Σ index[axis] · strides[axis]` of a buffer.
///
/// Normal form: an axis of size 0 or 1 has stride 0, and a layout of no elements is all zeros. So equal maps
/// are equal values, and attributes that no element reaches cannot overflow a stride.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// The sizes of the index.
    pub shape: Shape,
    /// Element at index zero.
    pub offset: isize,
    /// Per axis, in elements.
    pub strides: Vec<isize>,
}

impl Layout {
    /// Row-major from the start of the buffer.
    pub fn contiguous(shape: Shape) -> Layout {
        let strides = shape.strides().iter().map(|&stride| stride as isize).collect();
        Layout { shape, offset: 0, strides }.normal()
    }

    /// Every index is the buffer's first element.
    pub fn constant(shape: Shape) -> Layout {
        Layout { shape, offset: 0, strides: vec![0; shape.rank()] }
    }

    /// A layout with these parts, in normal form.
    pub fn new(shape: Shape, offset: isize, strides: Vec<isize>) -> Layout {
        Layout { shape, offset, strides }.normal()
    }

    /// The map is row-major over a buffer of exactly the shape's elements.
    pub fn is_contiguous(&self) -> bool {
        *self == Layout::contiguous(self.shape)
    }

    /// The layout of a view of what this layout shows, or `None` where strides cannot express it (some
    /// reshapes).
    pub fn view(&self, op: &ViewOp, shape: Shape) -> Option<Layout> {
        let mut offset = self.offset;
        let strides = match op {
            ViewOp::Detach => self.strides.clone(),
            ViewOp::Reshape => self.reshaped(&shape)?,
            ViewOp::Permute { axes } => axes.iter().map(|&axis| self.strides[axis]).collect(),
            ViewOp::Broadcast => self.broadcast(&shape),
            ViewOp::Slice { starts, steps } => {
                for (start, stride) in starts.iter().zip(&self.strides) {
                    offset = offset.wrapping_add((*start as isize).wrapping_mul(*stride));
                }
                times(&self.strides, steps)
            }
            ViewOp::Flip { axes } => {
                let mut strides = self.strides.clone();
                for &axis in axes {
                    offset += (self.shape[axis] as isize - 1) * strides[axis];
                    strides[axis] = -strides[axis];
                }
                strides
            }
            ViewOp::Window(window) => self.windows(window),
        };
        Some(Layout::new(shape, offset, strides))
    }

    /// Strides of this layout broadcast to a shape (NumPy's rule).
    pub fn broadcast(&self, shape: &Shape) -> Vec<isize> {
        let added = shape.rank() - self.shape.rank();
        let of = |axis: usize| match axis.checked_sub(added) {
            Some(own) if self.shape[own] == shape[axis] => self.strides[own],
            _ => 0,
        };
        (0..shape.rank()).map(of).collect()
    }

    fn windows(&self, window: &WindowAttributes) -> Vec<isize> {
        let [n, c, h, w] = self.strides[..] else { panic!("a window's input has rank 4") };
        let image = [h, w];
        [&[n, c][..], &times(&image, &window.stride), &times(&image, &window.dilation)].concat()
    }

    /// Strides that walk the same elements in row-major order under another shape: both shapes are cut into
    /// the shortest runs of axes with equal products; a run must be evenly strided on the old side.
    fn reshaped(&self, shape: &Shape) -> Option<Vec<isize>> {
        if shape.elements() == 0 {
            return Some(vec![0; shape.rank()]);
        }
        let old: Vec<(usize, isize)> = self
            .shape
            .iter()
            .copied()
            .zip(self.strides.iter().copied())
            .filter(|&(size, _)| size != 1)
            .collect();
        let mut strides = vec![0; shape.rank()];
        let (mut at, mut axis) = (0, 0);
        while at < old.len() {
            let (mut old_end, mut old_product) = (at + 1, old[at].0);
            let (mut new_end, mut new_product) = (axis + 1, shape[axis]);
            while old_product != new_product {
                if old_product < new_product {
                    old_product *= old[old_end].0;
                    old_end += 1;
                } else {
                    new_product *= shape[new_end];
                    new_end += 1;
                }
            }
            let even = old[at..old_end].windows(2).all(|pair| pair[0].1 == pair[1].1 * pair[1].0 as isize);
            if !even {
                return None;
            }
            let mut stride = old[old_end - 1].1;
            for new in (axis..new_end).rev() {
                strides[new] = stride;
                stride *= shape[new] as isize;
            }
            (at, axis) = (old_end, new_end);
        }
        Some(strides)
    }

    fn normal(mut self) -> Layout {
        if self.shape.elements() == 0 {
            self.offset = 0;
            self.strides.fill(0);
        }
        for (stride, &size) in self.strides.iter_mut().zip(self.shape.iter()) {
            if size <= 1 {
                *stride = 0;
            }
        }
        self
    }
}

fn times(strides: &[isize], factors: &[usize]) -> Vec<isize> {
    // Wraps only where one element is left along the axis, and then the stride becomes 0.
    strides.iter().zip(factors).map(|(stride, &factor)| stride.wrapping_mul(factor as isize)).collect()
}

/// Joins neighbouring axes that are evenly strided in every one of `strides` (all as long as `sizes`) and
/// drops axes of size 1. The row-major order stays; a size of 0 is kept as one axis.
pub fn collapse(sizes: &mut Vec<usize>, strides: &mut [&mut Vec<isize>]) {
    let mut kept = 0;
    for axis in 0..sizes.len() {
        if sizes[axis] == 1 {
            continue;
        }
        let joins =
            kept > 0 && strides.iter().all(|of| of[kept - 1] == of[axis].wrapping_mul(sizes[axis] as isize));
        if joins {
            sizes[kept - 1] *= sizes[axis];
        } else {
            sizes[kept] = sizes[axis];
            kept += 1;
        }
        for of in strides.iter_mut() {
            of[kept - 1] = of[axis];
        }
    }
    sizes.truncate(kept);
    for of in strides.iter_mut() {
        of.truncate(kept);
    }
}
