//! From the number of an element to its place in each buffer: axes are merged, then divided out.

use super::Shader;

/// Axes with, for each of several buffers, a stride.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axes {
    /// Row-major.
    pub(crate) sizes: Vec<usize>,
    /// Per buffer, as long as `sizes`.
    pub(crate) strides: Vec<Vec<isize>>,
}

/// The words of [`Axes`] as a kernel's arguments.
pub(crate) struct Addresses {
    sizes: Vec<String>,
    strides: Vec<Vec<String>>,
}

impl Axes {
    /// Axes of size 1 are dropped, and neighbours that every buffer walks evenly become one.
    pub(crate) fn merged(sizes: &[usize], strides: &[&[isize]]) -> Axes {
        let mut axes = Axes { sizes: Vec::new(), strides: vec![Vec::new(); strides.len()] };
        for (axis, &size) in sizes.iter().enumerate() {
            if size == 1 {
                continue;
            }
            let even = !axes.sizes.is_empty()
                && axes.strides.iter().zip(strides).all(|(merged, of)| {
                    merged.last().is_some_and(|&last| last == of[axis].wrapping_mul(size as isize))
                });
            if even {
                *axes.sizes.last_mut().expect("an axis to merge with") *= size;
            } else {
                axes.sizes.push(size);
            }
            for (merged, of) in axes.strides.iter_mut().zip(strides) {
                if even {
                    merged.pop();
                }
                merged.push(of[axis]);
            }
        }
        axes
    }

    /// Makes sizes and strides arguments of the kernel. The first size is never divided by.
    pub(crate) fn arguments(&self, shader: &mut Shader) -> Addresses {
        let mut sizes = vec![String::new()];
        for &size in self.sizes.iter().skip(1) {
            sizes.push(shader.number(size as isize));
        }
        sizes.truncate(self.sizes.len());
        let mut strides = Vec::new();
        for of in &self.strides {
            strides.push(of.iter().map(|&stride| shader.number(stride)).collect());
        }
        Addresses { sizes, strides }
    }
}

impl Addresses {
    /// Writes the lines that give, per buffer, the distance of element `linear` from the first; returns their
    /// names.
    pub(crate) fn offsets(&self, shader: &mut Shader, linear: &str) -> Vec<String> {
        let rank = self.sizes.len();
        let mut coordinates = vec![linear.to_owned(); rank];
        let mut rest = linear.to_owned();
        for axis in (1..rank).rev() {
            let (coordinate, next) = (shader.name("c"), shader.name("r"));
            let size = &self.sizes[axis];
            shader.line(format!("let {next} = {rest} / {size};"));
            shader.line(format!("let {coordinate} = {rest} - {next} * {size};"));
            coordinates[axis] = coordinate;
            rest = next;
        }
        if rank > 0 {
            coordinates[0] = rest;
        }
        let mut names = Vec::new();
        for strides in &self.strides {
            let terms: Vec<String> =
                coordinates.iter().zip(strides).map(|(at, stride)| format!("{at} * {stride}")).collect();
            let sum = if terms.is_empty() { "0u".to_owned() } else { terms.join(" + ") };
            let name = shader.name("o");
            shader.line(format!("let {name} = {sum};"));
            names.push(name);
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_merge_where_every_buffer_is_even() {
        let merged = Axes::merged(&[2, 1, 3, 4], &[&[12, 7, 4, 1], &[0, 0, 0, 0]]);
        assert_eq!(merged, Axes { sizes: vec![24], strides: vec![vec![1], vec![0]] });
        let kept = Axes::merged(&[2, 3, 4], &[&[12, 4, 1], &[1, 2, 6]]);
        assert_eq!(kept.sizes, [2, 3, 4]);
        assert_eq!(Axes::merged(&[1, 1], &[&[5, 5]]).sizes, [] as [usize; 0]);
    }
}
