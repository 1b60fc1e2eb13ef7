//! Which element operations become one map: levels, connected groups, and their division by limits.
//!
//! Every node gets a level. A node is above the level of each input, except that an element operation may
//! share the level of an input that is an element operation over the same index space: those two can be one
//! map. Edges between steps therefore go up in level, or, inside one divided group, forward in sequence: no
//! cycle is possible. Nothing is emitted here.
//!
//! Later: maps could be fused into the reductions and contractions that read them (as their loads) or write
//! them (as their stores); the place for that is the list of groups that [`Groups::of`] returns.

use super::layout::Layout;
use crate::{ElementOp, Op, Shape};

/// Buffers that one map may touch: GPUs bind eight storage buffers a kernel, and one carries the arguments.
pub const MAP_BUFFERS_MAX: usize = 7;
/// Instructions of one map.
pub const MAP_INSTRUCTIONS_MAX: usize = 64;

/// A node as grouping sees it.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// What it is to the planner.
    pub role: Role,
    /// The recorded operation.
    pub op: &'a Op,
    /// Its shape.
    pub shape: Shape,
    /// The node that holds its elements: itself, or for a view the node that is viewed.
    pub base: usize,
    /// Where its elements are in the buffer of `base`.
    pub layout: Layout,
    /// Positions of the inputs.
    pub inputs: &'a [usize],
}

/// What a node is to the planner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It has a value: an argument of the run.
    Argument,
    /// Other nodes' elements seen through strides.
    View,
    /// A constant: an instruction wherever a map needs it; one element if anything else does.
    Constant,
    /// An element operation.
    Element,
    /// Everything else: a step of its own.
    Step,
}

/// What is to be emitted, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    /// Element operations, ascending, and those of them whose results are needed outside.
    Map {
        /// All.
        nodes: Vec<usize>,
        /// Those that are stored.
        stored: Vec<usize>,
    },
    /// A node with a step of its own.
    Step(usize),
}

#[cfg(test)]
thread_local! {
    static LOOKED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// How many edges were looked at on this thread: a pass over a graph is to look at each a few times.
#[cfg(test)]
pub fn looked() -> u64 {
    LOOKED.get()
}

/// The state of grouping.
pub struct Groups<'a, 'b> {
    drafts: &'b [Draft<'a>],
    level: Vec<usize>,
    /// Consumers of each element node that could be in its map.
    joined: Vec<Vec<usize>>,
    /// Something outside any map of its own needs the node's elements in a buffer.
    external: Vec<bool>,
}

impl<'a, 'b> Groups<'a, 'b> {
    /// The groups of these nodes, ordered so that every group comes after what it reads. The targets are
    /// nodes whose elements are needed at the end.
    pub fn of(drafts: &'b [Draft<'a>], targets: &[usize]) -> Vec<Group> {
        let level = levels(drafts);
        let joined = vec![Vec::new(); drafts.len()];
        let mut groups = Groups { drafts, level, joined, external: vec![false; drafts.len()] };
        groups.connect(targets);
        groups.collect()
    }

    fn connect(&mut self, targets: &[usize]) {
        for &target in targets {
            self.external[self.drafts[target].base] = true;
        }
        for (node, draft) in self.drafts.iter().enumerate() {
            if draft.role == Role::View {
                continue;
            }
            for &input in draft.inputs {
                let base = self.drafts[input].base;
                if inlined(self.drafts, node, input) {
                    continue;
                }
                if self.is_joined(node, input) {
                    self.joined[base].push(node);
                } else {
                    self.external[base] = true;
                }
            }
        }
    }

    fn collect(&self) -> Vec<Group> {
        let mut keyed: Vec<(usize, usize, Group)> = Vec::new();
        let mut components: Vec<Vec<usize>> = Vec::new();
        let mut component_of: Vec<Option<usize>> = vec![None; self.drafts.len()];
        for (node, draft) in self.drafts.iter().enumerate() {
            match draft.role {
                Role::Step => keyed.push((self.level[node], node, Group::Step(node))),
                Role::Element if component_of[node].is_none() && self.is_needed(node) => {
                    components.push(self.component(node, components.len(), &mut component_of));
                }
                _ => {}
            }
        }
        for component in components {
            for nodes in self.divide(&component) {
                let stored = nodes.iter().copied().filter(|&node| self.is_stored(node, &nodes)).collect();
                keyed.push((self.level[nodes[0]], nodes[0], Group::Map { nodes, stored }));
            }
        }
        keyed.sort_unstable_by_key(|&(level, first, _)| (level, first));
        keyed.into_iter().map(|(_, _, group)| group).collect()
    }

    /// False for an index that every consumer computes for itself.
    fn is_needed(&self, node: usize) -> bool {
        self.external[node] || !self.joined[node].is_empty()
    }

    /// Everything connected with `start` by joining edges, ascending.
    fn component(&self, start: usize, number: usize, component_of: &mut [Option<usize>]) -> Vec<usize> {
        let mut members = Vec::new();
        let mut stack = vec![start];
        component_of[start] = Some(number);
        while let Some(node) = stack.pop() {
            members.push(node);
            let inputs = self.drafts[node].inputs.iter();
            // What `joined` says of the input, without a search through all its consumers.
            let joining = inputs.filter(|&&input| self.is_joined(node, input));
            let below = joining.map(|&input| self.drafts[input].base);
            for next in below.chain(self.joined[node].iter().copied()) {
                if component_of[next].is_none() {
                    component_of[next] = Some(number);
                    stack.push(next);
                }
            }
        }
        members.sort_unstable();
        members
    }

    /// The node may be in one map with what it reads, and is on its level.
    fn is_joined(&self, node: usize, input: usize) -> bool {
        #[cfg(test)]
        LOOKED.set(LOOKED.get() + 1);
        !inlined(self.drafts, node, input)
            && joins(self.drafts, node, input)
            && self.level[node] == self.level[self.drafts[input].base]
    }

    fn is_stored(&self, node: usize, piece: &[usize]) -> bool {
        let is_outside = |user: &usize| {
            #[cfg(test)]
            LOOKED.set(LOOKED.get() + 1);
            !piece.contains(user)
        };
        self.external[node] || self.joined[node].iter().any(is_outside)
    }

    /// Cuts a group into runs that keep the limits, each as long as possible.
    fn divide(&self, members: &[usize]) -> Vec<Vec<usize>> {
        let mut pieces = Vec::new();
        let mut rest = members;
        while !rest.is_empty() {
            let length = self.longest(rest);
            pieces.push(rest[..length].to_vec());
            rest = &rest[length..];
        }
        pieces
    }

    /// The longest prefix within the limits. A longer prefix may be within them where a shorter one is not
    /// (a chain stores only its end), so all are tried whose loads and instructions fit: those never become
    /// fewer. One operation always is within the limits: three loads, one store.
    fn longest(&self, members: &[usize]) -> usize {
        let mut longest = 1;
        let (mut loads, mut instructions) = (Vec::new(), Vec::new());
        // Of each node of the prefix, the consumers that are not in it; a node that has any is stored.
        let mut outside: Vec<usize> = Vec::new();
        let mut stored = 0;
        for (at, &node) in members.iter().enumerate().take(MAP_INSTRUCTIONS_MAX) {
            instructions.push(node);
            for &input in self.drafts[node].inputs {
                let base = self.drafts[input].base;
                let place = members[..at].binary_search(&base).ok();
                if let Some(place) = place.filter(|_| self.is_joined(node, input)) {
                    outside[place] -= 1;
                    stored -= usize::from(outside[place] == 0 && !self.external[base]);
                }
                let known = if inlined(self.drafts, node, input) { &mut instructions } else { &mut loads };
                if place.is_none() && !known.contains(&base) {
                    known.push(base);
                }
            }
            outside.push(self.joined[node].len());
            stored += usize::from(self.external[node] || !self.joined[node].is_empty());
            if loads.len() > MAP_BUFFERS_MAX || instructions.len() > MAP_INSTRUCTIONS_MAX {
                break;
            }
            if loads.len() + stored <= MAP_BUFFERS_MAX {
                longest = at + 1;
            }
        }
        longest
    }
}

/// The input is computed by an instruction in every map that reads it and needs no buffer there: constants,
/// and indices of the map's own shape.
pub fn inlined(drafts: &[Draft<'_>], node: usize, input: usize) -> bool {
    let base = &drafts[drafts[input].base];
    match (drafts[node].role, base.role, base.op) {
        (Role::Element, Role::Constant, _) => true,
        (Role::Element, Role::Element, Op::Element(ElementOp::Iota)) => is_same_index(drafts, node, input),
        _ => false,
    }
}

/// The input may be in the map of the node: both are element operations over one index space.
pub fn joins(drafts: &[Draft<'_>], node: usize, input: usize) -> bool {
    let base = drafts[input].base;
    drafts[node].role == Role::Element
        && drafts[base].role == Role::Element
        && is_same_index(drafts, node, input)
}

/// Element i of the node needs element i of the buffer behind the input.
fn is_same_index(drafts: &[Draft<'_>], node: usize, input: usize) -> bool {
    let base = &drafts[drafts[input].base];
    base.shape == drafts[node].shape
        && drafts[input].shape == base.shape
        && drafts[input].layout.is_contiguous()
}

fn levels(drafts: &[Draft<'_>]) -> Vec<usize> {
    let mut level = vec![0; drafts.len()];
    for (node, draft) in drafts.iter().enumerate() {
        if matches!(draft.role, Role::View | Role::Argument) {
            continue;
        }
        for &input in draft.inputs {
            if !inlined(drafts, node, input) {
                let own = level[drafts[input].base] + usize::from(!joins(drafts, node, input));
                level[node] = level[node].max(own);
            }
        }
    }
    sink(drafts, &mut level);
    level
}

/// Moves operations without inputs (random numbers) up to the lowest consumer that can take them into its
/// map, unless another consumer needs them earlier.
fn sink(drafts: &[Draft<'_>], level: &mut [usize]) {
    let sinks = |node: usize| drafts[node].role == Role::Element && drafts[node].inputs.is_empty();
    let mut highest: Vec<Option<usize>> = vec![None; drafts.len()];
    for (node, draft) in drafts.iter().enumerate() {
        if draft.role == Role::View {
            continue;
        }
        for &input in draft.inputs {
            let base = drafts[input].base;
            if sinks(base) {
                let own = level[node] - usize::from(!joins(drafts, node, input));
                highest[base] = Some(highest[base].map_or(own, |other| other.min(own)));
            }
        }
    }
    for (node, highest) in highest.into_iter().enumerate() {
        level[node] = highest.unwrap_or(level[node]).max(level[node]);
    }
}
