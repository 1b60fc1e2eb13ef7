//! Whole attempts as fast as they go, and what one costs the coordinator.

use std::time::Instant;

use tokio::task::JoinSet;

use crate::{
    child::{Service, own_cpu},
    market::Developer,
    provider::Provider,
    setting::Setting,
};

/// Until it runs evenly.
const WARM_SECONDS: u64 = 5;

/// What a coordinator did in a time.
pub struct Rate {
    /// Tasks verified and stored.
    pub tasks: u64,
    /// Attempts per second.
    pub per_second: f64,
    /// Milliseconds of the coordinator's CPU per attempt.
    pub ms: f64,
    /// Of these, the writer's.
    pub writer_ms: f64,
    /// Of the process that plays the network.
    pub own_ms: f64,
    /// MiB of the coordinator afterwards.
    pub mib: f64,
}

/// Prints a row for providers with many devices and for as many leases on providers with one device.
pub async fn run(setting: &Setting) {
    println!("\n## Whole attempts (leased, committed, revealed, judged, state uploaded)\n");
    println!(
        "| providers × devices | attempts | attempts/s | coordinator CPU ms per attempt | of it the writer | \
         load generator CPU ms per attempt | coordinator MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (providers, devices) in [(setting.providers, setting.devices), (setting.providers * 4, 1)] {
        let folder = setting.folder();
        let service = Service::start(setting, folder.path(), false);
        let rate = measure(&service, setting, providers, devices).await;
        println!(
            "| {providers} × {devices} | {} | {:.0} | {:.3} | {:.3} | {:.3} | {:.0} |",
            rate.tasks * 2,
            rate.per_second,
            rate.ms,
            rate.writer_ms,
            rate.own_ms,
            rate.mib
        );
        service.stop();
    }
}

/// Measures a coordinator for as long as the setting says.
pub async fn measure(service: &Service, setting: &Setting, providers: u64, devices: u32) -> Rate {
    let folder = setting.folder();
    let developer = Developer::begin(&service.url, folder.path(), setting.seed).await;
    let mut running = JoinSet::new();
    for _ in 0..providers {
        running.spawn(Provider::enrol(&service.url, devices).await.run());
    }
    tokio::time::sleep(std::time::Duration::from_secs(WARM_SECONDS)).await;
    let (begun, before) = (Instant::now(), developer.tasks_done().await);
    let (cpu_before, own_before) = (service.cpu(), own_cpu());
    tokio::time::sleep(setting.time()).await;
    let tasks = developer.tasks_done().await - before;
    let (cpu, own) = (service.cpu().since(cpu_before), own_cpu() - own_before);
    let seconds = begun.elapsed().as_secs_f64();
    if let Some(Err(error)) = running.try_join_next() {
        panic!("a provider broke: {error}");
    }
    developer.end().await;
    running.shutdown().await;
    let attempts = (tasks * 2).max(1) as f64;
    let per_attempt = |seconds: f64| seconds * 1000.0 / attempts;
    Rate {
        tasks,
        per_second: attempts / seconds,
        ms: per_attempt(cpu.all),
        writer_ms: per_attempt(cpu.writer),
        own_ms: per_attempt(own),
        mib: service.resident_mib(),
    }
}
