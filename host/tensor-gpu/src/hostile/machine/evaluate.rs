//! What each expression gives. Integers are exact; floats stay open until their bits are needed.

use std::rc::Rc;

use naga::{BinaryOperator, Expression, Handle, Literal, MathFunction, ScalarKind, TypeInner, UnaryOperator};

use super::{Invocation, Machine, Place, Pointer, Value};
use crate::hostile::float::{Float, Operation};

impl Machine<'_> {
    pub(super) fn evaluate(
        &mut self,
        invocation: &mut Invocation,
        place: Place,
        handle: Handle<Expression>,
    ) -> Value {
        let mut of = |machine: &mut Self, handle| machine.value(invocation, place, handle);
        match &self.function.expressions[handle] {
            Expression::Literal(literal) => match *literal {
                Literal::U32(word) => Value::Word(word),
                Literal::I32(integer) => Value::Integer(integer),
                Literal::Bool(truth) => Value::Truth(truth),
                Literal::F32(float) => Value::Float(Float::Known(float.to_bits())),
                other => panic!("kernels have no literal {other:?}"),
            },
            Expression::ZeroValue(ty) => zero(&self.program.module.types[*ty].inner),
            Expression::Compose { components, .. } => {
                let mut parts = Vec::new();
                for &component in components {
                    match of(self, component) {
                        Value::Vector(inner) => parts.extend(inner),
                        scalar => parts.push(scalar),
                    }
                }
                Value::Vector(parts.into())
            }
            Expression::Splat { size, value } => {
                let value = of(self, *value);
                Value::Vector(vec![value; *size as usize].into())
            }
            Expression::Access { base, index } => {
                let index = of(self, *index);
                let index = match self.settled(index) {
                    Value::Word(word) => word as usize,
                    Value::Integer(integer) => usize::try_from(integer).expect("indices are not negative"),
                    other => panic!("{other:?} is no index"),
                };
                access(of(self, *base), index)
            }
            Expression::AccessIndex { base, index } => access(of(self, *base), *index as usize),
            Expression::FunctionArgument(index) => self.argument(invocation, place, *index),
            Expression::GlobalVariable(variable) => {
                Value::Pointer(Pointer::Global { index: variable.index(), element: None, component: None })
            }
            Expression::LocalVariable(variable) => {
                Value::Pointer(Pointer::Local { index: variable.index(), component: None })
            }
            Expression::Load { pointer } => match of(self, *pointer) {
                Value::Pointer(pointer) => self.load(invocation, pointer),
                other => panic!("{other:?} is no pointer"),
            },
            Expression::Unary { op, expr } => unary(*op, of(self, *expr)),
            Expression::Binary { op, left, right } => {
                let (left, right) = (of(self, *left), of(self, *right));
                self.binary(*op, left, right)
            }
            Expression::Select { condition, accept, reject } => {
                let (accept, reject) = (of(self, *accept), of(self, *reject));
                match of(self, *condition) {
                    Value::Truth(true) => accept,
                    Value::Truth(false) => reject,
                    other => panic!("{other:?} is no condition"),
                }
            }
            Expression::Math { fun, arg, arg1, arg2, .. } => {
                let mut settled = |machine: &mut Self, handle| {
                    let value = of(machine, handle);
                    machine.settled(value)
                };
                let first = settled(self, *arg);
                let second = arg1.map(|arg| settled(self, arg));
                let third = arg2.map(|arg| settled(self, arg));
                math(*fun, first, second, third)
            }
            Expression::As { expr, kind, convert } => {
                let value = of(self, *expr);
                self.convert(value, *kind, convert.is_some())
            }
            other => panic!("kernels have no expression {other:?}"),
        }
    }

    /// The word of an integer operation's operand: here the bits of an open float are needed.
    fn settled(&mut self, value: Value) -> Value {
        match value {
            Value::Bits(float) => Value::Word(self.compiler.float_bits(&float)),
            other => other,
        }
    }

    fn binary(&mut self, op: BinaryOperator, left: Value, right: Value) -> Value {
        match (self.settled(left), self.settled(right)) {
            (Value::Vector(left), Value::Vector(right)) => {
                let pairs = left.into_iter().zip(right);
                Value::Vector(pairs.map(|(left, right)| self.binary(op, left, right)).collect())
            }
            (Value::Word(a), Value::Word(b)) => words(op, a, b),
            (Value::Integer(a), Value::Integer(b)) => integers(op, a, b),
            // A shift's amount is unsigned.
            (Value::Integer(a), Value::Word(b)) if op == BinaryOperator::ShiftRight => {
                Value::Integer(a >> shift(b))
            }
            (Value::Truth(a), Value::Truth(b)) => match op {
                BinaryOperator::And => Value::Truth(a & b),
                BinaryOperator::InclusiveOr => Value::Truth(a | b),
                BinaryOperator::Equal => Value::Truth(a == b),
                BinaryOperator::NotEqual => Value::Truth(a != b),
                other => panic!("kernels have no {other:?} of truth values"),
            },
            (Value::Float(a), Value::Float(b)) => self.floats(op, a, b),
            (left, right) => panic!("kernels have no {op:?} of {left:?} and {right:?}"),
        }
    }

    fn floats(&mut self, op: BinaryOperator, a: Float, b: Float) -> Value {
        let open = |operation| Value::Float(Float::Open(Rc::new(operation)));
        match op {
            BinaryOperator::Add => return open(Operation::Add(a, b)),
            BinaryOperator::Subtract => return open(Operation::Subtract(a, b)),
            BinaryOperator::Multiply => return open(Operation::Multiply(a, b)),
            BinaryOperator::Divide => return open(Operation::Divide(a, b)),
            _ => {}
        }
        let mut known = |float| f32::from_bits(self.compiler.float_bits(float));
        let (a, b) = (known(&a), known(&b));
        Value::Truth(match op {
            BinaryOperator::Equal => a == b,
            BinaryOperator::NotEqual => a != b,
            BinaryOperator::Less => a < b,
            BinaryOperator::LessEqual => a <= b,
            BinaryOperator::Greater => a > b,
            BinaryOperator::GreaterEqual => a >= b,
            other => panic!("kernels have no {other:?} of floats"),
        })
    }

    /// A bitcast, or a conversion by value.
    fn convert(&mut self, value: Value, kind: ScalarKind, by_value: bool) -> Value {
        if let Value::Vector(components) = value {
            let convert = |component| self.convert(component, kind, by_value);
            return Value::Vector(components.into_iter().map(convert).collect());
        }
        match (&value, kind, by_value) {
            (Value::Float(float @ Float::Open(_)), ScalarKind::Uint, false) => {
                return Value::Bits(float.clone());
            }
            (Value::Bits(float), ScalarKind::Float, false) => return Value::Float(float.clone()),
            _ => {}
        }
        let bits = match &value {
            Value::Word(word) => *word,
            Value::Integer(integer) => *integer as u32,
            Value::Float(float) | Value::Bits(float) => self.compiler.float_bits(float),
            other => panic!("{other:?} is not converted"),
        };
        let known = |float: f32| Value::Float(Float::Known(float.to_bits()));
        match (value, kind, by_value) {
            (_, ScalarKind::Uint, false) => Value::Word(bits),
            (_, ScalarKind::Sint, false) => Value::Integer(bits as i32),
            (_, ScalarKind::Float, false) => Value::Float(Float::Known(self.compiler.cast(bits))),
            (Value::Float(_), ScalarKind::Sint, true) => Value::Integer(f32::from_bits(bits) as i32),
            (Value::Integer(integer), ScalarKind::Float, true) => {
                // Where it is not exact, either neighbour is legal; no kernel may get there.
                assert!(integer.unsigned_abs() <= 1 << 24, "{integer} is converted inexactly");
                known(integer as f32)
            }
            (value, kind, _) => panic!("kernels have no conversion of {value:?} to {kind:?}"),
        }
    }
}

fn zero(inner: &TypeInner) -> Value {
    match *inner {
        TypeInner::Scalar(scalar) => match scalar.kind {
            ScalarKind::Uint => Value::Word(0),
            ScalarKind::Sint => Value::Integer(0),
            ScalarKind::Float => Value::Float(Float::Known(0)),
            other => panic!("kernels have no zero of {other:?}"),
        },
        TypeInner::Vector { size, scalar } => {
            Value::Vector(vec![zero(&TypeInner::Scalar(scalar)); size as usize].into())
        }
        ref other => panic!("kernels have no zero of {other:?}"),
    }
}

fn access(base: Value, at: usize) -> Value {
    match base {
        Value::Vector(components) => components[at].clone(),
        Value::Pointer(Pointer::Global { index, element: None, .. }) => {
            Value::Pointer(Pointer::Global { index, element: Some(at), component: None })
        }
        Value::Pointer(Pointer::Global { index, element, component: None }) => {
            Value::Pointer(Pointer::Global { index, element, component: Some(at) })
        }
        Value::Pointer(Pointer::Local { index, component: None }) => {
            Value::Pointer(Pointer::Local { index, component: Some(at) })
        }
        other => panic!("{other:?} has no element {at}"),
    }
}

fn unary(op: UnaryOperator, value: Value) -> Value {
    match (op, value) {
        (UnaryOperator::LogicalNot, Value::Truth(truth)) => Value::Truth(!truth),
        (UnaryOperator::BitwiseNot, Value::Word(word)) => Value::Word(!word),
        (op, value) => panic!("kernels have no {op:?} of {value:?}"),
    }
}

fn shift(amount: u32) -> u32 {
    assert!(amount < 32, "a shift by {amount} is not defined");
    amount
}

fn words(op: BinaryOperator, a: u32, b: u32) -> Value {
    use BinaryOperator::*;
    Value::Word(match op {
        Add => a.wrapping_add(b),
        Subtract => a.wrapping_sub(b),
        Multiply => a.wrapping_mul(b),
        Divide => a.checked_div(b).expect("no division by zero"),
        Modulo => a.checked_rem(b).expect("no division by zero"),
        And => a & b,
        InclusiveOr => a | b,
        ExclusiveOr => a ^ b,
        ShiftLeft => a << shift(b),
        ShiftRight => a >> shift(b),
        Equal => return Value::Truth(a == b),
        NotEqual => return Value::Truth(a != b),
        Less => return Value::Truth(a < b),
        LessEqual => return Value::Truth(a <= b),
        Greater => return Value::Truth(a > b),
        GreaterEqual => return Value::Truth(a >= b),
        other => panic!("kernels have no {other:?} of words"),
    })
}

fn integers(op: BinaryOperator, a: i32, b: i32) -> Value {
    use BinaryOperator::*;
    match op {
        Divide => Value::Integer(a.checked_div(b).expect("no division by zero, no overflow")),
        Less => Value::Truth(a < b),
        LessEqual => Value::Truth(a <= b),
        other => panic!("kernels have no {other:?} of integers"),
    }
}

fn math(fun: MathFunction, first: Value, second: Option<Value>, third: Option<Value>) -> Value {
    let open = |operation| Value::Float(Float::Open(Rc::new(operation)));
    match (fun, first, second, third) {
        (MathFunction::Fma, Value::Float(a), Some(Value::Float(b)), Some(Value::Float(c))) => {
            open(Operation::Fma(a, b, c))
        }
        (MathFunction::Fma, Value::Vector(a), Some(Value::Vector(b)), Some(Value::Vector(c))) => {
            let parts = a.into_iter().zip(b).zip(c);
            Value::Vector(parts.map(|((a, b), c)| math(fun, a, Some(b), Some(c))).collect())
        }
        (MathFunction::Sqrt, Value::Float(a), None, None) => open(Operation::Sqrt(a)),
        (MathFunction::Min, Value::Word(a), Some(Value::Word(b)), None) => Value::Word(a.min(b)),
        (MathFunction::Max, Value::Word(a), Some(Value::Word(b)), None) => Value::Word(a.max(b)),
        (fun, first, ..) => panic!("kernels have no {fun:?} of {first:?}"),
    }
}
