//! One task, run: from a compiled component to an outcome. In this process; a worker process per attempt is
//! `worker`.
//!
//! The guest runs on a thread of its own, with a stack whose size is known; the caller's thread hears events.
//! A third thread looks at the time and the stop flag, and ends the guest by an epoch.

mod entry;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use anneal_job::{Completed, FaultCode, Outcome, Task, result_digest};
use anneal_tensor::{DeviceInfo, Executor, ExecutorError, Gate, Tensor, Value, float_mode};
use wasmtime::{CallHook, Engine, Store, StoreContextMut, UpdateDeadline, component::Linker};

pub use crate::host::StopFlag;
use crate::{
    compile::CompiledComponent,
    ending::{Ending, Phase, backtrace, classify},
    event::{Event, Observer, Trace},
    host::{Clock, Host, HostParts, bindings},
    limits,
    pace::{Governor, PaceHandle, PaceReport},
    state::{Inputs, State},
    versions::check_versions,
    wasi,
};

/// How a task is run: nothing that its outcome depends on.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Wall-clock time; over it the attempt is a host's fault.
    pub time: Duration,
    /// Stops it from another thread.
    pub stop: StopFlag,
    /// What is traced.
    pub trace: Trace,
    /// How fast it may go; `None` is as fast as it can.
    pub pace: Option<PaceHandle>,
}

impl Default for RunOptions {
    /// An hour, untraced.
    fn default() -> RunOptions {
        let time = Duration::from_secs(3600);
        RunOptions { time, stop: StopFlag::default(), trace: Trace::Off, pace: None }
    }
}

/// How often time and stop flag are looked at.
const TICK: Duration = Duration::from_millis(20);
/// How often an attempt says how it is held.
const PACE_TOLD: Duration = Duration::from_secs(1);
/// Events that wait for the observer before the guest does.
const EVENTS_WAITING_MAX: usize = 1024;

/// Runs a task. Where it completed, the state it returned is given too (empty for `evaluate`).
///
/// The inputs and states must be those that the task names: see [`crate::check_task`]. A task of other versions than
/// this program's is refused with a code of its own.
pub fn run_task(
    component: &CompiledComponent,
    task: &Task,
    inputs: &Inputs,
    states: Vec<State>,
    executor: &mut Box<dyn Executor>,
    observer: &mut dyn Observer,
    options: RunOptions,
) -> (Outcome, Option<State>) {
    let span = tracing::info_span!("attempt", task = %task.id(), entry = %task.entry);
    let _entered = span.enter();
    if let Err(fault) = check_versions(task.versions) {
        tracing::warn!(fault = fault.message, "not run");
        return (Outcome::HostFault(fault), None);
    }
    executor.forget();
    let (events, heard) = mpsc::sync_channel(EVENTS_WAITING_MAX);
    let governor = options.pace.map(|pace| Governor::new(pace, options.stop.clone()));
    executor.govern(governor.clone().map(|governor| Arc::new(governor) as Arc<dyn Gate>));
    let parts = HostParts {
        task: task.clone(),
        inputs: inputs.clone(),
        states,
        executor: std::mem::replace(executor, Box::new(Absent::new())),
        events,
        clock: Clock::start(options.time, options.stop, governor),
        trace: options.trace,
    };
    let (ended, executor_back) = on_threads(component, parts, heard, observer);
    if let Some(mut back) = executor_back {
        back.govern(None);
        *executor = back;
    }
    match ended {
        Ok((completed, state)) => {
            tracing::info!(result = %completed.result, gas = completed.gas, "completed");
            (Outcome::Completed(completed), Some(state))
        }
        Err(ending) => {
            tracing::info!(%ending, "ended without a result");
            (ending.outcome(), None)
        }
    }
}

type Ended = Result<(Completed, State), Ending>;

fn on_threads(
    component: &CompiledComponent,
    parts: HostParts,
    heard: mpsc::Receiver<Event>,
    observer: &mut dyn Observer,
) -> (Ended, Option<Box<dyn Executor>>) {
    let (guest_alive, guest_gone) = mpsc::sync_channel::<()>(0);
    let (clock, events) = (parts.clock.clone(), parts.events.clone());
    thread::scope(|scope| {
        let guest = thread::Builder::new().name("guest".to_owned()).stack_size(limits::THREAD_STACK_BYTES);
        let run = move || {
            let _dropped_at_the_end = guest_alive;
            run(component, parts)
        };
        let guest = match guest.spawn_scoped(scope, run) {
            Ok(guest) => guest,
            Err(error) => {
                let message = format!("no thread for the guest: {error}; close other programs and try again");
                return (Err(Ending::fault(FaultCode::OutOfMemory, message)), None);
            }
        };
        scope.spawn(move || {
            interrupt(component.engine(), &clock, &guest_gone, &mut Told::new(events));
        });
        for event in heard {
            observer.observe(event);
        }
        guest.join().unwrap_or_else(|panic| {
            let message = format!("the host panicked: {}; this is a bug of anneal", panic_text(&*panic));
            (Err(Ending::fault(FaultCode::Internal, message)), None)
        })
    })
}

/// Ends the guest by an epoch once its time is up, or when it is to stop; one that has a governor passes it at
/// each tick.
fn interrupt(engine: &Engine, clock: &Clock, guest_gone: &mpsc::Receiver<()>, told: &mut Told) {
    while guest_gone.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        if clock.is_governed() || clock.check().is_err() {
            engine.increment_epoch();
        }
        if let Some(report) = clock.paced() {
            told.tell(report, false);
        }
    }
    if let Some(report) = clock.paced() {
        told.tell(report, true);
    }
}

/// Tells how an attempt is held: when the pace changes, about once a second, and at the end.
struct Told {
    events: mpsc::SyncSender<Event>,
    last: Option<(Instant, PaceReport)>,
}

impl Told {
    fn new(events: mpsc::SyncSender<Event>) -> Told {
        Told { events, last: None }
    }

    fn tell(&mut self, report: PaceReport, is_last: bool) {
        let is_news = self.last.is_none_or(|(at, last)| {
            let told = |report: &PaceReport| {
                // Held to a duty, it stands many times a second.
                (report.per_mille, report.unheard, report.stands && report.per_mille == 0)
            };
            told(&last) != told(&report) || at.elapsed() >= PACE_TOLD
        });
        // Where the observer has too much to hear, the next report says it.
        if (is_news || is_last) && self.events.try_send(Event::Paced(report)).is_ok() {
            self.last = Some((Instant::now(), report));
        }
    }
}

fn run(component: &CompiledComponent, parts: HostParts) -> (Ended, Option<Box<dyn Executor>>) {
    let gas = parts.task.limits.gas;
    if let Err(wrong) = float_mode::check("whatever started the guest's thread") {
        return (Err(wrong.into()), Some(parts.executor));
    }
    let mut store = match store(component, parts) {
        Ok(store) => store,
        Err((ending, executor)) => return (Err(ending), Some(executor)),
    };
    let ended = instantiate_and_call(component, &mut store);
    let used = gas.saturating_sub(store.get_fuel().unwrap_or(0));
    let host = store.data_mut();
    host.print_rest();
    host.reports.flush();
    let ended = ended.map_err(|(error, phase)| {
        let panic = host.reports.panic.as_ref();
        let panic =
            panic.map(|panic| format!("{} at {}:{}:{}", panic.message, panic.file, panic.line, panic.column));
        let ending = classify(&error, phase, gas, panic);
        if let Some(frames) = backtrace(&error) {
            host.reports.log_by_host(&format!("{ending}\n{frames}"));
        }
        ending.after(used)
    });
    (ended, Some(store.into_data().executor))
}

type Raised = (wasmtime::Error, Phase);

fn store(
    component: &CompiledComponent,
    parts: HostParts,
) -> Result<Store<Host>, (Ending, Box<dyn Executor>)> {
    let task_limits = parts.task.limits;
    let mut store = Store::new(component.engine(), Host::new(parts));
    store.limiter(|host| &mut host.memory);
    store.call_hook(crossed);
    store.set_hostcall_fuel(limits::HOSTCALL_BYTES_MAX);
    // The host counts tensors itself, so that the end of a run says what ran out; this is the second line.
    let handles = usize::try_from(task_limits.handles).unwrap_or(usize::MAX);
    store.set_max_component_handles(handles.saturating_add(limits::OTHER_HANDLES_MAX));
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|store| match store.data().clock.pass() {
        Ok(()) => Ok(UpdateDeadline::Continue(1)),
        Err(ending) => Err(ending.into()),
    });
    match store.set_fuel(task_limits.gas) {
        Ok(()) => Ok(store),
        Err(error) => {
            let ending = Ending::fault(FaultCode::Internal, format!("no fuel could be given: {error}"));
            Err((ending, store.into_data().executor))
        }
    }
}

/// The thread goes from the guest to the host, or back: it computes as it must, and what was recorded is charged.
fn crossed(store: StoreContextMut<'_, Host>, hook: CallHook) -> wasmtime::Result<()> {
    let culprit = match hook {
        CallHook::CallingWasm | CallHook::ReturningFromHost => "a call of the host",
        CallHook::CallingHost | CallHook::ReturningFromWasm => "something that ran while the guest computed",
    };
    float_mode::check(culprit).map_err(Ending::from)?;
    Host::collect_gas(store, hook)
}

fn instantiate_and_call(
    component: &CompiledComponent,
    store: &mut Store<Host>,
) -> Result<(Completed, State), Raised> {
    let at = |phase: Phase| move |error: wasmtime::Error| (error, phase);
    store.data().clock.pass().map_err(|ending| (ending.into(), Phase::Call))?;
    let linker = linker(component).map_err(at(Phase::Instantiation))?;
    let instance =
        linker.instantiate(&mut *store, component.component()).map_err(at(Phase::Instantiation))?;
    let returned = entry::call(store, &instance).map_err(at(Phase::Call))?;
    let fuel = store.get_fuel().map_err(at(Phase::Call))?;
    let host = store.data_mut();
    host.graph.meter().leave_gas(fuel);
    let finished = finish(host, returned, fuel);
    let finished =
        float_mode::check("the computing of what the guest returned").map_err(Ending::from).and(finished);
    finished.map_err(|ending| (ending.into(), Phase::Call))
}

/// Everything a component may import.
pub(crate) fn linker(component: &CompiledComponent) -> wasmtime::Result<Linker<Host>> {
    use wasmtime::component::HasSelf;
    let mut linker = Linker::new(component.engine());
    bindings::Training::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
    wasi::link(&mut linker, component.component())?;
    Ok(linker)
}

/// What the guest returned becomes a result, with the gas that is left to it.
fn finish(host: &mut Host, returned: entry::Returned, fuel: u64) -> Result<(Completed, State), Ending> {
    for (name, value) in returned.metrics {
        host.reports.metric(name, 0, value)?;
    }
    let state = entry::state(host, returned.tensors)?;
    let metrics = std::mem::take(&mut host.reports.metrics);
    let state_digest = state.digest();
    let result = result_digest(state_digest, &metrics);
    let left = fuel.saturating_sub(host.graph.meter().take_gas());
    let gas = host.task.limits.gas.saturating_sub(left);
    Ok((Completed { result, state: state_digest, metrics, gas, steps: host.steps }, state))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message").to_owned()
}

/// What a caller holds while its executor is lent to a run, and after one that panicked.
struct Absent(DeviceInfo);

impl Absent {
    fn new() -> Absent {
        Absent(DeviceInfo {
            backend: "absent",
            name: "lent to another run".to_owned(),
            driver: String::new(),
            threads: 0,
            memory_bytes: None,
            software: true,
        })
    }
}

impl Executor for Absent {
    fn device(&self) -> &DeviceInfo {
        &self.0
    }

    fn evaluate(&mut self, _targets: &[Tensor]) -> Result<Vec<Value>, ExecutorError> {
        Err(ExecutorError::DeviceLost("it was lent to a run that did not give it back".to_owned()))
    }

    fn read(&mut self, _value: &Value) -> Result<std::sync::Arc<anneal_tensor::Elements>, ExecutorError> {
        Err(ExecutorError::DeviceLost("it was lent to a run that did not give it back".to_owned()))
    }
}
