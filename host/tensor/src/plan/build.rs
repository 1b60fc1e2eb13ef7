//! From recorded nodes to a plan: places, groups, then steps in order.
//!
//! A node that computes holds its elements contiguously in a slot of its own; a view shows another node's
//! slot through strides. What single operations become is in `lower` and `contract`.

use std::collections::HashMap;

use super::{
    Arguments, Instruction, Map, Plan, Slot, SlotInfo, Step, StepKind, View,
    group::{Draft, Group, Groups, Role, inlined, joins},
    layout::{Layout, collapse},
    structure::Recording,
};
use crate::{AdamwScalars, DType, ElementOp, Op, SgdScalars, Shape, Tensor, ViewOp};

impl Plan {
    /// The plan for the targets, and the arguments of this run. [`super::PlanCache`] does this once a
    /// structure.
    pub fn build(targets: &[Tensor]) -> (Plan, Arguments) {
        let mut recording = Recording::of(targets);
        let arguments = std::mem::take(&mut recording.arguments);
        (Plan::of(&recording, arguments.scalars.len()), arguments)
    }

    pub(super) fn of(recording: &Recording<'_>, scalars: usize) -> Plan {
        let drafts = drafts(recording);
        let groups = Groups::of(&drafts, &recording.targets);
        let mut builder = Builder::new(recording, drafts, scalars);
        for group in groups {
            match group {
                Group::Map { nodes, stored } => builder.map(&nodes, &stored),
                Group::Step(node) => builder.step(node),
            }
        }
        for &target in &recording.targets {
            let slot = builder.target(target);
            builder.plan.targets.push(slot);
        }
        builder.plan.releases = releases(&builder.plan);
        builder.plan
    }
}

/// Each node's role and place.
fn drafts<'a>(recording: &'a Recording<'_>) -> Vec<Draft<'a>> {
    let mut drafts: Vec<Draft<'a>> = Vec::with_capacity(recording.nodes.len());
    for (node, tensor) in recording.nodes.iter().enumerate() {
        let shape = *tensor.shape();
        let inputs = recording.inputs(node);
        let own = |role| (role, node, Layout::contiguous(shape));
        let seen = |op: &ViewOp| {
            drafts[inputs[0]].layout.view(op, shape).map(|layout| (drafts[inputs[0]].base, layout))
        };
        let (role, base, layout) = match tensor.op() {
            _ if tensor.value().is_some() => own(Role::Argument),
            Op::Element(ElementOp::Full(_)) => (Role::Constant, node, Layout::constant(shape)),
            Op::Element(_) => own(Role::Element),
            Op::View(op) => match seen(op) {
                Some((base, layout)) => (Role::View, base, layout),
                None => own(Role::Step),
            },
            _ => own(Role::Step),
        };
        drafts.push(Draft { role, op: tensor.op(), shape, base, layout, inputs });
    }
    drafts
}

/// The plan under construction.
pub(super) struct Builder<'a> {
    pub(super) plan: Plan,
    pub(super) recording: &'a Recording<'a>,
    drafts: Vec<Draft<'a>>,
    slot_of: Vec<Option<Slot>>,
    /// Padded copies of images, by node and padding: the forward pass and the weight gradient share one.
    pub(super) padded: HashMap<(usize, [usize; 2]), (View, [usize; 4])>,
}

/// Where an input's elements come from inside a map.
#[derive(Clone, Copy)]
enum Operand {
    Load(usize),
    Instruction(usize),
}

/// A map under construction: registers are numbered when all loads are known.
#[derive(Default)]
struct Program {
    loads: Vec<(View, DType)>,
    instructions: Vec<(ElementOp, Vec<Operand>, DType, usize)>,
}

impl<'a> Builder<'a> {
    fn new(recording: &'a Recording<'a>, drafts: Vec<Draft<'a>>, scalars: usize) -> Builder<'a> {
        let plan = Plan {
            slots: Vec::new(),
            arguments: 0,
            scalars,
            steps: Vec::new(),
            releases: Vec::new(),
            targets: Vec::new(),
        };
        let slot_of = vec![None; drafts.len()];
        let mut builder = Builder { plan, recording, drafts, slot_of, padded: HashMap::new() };
        for node in 0..builder.drafts.len() {
            if builder.drafts[node].role == Role::Argument {
                builder.own_slot(node);
            }
        }
        builder.plan.arguments = builder.plan.slots.len();
        builder
    }

    pub(super) fn new_slot(&mut self, dtype: DType, elements: usize) -> Slot {
        self.plan.slots.push(SlotInfo { dtype, elements });
        self.plan.slots.len() - 1
    }

    /// The slot of a node that holds its own elements, made where there is none yet.
    pub(super) fn own_slot(&mut self, node: usize) -> Slot {
        if let Some(slot) = self.slot_of[node] {
            return slot;
        }
        let tensor = self.recording.nodes[node];
        let constant = self.drafts[node].role == Role::Constant;
        let slot = self.new_slot(tensor.dtype(), if constant { 1 } else { tensor.shape().elements() });
        self.slot_of[node] = Some(slot);
        if constant {
            self.fill(slot, Shape::SCALAR, self.recording.scalars_of[node], tensor.op().name());
        }
        slot
    }

    /// A node's shape.
    pub(super) fn shape(&self, node: usize) -> Shape {
        self.drafts[node].shape
    }

    /// A node's dtype.
    pub(super) fn dtype(&self, node: usize) -> DType {
        self.recording.nodes[node].dtype()
    }

    /// A node's elements in memory.
    pub(super) fn view(&mut self, node: usize) -> View {
        let slot = self.own_slot(self.drafts[node].base);
        let layout = &self.drafts[node].layout;
        View { slot, offset: layout.offset, strides: layout.strides.clone() }
    }

    /// Adds a step.
    pub(super) fn push(&mut self, kind: StepKind, operations: Vec<&'static str>) {
        self.plan.steps.push(Step { kind, operations });
    }

    /// A map that sets every element of a slot to a scalar word.
    pub(super) fn fill(&mut self, slot: Slot, shape: Shape, scalars: usize, operation: &'static str) {
        let dtype = self.plan.slots[slot].dtype;
        let full = (ElementOp::Full(0), Vec::new(), dtype, scalars);
        let program = Program { loads: Vec::new(), instructions: vec![full] };
        let layout = Layout::contiguous(shape);
        let out = View { slot, offset: 0, strides: layout.strides };
        self.finish(program, shape, vec![(Operand::Instruction(0), out)], vec![operation]);
    }

    /// A map that copies a node's elements to a view of its shape.
    pub(super) fn copy(&mut self, node: usize, out: View, operation: &'static str) {
        let mut program = Program::default();
        let shape = self.shape(node);
        let base = self.drafts[node].base;
        let operand = match self.drafts[base].role {
            Role::Constant => self.instruction(&mut program, base, Vec::new()),
            _ => self.load(&mut program, node, &shape),
        };
        self.finish(program, shape, vec![(operand, out)], vec![operation]);
    }

    /// One map for these element nodes.
    fn map(&mut self, nodes: &[usize], stored: &[usize]) {
        let mut program = Program::default();
        let mut made: HashMap<usize, Operand> = HashMap::new();
        let shape = self.shape(nodes[0]);
        for &node in nodes {
            let mut operands = Vec::with_capacity(3);
            for &input in self.drafts[node].inputs {
                let base = self.drafts[input].base;
                let inline = inlined(&self.drafts, node, input);
                let joined = joins(&self.drafts, node, input);
                let operand = match made.get(&base).filter(|_| inline || joined) {
                    Some(operand) => *operand,
                    None if inline => {
                        let operand = self.instruction(&mut program, base, Vec::new());
                        *made.entry(base).or_insert(operand)
                    }
                    None => self.load(&mut program, input, &shape),
                };
                operands.push(operand);
            }
            let operand = self.instruction(&mut program, node, operands);
            made.insert(node, operand);
        }
        let mut stores = Vec::new();
        for node in stored {
            let view =
                View { slot: self.own_slot(*node), offset: 0, strides: Layout::contiguous(shape).strides };
            stores.push((made[node], view));
        }
        let names = nodes.iter().map(|&node| self.recording.nodes[node].op().name()).collect();
        self.finish(program, shape, stores, names);
    }

    fn instruction(&self, program: &mut Program, node: usize, inputs: Vec<Operand>) -> Operand {
        let Op::Element(op) = self.drafts[node].op else { panic!("only element operations are in a map") };
        let scalars = self.recording.scalars_of[node];
        program.instructions.push((without_scalars(op), inputs, self.dtype(node), scalars));
        Operand::Instruction(program.instructions.len() - 1)
    }

    /// The node's elements, broadcast to a map's shape; equal loads are one.
    fn load(&mut self, program: &mut Program, node: usize, shape: &Shape) -> Operand {
        let View { slot, offset, .. } = self.view(node);
        let strides = self.drafts[node].layout.broadcast(shape);
        let load = (View { slot, offset, strides }, self.dtype(node));
        let at = program.loads.iter().position(|other| *other == load).unwrap_or_else(|| {
            program.loads.push(load);
            program.loads.len() - 1
        });
        Operand::Load(at)
    }

    /// Numbers the registers, joins axes, and adds the map to the plan unless it has no elements.
    fn finish(
        &mut self,
        program: Program,
        shape: Shape,
        stores: Vec<(Operand, View)>,
        operations: Vec<&'static str>,
    ) {
        if shape.elements() == 0 {
            return;
        }
        let Program { mut loads, instructions } = program;
        let loaded = loads.len();
        let register = |operand: Operand| match operand {
            Operand::Load(at) => at,
            Operand::Instruction(at) => loaded + at,
        };
        let instructions = instructions
            .into_iter()
            .map(|(op, inputs, dtype, scalars)| {
                let inputs = inputs.into_iter().map(register).collect();
                Instruction { op, inputs, dtype, scalars }
            })
            .collect();
        let mut stores: Vec<(usize, View)> =
            stores.into_iter().map(|(operand, view)| (register(operand), view)).collect();
        let mut shape = shape.to_vec();
        let views = loads.iter_mut().map(|(view, _)| view).chain(stores.iter_mut().map(|(_, view)| view));
        collapse(&mut shape, &mut views.map(|view| &mut view.strides).collect::<Vec<_>>());
        self.push(StepKind::Map(Map { shape, loads, instructions, stores }), operations);
    }

    /// A slot that holds the target contiguously.
    fn target(&mut self, node: usize) -> Slot {
        let base = self.drafts[node].base;
        let elements = self.shape(node).elements();
        let whole = match self.drafts[base].role {
            Role::Constant => elements == 1,
            _ => self.shape(base).elements() == elements,
        };
        if whole && self.drafts[node].layout.is_contiguous() {
            return self.own_slot(base);
        }
        let slot = self.new_slot(self.dtype(node), elements);
        let out = View { slot, offset: 0, strides: Layout::contiguous(self.shape(node)).strides };
        self.copy(node, out, self.recording.nodes[node].op().name());
        slot
    }
}

/// The operation with all scalars zero: they are words of the run's arguments.
fn without_scalars(op: &ElementOp) -> ElementOp {
    let sgd = SgdScalars { learning_rate: 0.0, momentum: 0.0, weight_decay: 0.0, nesterov: false };
    let adamw = AdamwScalars {
        learning_rate: 0.0,
        beta1: 0.0,
        beta2: 0.0,
        epsilon: 0.0,
        weight_decay: 0.0,
        correction1: 0.0,
        correction2: 0.0,
    };
    match *op {
        ElementOp::Full(_) => ElementOp::Full(0),
        ElementOp::Uniform(_) => ElementOp::Uniform([0; 2]),
        ElementOp::Normal(_) => ElementOp::Normal([0; 2]),
        ElementOp::SgdVelocity(_) => ElementOp::SgdVelocity(sgd),
        ElementOp::SgdParameter(_) => ElementOp::SgdParameter(sgd),
        ElementOp::AdamwFirst(_) => ElementOp::AdamwFirst(adamw),
        ElementOp::AdamwSecond(_) => ElementOp::AdamwSecond(adamw),
        ElementOp::AdamwParameter(_) => ElementOp::AdamwParameter(adamw),
        other => other,
    }
}

/// Per step, the slots whose last use it is.
fn releases(plan: &Plan) -> Vec<Vec<Slot>> {
    let mut released: Vec<bool> = vec![false; plan.slots.len()];
    for &target in &plan.targets {
        released[target] = true;
    }
    let mut releases: Vec<Vec<Slot>> = plan.steps.iter().map(|_| Vec::new()).collect();
    for (step, releases) in plan.steps.iter().zip(&mut releases).rev() {
        for slot in step.kind.reads().into_iter().chain(step.kind.writes()) {
            if !std::mem::replace(&mut released[slot], true) {
                releases.push(slot);
            }
        }
    }
    releases
}
