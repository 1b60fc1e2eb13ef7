//! Leases at a fixed rate. A lease is due when the clock says so, whether or not the one before is there: what
//! waits behind something slow counts as slow, too.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};

use crate::{child::Service, market::Developer, provider::Provider, setting::Setting};

/// Until it runs evenly.
const WARM: Duration = Duration::from_secs(5);

/// Times of leases, in milliseconds, and asks that gave none.
#[derive(Default)]
struct Times {
    ms: Vec<f64>,
    none: u64,
}

/// Prints the distribution of the time to a lease.
pub async fn run(setting: &Setting) {
    let folder = setting.folder();
    let service = Service::start(setting, folder.path(), false);
    let developer = Developer::begin(&service.url, folder.path(), setting.seed).await;
    let times = Arc::new(Mutex::new(Times::default()));
    let mut running = JoinSet::new();
    let every = Duration::from_secs_f64(setting.providers as f64 / setting.rate as f64);
    let mut providers = Vec::new();
    for _ in 0..setting.providers {
        providers.push(Provider::enrol(&service.url, setting.devices).await);
    }
    let start = Instant::now();
    for (index, provider) in providers.into_iter().enumerate() {
        let first = start + every.mul_f64(index as f64 / setting.providers as f64);
        running.spawn(drive(provider, setting.devices, first, every, start + WARM, times.clone()));
    }
    tokio::time::sleep(WARM).await;
    let (before, cpu_before) = (developer.tasks_done().await, service.cpu());
    tokio::time::sleep(setting.time()).await;
    let (tasks, cpu) = (developer.tasks_done().await - before, service.cpu().since(cpu_before));
    if let Some(Err(error)) = running.try_join_next() {
        panic!("a provider broke: {error}");
    }
    running.shutdown().await;
    let mut times = times.lock().expect("nobody panicked");
    times.ms.sort_by(f64::total_cmp);
    let at = |share: f64| times.ms[((times.ms.len() - 1) as f64 * share) as usize];
    println!("\n## Time to a lease at {} attempts per second\n", setting.rate);
    println!(
        "| leases | none there | p50 ms | p90 ms | p99 ms | p99.9 ms | most ms | attempts judged/s | coordinator CPU ms per attempt |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    println!(
        "| {} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.0} | {:.3} |",
        times.ms.len(),
        times.none,
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0),
        tasks as f64 * 2.0 / setting.seconds as f64,
        cpu.all * 1000.0 / (tasks * 2).max(1) as f64,
    );
    service.stop();
}

/// Asks for a lease whenever one is due, on one device after the other; the rest of an attempt happens beside.
async fn drive(
    mut provider: Provider,
    devices: u32,
    first: Instant,
    every: Duration,
    from: Instant,
    times: Arc<Mutex<Times>>,
) {
    let (mut due, mut device) = (first, 0);
    let mut sending = JoinSet::new();
    loop {
        tokio::time::sleep_until(due).await;
        let mut asked = Vec::new();
        while due <= Instant::now() && asked.len() < devices as usize {
            asked.push((due, device));
            due += every;
            device = (device + 1) % devices;
        }
        let idle: Vec<u32> = asked.iter().map(|(_, device)| *device).collect();
        let (leases, duties) = provider.poll(&idle, 0).await;
        let now = Instant::now();
        {
            let mut times = times.lock().expect("nobody panicked");
            for (index, (due, _)) in asked.iter().enumerate().filter(|(_, (due, _))| *due >= from) {
                match index < leases.len() {
                    true => times.ms.push(now.duration_since(*due).as_secs_f64() * 1000.0),
                    false => times.none += 1,
                }
            }
        }
        sending.spawn(provider.prepare(leases, &duties).send());
        while let Some(sent) = sending.try_join_next() {
            sent.expect("it is sent");
        }
    }
}
