//! A kernel as flat code: naga's structured statements with jumps, so that an invocation can stop at a
//! barrier and go on later.

use naga::{
    AddressSpace, Binding, BuiltIn, Expression, Handle, Module, ScalarKind, Statement, TypeInner, VectorSize,
};

use crate::spirv;

/// A kernel that can be run.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) module: Module,
    pub(super) code: Vec<Code>,
    /// Per global variable, by index: what it is.
    pub(super) globals: Vec<Global>,
    /// Per argument of `main`.
    pub(super) builtins: Vec<BuiltIn>,
    pub(super) lanes: u32,
}

/// One instruction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Code {
    Evaluate(Handle<Expression>),
    Store { pointer: Handle<Expression>, value: Handle<Expression> },
    Jump(usize),
    JumpUnless(Handle<Expression>, usize),
    Barrier,
    Return,
}

/// A global variable.
#[derive(Clone, Copy, Debug)]
pub(super) enum Global {
    /// A storage buffer, by binding.
    Buffer { binding: usize, written: bool },
    /// Workgroup memory of this many elements.
    Workgroup { elements: usize, element: Shape },
}

/// A type as far as memory is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Word,
    Float,
    FloatVector,
    Other,
}

impl Shape {
    pub(super) fn words(self) -> usize {
        if self == Shape::FloatVector { 4 } else { 1 }
    }

    fn of(inner: &TypeInner) -> Shape {
        match *inner {
            TypeInner::Scalar(scalar) if scalar.kind == ScalarKind::Uint => Shape::Word,
            TypeInner::Scalar(scalar) if scalar.kind == ScalarKind::Float => Shape::Float,
            TypeInner::Vector { size: VectorSize::Quad, scalar } if scalar.kind == ScalarKind::Float => {
                Shape::FloatVector
            }
            _ => Shape::Other,
        }
    }
}

impl Program {
    /// # Panics
    /// Where the text is no kernel of ours: one entry point, no functions, `u32` buffers, `u32` or
    /// `vec4<f32>` workgroup arrays.
    pub(super) fn new(text: &str) -> Program {
        let (module, _) = spirv::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert!(module.functions.is_empty(), "kernels call no functions");
        let globals = module.global_variables.iter().map(|(handle, _)| global(&module, handle)).collect();
        let [entry] = &module.entry_points[..] else { panic!("kernels have one entry point") };
        assert_eq!(entry.workgroup_size[1..], [1, 1], "workgroups are one-dimensional");
        let builtin = |argument: &naga::FunctionArgument| match argument.binding {
            Some(Binding::BuiltIn(builtin)) => builtin,
            _ => panic!("kernels take built-in arguments only"),
        };
        let builtins = entry.function.arguments.iter().map(builtin).collect();
        let mut code = Flattening { code: Vec::new(), exits: Vec::new() };
        code.block(&entry.function.body);
        code.code.push(Code::Return);
        let lanes = entry.workgroup_size[0];
        Program { code: code.code, globals, builtins, lanes, module }
    }
}

fn global(module: &Module, handle: Handle<naga::GlobalVariable>) -> Global {
    let variable = &module.global_variables[handle];
    let TypeInner::Array { base, size, .. } = module.types[variable.ty].inner else {
        panic!("global variables are arrays")
    };
    let element = Shape::of(&module.types[base].inner);
    match variable.space {
        AddressSpace::Storage { access } => {
            assert_eq!(element, Shape::Word, "buffers hold words");
            let binding = variable.binding.as_ref().expect("buffers are bound").binding as usize;
            Global::Buffer { binding, written: access.contains(naga::StorageAccess::STORE) }
        }
        AddressSpace::WorkGroup => {
            assert!(
                matches!(element, Shape::Word | Shape::FloatVector),
                "workgroup arrays hold words or vectors"
            );
            let naga::ArraySize::Constant(elements) = size else { panic!("workgroup arrays have a size") };
            Global::Workgroup { elements: elements.get() as usize, element }
        }
        space => panic!("kernels have no variables in {space:?}"),
    }
}

struct Flattening {
    code: Vec<Code>,
    /// Per enclosing loop: jumps to its end, and jumps to its continuing block.
    exits: Vec<(Vec<usize>, Vec<usize>)>,
}

impl Flattening {
    fn block(&mut self, block: &naga::Block) {
        for statement in block.iter() {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Emit(range) => self.code.extend(range.clone().map(Code::Evaluate)),
            Statement::Block(block) => self.block(block),
            Statement::If { condition, accept, reject } => {
                let test = self.hole();
                self.block(accept);
                let end = self.hole();
                self.code[test] = Code::JumpUnless(*condition, self.code.len());
                self.block(reject);
                self.code[end] = Code::Jump(self.code.len());
            }
            Statement::Loop { body, continuing, break_if } => {
                let start = self.code.len();
                self.exits.push((Vec::new(), Vec::new()));
                self.block(body);
                let continues = std::mem::take(&mut self.exits.last_mut().expect("inside a loop").1);
                for at in continues {
                    self.code[at] = Code::Jump(self.code.len());
                }
                self.block(continuing);
                match break_if {
                    Some(condition) => self.code.push(Code::JumpUnless(*condition, start)),
                    None => self.code.push(Code::Jump(start)),
                }
                for at in self.exits.pop().expect("inside a loop").0 {
                    self.code[at] = Code::Jump(self.code.len());
                }
            }
            Statement::Break => {
                let at = self.hole();
                self.exits.last_mut().expect("inside a loop").0.push(at);
            }
            Statement::Continue => {
                let at = self.hole();
                self.exits.last_mut().expect("inside a loop").1.push(at);
            }
            Statement::Return { value: None } => self.code.push(Code::Return),
            Statement::ControlBarrier(_) => self.code.push(Code::Barrier),
            Statement::Store { pointer, value } => {
                self.code.push(Code::Store { pointer: *pointer, value: *value });
            }
            other => panic!("kernels have no statement {other:?}"),
        }
    }

    /// Room for a jump whose target is not known yet.
    fn hole(&mut self) -> usize {
        self.code.push(Code::Return);
        self.code.len() - 1
    }
}
