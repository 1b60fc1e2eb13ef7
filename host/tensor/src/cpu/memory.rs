//! The buffers of a run: slots, typed slices of them, and a pool that reuses what was released.
//!
//! Not views: where an element is, is found in `walk`.

use std::{collections::VecDeque, sync::Arc};

use crate::{DType, Elements, plan::SlotInfo};

/// Bytes of released buffers that a pool keeps for later runs.
pub const POOL_BYTES_MAX: usize = 256 << 20;
/// How many it keeps: each is looked at when one is taken.
pub const POOL_BUFFERS_MAX: usize = 512;
/// Smaller ones cost the system less than looking for them costs the pool.
const POOL_BUFFER_BYTES_MIN: usize = 256;

/// A slot of a run.
#[derive(Debug, Default)]
pub enum Held {
    /// Not written yet, being written, or released.
    #[default]
    Nothing,
    /// Written by this run.
    Owned(Elements),
    /// Given to the run, or shared by targets.
    Shared(Arc<Elements>),
}

impl Held {
    /// The elements.
    ///
    /// # Panics
    /// Where there are none: a bug of the plan.
    pub fn elements(&self) -> &Elements {
        match self {
            Held::Nothing => panic!("a plan reads a slot before it is written or after it is released"),
            Held::Owned(elements) => elements,
            Held::Shared(elements) => elements,
        }
    }
}

/// Elements by their width. Words are f32 and i32 alike.
#[derive(Clone, Copy, Debug)]
pub enum Slice<'a> {
    /// Four bytes.
    Words(&'a [u32]),
    /// Two bytes.
    Halves(&'a [u16]),
    /// One byte.
    Bytes(&'a [u8]),
}

/// Elements by their width, to be written.
#[derive(Debug)]
pub enum SliceMut<'a> {
    /// Four bytes.
    Words(&'a mut [u32]),
    /// Two bytes.
    Halves(&'a mut [u16]),
    /// One byte.
    Bytes(&'a mut [u8]),
}

impl<'a> Slice<'a> {
    /// All of them.
    pub fn of(elements: &'a Elements) -> Slice<'a> {
        match elements {
            Elements::F32(elements) => Slice::Words(bytemuck::cast_slice(elements)),
            Elements::I32(elements) => Slice::Words(bytemuck::cast_slice(elements)),
            Elements::U16(elements) => Slice::Halves(elements),
            Elements::U8(elements) => Slice::Bytes(elements),
        }
    }
}

impl<'a> SliceMut<'a> {
    /// All of them.
    pub fn of(elements: &'a mut Elements) -> SliceMut<'a> {
        match elements {
            Elements::F32(elements) => SliceMut::Words(bytemuck::cast_slice_mut(elements)),
            Elements::I32(elements) => SliceMut::Words(bytemuck::cast_slice_mut(elements)),
            Elements::U16(elements) => SliceMut::Halves(elements),
            Elements::U8(elements) => SliceMut::Bytes(elements),
        }
    }

    /// Those before and those from a position on.
    pub fn split_at(self, at: usize) -> (SliceMut<'a>, SliceMut<'a>) {
        match self {
            SliceMut::Words(elements) => {
                let (before, after) = elements.split_at_mut(at);
                (SliceMut::Words(before), SliceMut::Words(after))
            }
            SliceMut::Halves(elements) => {
                let (before, after) = elements.split_at_mut(at);
                (SliceMut::Halves(before), SliceMut::Halves(after))
            }
            SliceMut::Bytes(elements) => {
                let (before, after) = elements.split_at_mut(at);
                (SliceMut::Bytes(before), SliceMut::Bytes(after))
            }
        }
    }
}

/// The f32 elements.
///
/// # Panics
/// Where they are another dtype: a bug of the plan.
pub fn floats(elements: &Elements) -> &[f32] {
    match elements {
        Elements::F32(elements) => elements,
        _ => panic!("a plan takes elements for f32 that are not"),
    }
}

/// The i32 elements.
///
/// # Panics
/// Where they are another dtype: a bug of the plan.
pub fn integers(elements: &Elements) -> &[i32] {
    match elements {
        Elements::I32(elements) => elements,
        _ => panic!("a plan takes elements for i32 that are not"),
    }
}

/// Released buffers. What is in them is old data: whoever takes one writes all of it.
#[derive(Debug, Default)]
pub struct Pool {
    free: VecDeque<Elements>,
    bytes: usize,
    /// Results that were given out. Once nobody else has one, its buffer comes back: the parameters of a
    /// training then live in two buffers in turn, and no step waits for fresh pages.
    lent: Vec<Arc<Elements>>,
}

impl Pool {
    /// A buffer for a slot, with any contents.
    pub fn take(&mut self, slot: &SlotInfo) -> Elements {
        let fits = |elements: &Elements| {
            let capacity = capacity(elements);
            same_type(elements, slot.dtype) && capacity >= slot.elements && capacity <= 2 * slot.elements + 64
        };
        match self.free.iter().rposition(fits).and_then(|at| self.free.swap_remove_back(at)) {
            Some(mut elements) => {
                self.bytes -= bytes(&elements);
                resize(&mut elements, slot.elements);
                elements
            }
            None => Elements::zeros(slot.dtype, slot.elements),
        }
    }

    /// Gives a buffer out as a result.
    pub fn lend(&mut self, elements: Elements) -> Arc<Elements> {
        let elements = Arc::new(elements);
        self.lent.push(Arc::clone(&elements));
        elements
    }

    /// Takes back the results that nobody has any more.
    pub fn collect(&mut self) {
        for elements in std::mem::take(&mut self.lent) {
            match Arc::try_unwrap(elements) {
                Ok(elements) => self.put(elements),
                Err(elements) => self.lent.push(elements),
            }
        }
    }

    /// Keeps a buffer for later; beyond [`POOL_BYTES_MAX`] and [`POOL_BUFFERS_MAX`] the oldest are let go.
    pub fn put(&mut self, elements: Elements) {
        if bytes(&elements) < POOL_BUFFER_BYTES_MIN {
            return;
        }
        self.bytes += bytes(&elements);
        self.free.push_back(elements);
        while self.bytes > POOL_BYTES_MAX || self.free.len() > POOL_BUFFERS_MAX {
            let oldest = self.free.pop_front().expect("what has bytes has buffers");
            self.bytes -= bytes(&oldest);
        }
    }
}

fn same_type(elements: &Elements, dtype: DType) -> bool {
    matches!(
        (elements, dtype),
        (Elements::F32(_), DType::F32)
            | (Elements::I32(_), DType::I32)
            | (Elements::U8(_), DType::U8 | DType::Bool)
            | (Elements::U16(_), DType::Bf16 | DType::F16)
    )
}

fn capacity(elements: &Elements) -> usize {
    match elements {
        Elements::F32(elements) => elements.capacity(),
        Elements::I32(elements) => elements.capacity(),
        Elements::U8(elements) => elements.capacity(),
        Elements::U16(elements) => elements.capacity(),
    }
}

fn bytes(elements: &Elements) -> usize {
    capacity(elements)
        * match elements {
            Elements::F32(_) | Elements::I32(_) => 4,
            Elements::U16(_) => 2,
            Elements::U8(_) => 1,
        }
}

fn resize(elements: &mut Elements, count: usize) {
    match elements {
        Elements::F32(elements) => elements.resize(count, 0.0),
        Elements::I32(elements) => elements.resize(count, 0),
        Elements::U8(elements) => elements.resize(count, 0),
        Elements::U16(elements) => elements.resize(count, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_keeps_no_more_than_it_may() {
        let mut pool = Pool::default();
        for at in 0..5000 {
            pool.put(Elements::F32(vec![0.0; at % 200]));
        }
        assert_eq!(pool.free.len(), POOL_BUFFERS_MAX);
        for _ in 0..5 {
            pool.put(Elements::U8(vec![0; 100 << 20]));
        }
        assert!(pool.bytes <= POOL_BYTES_MAX, "{}", pool.bytes);
        assert_eq!(pool.bytes, pool.free.iter().map(bytes).sum::<usize>());
        let taken = pool.take(&SlotInfo { dtype: DType::U8, elements: 90 << 20 });
        assert_eq!(taken.len(), 90 << 20);
        assert_eq!(pool.bytes, pool.free.iter().map(bytes).sum::<usize>());
    }
}
