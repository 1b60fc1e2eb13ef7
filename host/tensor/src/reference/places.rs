//! Where the elements of a view lie: affine maps from an index to a row-major position. No arithmetic on
//! elements.

use crate::{Shape, ViewOp};

/// The element at `index` is at position `offset + Σ index[axis] · strides[axis]` of what is seen.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    offset: isize,
    strides: Vec<isize>,
}

impl Places {
    /// The elements of a tensor of this shape, row-major.
    pub(crate) fn contiguous(shape: &Shape) -> Places {
        Places { offset: 0, strides: shape.strides().iter().map(|&stride| stride as isize).collect() }
    }

    /// The elements of a tensor of shape `from`, broadcast to `to` as in NumPy.
    pub(crate) fn broadcast(from: &Shape, to: &Shape) -> Places {
        let own = Places::contiguous(from).strides;
        let new_axes = to.rank() - from.rank();
        let stride = |axis: usize| match axis.checked_sub(new_axes) {
            Some(old) if from[old] != 1 => own[old],
            _ => 0,
        };
        Places { offset: 0, strides: (0..to.rank()).map(stride).collect() }
    }

    /// The elements that a view of a tensor of shape `from` shows, over the view's own shape `to`.
    pub(crate) fn view(view: &ViewOp, from: &Shape, to: &Shape) -> Places {
        if to.elements() == 0 {
            // Nothing is looked up, and its sizes and steps may be anything.
            return Places::contiguous(to);
        }
        let Places { offset, mut strides } = Places::contiguous(from);
        match view {
            ViewOp::Reshape | ViewOp::Detach => Places::contiguous(to),
            ViewOp::Broadcast => Places::broadcast(from, to),
            ViewOp::Permute { axes } => {
                Places { offset, strides: axes.iter().map(|&axis| strides[axis]).collect() }
            }
            ViewOp::Slice { starts, steps } => Places {
                offset: starts.iter().zip(&strides).map(|(&start, stride)| start as isize * stride).sum(),
                strides: steps.iter().zip(&strides).map(|(&step, stride)| step as isize * stride).collect(),
            },
            ViewOp::Flip { axes } => {
                let mut offset = offset;
                for &axis in axes {
                    // The last element comes first.
                    offset += strides[axis] * (from[axis] as isize - 1);
                    strides[axis] = -strides[axis];
                }
                Places { offset, strides }
            }
            ViewOp::Window(window) => {
                let [n, c, row, column] = strides[..] else {
                    unreachable!("a window has four axes below it")
                };
                let along = |axis: usize, step: isize| step * [row, column][axis];
                let strides = vec![
                    n,
                    c,
                    along(0, window.stride[0] as isize),
                    along(1, window.stride[1] as isize),
                    along(0, window.dilation[0] as isize),
                    along(1, window.dilation[1] as isize),
                ];
                Places { offset, strides }
            }
        }
    }

    /// Only these axes, from the first element on.
    pub(crate) fn axes(&self, axes: &[usize]) -> Places {
        Places { offset: 0, strides: axes.iter().map(|&axis| self.strides[axis]).collect() }
    }

    /// The positions of every index of `shape`, row-major.
    pub(crate) fn positions(&self, shape: &Shape) -> impl Iterator<Item = usize> {
        let mut index = vec![0; shape.rank()];
        let mut position = self.offset;
        (0..shape.elements()).map(move |_| {
            let current = usize::try_from(position).expect("a view stays inside its tensor");
            // One step of an odometer: the last axis turns first.
            for axis in (0..shape.rank()).rev() {
                index[axis] += 1;
                position += self.strides[axis];
                if index[axis] < shape[axis] {
                    break;
                }
                position -= self.strides[axis] * index[axis] as isize;
                index[axis] = 0;
            }
            current
        })
    }
}
