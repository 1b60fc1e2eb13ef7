//! End-to-end tests: the real command, real components, a real wgpu device. One binary, a module a subject.
//!
//! `tests/run` builds what these need: the `anneal` command and the guests' components.

mod attack;
mod bad_file;
mod bad_guest;
mod bindings;
mod command;
mod faults;
mod float_mode;
mod governing;
mod interrupts;
mod network;
mod operator;
mod owner;
mod policy;
mod proxy;
mod scaffold;
mod staging;
mod strangers;
mod structure;
mod training;
mod verifying;
