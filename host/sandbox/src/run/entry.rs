//! The guest's exports: which one a task calls, with what, and what it may return.

use anneal_job::{Entry, FailureCode, FaultCode};
use anneal_tensor::{Storage, Value};
use wasmtime::{
    Store,
    component::{ComponentNamedList, Instance, Lift, Lower},
};

use crate::{
    ending::Ending,
    host::{Host, bindings::context::NamedTensor, context_task, evaluated, shown},
    limits,
    state::{NamedValue, State, check_names, saturated},
};

/// What an export returned.
#[derive(Default)]
pub(super) struct Returned {
    pub tensors: Vec<NamedTensor>,
    pub metrics: Vec<(String, f64)>,
}

type Tensors = (Result<Vec<NamedTensor>, String>,);
type Metrics = (Result<Vec<(String, f64)>, String>,);

/// Calls the export that the task names.
pub(super) fn call(store: &mut Store<Host>, instance: &Instance) -> wasmtime::Result<Returned> {
    let host = store.data_mut();
    let entry = host.task.entry;
    let task = context_task(&host.task);
    let name = entry.name();
    match entry {
        Entry::Init | Entry::Merge | Entry::Run => {
            let (returned,): Tensors = call_export(store, instance, name, (task,))?;
            Ok(Returned { tensors: unwrap(returned)?, ..Returned::default() })
        }
        Entry::Train => {
            let state = only_state(host)?;
            let (returned,): Tensors = call_export(store, instance, name, (task, state))?;
            Ok(Returned { tensors: unwrap(returned)?, ..Returned::default() })
        }
        Entry::Evaluate => {
            let state = only_state(host)?;
            let (returned,): Metrics = call_export(store, instance, name, (task, state))?;
            Ok(Returned { metrics: unwrap(returned)?, ..Returned::default() })
        }
    }
}

fn call_export<P, R>(
    store: &mut Store<Host>,
    instance: &Instance,
    name: &str,
    parameters: P,
) -> wasmtime::Result<R>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift + 'static,
{
    let function = instance.get_typed_func::<P, R>(&mut *store, name).map_err(|error| {
        let message = format!(
            "the component exports no function {name} of the contract ({error}); `anneal inspect` shows what \
             it exports"
        );
        Ending::failure(FailureCode::Error, message)
    })?;
    function.call(store, parameters)
}

/// The one state that `train` and `evaluate` start from.
fn only_state(host: &mut Host) -> wasmtime::Result<Vec<NamedTensor>> {
    let (1, Some(state)) = (host.states.len(), host.states.first_mut().and_then(Option::take)) else {
        let message = format!("{} takes one state, {} were given", host.task.entry, host.states.len());
        return Err(Ending::fault(FaultCode::Internal, message).into());
    };
    Ok(host.open(&state)?)
}

fn unwrap<T>(returned: Result<T, String>) -> Result<T, Ending> {
    returned.map_err(|error| Ending::failure(FailureCode::Error, shown(&error, limits::ERROR_BYTES_MAX)))
}

/// What was returned as a state in host memory: evaluated, checked.
pub(super) fn state(host: &mut Host, mut returned: Vec<NamedTensor>) -> Result<State, Ending> {
    let not_a_state = |error| {
        Ending::failure(FailureCode::State, format!("what {} returned is no state: {error}", host.task.entry))
    };
    check_names(returned.iter().map(|tensor| tensor.name.as_str())).map_err(not_a_state)?;
    returned.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let mut names = Vec::with_capacity(returned.len());
    let mut tensors = Vec::with_capacity(returned.len());
    for tensor in returned {
        names.push(tensor.name);
        tensors.push(host.take_back(tensor.tensor)?);
    }
    host.evaluate_step(&tensors)?;
    let mut values = Vec::with_capacity(tensors.len());
    for (name, tensor) in names.into_iter().zip(&tensors) {
        let value = evaluated(tensor)?;
        let elements = host.read_value(&value)?;
        if let Some(at) = saturated(value.dtype, &elements) {
            let message = format!(
                "element {at} of the state's \"{}\" is ±2^62: the computation overflowed; try a smaller \
                 learning rate, or clip the gradients",
                shown(&name, 256)
            );
            return Err(Ending::failure(FailureCode::Overflow, message));
        }
        values.push(NamedValue { name, value: Value { storage: Storage::Host(elements), ..value } });
    }
    State::new(values).map_err(|error| Ending::fault(FaultCode::Internal, error.to_string()))
}
