//! The machine: workgroups one after the other, their invocations in any order between two barriers.

mod evaluate;

use naga::{BuiltIn, Expression, Function, Handle};

use super::{
    Hostility,
    float::{Compiler, Float},
    memory::Shared,
    program::{Code, Global, Program, Shape},
};

/// A kernel and its memory.
pub(super) struct Machine<'a> {
    program: &'a Program,
    function: &'a Function,
    compiler: Compiler,
    /// By binding.
    buffers: Vec<Shared>,
    /// By global variable; empty where it is a buffer.
    workgroup: Vec<Shared>,
}

/// One thread of execution.
struct Invocation {
    /// Unique in the dispatch.
    number: u32,
    lane: u32,
    at: usize,
    done: bool,
    values: Vec<Option<Value>>,
    locals: Vec<Option<Value>>,
}

/// A workgroup's place.
#[derive(Clone, Copy)]
struct Place {
    group: [u32; 3],
    groups: [u32; 3],
}

/// What an expression gives.
#[derive(Clone, Debug)]
enum Value {
    Word(u32),
    /// The bits of a float that is still open: drivers see through a bitcast there and back.
    Bits(Float),
    Integer(i32),
    Truth(bool),
    Float(Float),
    Vector(Box<[Value]>),
    Pointer(Pointer),
}

/// Where a load or store goes.
#[derive(Clone, Copy, Debug)]
enum Pointer {
    Global { index: usize, element: Option<usize>, component: Option<usize> },
    Local { index: usize, component: Option<usize> },
}

impl<'a> Machine<'a> {
    /// Buffer 0 is the arguments.
    pub(super) fn new(
        program: &'a Program,
        buffers: Vec<Vec<u32>>,
        hostility: Hostility,
        seed: u64,
    ) -> Machine<'a> {
        let name = |binding| format!("buffer {binding}");
        let buffers =
            buffers.into_iter().enumerate().map(|(at, words)| Shared::filled(name(at), words)).collect();
        let workgroup = program.globals.iter().map(|global| match *global {
            Global::Buffer { .. } => Shared::empty(String::new(), 0),
            Global::Workgroup { elements, element } => {
                Shared::empty("workgroup memory".to_owned(), elements * element.words())
            }
        });
        let workgroup = workgroup.collect();
        let function = &program.module.entry_points[0].function;
        Machine { program, function, compiler: Compiler::new(hostility, seed), buffers, workgroup }
    }

    pub(super) fn into_buffers(self) -> Vec<Vec<u32>> {
        self.buffers.into_iter().map(Shared::into_words).collect()
    }

    /// Runs all workgroups of the grid, in any order.
    pub(super) fn dispatch(&mut self, grid: (u32, u32)) {
        let groups = [grid.0, grid.1, 1];
        let mut waiting: Vec<u32> = (0..grid.0 * grid.1).collect();
        while !waiting.is_empty() {
            let number = waiting.swap_remove(self.compiler.below(waiting.len()));
            let place = Place { group: [number % grid.0, number / grid.0, 0], groups };
            self.workgroup(place, number);
        }
    }

    fn workgroup(&mut self, place: Place, number: u32) {
        self.workgroup.iter_mut().for_each(Shared::forget);
        let lanes = self.program.lanes;
        let expressions = self.function.expressions.len();
        let locals = self.function.local_variables.len();
        let mut invocations: Vec<Invocation> = (0..lanes)
            .map(|lane| Invocation {
                number: number * lanes + lane,
                lane,
                at: 0,
                done: false,
                values: vec![None; expressions],
                locals: vec![None; locals],
            })
            .collect();
        for invocation in &mut invocations {
            for (variable, local) in self.function.local_variables.iter() {
                if let Some(init) = local.init {
                    let value = self.value(invocation, place, init);
                    invocation.locals[variable.index()] = Some(value);
                }
            }
        }
        while !invocations[0].done {
            let mut waiting: Vec<usize> = (0..invocations.len()).collect();
            while !waiting.is_empty() {
                let next = waiting.swap_remove(self.compiler.below(waiting.len()));
                self.run(&mut invocations[next], place);
            }
            let first = (invocations[0].at, invocations[0].done);
            let together = invocations.iter().all(|invocation| (invocation.at, invocation.done) == first);
            assert!(together, "a barrier is not reached by every invocation");
            self.workgroup.iter_mut().for_each(Shared::synchronise);
        }
    }

    /// Runs one invocation to the next barrier or its end.
    fn run(&mut self, invocation: &mut Invocation, place: Place) {
        loop {
            let code = self.program.code[invocation.at];
            invocation.at += 1;
            match code {
                Code::Evaluate(handle) => {
                    let value = self.evaluate(invocation, place, handle);
                    invocation.values[handle.index()] = Some(value);
                }
                Code::Store { pointer, value } => {
                    let Value::Pointer(pointer) = self.value(invocation, place, pointer) else {
                        panic!("a store goes through a pointer")
                    };
                    let value = self.value(invocation, place, value);
                    self.store(invocation, pointer, value);
                }
                Code::Jump(to) => invocation.at = to,
                Code::JumpUnless(condition, to) => {
                    let Value::Truth(holds) = self.value(invocation, place, condition) else {
                        panic!("a condition is a truth value")
                    };
                    if !holds {
                        invocation.at = to;
                    }
                }
                Code::Barrier => return,
                Code::Return => {
                    invocation.at = usize::MAX;
                    invocation.done = true;
                    return;
                }
            }
        }
    }

    /// A value that was evaluated, or one that needs no evaluation.
    fn value(&mut self, invocation: &mut Invocation, place: Place, handle: Handle<Expression>) -> Value {
        match &invocation.values[handle.index()] {
            Some(value) => value.clone(),
            None => self.evaluate(invocation, place, handle),
        }
    }

    fn argument(&self, invocation: &Invocation, place: Place, index: u32) -> Value {
        let vector = |words: [u32; 3]| Value::Vector(words.into_iter().map(Value::Word).collect());
        match self.program.builtins[index as usize] {
            BuiltIn::WorkGroupId => vector(place.group),
            BuiltIn::NumWorkGroups => vector(place.groups),
            BuiltIn::LocalInvocationIndex => Value::Word(invocation.lane),
            other => panic!("kernels have no argument {other:?}"),
        }
    }

    fn load(&mut self, invocation: &mut Invocation, pointer: Pointer) -> Value {
        match pointer {
            Pointer::Local { index, component } => {
                let held = invocation.locals[index].as_ref();
                match (component, held.expect("a local variable is written before it is read")) {
                    (Some(at), Value::Vector(components)) => components[at].clone(),
                    (None, held) => held.clone(),
                    (Some(_), _) => panic!("only vectors have components"),
                }
            }
            Pointer::Global { index, element, component } => {
                let element = element.expect("arrays are loaded by element");
                match self.program.globals[index] {
                    Global::Buffer { binding, .. } => {
                        Value::Word(self.buffers[binding].read(element, invocation.number))
                    }
                    Global::Workgroup { element: shape, .. } => {
                        let memory = &mut self.workgroup[index];
                        let mut word = |at| memory.read(element * shape.words() + at, invocation.number);
                        let float = |bits| Value::Float(Float::Known(bits));
                        match (shape, component) {
                            (Shape::Word, None) => Value::Word(word(0)),
                            (_, Some(at)) => float(word(at)),
                            (_, None) => Value::Vector((0..4).map(|at| float(word(at))).collect()),
                        }
                    }
                }
            }
        }
    }

    fn store(&mut self, invocation: &mut Invocation, pointer: Pointer, value: Value) {
        match pointer {
            Pointer::Local { index, component: None } => invocation.locals[index] = Some(value),
            Pointer::Global { index, element: Some(element), component: None } => {
                let words: Vec<u32> = match value {
                    Value::Word(word) => vec![word],
                    Value::Bits(float) => vec![self.compiler.float_bits(&float)],
                    Value::Vector(components) => components
                        .iter()
                        .map(|component| match component {
                            Value::Float(float) => self.compiler.bits(float),
                            other => panic!("{other:?} is no component of a float vector"),
                        })
                        .collect(),
                    other => panic!("{other:?} is not stored in shared memory"),
                };
                match self.program.globals[index] {
                    Global::Buffer { binding, written } => {
                        assert!(written, "a read-only buffer is written");
                        self.buffers[binding].write(element, words[0], invocation.number);
                    }
                    Global::Workgroup { element: shape, .. } => {
                        for (at, &word) in words.iter().enumerate() {
                            let at = element * shape.words() + at;
                            self.workgroup[index].write(at, word, invocation.number);
                        }
                    }
                }
            }
            // WGSL lets an implementation write the whole vector: a race in waiting.
            _ => panic!("components are not stored one by one"),
        }
    }
}
