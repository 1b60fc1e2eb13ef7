//! The digest of a tensor (rule 12): a SHA-256 Merkle tree over its bytes, bound to its dtype and shape.
//!
//! The bytes are [`Elements::to_bytes`](crate::Elements::to_bytes): the logical elements, row-major and
//! little-endian, the sign of a float's zero cleared. The tree, byte for byte, `‖` joining:
//!
//! - The bytes are cut into leaves of 4096, the last may be shorter; of no bytes there is one empty leaf.
//!   A leaf is `SHA-256("leaf" ‖ bytes)`.
//! - Two neighbours become `SHA-256("node" ‖ left ‖ right)`, level by level; a last one without a neighbour
//!   goes up unchanged. The dtype and shape fix how many leaves there are, so no other tree has that root.
//! - The digest is `SHA-256("root" ‖ dtype ‖ rank ‖ sizes ‖ top)`: the dtype's name in four bytes, filled up
//!   with zero bytes; the rank and the sizes, outermost first, each as u64, little-endian.
//!
//! Every prefix is a word or two, so that a device hashes whole words. Leaves and nodes can be made in any order,
//! on any device. Not a file's digest: that is plain SHA-256.

use sha2::{Digest, Sha256};

use crate::{DType, Shape};

/// Bytes of a leaf.
pub const LEAF_BYTES: usize = 4096;

/// The digest of a tensor with these bytes.
///
/// # Panics
/// Where there are not as many bytes as shape and dtype say: a bug of ours.
pub fn tensor_digest(shape: &Shape, dtype: DType, bytes: &[u8]) -> [u8; 32] {
    assert_eq!(bytes.len(), shape.elements() * dtype.byte_size(), "bytes match their shape and dtype");
    let mut level: Vec<[u8; 32]> = bytes.chunks(LEAF_BYTES).map(leaf).collect();
    if level.is_empty() {
        level.push(leaf(&[]));
    }
    while level.len() > 1 {
        level = level.chunks(2).map(node).collect();
    }
    root(shape, dtype, &level[0])
}

fn leaf(bytes: &[u8]) -> [u8; 32] {
    hash([b"leaf", bytes])
}

fn node(children: &[[u8; 32]]) -> [u8; 32] {
    match children {
        [left, right] => hash([b"node", left, right]),
        [alone] => *alone,
        _ => unreachable!("a level is taken two by two"),
    }
}

/// The digest from the top of the tree, for a device that made the tree itself.
pub fn root(shape: &Shape, dtype: DType, top: &[u8; 32]) -> [u8; 32] {
    let mut name = [0; 4];
    name[..dtype.name().len()].copy_from_slice(dtype.name().as_bytes());
    let rank = (shape.rank() as u64).to_le_bytes();
    let sizes: Vec<u8> = shape.iter().flat_map(|&size| (size as u64).to_le_bytes()).collect();
    hash([b"root", &name, &rank, &sizes, top])
}

fn hash<const N: usize>(parts: [&[u8]; N]) -> [u8; 32] {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(part);
    }
    sha.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Elements;

    /// Digests made with Python's hashlib from the description above.
    const KNOWN: [(&[usize], DType, &str); 7] = [
        (&[], DType::F32, "1a57d27c2b0f660d54d1f578cea8cdaf8373d585292c44f378c8dd32dbae45f7"),
        (&[0, 3], DType::I32, "b26e041c30452c5eb5706a43fa05185192aadac0bd61f8e3496b820e2d2fe234"),
        (&[1024], DType::F32, "332cd730416013f1777fd6bcaaf5fc2ffd1e562f74ef9c1578b284691c86c56f"),
        (&[1025], DType::I32, "ba8df43d979ab59074190a4ccafae49f9e74461a61f87212e42006277be2bc13"),
        (&[3, 5, 683], DType::U8, "d6dfea1a5166feabed7bdfdd18cedd70a766c413d837f66507d483fceb57eaa2"),
        (
            &[2, 2, 2, 2, 2, 2, 2, 2],
            DType::Bool,
            "0f350c402b5a66ad0085ea0242e080b16540fe200273d67c53b76f13ac1743bf",
        ),
        (&[5, 2049], DType::Bf16, "44868638435f8f5487418badd258ba8670d6e7b728a9ca1d3ed23c71b3e3ac71"),
    ];

    /// Byte i is i · 7 + i / 251, but 0 or 1 in a boolean.
    fn bytes(shape: &Shape, dtype: DType) -> Vec<u8> {
        let byte = |i: usize| (i * 7 + i / 251) as u8;
        let byte = |i: usize| if dtype == DType::Bool { byte(i) & 1 } else { byte(i) };
        (0..shape.elements() * dtype.byte_size()).map(byte).collect()
    }

    #[test]
    fn known_answers() {
        for (sizes, dtype, digest) in KNOWN {
            let shape = Shape::of(sizes);
            let found = tensor_digest(&shape, dtype, &bytes(&shape, dtype));
            let found: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(found, digest, "{dtype} {shape}");
        }
    }

    #[test]
    fn shape_and_dtype_are_covered() {
        let bytes = [0; 4];
        let digests = [
            tensor_digest(&Shape::SCALAR, DType::F32, &bytes),
            tensor_digest(&Shape::SCALAR, DType::I32, &bytes),
            tensor_digest(&Shape::of(&[1]), DType::F32, &bytes),
            tensor_digest(&Shape::of(&[4]), DType::U8, &bytes),
            tensor_digest(&Shape::of(&[4]), DType::Bool, &bytes),
            tensor_digest(&Shape::of(&[2, 2]), DType::U8, &bytes),
        ];
        let distinct: std::collections::HashSet<_> = digests.iter().collect();
        assert_eq!(distinct.len(), digests.len());
    }

    #[test]
    fn the_sign_of_zero_is_not() {
        let shape = Shape::of(&[2]);
        let digest =
            |zero: f32| tensor_digest(&shape, DType::F32, &Elements::F32(vec![zero, 1.0]).to_bytes());
        assert_eq!(digest(0.0), digest(-0.0));
    }
}
