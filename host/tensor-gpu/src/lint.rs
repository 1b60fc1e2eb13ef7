//! The lint: no float result of a generated kernel may reach anything but its barrier.
//!
//! lavapipe and most drivers pass tests without barriers, so their absence has to be found in the text. The
//! text is parsed as the driver's compiler would, and every float addition, subtraction, multiplication,
//! division and root is followed: its bits, or-ed with the arguments' zero word, are the only use it may
//! have. An `fma` may also be the addend of the next one, directly or through a local variable. Other float
//! functions are refused, because WGSL leaves their precision open. It proves nothing about values.

use std::collections::HashSet;

use naga::{
    AddressSpace, BinaryOperator, Block, Expression, Function, Handle, LocalVariable, MathFunction, Module,
    ScalarKind, Statement, TypeInner, UnaryOperator, valid::FunctionInfo,
};
use thiserror::Error;

use crate::spirv;

/// Why a kernel is refused.
#[derive(Debug, Error)]
pub enum LintError {
    /// It does not compile.
    #[error("the kernel is not WGSL")]
    Compile(#[source] spirv::CompileError),
    /// Float results escape.
    #[error("float results escape their barrier: {}", .0.join("; "))]
    Escapes(Vec<String>),
}

/// Checks a kernel's text.
///
/// # Errors
/// With every expression that is not behind a barrier, by name and text.
pub fn check(text: &str) -> Result<(), LintError> {
    let (module, info) = spirv::parse(text).map_err(LintError::Compile)?;
    let mut findings = Vec::new();
    for (handle, function) in module.functions.iter() {
        let lint = Lint::new(&module, function, &info[handle], text);
        lint.run(&mut findings);
    }
    for (at, entry) in module.entry_points.iter().enumerate() {
        let lint = Lint::new(&module, &entry.function, info.get_entry_point(at), text);
        lint.run(&mut findings);
    }
    if findings.is_empty() { Ok(()) } else { Err(LintError::Escapes(findings)) }
}

/// Where a value goes.
#[derive(Clone, Copy, Debug)]
enum Use {
    /// An operand of another expression.
    Operand(Handle<Expression>),
    /// Stored through this pointer.
    Stored(Handle<Expression>),
    /// Anything else that a statement does with it.
    Statement(&'static str),
}

/// What a float operation may be used for.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Only its barrier.
    Result,
    /// The end of an fma chain: its barrier, or the next step.
    Chain,
}

struct Lint<'a> {
    module: &'a Module,
    function: &'a Function,
    info: &'a FunctionInfo,
    text: &'a str,
    uses: Vec<Vec<Use>>,
}

impl<'a> Lint<'a> {
    fn new(module: &'a Module, function: &'a Function, info: &'a FunctionInfo, text: &'a str) -> Lint<'a> {
        let uses = vec![Vec::new(); function.expressions.len()];
        let mut lint = Lint { module, function, info, text, uses };
        for (user, expression) in function.expressions.iter() {
            operands(expression, &mut |operand| lint.uses[operand.index()].push(Use::Operand(user)));
        }
        lint.statements(&function.body);
        lint
    }

    fn run(&self, findings: &mut Vec<String>) {
        for (handle, expression) in self.function.expressions.iter() {
            match self.float_operation(handle, expression) {
                Ok(None) => {}
                Ok(Some(kind)) => {
                    if let Err(reason) = self.follow(handle, kind, &mut Reached::default()) {
                        findings.push(format!("{} {reason}", self.name(handle)));
                    }
                }
                Err(reason) => findings.push(format!("{} {reason}", self.name(handle))),
            }
        }
    }

    /// What the expression's result may be used for, if it is float arithmetic.
    fn float_operation(
        &self,
        handle: Handle<Expression>,
        expression: &Expression,
    ) -> Result<Option<Kind>, &'static str> {
        use BinaryOperator::{Add, Divide, Modulo, Multiply, Subtract};
        match *expression {
            Expression::Binary { op: Add | Subtract | Multiply | Divide | Modulo, .. }
                if self.is_float(handle) =>
            {
                Ok(Some(Kind::Result))
            }
            Expression::Unary { op: UnaryOperator::Negate, .. } if self.is_float(handle) => {
                Err("negates a float by arithmetic, not by its bits")
            }
            Expression::Math { fun, arg, .. } if self.is_float(handle) || self.is_float(arg) => match fun {
                MathFunction::Fma => Ok(Some(Kind::Chain)),
                MathFunction::Sqrt | MathFunction::InverseSqrt => Ok(Some(Kind::Result)),
                _ => Err("is a float function whose precision WGSL leaves open"),
            },
            Expression::Derivative { .. } => Err("is no arithmetic of a compute kernel"),
            _ => Ok(None),
        }
    }

    /// Follows a value to everything that sees it.
    fn follow(&self, value: Handle<Expression>, kind: Kind, reached: &mut Reached) -> Result<(), String> {
        if !reached.expressions.insert(value) {
            return Ok(());
        }
        for &usage in &self.uses[value.index()] {
            match usage {
                Use::Operand(user) => match self.function.expressions[user] {
                    Expression::As { kind: ScalarKind::Uint, convert: None, .. } => {
                        self.barrier(user, reached)?
                    }
                    Expression::AccessIndex { .. }
                    | Expression::Access { .. }
                    | Expression::Splat { .. }
                    | Expression::Swizzle { .. }
                    | Expression::Compose { .. } => self.follow(user, kind, reached)?,
                    Expression::Math { fun: MathFunction::Fma, arg, arg1, arg2: Some(addend), .. }
                        if kind == Kind::Chain && addend == value && arg != value && arg1 != Some(value) => {}
                    _ => return Err(format!("reaches {} without its barrier", self.name(user))),
                },
                Use::Stored(pointer) => match self.function.expressions[pointer] {
                    Expression::LocalVariable(variable) if kind == Kind::Chain => {
                        self.follow_variable(variable, reached)?;
                    }
                    _ => return Err(format!("is stored in {} without its barrier", self.name(pointer))),
                },
                Use::Statement(what) => return Err(format!("reaches {what} without its barrier")),
            }
        }
        Ok(())
    }

    /// Every load of the variable may hold the end of the chain.
    fn follow_variable(&self, variable: Handle<LocalVariable>, reached: &mut Reached) -> Result<(), String> {
        if !reached.variables.insert(variable) {
            return Ok(());
        }
        for (handle, expression) in self.function.expressions.iter() {
            let Expression::Load { pointer } = *expression else { continue };
            if self.variable_behind(pointer) == Some(variable) {
                self.follow(handle, Kind::Chain, reached)?;
            }
        }
        Ok(())
    }

    fn variable_behind(&self, pointer: Handle<Expression>) -> Option<Handle<LocalVariable>> {
        match self.function.expressions[pointer] {
            Expression::LocalVariable(variable) => Some(variable),
            Expression::AccessIndex { base, .. } | Expression::Access { base, .. } => {
                self.variable_behind(base)
            }
            _ => None,
        }
    }

    /// The bits of an unprotected float: the only thing that may happen to them is the zero word.
    fn barrier(&self, bits: Handle<Expression>, reached: &mut Reached) -> Result<(), String> {
        if !reached.expressions.insert(bits) {
            return Ok(());
        }
        for &usage in &self.uses[bits.index()] {
            let Use::Operand(user) = usage else {
                return Err("has its bits used without the zero word".to_owned());
            };
            let protected = match self.function.expressions[user] {
                Expression::Binary { op: BinaryOperator::InclusiveOr, left, right } => {
                    left == bits && self.is_zero_word(right) || right == bits && self.is_zero_word(left)
                }
                _ => false,
            };
            if !protected {
                return Err(format!("has its bits used in {} without the zero word", self.name(user)));
            }
        }
        Ok(())
    }

    /// Word 0 of the arguments, or a vector of it.
    fn is_zero_word(&self, value: Handle<Expression>) -> bool {
        let expressions = &self.function.expressions;
        match expressions[value] {
            Expression::Splat { value, .. } => self.is_zero_word(value),
            Expression::Load { pointer } => match expressions[pointer] {
                Expression::AccessIndex { base, index: 0 } => match expressions[base] {
                    Expression::GlobalVariable(global) => {
                        let global = &self.module.global_variables[global];
                        let arguments =
                            global.binding.as_ref().is_some_and(|at| (at.group, at.binding) == (0, 0));
                        arguments && matches!(global.space, AddressSpace::Storage { .. })
                    }
                    _ => false,
                },
                _ => false,
            },
            _ => false,
        }
    }

    fn is_float(&self, handle: Handle<Expression>) -> bool {
        match self.info[handle].ty.inner_with(&self.module.types) {
            TypeInner::Scalar(scalar) | TypeInner::Vector { scalar, .. } => scalar.kind == ScalarKind::Float,
            TypeInner::Matrix { .. } => true,
            _ => false,
        }
    }

    /// The name and the text of an expression.
    fn name(&self, handle: Handle<Expression>) -> String {
        let span = self.function.expressions.get_span(handle);
        let text = span.to_range().and_then(|range| self.text.get(range)).unwrap_or("an expression");
        match self.function.named_expressions.get(&handle) {
            Some(name) => format!("{name} = `{text}`"),
            None => format!("`{text}`"),
        }
    }

    fn statements(&mut self, block: &'a Block) {
        for statement in block.iter() {
            let mut other =
                |value: Handle<Expression>, what| self.uses[value.index()].push(Use::Statement(what));
            match statement {
                Statement::Emit(_) | Statement::Break | Statement::Continue | Statement::Kill => {}
                Statement::ControlBarrier(_) | Statement::MemoryBarrier(_) => {}
                Statement::Block(block) => self.statements(block),
                Statement::If { condition, accept, reject } => {
                    other(*condition, "a condition");
                    self.statements(accept);
                    self.statements(reject);
                }
                Statement::Switch { selector, cases } => {
                    other(*selector, "a selector");
                    cases.iter().for_each(|case| self.statements(&case.body));
                }
                Statement::Loop { body, continuing, break_if } => {
                    break_if.iter().for_each(|&condition| other(condition, "a loop's end"));
                    self.statements(body);
                    self.statements(continuing);
                }
                Statement::Return { value } => value.iter().for_each(|&value| other(value, "a caller")),
                Statement::Store { pointer, value } => self.uses[value.index()].push(Use::Stored(*pointer)),
                Statement::Call { arguments, .. } => {
                    arguments.iter().for_each(|&argument| other(argument, "a function"));
                }
                // Nothing else is generated; whatever it is, no float may reach it.
                _ => self
                    .uses
                    .iter_mut()
                    .for_each(|uses| uses.push(Use::Statement("a statement of another kind"))),
            }
        }
    }
}

/// What one walk has seen.
#[derive(Default)]
struct Reached {
    expressions: HashSet<Handle<Expression>>,
    variables: HashSet<Handle<LocalVariable>>,
}

/// Calls `visit` for each operand that is read as a value (or as a pointer's part).
fn operands(expression: &Expression, visit: &mut dyn FnMut(Handle<Expression>)) {
    match expression {
        Expression::Compose { components, .. } => components.iter().copied().for_each(visit),
        Expression::Access { base, index } => [*base, *index].into_iter().for_each(visit),
        Expression::AccessIndex { base, .. } => visit(*base),
        Expression::Splat { value, .. } => visit(*value),
        Expression::Swizzle { vector, .. } => visit(*vector),
        Expression::Load { pointer } => visit(*pointer),
        Expression::Unary { expr, .. } | Expression::As { expr, .. } => visit(*expr),
        Expression::Binary { left, right, .. } => [*left, *right].into_iter().for_each(visit),
        Expression::Select { condition, accept, reject } => {
            [*condition, *accept, *reject].into_iter().for_each(visit);
        }
        Expression::Relational { argument, .. } => visit(*argument),
        Expression::Math { arg, arg1, arg2, arg3, .. } => {
            [Some(*arg), *arg1, *arg2, *arg3].into_iter().flatten().for_each(visit);
        }
        Expression::ArrayLength(array) => visit(*array),
        Expression::Derivative { expr, .. } => visit(*expr),
        // Literals, variables and arguments have no operands; images and the like are not generated.
        _ => {}
    }
}
