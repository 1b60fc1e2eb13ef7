//! A network of real processes under the default rules while a coalition of fresh keys attacks it: what its lies
//! come to, what it is paid and loses, and what honest people notice. `tests/soak attack` makes the table.

use std::{
    collections::BTreeSet,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anneal_api::{
    Client,
    wire::{JobState, ProviderListQuery},
};
use anneal_job::{AttemptId, Identity};
use anneal_market::{Event, EventKind, audit};

use crate::{
    attack::Coalition,
    network::{Developer, JobLine, Kept, Network},
    process::wait_until,
};

/// A job that takes longer hangs.
const JOB_TIME: Duration = Duration::from_secs(1800);
/// The coalition has enrolled by then; only a broken one has not.
const ENROLLED_TIME: Duration = Duration::from_secs(300);
/// Jobs are not run for longer than this for lies that do not come.
const JOBS_MAX: u64 = 15;
/// Honest providers beside it.
const HONEST: usize = 3;

/// Who attacks whom.
#[derive(Clone, Copy, Debug)]
pub struct Siege {
    /// Fresh keys at a time; a caught one is replaced.
    pub keys: usize,
    /// Network prefixes that they come from, as a trusted proxy says; none: all of them from loopback.
    pub prefixes: usize,
    /// Whether the coordinator's operator vouches for the honest providers.
    pub listed: bool,
    /// Jobs that are run under attack, after one that is run in peace; more, until it has lied so often.
    pub jobs: u64,
    /// Lies that are waited for.
    pub lies: u64,
    /// Steps of each of their segments.
    pub steps: u32,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Aftermath {
    /// Keys that were used up.
    pub keys: u64,
    /// Jobs that were run under attack.
    pub jobs: u64,
    /// Honest shadows of the coalition.
    pub shadows: u64,
    /// Its lies.
    pub lies: u64,
    /// Lies that are the last word on a task.
    pub final_lies: u64,
    /// Its faults, and its shadows that differed.
    pub caught: u64,
    /// Faults, and differing shadows, of honest providers.
    pub honest_caught: u64,
    /// Honest providers that were never paid.
    pub honest_starved: u64,
    /// Paid for lies, in credits.
    pub paid: u64,
    /// Suspended.
    pub suspended: u64,
    /// What its unpaid work would have earned.
    pub unpaid: u64,
    /// A job in peace, and the slowest under attack.
    pub peace: Duration,
    /// The slowest job under attack.
    pub slowest: Duration,
}

impl Aftermath {
    /// What the coalition gained.
    pub fn profit(&self) -> i128 {
        i128::from(self.paid) - i128::from(self.suspended) - i128::from(self.unpaid)
    }
}

impl Siege {
    fn job(&self, seed: u64) -> JobLine {
        JobLine { parameters: vec![format!("steps={}", self.steps)], ..JobLine::hello(seed) }
    }

    /// Attacks, and sums up the log.
    ///
    /// # Panics
    /// Where an honest job does not end with the digest that it has undisturbed, or the log does not hold.
    pub fn run(&self) -> Aftermath {
        let mut network = Network::new(Kept::Sqlite);
        // The rules that run where nobody says anything else.
        network.rules = None;
        network.coordinators_arguments = vec!["--trusted-proxy".to_owned(), "127.0.0.1/32".to_owned()];
        network.add_coordinator();
        for _ in 0..HONEST {
            network.add_provider(&network.url(0));
        }
        network.wait_for_providers();
        let developer = network.developer();
        let peace = timed(&developer, &self.job(1_000), &network);
        let honest = providers(&developer);
        if self.listed {
            let anchors = honest.iter().flat_map(|key| ["--anchor".to_owned(), key.to_string()]);
            network.coordinators_arguments.extend(anchors);
            network.coordinator(0).kill();
            network.start_coordinator(0);
        }
        let coalition = Coalition::start(&network.url(0), self.keys, self.prefixes, network.folder());
        let enrolled = || coalition.deeds().keys.load(Ordering::Relaxed) >= self.keys as u64;
        assert!(wait_until(ENROLLED_TIME, enrolled), "the coalition enrols:\n{}", network.said());
        let mut slowest = Duration::ZERO;
        let lies = || coalition.deeds().lies.load(Ordering::Relaxed);
        let mut jobs = 0;
        while jobs < self.jobs || lies() < self.lies {
            if jobs == JOBS_MAX {
                break;
            }
            slowest = slowest.max(timed(&developer, &self.job(2_000 + jobs), &network));
            jobs += 1;
        }
        let events = read_log(&developer);
        let deeds = coalition.deeds();
        let lied: BTreeSet<AttemptId> =
            deeds.lied.lock().expect("no member panics").iter().copied().collect();
        let members: BTreeSet<Identity> =
            deeds.members.lock().expect("no member panics").iter().copied().collect();
        let mut after = Aftermath {
            keys: deeds.keys.load(Ordering::Relaxed),
            jobs,
            shadows: deeds.shadows.load(Ordering::Relaxed),
            lies: deeds.lies.load(Ordering::Relaxed),
            final_lies: 0,
            caught: 0,
            honest_caught: 0,
            honest_starved: 0,
            paid: 0,
            suspended: 0,
            unpaid: 0,
            peace,
            slowest,
        };
        sum_up(&mut after, &events, &lied, &members, &honest);
        drop(coalition);
        after
    }
}

/// Runs a job to its end, which must be the one that it has undisturbed.
fn timed(developer: &Developer, job: &JobLine, network: &Network) -> Duration {
    let began = Instant::now();
    let id = developer.submit(job);
    let (view, _) = developer.ended(id, JOB_TIME);
    let took = began.elapsed();
    let end = view.end.as_ref();
    assert_eq!(view.summary.state, JobState::Completed, "{view:#?}\n{}", network.said());
    assert_eq!(end.map(|end| end.result.to_string()), Some(job.undisturbed()));
    took
}

fn providers(developer: &Developer) -> BTreeSet<Identity> {
    let listed = developer
        .ask(async |client: Client| client.providers(&ProviderListQuery::default()).await)
        .expect("providers are listed");
    listed.providers.iter().map(|provider| provider.identity).collect()
}

fn read_log(developer: &Developer) -> Vec<Event> {
    let pages = developer.log().expect("the log can be read and its chain holds");
    let entries = pages.into_iter().flat_map(|page| page.entries);
    let events: Vec<Event> =
        entries.map(|entry| serde_json::from_str(&entry.event).expect("an event")).collect();
    assert_eq!(audit::audit(events.clone()).discrepancies, Vec::new(), "the audit finds nothing wrong");
    events
}

fn sum_up(
    after: &mut Aftermath,
    events: &[Event],
    lied: &BTreeSet<AttemptId>,
    members: &BTreeSet<Identity>,
    honest: &BTreeSet<Identity>,
) {
    let (mut owners, mut shadows, mut paid_to) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut wrong = BTreeSet::new();
    for Event { kind, .. } in events {
        match kind {
            EventKind::Leased { attempt, provider, shadow, price, .. } => {
                owners.push((*attempt, *provider));
                if *shadow {
                    shadows.push((*attempt, *price));
                }
            }
            EventKind::Verdict { task, attempts, .. } => {
                let lie = attempts.iter().any(|judged| judged.valid && lied.contains(&judged.attempt));
                if lie {
                    wrong.insert(*task);
                }
            }
            EventKind::Overturned { task, .. } => drop(wrong.remove(task)),
            _ => {}
        }
    }
    let owner = |attempt: &AttemptId| owners.iter().find(|(id, _)| id == attempt).map(|(_, owner)| *owner);
    for Event { kind, .. } in events {
        match kind {
            EventKind::Paid { attempt, credits, fee, .. } => {
                paid_to.extend(owner(attempt));
                after.paid += if lied.contains(attempt) { credits.0 - fee.0 } else { 0 };
            }
            EventKind::Fault { attempt, suspended, .. } => {
                let is_member = owner(attempt).is_some_and(|owner| members.contains(&owner));
                after.caught += u64::from(is_member);
                after.honest_caught += u64::from(!is_member);
                after.suspended += if is_member { suspended.0 } else { 0 };
            }
            EventKind::ShadowDiffered { provider, .. } | EventKind::Dissented { provider, .. } => {
                let is_member = members.contains(provider);
                after.caught += u64::from(is_member);
                after.honest_caught += u64::from(!is_member);
            }
            EventKind::Revealed { attempt, gas, .. } => {
                let price = shadows.iter().find(|(id, _)| id == attempt).map(|(_, price)| *price);
                let member = owner(attempt).is_some_and(|owner| members.contains(&owner));
                let worth = price.filter(|_| member).and_then(|price| price.cost(*gas));
                after.unpaid += worth.map_or(0, |credits| credits.0);
            }
            _ => {}
        }
    }
    after.final_lies = wrong.len() as u64;
    after.honest_starved = honest.iter().filter(|key| !paid_to.contains(key)).count() as u64;
}
