//! `anneal devices` and `anneal selftest`: what there is, and whether it computes what it must.

use std::time::Instant;

use anneal_job::{
    ByteCount,
    report::{DeviceReport, DevicesReport, ErrorKind, SelftestBackend, SelftestReport},
};
use anneal_sandbox::BackendRequest;
use anneal_tensor::{Graph, Meter, conformance};

use crate::{
    backends::{self, Backend},
    failure::{Failure, Outcome},
    host::Host,
    terminal::{Terminal, table},
};

/// What this machine can compute on.
pub fn devices(host: &Host) -> DevicesReport {
    let cpu = Backend::cpu(None).device;
    let (programs, real): (Vec<DeviceReport>, Vec<DeviceReport>) =
        Backend::gpus(host).into_iter().map(|backend| backend.device).partition(|device| device.software);
    DevicesReport { devices: real.into_iter().chain([cpu]).chain(programs).collect() }
}

/// A table of them.
pub fn describe(report: &DevicesReport) -> String {
    let row = |device: &DeviceReport| {
        let memory = device.memory_bytes.map_or_else(|| "-".to_owned(), |bytes| ByteCount(bytes).to_string());
        let threads = if device.threads > 0 { device.threads.to_string() } else { "-".to_owned() };
        let kind = if device.software { "program" } else { "hardware" };
        let driver = if device.driver.is_empty() { "-".to_owned() } else { device.driver.clone() };
        vec![device.backend.clone(), device.name.clone(), driver, threads, memory, kind.to_owned()]
    };
    let rows: Vec<Vec<String>> = report.devices.iter().map(row).collect();
    table(&["BACKEND", "DEVICE", "DRIVER", "THREADS", "MEMORY", "KIND"], &rows)
}

/// Runs the conformance vectors on every backend.
pub fn selftest(host: &Host, terminal: &Terminal) -> (SelftestReport, Option<Failure>) {
    let mut report = SelftestReport { backends: Vec::new() };
    for backend in [Backend::reference(), Backend::cpu(None)].into_iter().chain(Backend::gpus(host)) {
        let tested = test(&backend);
        let verdict = match tested.failures.first() {
            None => format!("ok ({} vectors, {:.1} s)", tested.vectors, tested.seconds),
            Some(first) => format!("FAILED {} of {}: {first}", tested.failures.len(), tested.vectors),
        };
        terminal.data(format!("{:<24} {verdict}", backend.name()));
        report.backends.push(tested);
    }
    let failed: Vec<&str> = report
        .backends
        .iter()
        .filter(|tested| !tested.failures.is_empty())
        .map(|tested| tested.device.name.as_str())
        .collect();
    let failure = (!failed.is_empty()).then(|| {
        let error = anyhow::anyhow!(
            "{} computes other bits than the specification, so its results would be rejected; update its \
             driver, or use another backend",
            failed.join(" and ")
        );
        Failure::new(ErrorKind::Different, error)
    });
    (report, failure)
}

/// A backend that computes what it must.
#[derive(Clone, Copy, Debug)]
pub struct Tested {
    /// Conformance vectors that it passed.
    pub vectors: usize,
    /// On steps of training, about.
    pub gas_per_second: u64,
}

/// Runs the conformance vectors and measures the speed.
///
/// # Errors
/// Where a vector fails, or the backend does.
pub fn test_and_measure(backend: &Backend) -> Outcome<Tested> {
    let tested = test(backend);
    if let Some(first) = tested.failures.first() {
        let error = anyhow::anyhow!(
            "{} computes other bits than the specification ({first}), so its results would be rejected; update \
             its driver, or leave it out",
            backend.name()
        );
        return Err(Failure::new(ErrorKind::Different, error));
    }
    let gas_per_second = speed(backend).map_err(|error| Failure::host(anyhow::anyhow!(error)))?;
    Ok(Tested { vectors: tested.vectors, gas_per_second })
}

/// Gas per second of a matrix product, of the second one: the first compiles.
fn speed(backend: &Backend) -> Result<u64, String> {
    const SIDE: usize = 512;
    let request = BackendRequest {
        backend: backend.address.clone(),
        threads: backend.threads,
        ..BackendRequest::default()
    };
    let mut executor = backends::executor(&request)?;
    let meter = Meter::new(1 << 30);
    let mut graph = Graph::new(0, std::sync::Arc::clone(&meter));
    let mut once = || -> Result<(u64, f64), String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let start = Instant::now();
        let a = graph.uniform(&[SIDE, SIDE], 1).map_err(|error| words(&error))?;
        let b = graph.matmul(&a, &a, false, false).map_err(|error| words(&error))?;
        let done = graph.commit(&[b], &mut *executor).map_err(|error| words(&error))?;
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

fn test(backend: &Backend) -> SelftestBackend {
    let start = Instant::now();
    let request = BackendRequest {
        backend: backend.address.clone(),
        threads: backend.threads,
        ..BackendRequest::default()
    };
    let failures = match backends::executor(&request) {
        Ok(mut executor) => conformance::run(&mut *executor).iter().map(ToString::to_string).collect(),
        Err(message) => vec![message],
    };
    SelftestBackend {
        device: backend.device.clone(),
        vectors: conformance::vectors().len(),
        failures,
        seconds: start.elapsed().as_secs_f64(),
    }
}
