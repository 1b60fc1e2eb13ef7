//! [`Parameters`]: a model's tensors by name, made afresh or taken from a state.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::error::{Failure, Result};
use crate::random::stream;
use crate::{DType, State, Task, Tensor};

/// Everything of a training that outlives a segment: what is trained, what an optimiser remembers, counters,
/// and the seed by which rows are shuffled.
///
/// The same code builds a model for the first time and again from a state:
///
/// ```no_run
/// use anneal_sdk::prelude::*;
///
/// struct Model {
///     first: Linear,
///     second: Linear,
/// }
///
/// impl Model {
///     fn new(parameters: &mut Parameters) -> Result<Model> {
///         Ok(Model {
///             first: Linear::new(parameters, "first", 64, 128)?,
///             second: Linear::new(parameters, "second", 128, 10)?,
///         })
///     }
/// }
///
/// fn init(task: &Task) -> Result<State> {
///     let mut parameters = Parameters::init(task);
///     Model::new(&mut parameters)?;
///     Ok(parameters.into_state())
/// }
///
/// fn resume(state: State) -> Result<Model> {
///     Model::new(&mut Parameters::load(state))
/// }
/// ```
#[derive(Debug)]
pub struct Parameters {
    origin: Origin,
    entries: BTreeMap<String, Entry>,
    counters: BTreeMap<String, u32>,
}

/// A tensor that training replaces: clones share it.
#[derive(Clone, Debug)]
pub struct Parameter(Rc<RefCell<Tensor>>);

/// A parameter's first value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Every element this value.
    Constant(f32),
    /// Uniform between minus and plus this bound.
    Uniform(f32),
    /// Normal around 0 with this standard deviation.
    Normal(f32),
}

#[derive(Debug, PartialEq)]
enum Origin {
    Init { seed: u64 },
    State,
}

#[derive(Debug)]
struct Entry {
    parameter: Parameter,
    trained: bool,
    claimed: bool,
}

/// Where the shuffling seed lives in a state.
const SEED: &str = "seed";

impl Parameters {
    /// For `init`: every parameter that is asked for is made.
    pub fn init(task: &Task) -> Parameters {
        let origin = Origin::Init { seed: task.seed };
        Parameters { origin, entries: BTreeMap::new(), counters: BTreeMap::new() }
    }

    /// For `train` and `evaluate`: every parameter that is asked for is taken from the state. What is not asked
    /// for stays in the state.
    pub fn load(state: State) -> Parameters {
        let entry = |tensor| Entry { parameter: Parameter::new(tensor), trained: false, claimed: false };
        let entries = state.into_iter().map(|(name, tensor)| (name, entry(tensor))).collect();
        Parameters { origin: Origin::State, entries, counters: BTreeMap::new() }
    }

    /// The f32 parameter `name`, which optimisers train. Fails where the name is asked for twice, or the state
    /// has no f32 tensor of that name and shape.
    pub fn trained(&mut self, name: &str, shape: &[u32], init: Init) -> Result<Parameter> {
        self.claim(name, shape, init, true)
    }

    /// The f32 tensor `name`, kept beside the parameters and not trained: statistics, moments. Fails as
    /// [`Parameters::trained`].
    pub fn kept(&mut self, name: &str, shape: &[u32], init: Init) -> Result<Parameter> {
        self.claim(name, shape, init, false)
    }

    /// The counter `name`, 0 at first: an i32 tensor of rank 0 in the state.
    pub fn counter(&mut self, name: &str) -> Result<u32> {
        if let Some(&count) = self.counters.get(name) {
            return Ok(count);
        }
        let count = match (self.entries.get(name), &self.origin) {
            (Some(entry), _) => {
                entry.parameter.get().try_item_i32().map_err(|error| misfit(name, &error.message))?
            }
            (None, Origin::Init { .. }) => 0,
            (None, Origin::State) => return Err(absent(name)),
        };
        self.entries.remove(name);
        let count = u32::try_from(count).map_err(|_| misfit(name, "a counter must not be negative"))?;
        self.counters.insert(name.to_owned(), count);
        Ok(count)
    }

    /// Sets a counter, at most to 2^31 − 1.
    pub fn set_counter(&mut self, name: &str, count: u32) {
        self.entries.remove(name);
        self.counters.insert(name.to_owned(), count.min(i32::MAX as u32));
    }

    /// The job's seed for the order of rows: that of `init`, kept in the state so that all segments and workers
    /// share it. Asking for it in `init` is what puts it there.
    pub fn seed(&mut self) -> Result<u64> {
        if let (Origin::Init { seed }, false) = (&self.origin, self.entries.contains_key(SEED)) {
            let seed = Tensor::try_from_i32(&[2], &[*seed as i32, (*seed >> 32) as i32])?;
            let entry = Entry { parameter: Parameter::new(seed), trained: false, claimed: true };
            self.entries.insert(SEED.to_owned(), entry);
        }
        let words = match self.entries.get(SEED) {
            Some(entry) => entry.parameter.get().try_to_vec_i32()?,
            None => return Err(absent(SEED)),
        };
        match words[..] {
            [low, high] => Ok(u64::from(high as u32) << 32 | u64::from(low as u32)),
            _ => Err(misfit(SEED, "it must have two elements")),
        }
    }

    /// The names and parameters that are trained, ascending by name.
    pub fn iter_trained(&self) -> impl Iterator<Item = (&str, &Parameter)> {
        let trained = self.entries.iter().filter(|(_, entry)| entry.trained);
        trained.map(|(name, entry)| (name.as_str(), &entry.parameter))
    }

    /// Everything, ascending by name.
    pub fn into_state(self) -> State {
        let mut tensors: BTreeMap<String, Tensor> =
            self.entries.into_iter().map(|(name, entry)| (name, entry.parameter.into_tensor())).collect();
        for (name, count) in self.counters {
            tensors.insert(name, Tensor::full_of(DType::I32, &[], count.into()));
        }
        tensors.into_iter().collect()
    }

    fn claim(&mut self, name: &str, shape: &[u32], init: Init, trained: bool) -> Result<Parameter> {
        if let Some(entry) = self.entries.get_mut(name) {
            if entry.claimed {
                return Err(Failure::new(format!(
                    "two parameters of the model are called `{name}`: rename one"
                )));
            }
            let tensor = entry.parameter.get();
            let (dtype, given) = (tensor.dtype(), tensor.shape());
            if dtype != DType::F32 || given != shape {
                let message = format!("it is {dtype:?} {given:?} and the model has F32 {shape:?}");
                return Err(misfit(name, &message));
            }
            (entry.claimed, entry.trained) = (true, trained);
            return Ok(entry.parameter.clone());
        }
        if self.origin == Origin::State {
            return Err(absent(name));
        }
        let parameter = Parameter::new(init.tensor(name, shape)?);
        let entry = Entry { parameter: parameter.clone(), trained, claimed: true };
        self.entries.insert(name.to_owned(), entry);
        Ok(parameter)
    }
}

impl Parameter {
    fn new(tensor: Tensor) -> Parameter {
        Parameter(Rc::new(RefCell::new(tensor)))
    }

    /// The tensor of this moment.
    pub fn get(&self) -> Tensor {
        self.0.borrow().clone()
    }

    /// Puts another in its place; the optimisers do. It should be committed, of the same shape, and f32.
    pub fn set(&self, tensor: Tensor) {
        *self.0.borrow_mut() = tensor;
    }

    fn into_tensor(self) -> Tensor {
        Rc::try_unwrap(self.0).map_or_else(|shared| shared.borrow().clone(), RefCell::into_inner)
    }
}

impl Init {
    /// The usual bound for weights and biases that are fed by `inputs` numbers: 1 / √inputs, both sides.
    pub fn fan_in(inputs: u32) -> Init {
        Init::Uniform(1.0 / (inputs.max(1) as f32).sqrt())
    }

    /// The value of the parameter `name`, whose stream of random numbers is `init/name`.
    fn tensor(self, name: &str, shape: &[u32]) -> Result<Tensor> {
        let stream = stream(&format!("init/{name}"), 0);
        Ok(match self {
            Init::Constant(value) => Tensor::try_full(shape, value)?,
            Init::Uniform(bound) => {
                Tensor::try_uniform(shape, stream)?.try_mul(2.0 * bound)?.try_sub(bound)?
            }
            Init::Normal(deviation) => Tensor::try_normal(shape, stream)?.try_mul(deviation)?,
        })
    }
}

fn absent(name: &str) -> Failure {
    Failure::new(format!(
        "the state has no tensor `{name}`: it was made by another model, or a parameter of the job has changed"
    ))
}

fn misfit(name: &str, message: &str) -> Failure {
    Failure::new(format!(
        "the tensor `{name}` of the state does not fit: {message}; was the state made with other parameters?"
    ))
}
