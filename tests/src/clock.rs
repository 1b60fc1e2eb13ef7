//! A clock that a test sets, of whoever is started through it: it stands before the system's, and adds the seconds
//! that a file says. Clocks that nobody can set stay as they are.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use crate::nvml::replace;

/// Stands before the system's clock.
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

/// A clock that can be set.
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    offset: PathBuf,
}

impl Clock {
    /// A clock that shows the true time, with its files in this folder.
    ///
    /// # Panics
    /// Where there is no C compiler. Rust links with it, so it is there.
    pub fn new(folder: &Path, name: &str) -> Clock {
        let (source, library) = (folder.join(format!("{name}.c")), folder.join(format!("{name}.so")));
        std::fs::write(&source, SHIM).expect("there is room for a file");
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
    ///
    /// # Panics
    /// Where there is no room for a file.
    pub fn set(&self, seconds: i64) {
        replace(&self.offset, &seconds.to_string());
    }

    /// It shows this now, in seconds since 1970, and goes on from there.
    ///
    /// # Panics
    /// Where the true time is before 1970.
    pub fn shows(&self, unix_s: i64) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
        self.set(unix_s - now.as_secs() as i64);
    }

    /// What a process that goes by it has in its environment.
    pub fn environment(&self) -> [(&'static str, &Path); 2] {
        [("LD_PRELOAD", &self.library), ("CLOCK_OFFSET", &self.offset)]
    }

    /// What a process is started through that goes by it.
    pub fn through(&self) -> Vec<String> {
        let set = self.environment().map(|(name, path)| format!("{name}={}", path.display()));
        [vec!["env".to_owned()], set.to_vec()].concat()
    }
}
