//! How much a coordinator takes: a process that serves, and one that plays developers and providers over real
//! sockets and measures it. Not a test: what the service does under load is asserted in `tests/service/load.rs`.
//!
//! `cargo run --release -p anneal-coordinator --example load -- [CASE] [name=value …]`
//!
//! - `attempts`: whole attempts as fast as they go: leased, committed, revealed, judged, the state uploaded.
//! - `latency`: leases at a fixed rate; the time from when one was due to when it was there.
//! - `idle`: connected providers that wait, and what they take.
//! - `history`: cost per task as history grows, and how long a restart takes with all of it.
//! - `download`: a blob over TLS to `curl`, against nginx.
//! - `all`: each of them, as a table.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a measurement prints its numbers")]

mod attempts;
mod child;
mod download;
#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/service/fixture.rs"]
mod fixture;
mod history;
mod idle;
mod latency;
mod market;
mod provider;
mod serve;
mod setting;

use setting::Setting;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if arguments.first().is_some_and(|first| first == "serve") {
        return runtime.block_on(serve::serve(&arguments[1..]));
    }
    let case = arguments.first().map_or("all", String::as_str);
    let setting = Setting::read(arguments.get(1..).unwrap_or_default());
    runtime.block_on(async {
        match case {
            "attempts" => attempts::run(&setting).await,
            "latency" => latency::run(&setting).await,
            "idle" => idle::run(&setting).await,
            "history" => history::run(&setting).await,
            "download" => download::run(&setting).await,
            "all" => {
                attempts::run(&setting).await;
                latency::run(&setting).await;
                idle::run(&setting).await;
                history::run(&setting).await;
                download::run(&setting).await;
            }
            other => {
                eprintln!("there is no case {other}: attempts, latency, idle, history, download or all");
                std::process::exit(2);
            }
        }
    });
}
