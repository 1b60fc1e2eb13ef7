//! Providers that are connected and wait, each on a connection of its own, and what they take.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anneal_api::{Client, ClientOptions, wire::Poll};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{child::Service, fixture::new_key, provider::enrolment, serve::tls_file, setting::Setting};

/// Providers that enrol at once.
const ENROLLING: usize = 32;

/// Prints what they take, plain and over TLS.
pub async fn run(setting: &Setting) {
    println!("\n## {} providers that wait\n", setting.idle);
    println!(
        "| connection | polls that wait | coordinator MiB without them | with them | KiB per provider | \
         coordinator CPU % while they wait |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for tls in [false, true] {
        let folder = setting.folder();
        let service = Service::start(setting, folder.path(), tls);
        let before = service.resident_mib();
        let waiting = Arc::new(AtomicU64::new(0));
        let mut running = JoinSet::new();
        let enrolling = Arc::new(Semaphore::new(ENROLLING));
        for _ in 0..setting.idle {
            let (url, waiting, enrolling) = (service.url.clone(), waiting.clone(), enrolling.clone());
            running.spawn(async move { wait(&url, tls, &waiting, &enrolling).await });
        }
        while waiting.load(Relaxed) < setting.idle {
            if let Some(Err(error)) = running.try_join_next() {
                panic!("a provider broke: {error}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (begun, cpu_before) = (Instant::now(), service.cpu());
        // Longer than one poll: every provider has asked again.
        tokio::time::sleep(setting.time().max(Duration::from_secs(35))).await;
        let (cpu, seconds) = (service.cpu().since(cpu_before), begun.elapsed().as_secs_f64());
        let after = service.resident_mib();
        println!(
            "| {} | {} | {before:.0} | {after:.0} | {:.1} | {:.1} |",
            if tls { "TLS" } else { "plain, loopback" },
            waiting.load(Relaxed),
            (after - before) * 1024.0 / setting.idle as f64,
            cpu.all * 100.0 / seconds,
        );
        running.shutdown().await;
        service.stop();
    }
}

async fn wait(url: &str, tls: bool, waiting: &AtomicU64, enrolling: &Semaphore) {
    let place = enrolling.acquire().await.expect("open");
    let mut options = ClientOptions::new(url.parse().expect("an address"), new_key());
    if tls {
        options.certificates = vec![tls_file("ca.pem")];
    }
    let client = Client::connect(options).await.expect("it answers");
    client.enrol(&enrolment(1)).await.expect("enrolled");
    waiting.fetch_add(1, Relaxed);
    // The first poll is short, so that the others do not all end together.
    let mut wait_ms = 500 + u64::from(client.identity().as_bytes()[0]) * 100;
    drop(place);
    loop {
        let reply =
            client.poll(&Poll { idle: vec![0], seen: 0, wait_ms, holds: None }).await.expect("a poll");
        assert!(reply.leases.is_empty(), "there are no jobs");
        wait_ms = 30_000;
    }
}
