//! A coordinator for a test, its developer, and the trusted worker that knows what every task gives.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anneal_api::{
    Client, ClientError, ClientOptions, SecretKey,
    wire::{JobQuery, JobSpec, JobState, JobView, SubmitJob},
};
use anneal_coordinator::{
    AdmitError, Config, Coordinator, Grants, Limits, ReplayDone, ReplayError, ReplayRequest, Replayer,
    Vouched, blobs::BlobPlace, store::StoreUrl,
};
use anneal_job::{
    Blob, Completed, Digest, JobId, Limits as TaskLimits, Metric, ParameterValue, PlanSpec, Price,
    ReceiptOutcome, Redundancy, Span, Task, Versions, result_digest, trace_root,
};
use anneal_market::{Parameters, TraceLevel, TraceReport};
use tempfile::TempDir;

/// What everything here is made for.
pub const VERSIONS: Versions = Versions { contract: [0, 1, 0], numerics: 1, gas: 1 };
/// Commits of every task.
pub const STEPS: u64 = 4;
/// Operations of every commit.
pub const OPERATIONS: u64 = 3;

/// Which of many metrics stands out.
pub const SPIKE: u64 = 1_234;

/// A folder, a key, and what else outlives a coordinator's process.
pub struct Site {
    pub folder: TempDir,
    pub key: Arc<SecretKey>,
    pub store: StoreUrl,
}

impl Site {
    pub fn new() -> Site {
        let folder = tempfile::tempdir().expect("a folder");
        let store = StoreUrl::Sqlite(folder.path().join("coordinator.sqlite"));
        Site { folder, key: new_key(), store }
    }

    pub fn config(&self) -> Config {
        Config {
            listen: "127.0.0.1:0".parse().expect("an address"),
            tls: None,
            trusted_proxies: Vec::new(),
            advertise: None,
            key: self.key.clone(),
            store: self.store.clone(),
            blobs: BlobPlace::Folder(self.folder.path().join("blobs")),
            scratch: self.folder.path().join("scratch"),
            versions: VERSIONS,
            version: "test".to_owned(),
            limits: Limits { shutdown_time: Duration::from_secs(5), ..Limits::default() },
            grants: Grants::default(),
            vouched: Vouched::default(),
            check_at_start: true,
            // Newcomers need not wait for somebody established: there is nobody.
            parameters: Parameters { pairing_patience: Span(0), ..Parameters::default() },
        }
    }

    pub async fn start(&self) -> Coordinator {
        self.start_with(self.config()).await
    }

    /// With these providers as anchors: what they agree on needs no replay.
    /// Starts it, and makes so many keys whom its operator vouches for.
    pub async fn start_with_anchors(&self, count: usize) -> (Coordinator, Vec<Arc<SecretKey>>) {
        let keys: Vec<Arc<SecretKey>> = (0..count).map(|_| new_key()).collect();
        (self.start_vouching(&keys).await, keys)
    }

    pub async fn start_vouching(&self, anchors: &[Arc<SecretKey>]) -> Coordinator {
        let anchors = anchors.iter().map(|key| key.identity()).collect();
        let vouched = Vouched { anchors, ..Vouched::default() };
        self.start_with(Config { vouched, ..self.config() }).await
    }

    pub async fn start_with(&self, config: Config) -> Coordinator {
        self.start_replaying(config, Arc::new(Oracle)).await
    }

    /// With another trusted worker.
    pub async fn start_replaying(&self, config: Config, replayer: Arc<dyn Replayer>) -> Coordinator {
        let coordinator = Coordinator::start(config, replayer).await.expect("it starts");
        let client = client(&coordinator, new_key()).await;
        // Where it does not lead yet, a command says so and the client comes again.
        client.pause(true).await.expect_err("nobody enrolled");
        coordinator
    }
}

pub fn new_key() -> Arc<SecretKey> {
    Arc::new(SecretKey::generate().expect("random bytes"))
}

pub async fn client(coordinator: &Coordinator, key: Arc<SecretKey>) -> Client {
    client_at(&format!("http://{}", coordinator.address()), key).await
}

pub async fn client_at(url: &str, key: Arc<SecretKey>) -> Client {
    let options = ClientOptions::new(url.parse().expect("an address"), key);
    Client::connect(options).await.expect("it answers")
}

/// A job whose component and inputs are in a folder.
pub struct Job {
    pub spec: JobSpec,
    files: Vec<(Blob, PathBuf)>,
}

impl Job {
    pub fn new(folder: &Path, plan: PlanSpec, redundancy: Redundancy) -> Job {
        let file = |name: &str| {
            let path = folder.join(name);
            let bytes = name.repeat(1000).into_bytes();
            std::fs::write(&path, &bytes).expect("a file");
            (Blob { digest: Digest::of(&bytes), bytes: bytes.len() as u64 }, path)
        };
        let (component, inputs) = (file("component"), file("inputs"));
        let spec = JobSpec {
            component: component.0,
            inputs_blob: Some(inputs.0),
            inputs: [("rows".to_owned(), Digest::of(b"rows"))].into(),
            seed: 1,
            plan,
            parameters: [].into(),
            limits: TaskLimits { gas: 10_000_000, ..TaskLimits::DEFAULT },
            versions: VERSIONS,
            redundancy,
            requirements: Default::default(),
            price_cap: Price(1_000_000),
            gas_expected: None,
            allow: [].into(),
            private: true,
            test: false,
            component_signature: None,
        };
        Job { spec, files: vec![component, inputs] }
    }

    /// Another job with the same files.
    pub fn of(spec: JobSpec, other: &Job) -> Job {
        Job { spec, files: other.files.clone() }
    }

    /// Uploads its files.
    pub async fn upload(&self, client: &Client) {
        self.try_upload(client).await.expect("uploaded");
    }

    /// The same, where it may be refused.
    pub async fn try_upload(&self, client: &Client) -> Result<(), ClientError> {
        client.upload_missing(&self.files, &mut |_, _| {}).await
    }

    /// Uploads and submits it, and waits until its component has been looked at.
    pub async fn submit(&self, client: &Client) -> JobId {
        self.upload(client).await;
        let job = SubmitJob { name: "a job".to_owned(), nonce: 1, spec: self.spec.clone() };
        let id = client.submit(&job).await.expect("submitted").job;
        admitted(client, id).await;
        id
    }
}

/// Watches a job until its component has been looked at.
pub async fn admitted(client: &Client, job: JobId) -> JobView {
    let mut revision = None;
    loop {
        let query = JobQuery { revision, wait_ms: Some(10_000), ..JobQuery::default() };
        let view = client.job(job, &query).await.expect("the job");
        if view.summary.state != JobState::Admitting {
            return view;
        }
        revision = Some(view.revision);
    }
}

/// Watches a job until it ends. Where it does not, the last view says why.
pub async fn ended(client: &Client, job: JobId) -> JobView {
    match tokio::time::timeout(Duration::from_secs(60), watch(client, job)).await {
        Ok(view) => view,
        Err(_) => panic!("not ended: {:#?}", client.job(job, &JobQuery::default()).await),
    }
}

async fn watch(client: &Client, job: JobId) -> JobView {
    let mut revision = None;
    loop {
        let query = JobQuery { revision, wait_ms: Some(10_000), receipts: Some(true), ..JobQuery::default() };
        let view = client.job(job, &query).await.expect("the job");
        if view.summary.ended.is_some() {
            return view;
        }
        revision = Some(view.revision);
    }
}

/// What a task gives.
pub struct Truth {
    pub outcome: ReceiptOutcome,
    pub commits: Vec<Digest>,
    pub state: Vec<u8>,
}

pub fn operations(task: &Task, step: u64) -> Vec<Digest> {
    (0..OPERATIONS).map(|index| Digest::of(format!("{} {step} {index}", task.id()).as_bytes())).collect()
}

pub fn commit_digest(operations: &[Digest]) -> Digest {
    Digest::of(&operations.iter().flat_map(|digest| *digest.as_bytes()).collect::<Vec<u8>>())
}

pub fn truth(task: &Task) -> Truth {
    let commits: Vec<Digest> = (0..STEPS).map(|step| commit_digest(&operations(task, step))).collect();
    from_commits(task, commits)
}

/// A state that depends on all commits, so who lies about one has another state.
pub fn from_commits(task: &Task, commits: Vec<Digest>) -> Truth {
    let state = format!("state of {} {}", task.id(), trace_root(&commits)).repeat(10).into_bytes();
    let digest = Digest::of(&state);
    let value = f64::from(digest.as_bytes()[0]) / 256.0;
    let count = match task.parameters.get("metrics") {
        Some(ParameterValue::Integer(count)) => count.unsigned_abs(),
        _ => 1,
    };
    // One that stands out, for curves that are longer than one point.
    let value = |at| if at == SPIKE { 1e6 } else { value + at as f64 };
    let metric =
        |at| Metric { name: "loss".to_owned(), step: u64::from(task.place.segment), value: value(at) };
    let metrics: Vec<Metric> = (0..count).map(metric).collect();
    let completed = Completed {
        result: result_digest(digest, &metrics),
        state: digest,
        metrics,
        gas: 1_000_000,
        steps: STEPS,
    };
    let state_blob = Blob { digest, bytes: state.len() as u64 };
    Truth { outcome: ReceiptOutcome::Completed { completed, state_blob }, commits, state }
}

/// The trusted worker.
pub struct Oracle;

impl Replayer for Oracle {
    fn replay(&self, request: &ReplayRequest) -> Result<ReplayDone, ReplayError> {
        let component =
            std::fs::read(&request.component).map_err(|error| ReplayError::Failed(error.to_string()))?;
        assert_eq!(Digest::of(&component), request.task.component, "the component is the task's");
        let truth = truth(&request.task);
        let path = request.scratch.join("state");
        std::fs::write(&path, &truth.state).map_err(|error| ReplayError::Failed(error.to_string()))?;
        let trace = match request.level {
            TraceLevel::None => TraceReport::default(),
            TraceLevel::Commits => TraceReport { digests: truth.commits.clone(), names: Vec::new() },
            TraceLevel::Operations { step } => TraceReport {
                digests: operations(&request.task, step),
                names: (0..OPERATIONS).map(|index| format!("operation-{index}")).collect(),
            },
        };
        let trace_root = trace_root(&truth.commits);
        Ok(ReplayDone { outcome: truth.outcome, trace_root, trace, state: Some(path) })
    }

    fn admit(&self, _: &Path, _: Duration) -> Result<(), AdmitError> {
        Ok(())
    }
}
