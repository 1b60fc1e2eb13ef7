//! Named tensors outside a run: the states that tasks pass on, and the job's inputs. In host memory; how they
//! lie on disk is `files`.

use std::collections::BTreeMap;

use anneal_job::{Digest, Task, state_digest};
use anneal_tensor::{DType, Elements, Value, digest::tensor_digest, numerics};
use thiserror::Error;

/// Tensors of one state.
pub const STATE_TENSORS_MAX: usize = 4096;
/// Bytes of a tensor's name.
pub const NAME_BYTES_MAX: usize = 256;

/// A tensor with its name.
#[derive(Clone, Debug)]
pub struct NamedValue {
    /// The name, unique in its state.
    pub name: String,
    /// The elements, in host memory.
    pub value: Value,
}

/// The named tensors that one task passes to another, ascending by name.
#[derive(Clone, Debug, Default)]
pub struct State(Vec<NamedValue>);

/// The job's inputs by name.
#[derive(Clone, Debug, Default)]
pub struct Inputs(BTreeMap<String, Value>);

/// Tensors that are no state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StateError {
    /// Over [`STATE_TENSORS_MAX`].
    #[error("it has {found} tensors, at most {STATE_TENSORS_MAX} are allowed: concatenate small ones")]
    Count {
        /// How many.
        found: usize,
    },
    /// Empty, or over [`NAME_BYTES_MAX`].
    #[error(
        "the name \"{name}\" of a tensor has {bytes} bytes; names have 1 to {NAME_BYTES_MAX}: choose another \
         one"
    )]
    NameLength {
        /// Its beginning.
        name: String,
        /// Its length.
        bytes: usize,
    },
    /// Given twice.
    #[error("two tensors are named \"{name}\": a state has unique names")]
    NameRepeated {
        /// The name.
        name: String,
    },
    /// A value of a device: a bug of ours.
    #[error("the tensor \"{name}\" is not in host memory")]
    NotInHostMemory {
        /// The name.
        name: String,
    },
}

/// What was given to an attempt is not what its task names.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MismatchError {
    /// Other inputs than the task names.
    #[error("the task names the inputs {expected:?}, the attempt was given {found:?}")]
    InputNames {
        /// The task's.
        expected: Vec<String>,
        /// The attempt's.
        found: Vec<String>,
    },
    /// An input with other contents.
    #[error("the input \"{name}\" has digest {found}, the task names {expected}")]
    Input {
        /// Its name.
        name: String,
        /// The task's.
        expected: Digest,
        /// The attempt's.
        found: Digest,
    },
    /// More or fewer states.
    #[error("the task names {expected} states, the attempt was given {found}")]
    StateCount {
        /// The task's.
        expected: usize,
        /// The attempt's.
        found: usize,
    },
    /// A state with other contents.
    #[error("state {index} has digest {found}, the task names {expected}")]
    State {
        /// Its place.
        index: usize,
        /// The task's.
        expected: Digest,
        /// The attempt's.
        found: Digest,
    },
}

impl State {
    /// The state of these tensors, in any order.
    ///
    /// # Errors
    /// Where a name is empty, too long or repeated, or there are too many tensors.
    pub fn new(mut tensors: Vec<NamedValue>) -> Result<State, StateError> {
        check_names(tensors.iter().map(|tensor| tensor.name.as_str()))?;
        if let Some(tensor) = tensors.iter().find(|tensor| tensor.value.elements().is_none()) {
            return Err(StateError::NotInHostMemory { name: tensor.name.clone() });
        }
        tensors.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(State(tensors))
    }

    /// The tensors, ascending by name.
    pub fn tensors(&self) -> &[NamedValue] {
        &self.0
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let at = self.0.binary_search_by(|tensor| tensor.name.as_str().cmp(name)).ok()?;
        Some(&self.0[at].value)
    }

    /// The digest that a task names it by.
    pub fn digest(&self) -> Digest {
        state_digest(self.0.iter().map(|tensor| (tensor.name.as_str(), value_digest(&tensor.value))))
    }
}

impl Inputs {
    /// Inputs by name.
    ///
    /// # Errors
    /// As for a state.
    pub fn new(inputs: BTreeMap<String, Value>) -> Result<Inputs, StateError> {
        check_names(inputs.keys().map(String::as_str))?;
        if let Some((name, _)) = inputs.iter().find(|(_, value)| value.elements().is_none()) {
            return Err(StateError::NotInHostMemory { name: name.clone() });
        }
        Ok(Inputs(inputs))
    }

    /// Every input, ascending by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The input of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The digest of each, as a task names them.
    pub fn digests(&self) -> BTreeMap<String, Digest> {
        self.0.iter().map(|(name, value)| (name.clone(), value_digest(value))).collect()
    }
}

/// The inputs and states are those that the task names.
///
/// # Errors
/// Where they are not: the outcome would be another task's.
pub fn check_task(task: &Task, inputs: &Inputs, states: &[State]) -> Result<(), MismatchError> {
    let digests = inputs.digests();
    if !digests.keys().eq(task.inputs.keys()) {
        let names = |digests: &BTreeMap<String, Digest>| digests.keys().cloned().collect();
        return Err(MismatchError::InputNames { expected: names(&task.inputs), found: names(&digests) });
    }
    for ((name, &found), &expected) in digests.iter().zip(task.inputs.values()) {
        if found != expected {
            return Err(MismatchError::Input { name: name.clone(), expected, found });
        }
    }
    if states.len() != task.states.len() {
        return Err(MismatchError::StateCount { expected: task.states.len(), found: states.len() });
    }
    for (index, (state, &expected)) in states.iter().zip(&task.states).enumerate() {
        let found = state.digest();
        if found != expected {
            return Err(MismatchError::State { index, expected, found });
        }
    }
    Ok(())
}

/// Names as a state has them: unique, 1 to [`NAME_BYTES_MAX`] bytes, not too many.
pub(crate) fn check_names<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> Result<(), StateError> {
    if names.len() > STATE_TENSORS_MAX {
        return Err(StateError::Count { found: names.len() });
    }
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            let beginning = name.chars().take(32).collect();
            return Err(StateError::NameLength { name: beginning, bytes: name.len() });
        }
        if !seen.insert(name) {
            return Err(StateError::NameRepeated { name: name.to_owned() });
        }
    }
    Ok(())
}

/// The digest of a value in host memory.
fn value_digest(value: &Value) -> Digest {
    let elements = value.elements().expect("states and inputs were checked to be in host memory");
    elements_digest(value, elements)
}

/// The digest of a value whose elements were read.
pub(crate) fn elements_digest(value: &Value, elements: &Elements) -> Digest {
    Digest::from_bytes(tensor_digest(&value.shape, value.dtype, &elements.bytes()))
}

/// The row-major position of an element that is ±2^62, where there is one: the computation overflowed.
pub(crate) fn saturated(dtype: DType, elements: &Elements) -> Option<usize> {
    match elements {
        Elements::F32(elements) => elements.iter().position(|x| x.abs() >= numerics::MAX),
        Elements::U16(elements) if dtype == DType::Bf16 => {
            let largest = (numerics::MAX.to_bits() >> 16) as u16;
            elements.iter().position(|bits| bits & 0x7fff == largest)
        }
        _ => None,
    }
}
