//! Random guests by wasm-smith, by seed: admitted, compiled and run in this process with small limits, as many as
//! are asked for. None may panic, hang, or leave anything behind. What each must come to nobody knows; that it
//! comes to one of the ends that a guest may have is checked. Those with a known end are the table in `guests`.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anneal_job::{Entry, FaultCode, Limits, Outcome, Task};
use anneal_sandbox::{
    CompiledComponent, Inputs, RunOptions, State,
    compile::{CompileError, in_process},
    run_task,
};
use arbitrary::{Arbitrary, Unstructured};
use wasm_smith::{Component, Config, Module};

use super::component::{body, section};
use crate::testing::{reference, task};

const LIMITS: Limits = Limits { gas: 300_000, memory_bytes: 4 << 20, tensor_bytes: 1 << 20, handles: 100 };
/// Far beyond what that gas can take on any machine: over it a guest counts as hanging.
const TIME: Duration = Duration::from_secs(60);
const ENTRIES: [Entry; 5] = [Entry::Run, Entry::Init, Entry::Train, Entry::Merge, Entry::Evaluate];
/// Guests before anything is measured: what a process makes once is made then.
const WARM_UP: u64 = 40;
/// What a process may grow by while it runs any number of guests.
const GROWTH_BYTES_MAX: u64 = 256 << 20;

/// How often the process is looked at before it counts as at rest.
const LOOKS: u32 = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// How many guests came to which end.
#[derive(Default)]
pub struct Tally {
    pub ends: BTreeMap<String, u64>,
    /// Guests of the reproducible kind: seed, index and what went wrong.
    pub wrong: Vec<String>,
}

/// Some hundreds, as part of the tests.
pub fn none_panics_or_hangs(_scene: &crate::Scene) {
    let tally = check(400, 1);
    let count = |what: &str| -> u64 {
        tally.ends.iter().filter(|(end, _)| end.contains(what)).map(|(_, count)| count).sum()
    };
    assert!(count("ran") > 100, "hardly any random guest runs: {:?}", tally.ends);
    assert!(count("refused") > 20, "hardly any random guest is refused: {:?}", tally.ends);
}

/// Runs so many guests of this seed and prints what became of them, as a table.
pub fn soak(count: u64, seed: u64) {
    let tally = check(count, seed);
    println!("| end | guests |\n| --- | --- |");
    for (end, guests) in &tally.ends {
        println!("| {end} | {guests} |");
    }
}

/// # Panics
/// Where a guest does what none may.
fn check(count: u64, seed: u64) -> Tally {
    let smith = Smith::new();
    smith.many(seed, 0..WARM_UP.min(count));
    let before = Footprint::at_rest();
    let mut tally = smith.many(seed, 0..count);
    let after = Footprint::at_rest();
    if let (Some(before), Some(after)) = (before, after) {
        if after.threads > before.threads || after.files > before.files {
            tally.wrong.push(format!("left behind: {before:?} became {after:?}"));
        }
        let growth = after.bytes.saturating_sub(before.bytes);
        if growth > GROWTH_BYTES_MAX {
            tally.wrong.push(format!("the process grew by {growth} bytes"));
        }
        println!("  {count} random guests of seed {seed}: the process grew by {} KiB", growth >> 10);
    }
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
    tally
}

/// What a process holds.
#[derive(Debug)]
struct Footprint {
    threads: usize,
    files: usize,
    bytes: u64,
}

impl Footprint {
    /// Once threads that have done their work are gone: the system lists a thread for a moment after its work is
    /// over, and after it was waited for. The smallest of some looks.
    fn at_rest() -> Option<Footprint> {
        let looks = (0..LOOKS).map(|_| {
            std::thread::sleep(BETWEEN_LOOKS);
            Footprint::now()
        });
        looks.collect::<Option<Vec<Footprint>>>()?.into_iter().min_by_key(|look| (look.threads, look.files))
    }

    /// Now; `None` where the system does not say.
    fn now() -> Option<Footprint> {
        let entries = |path| std::fs::read_dir(path).ok().map(Iterator::count);
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(Footprint {
            threads: entries("/proc/self/task")?,
            files: entries("/proc/self/fd")?,
            bytes: kibibytes << 10,
        })
    }
}

/// Makes guests.
struct Smith {
    /// An honest component.
    honest: Vec<u8>,
    /// Where in it the guest's core module lies, its length included.
    module: std::ops::Range<usize>,
    /// That module.
    shape: Vec<u8>,
}

impl Smith {
    fn new() -> Smith {
        let honest = body("(i32.const 0)");
        let modules = sections(&honest).into_iter().filter(|section| section.id == 1);
        let guest = modules.max_by_key(|section| section.contents.len()).expect("it has core modules");
        Smith { module: guest.from..guest.contents.end, shape: honest[guest.contents].to_vec(), honest }
    }

    /// Makes and runs the guests of these indices, on two threads.
    fn many(&self, seed: u64, indices: std::ops::Range<u64>) -> Tally {
        let tally = Mutex::new(Tally::default());
        let next = AtomicU64::new(indices.start);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= indices.end {
                            break;
                        }
                        let end = catch_unwind(AssertUnwindSafe(|| self.one(seed, index)));
                        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                        match end {
                            Ok(Ok(end)) => *tally.ends.entry(end).or_default() += 1,
                            Ok(Err(wrong)) => {
                                tally.wrong.push(format!("guest {index} of seed {seed}: {wrong}"))
                            }
                            Err(_) => tally.wrong.push(format!("guest {index} of seed {seed}: a panic")),
                        }
                    }
                });
            }
        });
        tally.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// One guest from its making to its end, in words; `Err` is an end that none may come to.
    fn one(&self, seed: u64, index: u64) -> Result<String, String> {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ index);
        let count = 512 + (random.next() % 6000) as usize;
        let bytes = random.bytes(count);
        let (kind, component) = match index % 8 {
            0..5 => ("module", self.guest(&bytes)),
            5 => ("component", self.beside(&bytes, true)),
            6 => ("second module", self.beside(&bytes, false)),
            _ => ("damaged", self.damaged(&mut random)),
        };
        let Some(component) = component else { return Ok(format!("{kind}: not made, too few bytes")) };
        let compiled = match in_process(&component) {
            Ok((compiled, _info)) => compiled,
            Err(CompileError::Admission(_)) => return Ok(format!("{kind}: refused at admission")),
            Err(CompileError::Invalid(_)) => return Ok(format!("{kind}: refused as invalid")),
            Err(CompileError::Link(_)) => return Ok(format!("{kind}: refused, imports do not fit")),
            Err(error) => return Err(error.to_string()),
        };
        let entry = ENTRIES[(random.next() % 5) as usize];
        match run(&compiled, &component, entry) {
            Outcome::Completed(_) => Ok(format!("{kind}: ran, completed")),
            Outcome::GuestFailure(failure) => {
                Ok(format!("{kind}: ran, failed ({})", format!("{:?}", failure.code).to_lowercase()))
            }
            Outcome::HostFault(fault) if fault.code == FaultCode::StackOverflow => {
                Ok(format!("{kind}: ran, over the stack"))
            }
            Outcome::HostFault(fault) => Err(format!("{:?}: {}", fault.code, fault.message)),
        }
    }

    /// The honest component with a random core module, whose imports and exports are the honest one's.
    fn guest(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut unstructured = Unstructured::new(bytes);
        let config = Config { module_shape: Some(self.shape.clone()), ..config(&mut unstructured)? };
        let module = Module::new(config, &mut unstructured).ok()?.to_bytes();
        let (before, after) = (&self.honest[..self.module.start], &self.honest[self.module.end..]);
        Some([before, &section(1, &module), after].concat())
    }

    /// The honest component and a random one in it, or a random core module that is instantiated.
    fn beside(&self, bytes: &[u8], component: bool) -> Option<Vec<u8>> {
        let mut unstructured = Unstructured::new(bytes);
        let config = config(&mut unstructured)?;
        let added = if component {
            section(4, &Component::new(config, &mut unstructured).ok()?.to_bytes())
        } else {
            let config = Config { max_imports: 0, ..config };
            let module = section(1, &Module::new(config, &mut unstructured).ok()?.to_bytes());
            let modules = sections(&self.honest).iter().filter(|section| section.id == 1).count();
            let instance = section(2, &[1, 0, modules as u8, 0]);
            [module, instance].concat()
        };
        Some([&self.honest[..], &added].concat())
    }

    /// The honest component with some bytes changed.
    fn damaged(&self, random: &mut Random) -> Option<Vec<u8>> {
        let mut component = self.honest.clone();
        for _ in 0..1 + random.next() % 6 {
            let at = 8 + random.next() as usize % (component.len() - 8);
            component[at] = random.next() as u8;
        }
        Some(component)
    }
}

/// A random configuration that makes guests which run more often than not.
fn config(unstructured: &mut Unstructured<'_>) -> Option<Config> {
    let config = Config::arbitrary(unstructured).ok()?;
    if unstructured.ratio(1, 8).ok()? {
        return Some(config);
    }
    // What the engine has switched off would only be refused.
    Some(Config {
        exceptions_enabled: false,
        gc_enabled: false,
        compact_imports_enabled: false,
        custom_descriptors_enabled: false,
        custom_page_sizes_enabled: false,
        memory64_enabled: false,
        relaxed_simd_enabled: false,
        shared_everything_threads_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        max_memories: 1,
        max_memory32_bytes: 1 << 20,
        max_table_elements: 1000,
        max_instructions: 400,
        ..config
    })
}

fn run(compiled: &CompiledComponent, component: &[u8], entry: Entry) -> Outcome {
    let states = match entry {
        Entry::Train | Entry::Evaluate | Entry::Merge => vec![State::default()],
        Entry::Init | Entry::Run => Vec::new(),
    };
    let task = Task { entry, states: states.iter().map(State::digest).collect(), ..task(component, LIMITS) };
    let options = RunOptions { time: TIME, ..RunOptions::default() };
    run_task(compiled, &task, &Inputs::default(), states, &mut reference(), &mut |_| {}, options).0
}

/// One section of a component.
struct Section {
    id: u8,
    /// Where its id is.
    from: usize,
    contents: std::ops::Range<usize>,
}

/// The sections of a component of ours.
fn sections(component: &[u8]) -> Vec<Section> {
    let (mut at, mut sections) = (8, Vec::new());
    while at < component.len() {
        let (from, id, mut length, mut shift) = (at, component[at], 0, 0);
        loop {
            at += 1;
            length |= usize::from(component[at] & 0x7f) << shift;
            shift += 7;
            if component[at] & 0x80 == 0 {
                break;
            }
        }
        at += 1;
        sections.push(Section { id, from, contents: at..at + length });
        at += length;
    }
    sections
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}
