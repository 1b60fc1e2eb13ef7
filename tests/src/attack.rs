//! A coalition that attacks a network of real processes with fresh keys: a raw client that follows the protocol
//! as far as it pays. Its keys shadow honestly (one of them computes, all of them say it), then lie as one, and are
//! replaced when they are caught. Not the simulation of `host/market`, which has more kinds of harm and no processes.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anneal_api::{
    Client, ClientError, ClientOptions, SecretKey,
    client::Retry,
    wire::{
        Batch, CommitItem, DeviceOffer, Duty, Enrol, Lease, Poll, ProviderStanding, RevealItem, SignedReceipt,
    },
};
use anneal_job::{
    AttemptId, Blob, CommitmentFields, Completed, Digest, Identity, Outcome, Price, Receipt, ReceiptOutcome,
    TaskId, result_digest, trace_root,
};
use anneal_sandbox::{
    Event, RunOptions, Trace, check_task,
    compile::{CompiledComponent, in_process},
    files, run_task,
};
use anneal_tensor::{Cpu, Executor};
use tokio::runtime::Builder;

/// How long a poll waits.
const POLL_MS: u64 = 2_000;
/// A key that was refused asks again after this.
const AGAIN: Duration = Duration::from_millis(500);

/// What a coalition has done so far.
#[derive(Debug, Default)]
pub struct Deeds {
    /// Keys that were enrolled.
    pub keys: AtomicU64,
    /// Attempts that were committed honestly, as shadows.
    pub shadows: AtomicU64,
    /// Attempts that were lied about.
    pub lies: AtomicU64,
    /// Requests that were refused or failed.
    pub refused: AtomicU64,
    /// Attempts that were lied about, to be looked for in the log.
    pub lied: Mutex<Vec<AttemptId>>,
    /// The members' identities, as long as they were used.
    pub members: Mutex<Vec<Identity>>,
}

/// So many keys that attack until this is dropped.
pub struct Coalition {
    deeds: Arc<Deeds>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Coalition {
    /// Attacks a coordinator with so many keys. Their addresses, as a trusted proxy would name them, are on so many
    /// network prefixes; with none they all come from loopback.
    pub fn start(url: &str, keys: usize, prefixes: usize, scratch: &Path) -> Coalition {
        let (deeds, stop) = (Arc::new(Deeds::default()), Arc::new(AtomicBool::new(false)));
        let shared = Arc::new(Shared {
            url: url.to_owned(),
            scratch: scratch.to_owned(),
            deeds: deeds.clone(),
            stop: stop.clone(),
            known: Mutex::default(),
        });
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let members: Vec<_> = (0..keys)
                    .map(|number| {
                        let address =
                            (prefixes > 0).then(|| format!("203.0.{}.{}", number % prefixes, number % 250));
                        tokio::spawn(member(shared.clone(), address))
                    })
                    .collect();
                for member in members {
                    member.await.expect("a member does not panic");
                }
            });
        });
        Coalition { deeds, stop, thread: Some(thread) }
    }

    /// What it has done.
    pub fn deeds(&self) -> &Deeds {
        &self.deeds
    }
}

impl Drop for Coalition {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A member's panic was told by its thread.
            let _ = thread.join();
        }
    }
}

/// What all members share.
struct Shared {
    url: String,
    scratch: PathBuf,
    deeds: Arc<Deeds>,
    stop: Arc<AtomicBool>,
    known: Mutex<Known>,
}

/// What one of them has computed.
#[derive(Default)]
struct Known {
    components: HashMap<Digest, CompiledComponent>,
    outcomes: HashMap<TaskId, (ReceiptOutcome, Digest)>,
}

/// An attempt of a member's.
struct Said {
    receipt: Receipt,
    nonce: Digest,
}

/// One key after the other, until it is enough.
async fn member(shared: Arc<Shared>, address: Option<String>) {
    while !shared.stop.load(Ordering::Relaxed) {
        if one_key(&shared, address.as_deref()).await.is_err() {
            // Refused, or the coordinator is being restarted: that is what attackers live with.
            shared.deeds.refused.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Works with a new key until it is caught.
async fn one_key(shared: &Shared, address: Option<&str>) -> Result<(), ClientError> {
    let key = Arc::new(SecretKey::generate().expect("random bytes"));
    let identity = key.identity();
    let mut options = ClientOptions::new(shared.url.parse().expect("a URL"), key.clone());
    options.retry = Retry::ONCE;
    if let Some(address) = address {
        options.headers.insert("x-forwarded-for", address.parse().expect("an address is a header's value"));
    }
    let client = Client::connect(options).await?;
    let versions = client.about_cached().versions.task;
    let device = DeviceOffer {
        device: 0,
        name: "a CPU".to_owned(),
        class: "cpu".to_owned(),
        memory_bytes: 64 << 30,
        features: ["cpu".to_owned()].into(),
        software: false,
        selftest: versions,
        speed_gas_per_second: 10_000_000_000,
        price_floor: Price(0),
    };
    client.enrol(&Enrol { name: "fresh".to_owned(), payout: None, devices: vec![device] }).await?;
    shared.deeds.keys.fetch_add(1, Ordering::Relaxed);
    shared.deeds.members.lock().expect("no member panics").push(identity);
    let (mut open, mut seen, mut polls) = (BTreeMap::<AttemptId, Said>::new(), 0, 0u64);
    while !shared.stop.load(Ordering::Relaxed) {
        let holds = Some(open.keys().copied().collect());
        let reply = client.poll(&Poll { idle: vec![0], seen, wait_ms: POLL_MS, holds }).await?;
        seen = reply.revision;
        for lease in reply.leases {
            let Some(said) = say(shared, &client, &lease, identity).await else { continue };
            let commitment = commitment(&lease, &said);
            open.insert(lease.attempt, said);
            let commits = vec![CommitItem { attempt: lease.attempt, commitment }];
            client.batch(&Batch { commits, ..Batch::default() }).await?;
        }
        for duty in reply.duties {
            match duty {
                Duty::Reveal { attempt, .. } => {
                    let Some(said) = open.get(&attempt) else { continue };
                    let receipt = SignedReceipt::sign(&key, attempt, said.receipt.clone());
                    let reveals = vec![RevealItem { receipt, nonce: said.nonce }];
                    client.batch(&Batch { reveals, ..Batch::default() }).await?;
                }
                Duty::Stop { attempt } => drop(open.remove(&attempt)),
                // Silence costs nothing that a caught key has not lost already.
                Duty::Upload { .. } | Duty::Trace { .. } => {}
            }
        }
        polls += 1;
        if polls.is_multiple_of(4) {
            let view = client.provider(identity).await?;
            if view.paused.is_some() || view.standing == ProviderStanding::Barred || view.faulted > 0 {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What a member says of a lease: the truth of a shadow, and else a lie that all of them tell.
async fn say(shared: &Shared, client: &Client, lease: &Lease, provider: Identity) -> Option<Said> {
    let (outcome, trace_root) = if lease.shadow {
        let truth = truth(shared, client, lease).await?;
        shared.deeds.shadows.fetch_add(1, Ordering::Relaxed);
        truth
    } else {
        shared.deeds.lies.fetch_add(1, Ordering::Relaxed);
        shared.deeds.lied.lock().expect("no member panics").push(lease.attempt);
        lie(lease)
    };
    let receipt = Receipt {
        task: lease.task_id,
        outcome,
        trace_root,
        component: lease.component.digest,
        versions: lease.task.versions,
        device_class: "cpu".to_owned(),
        provider,
        lease_epoch: lease.lease_epoch,
        salt: lease.salt,
    };
    let nonce = Digest::from_bytes(anneal_api::random_bytes::<32>().expect("random bytes"));
    Some(Said { receipt, nonce })
}

fn commitment(lease: &Lease, said: &Said) -> Digest {
    let fields = CommitmentFields {
        task_tag: lease.task_tag,
        attempt: lease.attempt,
        lease_epoch: lease.lease_epoch,
        provider: said.receipt.provider,
        receipt_root: said.receipt.root(),
    };
    fields.commitment(said.nonce.as_bytes())
}

/// A result that agrees with itself, and with every other member's.
fn lie(lease: &Lease) -> (ReceiptOutcome, Digest) {
    let state = Digest::of(lease.task_id.0.as_bytes());
    let completed = Completed {
        result: result_digest(state, &[]),
        state,
        metrics: Vec::new(),
        gas: lease.task.limits.gas.min(5_000_000_000),
        steps: 1,
    };
    let state_blob = Blob { digest: Digest::of(b"a lie"), bytes: 5 };
    (ReceiptOutcome::Completed { completed, state_blob }, trace_root(&[Digest::of(b"a step")]))
}

/// The task's true outcome: the first member computes it, the others take it over.
async fn truth(shared: &Shared, client: &Client, lease: &Lease) -> Option<(ReceiptOutcome, Digest)> {
    if let Some(known) = shared.known.lock().expect("no member panics").outcomes.get(&lease.task_id) {
        return Some(known.clone());
    }
    let fetch = async |blob: Blob| -> Option<PathBuf> {
        let path = shared.scratch.join(blob.digest.to_string());
        if !path.exists() {
            client.download(blob, &path, &mut |_, _| {}).await.ok()?;
        }
        Some(path)
    };
    let component = fetch(lease.component).await?;
    let inputs = match lease.inputs_blob {
        Some(blob) => Some(fetch(blob).await?),
        None => None,
    };
    let mut states = Vec::new();
    for state in &lease.states {
        states.push(fetch(state.blob).await?);
    }
    let mut known = shared.known.lock().expect("no member panics");
    let compiled = match known.components.entry(lease.component.digest) {
        Entry::Occupied(compiled) => compiled.get().clone(),
        Entry::Vacant(new) => new.insert(in_process(&std::fs::read(&component).ok()?).ok()?.0).clone(),
    };
    let computed = compute(&compiled, lease, inputs.as_deref(), &states, &shared.scratch)?;
    known.outcomes.insert(lease.task_id, computed.clone());
    Some(computed)
}

fn compute(
    component: &CompiledComponent,
    lease: &Lease,
    inputs: Option<&Path>,
    states: &[PathBuf],
    scratch: &Path,
) -> Option<(ReceiptOutcome, Digest)> {
    let open = |path: &Path| anneal_files::folder_and_name(path).ok();
    let inputs = match inputs.map(open) {
        None => Default::default(),
        Some(place) => {
            let (folder, name) = place?;
            files::read_inputs(&folder, &name, 1 << 32).ok()?
        }
    };
    let mut read = Vec::new();
    for path in states {
        let (folder, name) = open(path)?;
        read.push(files::read_state(&folder, &name, 1 << 32).ok()?);
    }
    check_task(&lease.task, &inputs, &read).ok()?;
    let mut commits = Vec::new();
    let mut hear = |event: Event| {
        if let Event::TracedStep(step) = &event {
            commits.push(step.digest());
        }
    };
    let mut cpu: Box<dyn Executor> = Box::new(Cpu::new(1).ok()?);
    let options = RunOptions { trace: Trace::Steps, ..RunOptions::default() };
    let (outcome, state) = run_task(component, &lease.task, &inputs, read, &mut cpu, &mut hear, options);
    let Outcome::Completed(completed) = outcome else { return None };
    let path = scratch.join(format!("state-{}", lease.task_id.0));
    let (folder, name) = open(&path)?;
    files::write_state(&folder, &name, &state?).ok()?;
    let bytes = std::fs::read(&path).ok()?;
    let state_blob = Blob { digest: Digest::of(&bytes), bytes: bytes.len() as u64 };
    Some((ReceiptOutcome::Completed { completed, state_blob }, trace_root(&commits)))
}
