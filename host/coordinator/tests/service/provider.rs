//! A provider as the network sees one: it polls, commits, reveals, uploads, answers traces. A lie is one
//! operation's digest.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use anneal_api::{
    Client, SecretKey, random_bytes,
    wire::{
        Batch, CommitItem, DeviceOffer, Duty, Enrol, Lease, Poll, PollReply, RevealItem, SignedReceipt,
        TraceItem, TraceLevel,
    },
};
use anneal_coordinator::Coordinator;
use anneal_job::{AttemptId, CommitmentFields, Digest, Price, Receipt, trace_root};
use tempfile::TempDir;

use crate::fixture::{STEPS, Truth, VERSIONS, client, commit_digest, from_commits, new_key, operations};

/// A provider with one device.
pub struct Provider {
    pub client: Client,
    key: Arc<SecretKey>,
    /// The step and operation that it lies about.
    lie: Option<(u64, u64)>,
    folder: TempDir,
    work: HashMap<AttemptId, Work>,
    seen: u64,
}

struct Work {
    lease: Lease,
    truth: Truth,
    receipt: SignedReceipt,
    nonce: Digest,
}

impl Provider {
    pub async fn enrol(coordinator: &Coordinator, lie: Option<(u64, u64)>) -> Provider {
        Provider::enrol_as(coordinator, &new_key(), lie).await
    }

    pub async fn enrol_as(
        coordinator: &Coordinator,
        key: &Arc<SecretKey>,
        lie: Option<(u64, u64)>,
    ) -> Provider {
        let client = client(coordinator, key.clone()).await;
        Provider::enrol_with(client, key.clone(), lie).await
    }

    pub async fn enrol_with(client: Client, key: Arc<SecretKey>, lie: Option<(u64, u64)>) -> Provider {
        client.enrol(&enrolment()).await.expect("enrolled");
        let folder = tempfile::tempdir().expect("a folder");
        Provider { client, key, lie, folder, work: HashMap::new(), seen: 0 }
    }

    /// The same provider on a connection to another process.
    pub fn moved(self, client: Client) -> Provider {
        Provider { client, ..self }
    }

    /// Works until its task is aborted.
    pub async fn run(mut self) {
        loop {
            self.turn(5_000).await;
        }
    }

    /// Polls once and does what was wanted.
    pub async fn turn(&mut self, wait_ms: u64) -> PollReply {
        let poll = Poll { idle: vec![0], seen: self.seen, wait_ms, holds: None };
        let reply = self.client.poll(&poll).await.expect("a poll");
        self.answer(&reply).await;
        reply
    }

    /// Does what a poll's reply wants.
    pub async fn answer(&mut self, reply: &PollReply) {
        let mut batch = Batch::default();
        for lease in &reply.leases {
            batch.commits.push(self.execute(lease.clone()));
        }
        for duty in &reply.duties {
            self.duty(duty, &mut batch).await;
        }
        self.seen = reply.revision;
        if batch != Batch::default() {
            self.client.batch(&batch).await.expect("a batch");
        }
    }

    /// Does a lease's work, and says what to commit to.
    pub fn execute(&mut self, lease: Lease) -> CommitItem {
        assert_eq!(lease.task.id(), lease.task_id);
        let commits = (0..STEPS).map(|step| commit_digest(&self.operations(&lease, step))).collect();
        let truth = from_commits(&lease.task, commits);
        let receipt = Receipt {
            task: lease.task_id,
            outcome: truth.outcome.clone(),
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
        self.work.insert(attempt, Work { lease, truth, receipt, nonce: Digest::from_bytes(nonce) });
        CommitItem { attempt, commitment }
    }

    /// What was committed to.
    pub fn reveal(&self, attempt: AttemptId) -> RevealItem {
        let Work { receipt, nonce, .. } = &self.work[&attempt];
        RevealItem { receipt: receipt.clone(), nonce: *nonce }
    }

    fn operations(&self, lease: &Lease, step: u64) -> Vec<Digest> {
        let mut operations = operations(&lease.task, step);
        if let Some((_, operation)) = self.lie.filter(|(lied, _)| *lied == step) {
            operations[operation as usize] = Digest::of(b"a lie");
        }
        operations
    }

    async fn duty(&mut self, duty: &Duty, batch: &mut Batch) {
        match duty {
            Duty::Reveal { attempt, .. } => {
                batch.reveals.push(self.reveal(*attempt));
            }
            Duty::Upload { attempt, blob, .. } => {
                let path: PathBuf = self.folder.path().join(blob.digest.to_string());
                std::fs::write(&path, &self.work[attempt].truth.state).expect("a file");
                // Two polls may show one duty, and a replay may give the state meanwhile: then nobody asks for it.
                let uploaded = self.client.upload(*blob, &path, Some(*attempt), &mut |_, _| {}).await;
                if let Err(error) = uploaded {
                    assert!(matches!(error.code(), Some("forbidden" | "unknown-attempt")), "{error}");
                }
            }
            Duty::Trace { attempt, level, .. } => {
                let Work { lease, truth, .. } = &self.work[attempt];
                let digests = match level {
                    TraceLevel::Commits => truth.commits.clone(),
                    TraceLevel::Operations { step } => self.operations(lease, *step),
                };
                let names = match level {
                    TraceLevel::Commits => Vec::new(),
                    TraceLevel::Operations { .. } => {
                        (0..digests.len()).map(|n| format!("operation-{n}")).collect()
                    }
                };
                batch.traces.push(TraceItem { attempt: *attempt, level: *level, digests, names });
            }
            Duty::Stop { attempt } => drop(self.work.remove(attempt)),
        }
    }
}

pub fn enrolment() -> Enrol {
    let device = DeviceOffer {
        device: 0,
        name: "a device".to_owned(),
        class: "cpu".to_owned(),
        memory_bytes: 8 << 30,
        features: [].into(),
        software: false,
        selftest: Some(VERSIONS),
        speed_gas_per_second: 1_000_000_000,
        price_floor: Price(0),
    };
    Enrol { name: "a provider".to_owned(), payout: None, devices: vec![device] }
}
