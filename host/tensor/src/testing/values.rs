//! Random choices, and tensors of values chosen to hurt: drawn with the project's own Threefry, so that a seed
//! gives the same case on every machine, in every release.
//!
//! The conformance vectors hash what is drawn here: add, but do not change what a seed gives.

use crate::{
    DType, Elements, Shape, Value,
    numerics::{canonical, threefry},
};

/// A sequence of random words.
#[derive(Clone, Debug)]
pub struct Random {
    key: [u32; 2],
    drawn: u32,
}

/// Where the f32 values of a tensor come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stratum {
    /// Between −4 and 4.
    Ordinary,
    /// Whole numbers from −8 to 8.
    Whole,
    /// Multiples of 2^-123 below 2^-97: products and sums around the flush.
    Tiny,
    /// From 2^58 to 2^62, and 2^62 itself: sums and products around saturation.
    Huge,
    /// Halfway between two representable results: k + ½, one bit past 12, and two numbers of which one is
    /// half a unit of the other.
    Ties,
    /// Around 2^±50 and the other limits of round12 and of the functions.
    Limits,
    /// Any canonical bits.
    Any,
    /// One of the others for each element.
    Mixed,
}

impl Stratum {
    /// Every one.
    pub const ALL: [Stratum; 8] = [
        Stratum::Ordinary,
        Stratum::Whole,
        Stratum::Tiny,
        Stratum::Huge,
        Stratum::Ties,
        Stratum::Limits,
        Stratum::Any,
        Stratum::Mixed,
    ];
}

impl Random {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Random {
        Random { key: threefry::subkey(seed, 0x7465_7374), drawn: 0 }
    }

    /// The next word.
    pub fn word(&mut self) -> u32 {
        let [word, _] = threefry::threefry_words(self.key, [self.drawn, 0]);
        self.drawn += 1;
        word
    }

    /// From 0 to `count` − 1.
    pub fn below(&mut self, count: usize) -> usize {
        ((u64::from(self.word()) * count as u64) >> 32) as usize
    }

    /// True in `percent` of 100.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// In [0, 1), of 24 bits.
    fn unit(&mut self) -> f32 {
        (self.word() >> 8) as f32 / 16_777_216.0
    }

    fn signed(&mut self, magnitude: f32) -> f32 {
        if self.chance(50) { -magnitude } else { magnitude }
    }

    /// A canonical f32.
    pub fn float(&mut self, stratum: Stratum) -> f32 {
        let value = match stratum {
            Stratum::Ordinary => self.unit() * 8.0 - 4.0,
            Stratum::Whole => self.below(17) as f32 - 8.0,
            Stratum::Tiny => {
                let bits = 1 << self.below(24);
                let multiple = (self.below(bits) + 1) as f32;
                let scale = power_of_two(-123 + self.below(4) as i32);
                self.signed(multiple * scale)
            }
            Stratum::Huge if self.chance(20) => self.signed(canonical::MAX),
            Stratum::Huge => {
                let exponent = 58 + self.below(4) as i32;
                let magnitude = (1.0 + self.unit()) * power_of_two(exponent);
                self.signed(magnitude)
            }
            Stratum::Ties => self.tie(),
            Stratum::Limits => self.limit(),
            Stratum::Any => {
                let bits = self.word();
                let exponent = 4 + self.below(185) as u32;
                f32::from_bits((bits & 0x807f_ffff) | (exponent << 23))
            }
            Stratum::Mixed => {
                let other = Stratum::ALL[self.below(Stratum::ALL.len() - 1)];
                self.float(other)
            }
        };
        canonical::import(value).unwrap_or(0.0)
    }

    fn tie(&mut self) -> f32 {
        let magnitude = match self.below(5) {
            0 => self.below(1 << 12) as f32 + 0.5,
            // 13 significant bits, the last one set.
            1 => ((self.below(1 << 12) | 1 << 12) * 2 + 1) as f32 * power_of_two(self.below(24) as i32 - 18),
            // Next to 1 and to 2^24: half a unit in the last place, one, and one and a half.
            2 => power_of_two(-24) * (1 + self.below(3)) as f32,
            3 => 1.0 + power_of_two(-23) * self.below(4) as f32,
            _ => 16_777_216.0 + 2.0 * self.below(3) as f32,
        };
        self.signed(magnitude)
    }

    fn limit(&mut self) -> f32 {
        let near = [-123, -100, -62, -50, -31, -24, -12, -1, 0, 1, 12, 23, 24, 31, 50, 52, 61, 62];
        let below = [0.88f32, 43.0, 69.3, 0.5, 9.01, 16.0, 88.0];
        let magnitude = match self.below(8) {
            0 => 0.0,
            1 => below[self.below(below.len())] * (1.0 + self.unit() / 64.0),
            _ => {
                let exponent = self.pick(&near);
                let bits = power_of_two(exponent).to_bits() + self.below(5) as u32;
                f32::from_bits(bits - 2)
            }
        };
        self.signed(magnitude)
    }

    fn integer(&mut self) -> i32 {
        match self.below(8) {
            0 => self.pick(&[i32::MIN, i32::MAX, -1, 0, 1, 255, 256, -65_536, 16_777_217]),
            1 => self.word() as i32,
            2 => self.word() as i32 >> 12,
            _ => self.below(12) as i32 - 2,
        }
    }

    fn half(&mut self, dtype: DType) -> u32 {
        let exponent = if dtype == DType::F16 { 0x7c00 } else { 0x7f80 };
        let moderate = if dtype == DType::F16 { 0x3c00 } else { 0x3f80 };
        let bits = self.word() & 0xffff;
        match self.below(4) {
            0 if bits & exponent != exponent => bits,
            1 => bits & 0x8003,
            _ => (bits & !exponent) | (moderate - ((bits >> 13 & 1) << 10)),
        }
    }

    /// A tensor; `stratum` says what an f32 is like.
    pub fn value(&mut self, dtype: DType, shape: Shape, stratum: Stratum) -> Value {
        let words: Vec<u32> = (0..shape.elements())
            .map(|_| match dtype {
                DType::F32 => self.float(stratum).to_bits(),
                DType::I32 => self.integer() as u32,
                DType::U8 => self.word() & 255,
                DType::Bool => self.word() & 1,
                DType::Bf16 | DType::F16 => self.half(dtype),
            })
            .collect();
        Value::host(dtype, shape, Elements::from_words(dtype, words.into_iter()))
    }
}

fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits(((exponent + 127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_legal() {
        let mut random = Random::new(1);
        for stratum in Stratum::ALL {
            for _ in 0..10_000 {
                assert!(canonical::is_canonical(random.float(stratum)), "{stratum:?}");
            }
        }
        for dtype in DType::ALL {
            let shape = Shape::of(&[1000]);
            let value = random.value(dtype, shape, Stratum::Mixed);
            let bytes = value.elements().unwrap().to_bytes();
            assert!(Value::import(dtype, shape, &bytes).is_ok(), "{dtype}");
        }
    }
}
