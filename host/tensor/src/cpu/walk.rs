//! Walking the elements of strided views in row-major order. Pure index arithmetic.

/// A place in an index space, moving on run by run.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    sizes: &'a [usize],
    strides: &'a [isize],
    index: Vec<usize>,
    at: isize,
}

/// Neighbouring elements along the last axis: `count` of them, `stride` apart, the first at `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first element.
    pub at: usize,
    /// Elements between two.
    pub stride: isize,
    /// How many.
    pub count: usize,
}

impl<'a> Walk<'a> {
    /// At the row-major position `start` of a view that begins at `offset`. The space is not empty.
    pub fn new(sizes: &'a [usize], strides: &'a [isize], offset: isize, start: usize) -> Walk<'a> {
        let mut index = vec![0; sizes.len()];
        let mut rest = start;
        let mut at = offset;
        for axis in (0..sizes.len()).rev() {
            index[axis] = rest % sizes[axis];
            rest /= sizes[axis];
            at += index[axis] as isize * strides[axis];
        }
        Walk { sizes, strides, index, at }
    }

    /// The element it is at.
    pub fn position(&self) -> usize {
        self.at as usize
    }

    /// The next run, of at most `most` elements (at least one), and moves past it.
    pub fn run(&mut self, most: usize) -> Run {
        let Some(last) = self.sizes.len().checked_sub(1) else {
            return Run { at: self.at as usize, stride: 1, count: 1 };
        };
        let stride = self.strides[last];
        let count = (self.sizes[last] - self.index[last]).min(most);
        let run = Run { at: self.at as usize, stride, count };
        self.index[last] += count;
        self.at += count as isize * stride;
        if self.index[last] == self.sizes[last] {
            self.carry(last);
        }
        run
    }

    fn carry(&mut self, last: usize) {
        let mut axis = last;
        loop {
            self.at -= self.strides[axis] * self.sizes[axis] as isize;
            self.index[axis] = 0;
            if axis == 0 {
                return;
            }
            axis -= 1;
            self.index[axis] += 1;
            self.at += self.strides[axis];
            if self.index[axis] < self.sizes[axis] {
                return;
            }
        }
    }
}

/// Where the elements `start .. start + count` are; `offsets` is overwritten.
pub fn offsets_into(
    sizes: &[usize],
    strides: &[isize],
    offset: isize,
    start: usize,
    count: usize,
    offsets: &mut Vec<isize>,
) {
    offsets.clear();
    if count == 0 {
        return;
    }
    let mut walk = Walk::new(sizes, strides, offset, start);
    while offsets.len() < count {
        let run = walk.run(count - offsets.len());
        let mut at = run.at as isize;
        for _ in 0..run.count {
            offsets.push(at);
            at += run.stride;
        }
    }
}

/// Where all elements are.
pub fn offsets(sizes: &[usize], strides: &[isize], offset: isize) -> Vec<isize> {
    let mut offsets = Vec::new();
    offsets_into(sizes, strides, offset, 0, sizes.iter().product(), &mut offsets);
    offsets
}

/// The strides are those of a row-major, contiguous tensor; axes of size 1 do not count.
pub fn is_contiguous(sizes: &[usize], strides: &[isize]) -> bool {
    let mut expected = 1;
    for (&size, &stride) in sizes.iter().zip(strides).rev() {
        if size != 1 && stride != expected {
            return false;
        }
        expected *= size as isize;
    }
    true
}
