//! Floats that are not computed before their bits are needed, and what a hostile compiler makes of them then.

use std::rc::Rc;

/// What the machine does to float arithmetic, each where WGSL allows it (its section on accuracy).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hostility {
    /// Computes an expression in higher precision and rounds once.
    pub contract: bool,
    /// Adds and multiplies the terms of an expression in any order, and cancels.
    pub reassociate: bool,
    /// Flushes subnormal operands and results, and subnormals on their way through a bitcast.
    pub flush: bool,
    /// Divides and takes roots up to this many units in the last place off.
    pub units_off: u32,
    /// Gives zeros any sign.
    pub zero_sign: bool,
    /// Rounds the product of an `fma` before the addition.
    pub unfuse: bool,
    /// Adds the terms of a chain of `fma` in any order. Kernels do not defend against it: the order canary
    /// finds such a device, and it gets kernels with a barrier after each step.
    pub reorder_chains: bool,
}

impl Hostility {
    /// IEEE-754.
    pub const NONE: Hostility = Hostility {
        contract: false,
        reassociate: false,
        flush: false,
        units_off: 0,
        zero_sign: false,
        unfuse: false,
        reorder_chains: false,
    };
    /// Everything that kernels defend against, each time at random.
    pub const FULL: Hostility = Hostility {
        contract: true,
        reassociate: true,
        flush: true,
        units_off: 6,
        zero_sign: true,
        unfuse: true,
        reorder_chains: false,
    };
}

/// A float in an invocation.
#[derive(Clone, Debug)]
pub(super) enum Float {
    /// Its bits were needed, or it came from memory.
    Known(u32),
    /// An operation that a compiler may still change.
    Open(Rc<Operation>),
}

/// An operation and its operands.
#[derive(Debug)]
pub(super) enum Operation {
    Add(Float, Float),
    Subtract(Float, Float),
    Multiply(Float, Float),
    Divide(Float, Float),
    Fma(Float, Float, Float),
    Sqrt(Float),
}

/// Chooses at random what happens to an expression.
#[derive(Debug)]
pub(super) struct Compiler {
    hostility: Hostility,
    random: u64,
}

impl Compiler {
    pub(super) fn new(hostility: Hostility, seed: u64) -> Compiler {
        Compiler { hostility, random: seed | 1 }
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.random >> 33) as usize) % bound
    }

    fn sometimes(&mut self, allowed: bool) -> bool {
        allowed && self.below(2) == 0
    }

    /// The bits of a float, from now on fixed.
    pub(super) fn bits(&mut self, float: &Float) -> u32 {
        match float {
            Float::Known(bits) => *bits,
            Float::Open(_) => self.value(float).to_bits(),
        }
    }

    /// The bits of a float as a word.
    pub(super) fn float_bits(&mut self, float: &Float) -> u32 {
        let bits = self.bits(float);
        self.cast(bits)
    }

    /// What a bitcast from or to float gives.
    pub(super) fn cast(&mut self, bits: u32) -> u32 {
        let subnormal = bits & 0x7f80_0000 == 0 && bits & 0x007f_ffff != 0;
        if subnormal && self.sometimes(self.hostility.flush) { bits & 0x8000_0000 } else { bits }
    }

    fn value(&mut self, float: &Float) -> f32 {
        let operation = match float {
            Float::Known(bits) => return f32::from_bits(*bits),
            Float::Open(operation) => operation,
        };
        let result = match &**operation {
            Operation::Fma(..) if self.hostility.reorder_chains => self.chain(float),
            Operation::Fma(a, b, c) => {
                let (a, b, c) = (self.operand(a), self.operand(b), self.operand(c));
                if self.sometimes(self.hostility.unfuse) { a * b + c } else { a.mul_add(b, c) }
            }
            Operation::Sqrt(a) => {
                let root = self.operand(a).sqrt();
                self.off(root)
            }
            Operation::Divide(a, b) => {
                let quotient = self.operand(a) / self.operand(b);
                self.off(quotient)
            }
            _ if self.sometimes(self.hostility.contract) => self.wide(float) as f32,
            _ if self.sometimes(self.hostility.reassociate) => self.shuffled(float),
            Operation::Add(a, b) => self.operand(a) + self.operand(b),
            Operation::Subtract(a, b) => self.operand(a) - self.operand(b),
            Operation::Multiply(a, b) => self.operand(a) * self.operand(b),
        };
        self.result(result)
    }

    fn operand(&mut self, float: &Float) -> f32 {
        let value = self.value(float);
        if value.is_subnormal() && self.sometimes(self.hostility.flush) { 0.0 } else { value }
    }

    fn result(&mut self, value: f32) -> f32 {
        let value = if value.is_subnormal() && self.sometimes(self.hostility.flush) { 0.0 } else { value };
        if value == 0.0 && self.sometimes(self.hostility.zero_sign) { -value } else { value }
    }

    fn off(&mut self, value: f32) -> f32 {
        let most = self.hostility.units_off as usize;
        if most == 0 || !value.is_normal() {
            return value;
        }
        let units = self.below(2 * most + 1) as i32 - most as i32;
        f32::from_bits(value.to_bits().wrapping_add_signed(units))
    }

    /// The terms of a chain in any order, from its beginning.
    fn chain(&mut self, float: &Float) -> f32 {
        let (mut terms, mut start) = (Vec::new(), float);
        while let Float::Open(operation) = start
            && let Operation::Fma(a, b, c) = &**operation
        {
            terms.push((self.operand(a), self.operand(b)));
            start = c;
        }
        let mut total = self.operand(start);
        while !terms.is_empty() {
            let (a, b) = terms.swap_remove(self.below(terms.len()));
            total = a.mul_add(b, total);
        }
        total
    }

    /// The expression in binary64, without roundings on the way: "fused, at least as accurate".
    fn wide(&mut self, float: &Float) -> f64 {
        let Float::Open(operation) = float else { return f64::from(self.operand(float)) };
        match &**operation {
            Operation::Add(a, b) => self.wide(a) + self.wide(b),
            Operation::Subtract(a, b) => self.wide(a) - self.wide(b),
            Operation::Multiply(a, b) => self.wide(a) * self.wide(b),
            Operation::Divide(..) | Operation::Fma(..) | Operation::Sqrt(_) => f64::from(self.value(float)),
        }
    }

    /// The terms of a sum, or the factors of a product, in another order; terms that cancel are gone.
    fn shuffled(&mut self, float: &Float) -> f32 {
        let Float::Open(operation) = float else { return self.operand(float) };
        if let Operation::Multiply(..) = **operation {
            let mut factors = Vec::new();
            self.factors(float, &mut factors);
            return self.in_any_order(factors, |a, b| a * b).unwrap_or(1.0);
        }
        let mut terms = Vec::new();
        self.terms(float, false, &mut terms);
        let mut at = 0;
        while at < terms.len() {
            let opposite = terms[at + 1..].iter().position(|&other| other == -terms[at]);
            match opposite {
                Some(distance) if self.sometimes(true) => {
                    terms.remove(at + 1 + distance);
                    terms.remove(at);
                }
                _ => at += 1,
            }
        }
        self.in_any_order(terms, |a, b| a + b).unwrap_or(0.0)
    }

    fn in_any_order(&mut self, mut values: Vec<f32>, combine: impl Fn(f32, f32) -> f32) -> Option<f32> {
        let mut total: Option<f32> = None;
        while !values.is_empty() {
            let next = values.swap_remove(self.below(values.len()));
            total = Some(total.map_or(next, |total| combine(total, next)));
        }
        total
    }

    fn terms(&mut self, float: &Float, negative: bool, terms: &mut Vec<f32>) {
        match float {
            Float::Open(operation) => match &**operation {
                Operation::Add(a, b) => {
                    self.terms(a, negative, terms);
                    return self.terms(b, negative, terms);
                }
                Operation::Subtract(a, b) => {
                    self.terms(a, negative, terms);
                    return self.terms(b, !negative, terms);
                }
                _ => {}
            },
            Float::Known(_) => {}
        }
        let value = self.operand(float);
        terms.push(if negative { -value } else { value });
    }

    fn factors(&mut self, float: &Float, factors: &mut Vec<f32>) {
        if let Float::Open(operation) = float
            && let Operation::Multiply(a, b) = &**operation
        {
            self.factors(a, factors);
            return self.factors(b, factors);
        }
        let value = self.operand(float);
        factors.push(value);
    }
}
