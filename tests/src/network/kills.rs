//! Killing, as a seed draws it: whom, when, and how soon it is started again. What was killed is always started
//! again before the next one is killed, so every kill is one that a real network must live with.

use std::{
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{Network, START_TIME, is_ready};
use crate::{
    process::{signal, wait_until},
    random::Random,
};

/// A running worker is waited for so long; where none comes, a provider is killed instead.
const WORKER_TIME: Duration = Duration::from_secs(2);
/// A leader that is stopped for so long has lost the lead.
const STOPPED: Duration = Duration::from_secs(8);

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kill {
    /// The one coordinator.
    Coordinator,
    /// The coordinator that leads, of two.
    Leader,
    /// The coordinator that does not lead, of two.
    Follower,
    /// The coordinator that leads, of two: not killed but stopped until another one leads, and let go on.
    LeaderStopped,
    /// A provider.
    Provider,
    /// A worker or compiler, of a provider or of a coordinator's replay.
    Worker,
}

impl Kill {
    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            Kill::Coordinator => "coordinator",
            Kill::Leader => "leader",
            Kill::Follower => "follower",
            Kill::LeaderStopped => "leader stopped 8 s",
            Kill::Provider => "provider",
            Kill::Worker => "worker",
        }
    }
}

/// A kill that was done.
#[derive(Clone, Copy, Debug)]
pub struct Struck {
    /// Who.
    pub kill: Kill,
    /// When, in milliseconds since 1970: to be compared with the log.
    pub at_ms: u64,
    /// How long until a coordinator took commands again, from its start; for a leader, until anybody led, from
    /// the kill.
    pub ready: Option<Duration>,
}

impl Network {
    /// Kills somebody of this kind, and starts it again a little later.
    ///
    /// # Panics
    /// Where it does not start again.
    pub fn strike(&mut self, kill: Kill, random: &mut Random) -> Struck {
        let at_ms = now_ms();
        let later = Duration::from_millis(random.below(600));
        let mut struck = Struck { kill, at_ms, ready: None };
        match kill {
            Kill::Coordinator => {
                self.coordinator(0).kill();
                thread::sleep(later);
                let began = Instant::now();
                self.start_coordinator(0);
                struck.ready = Some(began.elapsed());
            }
            Kill::Leader | Kill::Follower => {
                let leader = self.wait_for_leader();
                let number = if kill == Kill::Leader { leader } else { 1 - leader };
                let began = Instant::now();
                self.coordinator(number).kill();
                // Sometimes it is back before anybody has taken over, sometimes not.
                thread::sleep(later * 10);
                self.begin_coordinator(number);
                self.wait_for_leader();
                struck.ready = (kill == Kill::Leader).then(|| began.elapsed());
                let address = self.address(number);
                assert!(wait_until(START_TIME, || is_ready(address)), "it is back: {}", self.said());
            }
            Kill::LeaderStopped => {
                let leader = self.wait_for_leader();
                let id = self.coordinator(leader).id();
                signal(id, "STOP");
                let other = self.address(1 - leader);
                thread::sleep(STOPPED);
                let led = wait_until(START_TIME, || is_ready(other));
                signal(id, "CONT");
                assert!(led, "the other one leads: {}", self.said());
                struck.ready = None;
            }
            Kill::Provider => self.kill_provider(random, later),
            Kill::Worker => {
                let mut workers = Vec::new();
                if wait_until(WORKER_TIME, || {
                    workers = self.workers();
                    !workers.is_empty()
                }) {
                    // Somewhere in its life, not always at its beginning.
                    thread::sleep(later / 4);
                    let alive = self.workers();
                    let worker = random.pick(if alive.is_empty() { &workers } else { &alive });
                    worker.into_iter().for_each(|worker| signal(*worker, "KILL"));
                    struck.at_ms = now_ms();
                } else {
                    struck.kill = Kill::Provider;
                    self.kill_provider(random, later);
                }
            }
        }
        struck
    }

    fn kill_provider(&mut self, random: &mut Random, later: Duration) {
        let number = random.below(self.providers() as u64) as usize;
        self.provider(number).kill();
        thread::sleep(later);
        self.begin_provider(number);
    }

    /// Providers that ended by themselves are broken; says which.
    pub fn ended_by_themselves(&mut self) -> Vec<String> {
        let all = 0..self.providers();
        let ended: Vec<usize> = all.filter(|number| !self.provider(*number).runs()).collect();
        ended.into_iter().map(|number| format!("provider {number}: {}", self.provider_said(number))).collect()
    }

    /// The workers of everybody, now.
    pub fn workers(&self) -> Vec<u32> {
        let coordinators = self.coordinators.iter().filter_map(|coordinator| coordinator.process.as_ref());
        let providers = self.providers.iter().filter_map(|provider| provider.process.as_ref());
        coordinators.chain(providers).flat_map(super::Process::workers).collect()
    }

    fn wait_for_leader(&self) -> usize {
        let mut leader = None;
        let led = wait_until(START_TIME, || {
            leader = self.leader();
            leader.is_some()
        });
        assert!(led, "somebody leads: {}", self.said());
        leader.unwrap_or_default()
    }
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
