//! Counter-based random numbers: the names of streams, and permutations.
//!
//! Tensors are filled on the host ([`Tensor::uniform`](crate::Tensor::uniform), keyed by the task's seed and a
//! stream). What the guest itself must draw, the order of rows, comes from here. Both use Threefry-2x32-20 (J. Salmon
//! et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011): a number depends only on key and counter,
//! never on what was drawn before.

/// Threefry-2x32 with 20 rounds.
pub fn threefry(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
    const PARITY: u32 = 0x1BD1_1BDA;
    let schedule = [key[0], key[1], key[0] ^ key[1] ^ PARITY];
    let [mut a, mut b] = [counter[0].wrapping_add(schedule[0]), counter[1].wrapping_add(schedule[1])];
    for round in 0..20 {
        a = a.wrapping_add(b);
        b = b.rotate_left(ROTATIONS[round % 8]) ^ a;
        if round % 4 == 3 {
            let injection = round / 4 + 1;
            a = a.wrapping_add(schedule[injection % 3]);
            b = b.wrapping_add(schedule[(injection + 1) % 3]).wrapping_add(injection as u32);
        }
    }
    [a, b]
}

/// The number of the stream called `name` at `step`: for [`Tensor::uniform`](crate::Tensor::uniform) and
/// [`permutation`]. Another name or step gives another stream.
///
/// It is Threefry at the counter `step`, keyed by the FNV-1a hash of the name.
pub fn stream(name: &str, step: u64) -> u64 {
    const BASIS: u64 = 0xCBF2_9CE4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01B3;
    let hash = name.bytes().fold(BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    join(threefry(split(hash), split(step)))
}

/// The numbers 0 to `length` − 1 in an order that `seed` and `stream` fix.
///
/// With key = threefry(seed, stream), the numbers are sorted by the 64 bits of threefry(key, (number, 0)), the
/// first word being the upper half; a tie keeps ascending order. Words of 64 bits split low half first.
pub fn permutation(length: u32, seed: u64, stream: u64) -> Vec<u32> {
    let key = threefry(split(seed), split(stream));
    let mut order: Vec<(u64, u32)> = (0..length)
        .map(|number| {
            let [high, low] = threefry(key, [number, 0]);
            (join([low, high]), number)
        })
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, number)| number).collect()
}

/// Low half, high half.
fn split(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

fn join([low, high]: [u32; 2]) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From kat_vectors of Random123: "threefry2x32 20".
    #[test]
    fn threefry_gives_the_published_answers() {
        for (key, counter, answer) in [
            ([0, 0], [0, 0], [0x6B20_0159, 0x99BA_4EFE]),
            ([u32::MAX; 2], [u32::MAX; 2], [0x1CB9_96FC, 0xBB00_2BE7]),
            ([0x1319_8A2E, 0x0370_7344], [0x243F_6A88, 0x85A3_08D3], [0xC492_3A9C, 0x483D_F7A0]),
        ] {
            assert_eq!(threefry(key, counter), answer, "key {key:08x?}, counter {counter:08x?}");
        }
    }

    #[test]
    fn a_permutation_holds_every_number_once() {
        for length in [0, 1, 2, 3, 64, 1797] {
            let mut numbers = permutation(length, 0, 0);
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..length), "length {length}");
        }
    }

    #[test]
    fn seed_and_stream_both_change_a_permutation() {
        let order = permutation(1797, 0, 0);
        assert_ne!(order, permutation(1797, 1, 0));
        assert_ne!(order, permutation(1797, 1 << 32, 0));
        assert_ne!(order, permutation(1797, 0, 1));
        assert_eq!(order, permutation(1797, 0, 0));
    }

    /// The mean displacement of a random permutation of n is (n² − 1) / 3n.
    #[test]
    fn a_permutation_moves_numbers_as_far_as_chance_does() {
        let n = 10_000_u32;
        let moved: u64 =
            (0..).zip(permutation(n, 7, 9)).map(|(a, b): (u32, u32)| u64::from(a.abs_diff(b))).sum();
        let mean = moved as f64 / f64::from(n);
        assert!((mean / (f64::from(n) / 3.0) - 1.0).abs() < 0.03, "{mean}");
    }

    #[test]
    fn names_and_steps_make_different_streams() {
        let mut streams: Vec<u64> = ["init/a", "init/b", "dropout/a"]
            .iter()
            .flat_map(|name| (0..100).map(move |step| stream(name, step)))
            .collect();
        streams.sort_unstable();
        streams.dedup();
        assert_eq!(streams.len(), 300);
    }
}
