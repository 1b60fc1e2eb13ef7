//! The service over real sockets on loopback: the way of a job, restarts, bad input, blobs, the log, failover.
//! Nothing is run in a sandbox: what a task gives is made up from its id, the same for every honest provider.

mod admission;
mod bad_input;
mod blobs;
mod crowds;
mod errors;
mod failover;
mod fixture;
mod grant;
mod job;
mod keeping;
mod load;
mod page;
mod possession;
mod provider;
mod proxy;
mod raw;
mod refused;
mod replays;
mod restart;
mod secure;
mod strangers;
mod torn;
mod versions;
mod views;
