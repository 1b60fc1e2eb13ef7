//! A provider with many devices, as fast as it can: no worker, what a task gives is made up from its id. Its
//! requests are about all its devices at once.

use std::{collections::HashMap, sync::Arc};

use anneal_api::{
    Client, SecretKey, random_bytes,
    wire::{Batch, CommitItem, DeviceOffer, Duty, Enrol, Lease, Poll, RevealItem, SignedReceipt},
};
use anneal_job::{AttemptId, Blob, CommitmentFields, Digest, Price, Receipt, trace_root};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::fixture::{VERSIONS, client_at, new_key, truth};

/// Leases of one device at once.
const LEASES: u32 = 2;
/// Uploads of a provider at once.
const UPLOADS: usize = 4;

/// A provider.
pub struct Provider {
    /// Its connection.
    pub client: Client,
    key: Arc<SecretKey>,
    devices: u32,
    folder: Arc<TempDir>,
    work: HashMap<AttemptId, Work>,
    seen: u64,
}

struct Work {
    receipt: SignedReceipt,
    nonce: Digest,
    /// Empty once it was uploaded.
    state: Vec<u8>,
    revealed: bool,
}

/// What a provider has to send.
pub struct Pending {
    client: Client,
    folder: Arc<TempDir>,
    batch: Batch,
    uploads: Vec<(AttemptId, Blob, Vec<u8>)>,
}

impl Provider {
    /// Enrols a new one.
    pub async fn enrol(url: &str, devices: u32) -> Provider {
        let key = new_key();
        let client = client_at(url, key.clone()).await;
        client.enrol(&enrolment(devices)).await.expect("enrolled");
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        Provider { client, key, devices, folder, work: HashMap::new(), seen: 0 }
    }

    /// Both leases of every device, whenever they are free, until the task is aborted.
    pub async fn run(mut self) {
        let idle: Vec<u32> = (0..self.devices * LEASES).map(|index| index % self.devices).collect();
        loop {
            self.turn(&idle, 5_000).await;
        }
    }

    /// One poll for leases on these devices, and one batch of all that is wanted.
    async fn turn(&mut self, idle: &[u32], wait_ms: u64) {
        let (leases, duties) = self.poll(idle, wait_ms).await;
        self.prepare(leases, &duties).send().await;
    }

    /// Leases and duties.
    pub async fn poll(&mut self, idle: &[u32], wait_ms: u64) -> (Vec<Lease>, Vec<Duty>) {
        let poll = Poll { idle: idle.to_vec(), seen: self.seen, wait_ms, holds: None };
        let reply = self.client.poll(&poll).await.expect("a poll");
        self.seen = reply.revision;
        (reply.leases, reply.duties)
    }

    /// Does the work, and gives what is to be sent of it. What was answered before is not answered again.
    pub fn prepare(&mut self, leases: Vec<Lease>, duties: &[Duty]) -> Pending {
        let commits = leases.into_iter().map(|lease| self.execute(&lease)).collect();
        let mut pending = Pending {
            client: self.client.clone(),
            folder: Arc::clone(&self.folder),
            batch: Batch { commits, ..Batch::default() },
            uploads: Vec::new(),
        };
        for duty in duties {
            match duty {
                Duty::Reveal { attempt, .. } => {
                    let Some(work) = self.work.get_mut(attempt).filter(|work| !work.revealed) else {
                        continue;
                    };
                    work.revealed = true;
                    let (receipt, nonce) = (work.receipt.clone(), work.nonce);
                    pending.batch.reveals.push(RevealItem { receipt, nonce });
                }
                Duty::Upload { attempt, blob, .. } => {
                    let Some(work) = self.work.get_mut(attempt) else { continue };
                    let state = std::mem::take(&mut work.state);
                    if !state.is_empty() {
                        pending.uploads.push((*attempt, *blob, state));
                    }
                }
                Duty::Trace { .. } => panic!("nobody lies here"),
                Duty::Stop { attempt } => drop(self.work.remove(attempt)),
            }
        }
        self.forget();
        pending
    }

    /// Lets old work go: it was judged long ago.
    fn forget(&mut self) {
        let limit = 16 * (self.devices * LEASES) as usize;
        if self.work.len() > 2 * limit {
            let newest = self.work.values().map(|work| work.receipt.receipt.lease_epoch).max().unwrap_or(0);
            let mut epochs: Vec<u64> =
                self.work.values().map(|work| work.receipt.receipt.lease_epoch).collect();
            epochs.sort_unstable();
            let oldest = epochs.get(epochs.len() - limit).copied().unwrap_or(newest);
            self.work.retain(|_, work| work.receipt.receipt.lease_epoch >= oldest);
        }
    }

    fn execute(&mut self, lease: &Lease) -> CommitItem {
        let truth = truth(&lease.task);
        let receipt = Receipt {
            task: lease.task_id,
            outcome: truth.outcome,
            trace_root: trace_root(&truth.commits),
            component: lease.component.digest,
            versions: lease.task.versions,
            device_class: "cpu".to_owned(),
            provider: self.key.identity(),
            lease_epoch: lease.lease_epoch,
            salt: lease.salt,
        };
        let fields = CommitmentFields {
            task_tag: lease.task_tag,
            attempt: lease.attempt,
            lease_epoch: lease.lease_epoch,
            provider: self.key.identity(),
            receipt_root: receipt.root(),
        };
        let nonce = random_bytes::<32>().expect("random");
        let (attempt, commitment) = (lease.attempt, fields.commitment(&nonce));
        let receipt = SignedReceipt::sign(&self.key, attempt, receipt);
        let nonce = Digest::from_bytes(nonce);
        self.work.insert(attempt, Work { receipt, nonce, state: truth.state, revealed: false });
        CommitItem { attempt, commitment }
    }
}

impl Pending {
    /// Sends it: the batch, and besides it the uploads.
    pub async fn send(self) {
        let Pending { client, folder, batch, uploads } = self;
        let batching = async {
            if batch != Batch::default() {
                let reply = client.batch(&batch).await.expect("a batch");
                let items = reply.commits.iter().chain(&reply.reveals);
                let refused: Vec<_> = items.filter_map(|item| item.error.as_ref()).collect();
                assert!(refused.is_empty(), "refused: {refused:?}");
            }
        };
        let uploading = async {
            let mut running = JoinSet::new();
            for (attempt, blob, state) in uploads {
                if running.len() >= UPLOADS {
                    running.join_next().await.expect("one runs").expect("uploaded");
                }
                // It goes on for a moment when the measurement ends, and needs its folder until then.
                running.spawn(upload(client.clone(), Arc::clone(&folder), attempt, blob, state));
            }
            while let Some(done) = running.join_next().await {
                done.expect("uploaded");
            }
        };
        tokio::join!(batching, uploading);
    }
}

async fn upload(client: Client, folder: Arc<TempDir>, attempt: AttemptId, blob: Blob, state: Vec<u8>) {
    let path = folder.path().join(attempt.to_string());
    tokio::fs::write(&path, state).await.expect("a file");
    let uploaded = client.upload(blob, &path, Some(attempt), &mut |_, _| {}).await;
    // A replay may have given the state meanwhile, and settled the task: then nobody asks for it any more.
    if let Err(error) = uploaded {
        assert!(matches!(error.code(), Some("forbidden" | "unknown-attempt")), "{error}");
    }
    tokio::fs::remove_file(&path).await.expect("its own file");
}

/// What a provider with so many devices says of itself.
pub fn enrolment(devices: u32) -> Enrol {
    let device = |device: u32| DeviceOffer {
        device,
        name: "a device".to_owned(),
        class: "cpu".to_owned(),
        memory_bytes: 8 << 30,
        features: [].into(),
        software: false,
        selftest: Some(VERSIONS),
        speed_gas_per_second: 1_000_000_000,
        price_floor: Price(0),
    };
    Enrol { name: "a provider".to_owned(), payout: None, devices: (0..devices).map(device).collect() }
}
