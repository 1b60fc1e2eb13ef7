//! Clocks that jump, at the coordinator and at a provider: by an hour, forwards and backwards, while a job runs, and
//! while nobody runs. Time in the log never goes back, and never stands still.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anneal_tests::{
    network::{JobLine, Kept, Network},
    process::wait_until,
};

use super::{JOB_TIME, ends_undisturbed};

/// Stands before the system's clock: adds the seconds that a file says. Clocks that nobody can set stay as they are.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    if (clock == CLOCK_REALTIME) {
        long seconds = 0;
        const char *path = getenv("CLOCK_OFFSET");
        FILE *file = path ? fopen(path, "r") : NULL;
        if (file) {
            if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
            fclose(file);
        }
        time->tv_sec += seconds;
    }
    return result;
}
"#;

/// A clock that can be set, of whoever is started through it.
struct Clock {
    library: PathBuf,
    offset: PathBuf,
}

impl Clock {
    fn new(folder: &Path, name: &str) -> Clock {
        let (source, library) = (folder.join(format!("{name}.c")), folder.join(format!("{name}.so")));
        fs::write(&source, SHIM).expect("there is room for a file");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(&source)
            .arg("-ldl")
            .status();
        assert!(
            compiled.is_ok_and(|status| status.success()),
            "`cc`, which Rust links with, compiles the clock"
        );
        let clock = Clock { library, offset: folder.join(format!("{name}.offset")) };
        clock.set(0);
        clock
    }

    /// So many seconds beside the true time.
    fn set(&self, seconds: i64) {
        // At once, never a half-written number.
        let new = self.offset.with_extension("new");
        fs::write(&new, seconds.to_string()).expect("there is room for a file");
        fs::rename(&new, &self.offset).expect("it was just written");
    }

    fn through(&self) -> Vec<String> {
        let library = format!("LD_PRELOAD={}", self.library.display());
        vec!["env".to_owned(), library, format!("CLOCK_OFFSET={}", self.offset.display())]
    }
}

#[test]
fn clocks_that_jump_lose_nothing() {
    let mut network = Network::new(Kept::Sqlite);
    let of_coordinator = Clock::new(network.folder(), "coordinator-clock");
    let of_provider = Clock::new(network.folder(), "provider-clock");
    network.coordinators_through = of_coordinator.through();
    network.add_coordinator();
    network.providers_through = of_provider.through();
    network.add_provider(&network.url(0));
    network.providers_through = Vec::new();
    network.add_provider(&network.url(0));
    network.wait_for_providers();
    let developer = network.developer();
    let line = JobLine { segments: 6, ..JobLine::hello(41) };
    let job = developer.submit(&line);
    let after = |tasks: u64, network: &mut Network, jump: &dyn Fn(&mut Network)| {
        let come =
            wait_until(JOB_TIME, || developer.view(job).is_ok_and(|view| view.summary.tasks_done >= tasks));
        assert!(come, "task {tasks} is done: {}", network.said());
        jump(network);
    };
    after(2, &mut network, &|_| of_coordinator.set(3_600));
    after(4, &mut network, &|_| of_coordinator.set(-3_600));
    after(6, &mut network, &|_| of_provider.set(3_600));
    after(8, &mut network, &|_| of_provider.set(-45));
    // The log is two hours ahead of the clock that the next process begins with.
    after(10, &mut network, &|network| {
        network.coordinator(0).kill();
        network.start_coordinator(0);
    });
    after(12, &mut network, &|_| of_coordinator.set(0));
    ends_undisturbed(&network, &developer, &line, job);
    assert!(network.ended_by_themselves().is_empty(), "{}", network.said());
}
