//! How much a coordinator takes: a process that serves, and one that plays many providers and measures.
//!
//! `cargo run --release -p anneal-coordinator --example load -- [PROVIDERS] [SECONDS]`
#![expect(clippy::print_stdout, reason = "a measurement prints its numbers")]

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../tests/service/fixture.rs"]
mod fixture;
#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../tests/service/provider.rs"]
mod provider;

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anneal_api::wire::{JobListQuery, Jobs};
use anneal_job::{ParameterValue, PlanSpec, Redundancy};
use fixture::{Job, Site, client_at, new_key};
use provider::Provider;
use tokio::task::JoinSet;

/// Linux counts a process's time in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;
/// Tasks of a job.
const TASKS: i64 = 5_000;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "serve") {
        return serve().await;
    }
    let number = |index: usize, otherwise: u64| {
        arguments.get(index).map_or(otherwise, |text| text.parse().expect("a number"))
    };
    drive(number(0, 64), number(1, 20)).await;
}

async fn serve() {
    let site = Site::new();
    let mut config = site.config();
    (config.limits.requests_per_minute, config.limits.requests_burst) = (u32::MAX, u32::MAX);
    config.parameters.open_tasks_per_job = 10_000;
    config.parameters.unreleased_allowance = anneal_job::Credits(u64::MAX / 4);
    let coordinator = site.start_with(config).await;
    println!("http://{}", coordinator.address());
    std::future::pending::<()>().await;
}

async fn drive(providers: u64, seconds: u64) {
    let mut child = Command::new(std::env::current_exe().expect("its own path"))
        .arg("serve")
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut url = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut url).expect("its address");
    let url = url.trim().to_owned();
    let folder = tempfile::tempdir().expect("a folder");
    let developer = client_at(&url, new_key()).await;
    let over = [("n".to_owned(), (0..TASKS).map(ParameterValue::Integer).collect())].into();
    let job = Job::new(folder.path(), PlanSpec::Map { over }, Redundancy::Fixed(2));
    let mut running = JoinSet::new();
    for _ in 0..providers {
        let key = new_key();
        let client = client_at(&url, key.clone()).await;
        running.spawn(Provider::enrol_with(client, key, None).await.run());
    }
    job.submit(&developer).await;
    let (began, cpu_before, done_before) = (Instant::now(), cpu_seconds(&child), done(&developer).await);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let tasks = done(&developer).await - done_before;
    let (time, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds(&child) - cpu_before);
    let attempts = (tasks * 2) as f64;
    println!("{providers} providers, {time:.1} s: {tasks} tasks, {:.0} attempts per second", attempts / time);
    println!(
        "coordinator: {:.2} ms of CPU per attempt, {} KiB resident",
        cpu * 1000.0 / attempts,
        resident_kib(&child)
    );
    running.shutdown().await;
    child.kill().expect("it ends");
    child.wait().expect("it ended");
}

async fn done(developer: &anneal_api::Client) -> u64 {
    let Jobs { jobs } = developer.jobs(&JobListQuery::default()).await.expect("jobs");
    jobs.iter().map(|job| job.tasks_done).sum()
}

/// User and system time of a process, from Linux.
fn cpu_seconds(child: &Child) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("Linux");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
    let ticks = |index: usize| fields[index].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

fn resident_kib(child: &Child) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or("?").to_owned()
}
