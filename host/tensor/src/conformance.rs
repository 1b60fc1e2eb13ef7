//! The conformance vectors: what every backend, and every release of version 1, must compute.
//!
//! `conformance/vectors.txt` is a committed table: an operation, the sizes of the problem, a seed, and the
//! digest of the result. How a line's operands are drawn is [`recipes`]. A device earns only after
//! [`run`] finds nothing. The table was written by the reference interpreter
//! (`cargo run --release -p anneal-tensor --example conformance`); a line that is there is never changed.

mod recipes;

use std::{fmt, sync::OnceLock};

use crate::{Executor, ExecutorError, digest, float_mode};

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vector {
    /// The operation with the dtypes it works on, as `cast:f32:i32`.
    pub operation: &'static str,
    /// The sizes of the problem; what they mean is the operation's (for an element operation, the shape).
    pub sizes: Vec<usize>,
    /// Where the operands come from.
    pub seed: u64,
    /// The digest of the result.
    pub digest: [u8; 32],
}

/// A vector that an executor did not meet.
#[derive(Debug)]
pub struct Failure {
    /// The vector.
    pub vector: &'static Vector,
    /// What the executor gave.
    pub found: Result<[u8; 32], ExecutorError>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Vector { operation, sizes, seed, digest } = self.vector;
        write!(f, "{operation} {} seed {seed}: expected {}, ", join(sizes), short(digest))?;
        match &self.found {
            Ok(digest) => write!(f, "got {}", short(digest)),
            Err(error) => write!(f, "the device failed: {error}"),
        }
    }
}

/// The committed table.
///
/// # Panics
/// Where the committed text is no table: a bug of ours.
pub fn vectors() -> &'static [Vector] {
    static VECTORS: OnceLock<Vec<Vector>> = OnceLock::new();
    VECTORS.get_or_init(|| {
        let text = include_str!("conformance/vectors.txt");
        text.lines().map(|line| parse(line).unwrap_or_else(|| panic!("vectors.txt: {line:?}"))).collect()
    })
}

/// Computes every vector and returns those that the executor did not meet.
pub fn run(executor: &mut dyn Executor) -> Vec<Failure> {
    let check = |vector: &'static Vector| {
        let found = compute(executor, vector.operation, &vector.sizes, vector.seed);
        (!matches!(&found, Ok(digest) if *digest == vector.digest)).then_some(Failure { vector, found })
    };
    vectors().iter().filter_map(check).collect()
}

/// The text of the table as an executor computes it: the reference's is the one that is committed.
///
/// # Errors
/// The machine's.
pub fn table(executor: &mut dyn Executor) -> Result<String, ExecutorError> {
    let mut text = String::new();
    for (operation, sizes, seed) in recipes::every() {
        let digest = compute(executor, &operation, &sizes, seed)?;
        text += &format!("{operation} {} {seed} {}\n", join(&sizes), hexadecimal(&digest));
    }
    Ok(text)
}

fn compute(
    executor: &mut dyn Executor,
    operation: &str,
    sizes: &[usize],
    seed: u64,
) -> Result<[u8; 32], ExecutorError> {
    // Whoever computes on its caller's thread computes in its mode.
    float_mode::check("what ran before a conformance vector")?;
    let target = recipes::record(operation, sizes, seed);
    let values = executor.evaluate(std::slice::from_ref(&target))?;
    let elements = executor.read(&values[0])?;
    float_mode::check("computing a conformance vector")?;
    Ok(digest::tensor_digest(target.shape(), target.dtype(), &elements.to_bytes()))
}

fn parse(line: &'static str) -> Option<Vector> {
    let mut words = line.split(' ');
    let operation = words.next()?;
    let sizes = words.next()?;
    let sizes = if sizes == "-" {
        Vec::new()
    } else {
        sizes.split('x').map(str::parse).collect::<Result<_, _>>().ok()?
    };
    let seed = words.next()?.parse().ok()?;
    let text = words.next()?;
    let mut digest = [0; 32];
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(Vector { operation, sizes, seed, digest })
}

fn join(sizes: &[usize]) -> String {
    match sizes {
        [] => "-".to_owned(),
        sizes => sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("x"),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn short(digest: &[u8; 32]) -> String {
    hexadecimal(&digest[..6])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cpu, Reference, testing::Coverage};

    fn check(executor: &mut dyn Executor) {
        let failures = run(executor);
        let shown: Vec<String> = failures.iter().map(ToString::to_string).collect();
        assert!(shown.is_empty(), "{} of {}:\n{}", shown.len(), vectors().len(), shown.join("\n"));
    }

    #[test]
    fn the_reference_meets_every_vector() {
        check(&mut Reference::new());
    }

    #[test]
    fn the_cpu_meets_every_vector() {
        check(&mut Cpu::new(2).expect("this machine computes as IEEE 754 says"));
    }

    #[test]
    fn the_table_has_every_recipe() {
        let recipes = recipes::every();
        let listed: Vec<_> =
            vectors().iter().map(|v| (v.operation.to_owned(), v.sizes.clone(), v.seed)).collect();
        assert_eq!(listed, recipes, "run the example `conformance` to add what is missing");
    }

    #[test]
    fn the_recipes_cover_every_operation() {
        let mut coverage = Coverage::default();
        for (operation, sizes, seed) in recipes::every() {
            coverage.add(&[recipes::record(&operation, &sizes, seed)]);
        }
        assert_eq!(coverage.missing(), Vec::<String>::new());
    }
}
