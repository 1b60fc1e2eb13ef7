//! The shader instantiation of [`Scalar`]: canonical functions become straight-line WGSL, barriers included.
//!
//! WGSL promises little about float arithmetic: it may be fused, reassociated and flushed. What held on every
//! driver that was tried is `bitcast<f32>(bitcast<u32>(x) | zero)` with `zero` a word read from a storage
//! buffer, so the emitter puts every result of a float addition, subtraction and multiplication through it.
//! Division and square root are an estimate by the driver, corrected in integers. Everything else is integer
//! code, a comparison or a selection. Nothing here knows about tensors or loops: see `kernel`.

use std::{collections::HashMap, fmt::Write};

use anneal_tensor::numerics::{
    Scalar,
    corrected::{div_corrected, div_significand, sqrt_corrected, sqrt_significand},
};

/// Writes one `let` a method into a text, each expression once.
#[derive(Debug, Default)]
pub struct Emitter {
    text: String,
    names: u32,
    /// Expression → its name, as long as the text that binds it has not been taken.
    bound: HashMap<String, u32>,
    barriers: usize,
    left_out: Option<usize>,
}

/// A name bound to an `f32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Float(u32);

/// A name bound to a `u32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(u32);

/// A name bound to a `bool`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truth(u32);

impl Emitter {
    /// An empty text.
    pub fn new() -> Emitter {
        Emitter::default()
    }

    /// An emitter that leaves its `n`-th barrier out: for tests that show that the lint and the hostile
    /// interpreter notice. Never for a kernel that runs.
    pub fn without_barrier(n: usize) -> Emitter {
        Emitter { left_out: Some(n), ..Emitter::default() }
    }

    /// How many barriers were written or left out so far.
    pub fn barriers(&self) -> usize {
        self.barriers
    }

    /// The text since the last call. It goes into one scope; the names it binds are not used again unless the
    /// caller refers to them from inside that scope.
    pub fn take(&mut self) -> String {
        self.bound.clear();
        std::mem::take(&mut self.text)
    }

    /// Binds a WGSL expression of type `u32`.
    pub fn word_of(&mut self, expression: &str) -> Word {
        Word(self.bind(expression.to_owned()))
    }

    /// The float whose bits an expression of type `u32` gives.
    pub fn float_of(&mut self, expression: &str) -> Float {
        Float(self.bind(format!("bitcast<f32>({expression})")))
    }

    /// Binds a WGSL expression of type `f32` that is no result of float arithmetic, or one behind a barrier.
    pub fn float_value(&mut self, expression: &str) -> Float {
        Float(self.bind(expression.to_owned()))
    }

    /// Binds a WGSL expression of type `bool`.
    pub fn truth_of(&mut self, expression: &str) -> Truth {
        Truth(self.bind(expression.to_owned()))
    }

    /// A float that float arithmetic outside the emitter gave (the end of an fma chain), behind a barrier.
    pub fn float_behind_barrier(&mut self, expression: &str) -> Float {
        let raw = self.bind(expression.to_owned());
        self.barrier(raw)
    }

    /// The expression of type `u32` that holds a float's bits.
    pub fn float_bits(&self, a: Float) -> String {
        format!("bitcast<u32>(v{})", a.0)
    }

    /// The name of a word.
    pub fn word_name(&self, a: Word) -> String {
        format!("v{}", a.0)
    }

    /// The name of a float.
    pub fn float_name(&self, a: Float) -> String {
        format!("v{}", a.0)
    }

    /// The name of a truth value.
    pub fn truth_name(&self, a: Truth) -> String {
        format!("v{}", a.0)
    }

    /// The expression of type `u32` that is 1 where the truth value holds, else 0.
    pub fn truth_bits(&self, a: Truth) -> String {
        format!("select(0u, 1u, v{})", a.0)
    }

    fn bind(&mut self, expression: String) -> u32 {
        if let Some(&name) = self.bound.get(&expression) {
            return name;
        }
        let name = self.names;
        self.names += 1;
        writeln!(self.text, "let v{name} = {expression};").expect("writing to a string cannot fail");
        self.bound.insert(expression, name);
        name
    }

    fn barrier(&mut self, raw: u32) -> Float {
        let number = self.barriers;
        self.barriers += 1;
        if self.left_out == Some(number) {
            return Float(raw);
        }
        Float(self.bind(format!("bitcast<f32>(bitcast<u32>(v{raw}) | zero)")))
    }

    fn float_operation(&mut self, expression: String) -> Float {
        // The same operation on the same names is behind its barrier already.
        let raw = self.bind(expression);
        self.barrier(raw)
    }

    fn word_operation(&mut self, a: Word, operator: &str, b: Word) -> Word {
        Word(self.bind(format!("v{} {operator} v{}", a.0, b.0)))
    }

    fn truth_operation(&mut self, a: u32, operator: &str, b: u32) -> Truth {
        Truth(self.bind(format!("v{a} {operator} v{b}")))
    }
}

impl Scalar for Emitter {
    type F = Float;
    type U = Word;
    type B = Truth;

    fn float(&mut self, value: f32) -> Float {
        // By its bits: a decimal literal would trust every parser on the way.
        Float(self.bind(format!("bitcast<f32>({:#010x}u)", value.to_bits())))
    }
    fn word(&mut self, value: u32) -> Word {
        Word(self.bind(format!("{value:#x}u")))
    }

    fn add(&mut self, a: Float, b: Float) -> Float {
        self.float_operation(format!("v{} + v{}", a.0, b.0))
    }
    fn sub(&mut self, a: Float, b: Float) -> Float {
        self.float_operation(format!("v{} - v{}", a.0, b.0))
    }
    fn mul(&mut self, a: Float, b: Float) -> Float {
        self.float_operation(format!("v{} * v{}", a.0, b.0))
    }
    fn div(&mut self, a: Float, b: Float) -> Float {
        let above = div_significand(self, a);
        let below = div_significand(self, b);
        let estimate = self.float_operation(format!("v{} / v{}", above.0, below.0));
        div_corrected(self, a, b, estimate)
    }
    fn sqrt(&mut self, a: Float) -> Float {
        let significand = sqrt_significand(self, a);
        let estimate = self.float_operation(format!("sqrt(v{})", significand.0));
        sqrt_corrected(self, a, estimate)
    }

    fn neg(&mut self, a: Float) -> Float {
        Float(self.bind(format!("bitcast<f32>(bitcast<u32>(v{}) ^ 0x80000000u)", a.0)))
    }
    fn abs(&mut self, a: Float) -> Float {
        Float(self.bind(format!("bitcast<f32>(bitcast<u32>(v{}) & 0x7fffffffu)", a.0)))
    }
    fn min(&mut self, a: Float, b: Float) -> Float {
        let less = self.lt(a, b);
        self.select(less, a, b)
    }
    fn max(&mut self, a: Float, b: Float) -> Float {
        let less = self.lt(b, a);
        self.select(less, a, b)
    }
    fn lt(&mut self, a: Float, b: Float) -> Truth {
        self.truth_operation(a.0, "<", b.0)
    }
    fn le(&mut self, a: Float, b: Float) -> Truth {
        self.truth_operation(a.0, "<=", b.0)
    }
    fn eq(&mut self, a: Float, b: Float) -> Truth {
        self.truth_operation(a.0, "==", b.0)
    }

    fn bits(&mut self, a: Float) -> Word {
        Word(self.bind(format!("bitcast<u32>(v{})", a.0)))
    }
    fn from_bits(&mut self, a: Word) -> Float {
        Float(self.bind(format!("bitcast<f32>(v{})", a.0)))
    }
    fn to_int(&mut self, a: Float) -> Word {
        Word(self.bind(format!("bitcast<u32>(i32(v{}))", a.0)))
    }
    fn from_int(&mut self, a: Word) -> Float {
        Float(self.bind(format!("f32(bitcast<i32>(v{}))", a.0)))
    }

    fn uadd(&mut self, a: Word, b: Word) -> Word {
        self.word_operation(a, "+", b)
    }
    fn usub(&mut self, a: Word, b: Word) -> Word {
        self.word_operation(a, "-", b)
    }
    fn umul(&mut self, a: Word, b: Word) -> Word {
        self.word_operation(a, "*", b)
    }
    fn and(&mut self, a: Word, b: Word) -> Word {
        self.word_operation(a, "&", b)
    }
    fn or(&mut self, a: Word, b: Word) -> Word {
        self.word_operation(a, "|", b)
    }
    fn xor(&mut self, a: Word, b: Word) -> Word {
        self.word_operation(a, "^", b)
    }
    fn shl(&mut self, a: Word, n: Word) -> Word {
        Word(self.bind(format!("v{} << (v{} & 31u)", a.0, n.0)))
    }
    fn shr(&mut self, a: Word, n: Word) -> Word {
        Word(self.bind(format!("v{} >> (v{} & 31u)", a.0, n.0)))
    }
    fn sar(&mut self, a: Word, n: Word) -> Word {
        Word(self.bind(format!("bitcast<u32>(bitcast<i32>(v{}) >> (v{} & 31u))", a.0, n.0)))
    }
    fn idiv(&mut self, a: Word, b: Word) -> Word {
        // A shader's division by zero and overflow differ between platforms: divide by one there.
        let by_zero = self.bind(format!("v{} == 0u", b.0));
        let overflows = self.bind(format!("(v{} == 0x80000000u) & (v{} == 0xffffffffu)", a.0, b.0));
        let divisor = self.bind(format!("select(v{}, 1u, v{by_zero} | v{overflows})", b.0));
        let quotient = self.bind(format!("bitcast<u32>(bitcast<i32>(v{}) / bitcast<i32>(v{divisor}))", a.0));
        Word(self.bind(format!("select(v{quotient}, 0u, v{by_zero})")))
    }
    fn ueq(&mut self, a: Word, b: Word) -> Truth {
        self.truth_operation(a.0, "==", b.0)
    }
    fn ult(&mut self, a: Word, b: Word) -> Truth {
        self.truth_operation(a.0, "<", b.0)
    }
    fn ilt(&mut self, a: Word, b: Word) -> Truth {
        Truth(self.bind(format!("bitcast<i32>(v{}) < bitcast<i32>(v{})", a.0, b.0)))
    }

    fn both(&mut self, a: Truth, b: Truth) -> Truth {
        // Not `&&`, which branches.
        self.truth_operation(a.0, "&", b.0)
    }
    fn either(&mut self, a: Truth, b: Truth) -> Truth {
        self.truth_operation(a.0, "|", b.0)
    }
    fn not(&mut self, a: Truth) -> Truth {
        Truth(self.bind(format!("!v{}", a.0)))
    }
    fn select(&mut self, condition: Truth, yes: Float, no: Float) -> Float {
        Float(self.bind(format!("select(v{}, v{}, v{})", no.0, yes.0, condition.0)))
    }
    fn uselect(&mut self, condition: Truth, yes: Word, no: Word) -> Word {
        Word(self.bind(format!("select(v{}, v{}, v{})", no.0, yes.0, condition.0)))
    }
}
