//! What arbitrary sequences of host calls cost the host beside the gas that is paid for them, on the CPU's executor:
//! prints the worst call so far in bytes and in time. Which bytes and allocations are bounded, a unit test of the
//! sandbox says; a time decides nothing.
#![no_main]
#![expect(clippy::print_stdout, reason = "it says what it found")]

use std::sync::Mutex;

use anneal_sandbox::fuzzing::{Counting, Worst, decode, measure};
use anneal_tensor::Cpu;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static WORST: Mutex<Option<Worst>> = Mutex::new(None);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let calls = decode(bytes);
    let executor = Cpu::new(1).expect("this machine computes as IEEE 754 says");
    let costs = measure(&calls, 3, Box::new(executor), None).expect("all of it holds");
    let mut worst = WORST.lock().expect("nothing panicked before");
    let worst = worst.get_or_insert_default();
    if worst.add(&costs, calls.len()) {
        println!("{worst}");
    }
});
