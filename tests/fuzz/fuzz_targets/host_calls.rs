//! Arbitrary sequences of the calls that a guest can make of its host.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| anneal_sandbox::fuzzing::host_calls(bytes));
