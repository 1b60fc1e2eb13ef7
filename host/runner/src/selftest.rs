//! Whether a backend computes what it must, and how fast: the conformance vectors, in this process or in one of its
//! own, where what a driver prints or breaks stays.

use std::{
    thread,
    time::{Duration, Instant},
};

use anneal_job::report::{ErrorKind, SelftestBackend, SelftestReport};
use anneal_sandbox::BackendRequest;
use anneal_tensor::{Executor, Graph, Meter, conformance, float_mode};
use serde::{Deserialize, Serialize};

use crate::{
    Listener,
    backends::{self, Backend},
    failure::{Failure, Outcome},
    launcher::Launcher,
};

/// Runs the conformance vectors on every backend.
pub fn selftest(launcher: &Launcher, listener: &mut Listener<'_>) -> (SelftestReport, Option<Failure>) {
    let mut report = SelftestReport { backends: Vec::new() };
    if let Err(wrong) = float_mode::check(float_mode::AT_START) {
        return (report, Some(Failure::host(wrong)));
    }
    let mut differ = Vec::new();
    for backend in [Backend::reference(), Backend::cpu(None)].into_iter().chain(Backend::gpus(launcher)) {
        let (tested, differs) = test(&backend);
        differ.push(differs);
        let verdict = match tested.failures.first() {
            None => format!("ok ({} vectors, {:.1} s)", tested.vectors, tested.seconds),
            Some(first) => format!("FAILED {} of {}: {first}", tested.failures.len(), tested.vectors),
        };
        listener(&format!("{:<24} {verdict}", backend.name()));
        report.backends.push(tested);
    }
    let named = |wanted: &dyn Fn(&SelftestBackend, bool) -> bool| -> Vec<&str> {
        let tested = report.backends.iter().zip(&differ);
        tested
            .filter(|(tested, differs)| wanted(tested, **differs))
            .map(|(tested, _)| &*tested.device.name)
            .collect()
    };
    let failed = named(&|tested, differs| !differs && !tested.failures.is_empty());
    let broken = (!failed.is_empty()).then(|| {
        let first = report.backends.iter().find_map(|tested| tested.failures.first());
        Failure::host(anyhow::anyhow!(
            "{} does not compute on this machine: {}",
            failed.join(" and "),
            first.map_or("", String::as_str)
        ))
    });
    let failed = named(&|_, differs| differs);
    let different = (!failed.is_empty()).then(|| {
        let error = anyhow::anyhow!(
            "{} computes other bits than the specification, so its results would be rejected; update its \
             driver, or use another backend",
            failed.join(" and ")
        );
        Failure::new(ErrorKind::Different, error)
    });
    (report, different.or(broken))
}

/// A backend that computes what it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// Conformance vectors that it passed.
    pub vectors: usize,
    /// On steps of training, about.
    pub gas_per_second: u64,
}

/// How a test of one backend ends: the answer of the process that [`Launcher::test_and_measure`] starts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestedOne {
    /// It computes what it must.
    Passed(Tested),
    /// It computes other bits: the first difference.
    Differs(String),
    /// It does not compute.
    Fails(String),
}

/// A test that takes longer is ended: a driver hangs.
pub const TEST_TIME: Duration = Duration::from_secs(600);

/// Runs the conformance vectors on one backend and measures the speed: all that this process is for, so it is
/// aborted where that takes too long.
pub fn test_one(request: &BackendRequest) -> TestedOne {
    thread::spawn(|| {
        thread::sleep(TEST_TIME);
        std::process::abort();
    });
    if let Err(wrong) = float_mode::check(float_mode::AT_START) {
        return TestedOne::Fails(wrong.to_string());
    }
    let mut executor = match backends::executor(request) {
        Ok(executor) => executor,
        Err(message) => return TestedOne::Fails(message),
    };
    if let Some(first) = conformance::run(&mut *executor).first() {
        return match &first.found {
            Ok(_) => TestedOne::Differs(first.to_string()),
            Err(error) => TestedOne::Fails(error.to_string()),
        };
    }
    let vectors = conformance::vectors().len();
    match speed(&mut *executor) {
        Ok(gas_per_second) => TestedOne::Passed(Tested { vectors, gas_per_second }),
        Err(message) => TestedOne::Fails(message),
    }
}

/// What a test's end is to the command: what it measured, or why the backend may not be offered.
///
/// # Errors
/// Where a vector fails, or the backend does.
pub fn judge(backend: &Backend, tested: TestedOne) -> Outcome<Tested> {
    match tested {
        TestedOne::Passed(tested) => Ok(tested),
        TestedOne::Differs(first) => {
            let error = anyhow::anyhow!(
                "{} computes other bits than the specification ({first}), so its results would be rejected; \
                 update its driver, or leave it out",
                backend.name()
            );
            Err(Failure::new(ErrorKind::Different, error))
        }
        TestedOne::Fails(message) => {
            let error = anyhow::anyhow!("{} does not compute: {message}; leave it out", backend.name());
            Err(Failure::host(error))
        }
    }
}

/// Gas per second of a matrix product, of the second one: the first compiles.
fn speed(executor: &mut dyn Executor) -> Result<u64, String> {
    const SIDE: usize = 512;
    let meter = Meter::new(1 << 30);
    let mut graph = Graph::new(0, std::sync::Arc::clone(&meter));
    let mut once = || -> Result<(u64, f64), String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let start = Instant::now();
        let a = graph.uniform(&[SIDE, SIDE], 1).map_err(|error| words(&error))?;
        let b = graph.matmul(&a, &a, false, false).map_err(|error| words(&error))?;
        let done = graph.commit(&[b], executor).map_err(|error| words(&error))?;
        let done = done.map_err(|error| words(&error))?;
        if let Some(value) = done[0].value() {
            executor.read(value).map_err(|error| words(&error))?;
        }
        Ok((meter.take_gas(), start.elapsed().as_secs_f64()))
    };
    once()?;
    let (gas, seconds) = once()?;
    Ok((gas as f64 / seconds.max(1e-6)) as u64)
}

/// What became of a backend, and whether it computed other bits; else it failed to compute.
fn test(backend: &Backend) -> (SelftestBackend, bool) {
    let start = Instant::now();
    let request = BackendRequest {
        backend: backend.address.clone(),
        threads: backend.threads,
        ..BackendRequest::default()
    };
    let (failures, differs) = match backends::executor(&request) {
        Ok(mut executor) => {
            let failures = conformance::run(&mut *executor);
            let differs = failures.iter().any(|failure| failure.found.is_ok());
            (failures.iter().map(ToString::to_string).collect(), differs)
        }
        Err(message) => (vec![message], false),
    };
    let tested = SelftestBackend {
        device: backend.device.clone(),
        vectors: conformance::vectors().len(),
        failures,
        seconds: start.elapsed().as_secs_f64(),
    };
    (tested, differs)
}
