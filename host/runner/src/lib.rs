//! Runs jobs on this machine. [`Job`] is a job whose component is compiled and whose inputs are canonical; [`run`] runs
//! its plan and keeps every finished state in an [out directory](out), [`verify`] compares machines, and [`work`] is
//! one task from files to what a receipt says of it, for providers' leases and for replays.
//!
//! A task computes on a [`Backend`], in a process that the [`Launcher`] starts. Whether a backend computes what it
//! must, [`selftest`] says; what the operating system holds around the processes, [`doctor`] says.
//!
//! Here nothing is printed and no environment is read: who waits hears through [`Console`] and
//! [`progress::Progress`], and what failed, and whose fault it is, is a [`failure::Failure`].

pub mod backends;
pub mod doctor;
pub mod failure;
#[cfg(test)]
mod fake;
pub mod import;
pub mod job;
pub mod launcher;
pub mod out;
pub mod overrides;
pub mod progress;
pub mod run;
pub mod selftest;
pub mod staging;
pub mod verify;
pub mod work;

pub use backends::Backend;
pub use job::{Job, JobSource};
pub use launcher::Launcher;
pub use progress::{Console, Listener};
pub use work::{Compiler, TaskFiles};
