//! [`State`]: the named tensors that a task hands to the next one. On disk it is a safetensors file.

use crate::Tensor;
use crate::bindings::context as raw;

/// Named tensors, in order. Names are unique, 1 to 256 bytes, at most 4,096 of them: the host checks.
///
/// [`Parameters`](crate::Parameters) makes and reads one for a model; this is the plain list underneath.
#[derive(Clone, Debug, Default)]
pub struct State(Vec<(String, Tensor)>);

impl State {
    /// Without tensors.
    pub fn new() -> State {
        State::default()
    }

    /// Adds a tensor at the end.
    pub fn push(&mut self, name: impl Into<String>, tensor: Tensor) {
        self.0.push((name.into(), tensor));
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, tensor)| tensor)
    }

    /// Names and tensors, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, (String, Tensor)> {
        self.0.iter()
    }

    /// How many tensors.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn from_raw(tensors: Vec<raw::NamedTensor>) -> State {
        tensors.into_iter().map(|named| (named.name, Tensor::own(named.tensor))).collect()
    }

    /// For the host. A handle that is still held elsewhere is given as an equal one, without history.
    pub(crate) fn into_raw(self) -> Vec<raw::NamedTensor> {
        let own = |tensor: Tensor| {
            std::rc::Rc::try_unwrap(tensor.0)
                .unwrap_or_else(|shared| crate::bindings::tensors::commit(&[&shared]).remove(0))
        };
        self.0.into_iter().map(|(name, tensor)| raw::NamedTensor { name, tensor: own(tensor) }).collect()
    }
}

impl<N: Into<String>> FromIterator<(N, Tensor)> for State {
    fn from_iter<I: IntoIterator<Item = (N, Tensor)>>(tensors: I) -> State {
        State(tensors.into_iter().map(|(name, tensor)| (name.into(), tensor)).collect())
    }
}

impl<N: Into<String>, const COUNT: usize> From<[(N, Tensor); COUNT]> for State {
    fn from(tensors: [(N, Tensor); COUNT]) -> State {
        tensors.into_iter().collect()
    }
}

impl IntoIterator for State {
    type Item = (String, Tensor);
    type IntoIter = std::vec::IntoIter<(String, Tensor)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
