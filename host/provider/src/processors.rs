//! How many of the machine's processors this process and all that it starts may use. Which they are does not matter
//! to anybody; how many threads are started on them is each program's own.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Holds this thread, and every thread and process that it starts from now on, to so many processors; a machine
/// with fewer keeps them all.
///
/// # Errors
/// The operating system's.
pub fn hold_to(count: u32) -> io::Result<()> {
    let all = sched_getaffinity(None)?;
    let mut kept = CpuSet::new();
    let processors = (0..CpuSet::MAX_CPU).filter(|processor| all.is_set(*processor));
    processors.take(count as usize).for_each(|processor| kept.set(processor));
    Ok(sched_setaffinity(None, &kept)?)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_thread_and_what_it_starts_are_held() {
        // A thread of its own: the other tests keep all there are.
        let held = thread::spawn(|| {
            hold_to(1).expect("a thread may give up processors");
            let started = thread::spawn(|| sched_getaffinity(None).expect("it is told").count());
            (thread::available_parallelism().expect("it is told").get(), started.join().expect("no panic"))
        });
        assert_eq!(held.join().expect("no panic"), (1, 1));
        let all = thread::available_parallelism().expect("it is told").get();
        hold_to(4096).expect("nothing is given up");
        assert_eq!(thread::available_parallelism().expect("it is told").get(), all);
    }
}
