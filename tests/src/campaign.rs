//! A campaign of kills against a network: jobs one after the other, and while they run, kills as the seed draws
//! them. Every job must end with the digest that it has undisturbed, and the log must hold. Used by the tests with
//! few kills, and by `tests/soak faults` with hundreds.

use std::{
    collections::BTreeMap,
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anneal_api::wire::JobState;

use crate::{
    flood::{Flood, Waste},
    network::{Developer, JobLine, Kept, Kill, Ledger, Network, Struck, check},
    random::Random,
};

/// A job that takes longer hangs.
const JOB_TIME: Duration = Duration::from_secs(900);

/// Network prefixes that strangers come from.
const FLOOD_PREFIXES: usize = 5;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// On which store.
    pub kept: Kept,
    /// How many of each kind are killed. The order is drawn.
    pub kills: Vec<(Kill, u64)>,
    /// Draws everything.
    pub seed: u64,
    /// Providers.
    pub providers: usize,
    /// Whether strangers flood the first coordinator meanwhile.
    pub flooded: bool,
}

/// What it came to. What must not be has panicked.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Every kill.
    pub struck: Vec<Struck>,
    /// Jobs, and how long each took; each ended with the digest that it has undisturbed.
    pub jobs: Vec<Duration>,
    /// What strangers did meanwhile.
    pub waste: Option<Waste>,
    /// How often a job was paused because two machines failed on one task, and resumed.
    pub resumed: u64,
    /// The log.
    pub ledger: Ledger,
    /// How long it took.
    pub time: Duration,
}

impl Campaign {
    /// Does it.
    ///
    /// # Panics
    /// Where a job ends otherwise, or does not, or the log does not hold.
    pub fn run(&self, tell: &mut dyn FnMut(String)) -> Outcome {
        let began = Instant::now();
        let mut random = Random::new(self.seed);
        let proxy = ["--trusted-proxy", "127.0.0.1/32"].map(str::to_owned);
        let arguments = if self.flooded { proxy.to_vec() } else { Vec::new() };
        let mut network = Network::start_with(self.kept, self.providers, arguments);
        let flood = self.flooded.then(|| Flood::start(network.address(0), FLOOD_PREFIXES));
        let mut left: Vec<Kill> =
            self.kills.iter().flat_map(|&(kill, count)| (0..count).map(move |_| kill)).collect();
        let mut outcome = Outcome {
            struck: Vec::new(),
            jobs: Vec::new(),
            waste: None,
            resumed: 0,
            ledger: Ledger::default(),
            time: Duration::ZERO,
        };
        // At least one job after the last kill: the network is whole again.
        loop {
            let over = left.is_empty();
            let job = JobLine::hello(random.number() >> 12);
            let end = one_job(&mut network, &job, &mut left, &mut outcome.struck, &mut random);
            outcome.jobs.push(end.took);
            outcome.resumed += end.resumed;
            let (jobs, done) = (outcome.jobs.len(), outcome.struck.len());
            tell(format!("{jobs} jobs, {done} kills, {} s", began.elapsed().as_secs()));
            if over {
                break;
            }
        }
        outcome.waste = flood.as_ref().map(Flood::waste);
        drop(flood);
        network.wait_for_providers();
        outcome.ledger = check(&network.developer());
        outcome.time = began.elapsed();
        outcome
    }
}

/// Submits a job, kills while it runs, and checks how it ends.
fn one_job(
    network: &mut Network,
    job: &JobLine,
    left: &mut Vec<Kill>,
    struck: &mut Vec<Struck>,
    random: &mut Random,
) -> End {
    let expected = job.undisturbed();
    let (tell, ended) = channel();
    let (developer, line) = (network.developer(), job.clone());
    let watching = thread::spawn(move || {
        let end = watch(&developer, &line);
        // Who waits for it may have panicked.
        let _ = tell.send(end);
    });
    let end = loop {
        match ended.recv_timeout(Duration::from_millis(50 + random.below(900))) {
            Ok(end) => break end,
            Err(RecvTimeoutError::Timeout) if left.is_empty() => {}
            Err(RecvTimeoutError::Timeout) => {
                let kill = left.swap_remove(random.below(left.len() as u64) as usize);
                struck.push(network.strike(kill, random));
            }
            Err(RecvTimeoutError::Disconnected) => {
                let cause = watching.join().expect_err("it ended without a word");
                let cause = cause.downcast_ref::<String>().cloned().unwrap_or_default();
                panic!("{cause}\nafter {struck:?}\n{}", network.said());
            }
        }
    };
    let broken = network.ended_by_themselves();
    assert!(broken.is_empty(), "a provider lives through it: {broken:?}");
    assert_eq!(end.digest.as_deref(), Some(&*expected), "{job:?}: {}\n{}", end.reason, network.said());
    end
}

struct End {
    digest: Option<String>,
    reason: String,
    resumed: u64,
    took: Duration,
}

fn watch(developer: &Developer, line: &JobLine) -> End {
    let began = Instant::now();
    let id = developer.submit(line);
    let (view, resumed) = developer.ended(id, JOB_TIME);
    let completed = view.summary.state == JobState::Completed;
    let digest = view.end.filter(|_| completed).map(|end| end.result.to_string());
    let reason = format!("{:?} {}", view.summary.state, view.reason.unwrap_or_default());
    End { digest, reason, resumed, took: began.elapsed() }
}

impl Outcome {
    /// A table of the kills: how many, and how long the network took to go on.
    pub fn rows(&self) -> Vec<String> {
        let mut kinds: BTreeMap<Kill, Vec<&Struck>> = BTreeMap::new();
        for struck in &self.struck {
            kinds.entry(struck.kill).or_default().push(struck);
        }
        let row = |(kill, struck): (Kill, Vec<&Struck>)| {
            let ready = spread(struck.iter().filter_map(|struck| struck.ready).collect());
            let next = spread(struck.iter().filter_map(|struck| self.next_commit(struck)).collect());
            format!("| {} | {} | {ready} | {next} |", kill.name(), struck.len())
        };
        kinds.into_iter().map(row).collect()
    }

    /// How long after a kill the next attempt was finished by anybody, by the log.
    fn next_commit(&self, struck: &Struck) -> Option<Duration> {
        let after = self.ledger.commits.iter().find(|at| at.0 > struck.at_ms)?;
        Some(Duration::from_millis(after.0 - struck.at_ms))
    }
}

/// Median and longest, in seconds.
pub fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    match times[..] {
        [] => "-".to_owned(),
        [.., longest] => {
            format!("{:.2} / {:.2}", times[times.len() / 2].as_secs_f64(), longest.as_secs_f64())
        }
    }
}
