//! A network of real processes of the command on this machine: coordinators on SQLite or PostgreSQL, providers,
//! and a developer. Whoever is killed is started again by who killed it; when this is dropped all are gone.

mod developer;
mod kills;
mod ledger;

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    postgres::Cluster,
    process::{Process, wait_until},
};

pub use developer::{Developer, JobLine};
pub use kills::{Kill, Struck};
pub use ledger::{Ledger, check};

/// How long a process may take to be there. Only a process that is broken takes so long.
pub const START_TIME: Duration = Duration::from_secs(120);

/// Rules that make faults pass quickly: what takes minutes among strangers takes seconds here. One task in five
/// is replayed, so that the coordinator's own workers are hit, too.
pub const RULES: &str = "
pairing_patience = 0
expected_min = 10000
silence = 10000
heartbeat_every = 2000
reveal = 30000
upload = 20000
trace = 60000
backoff = 200
backoff_max = 2000
failures_in_a_row_max = 50
give_backs_in_a_row_max = 100
replay_retry = 3000
audit_floor_millionths = 200000
";

/// Where the coordinators' state is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In SQLite, one process.
    Sqlite,
    /// In PostgreSQL, two processes, one of which leads.
    Postgres,
}

/// A running network.
pub struct Network {
    folder: TempDir,
    store: Option<String>,
    _cluster: Option<Arc<Cluster>>,
    coordinators: Vec<Coordinator>,
    providers: Vec<Provider>,
    /// What a coordinator is started through: a program and its arguments before the command's own.
    pub coordinators_through: Vec<String>,
    /// What coordinators find in their environment beside what everybody does.
    pub coordinators_environment: Vec<(String, String)>,
    /// What coordinators are told beside what this says.
    pub coordinators_arguments: Vec<String>,
    /// Their rules, TOML; the defaults where there are none.
    pub rules: Option<String>,
    /// What a provider is started through.
    pub providers_through: Vec<String>,
    /// How providers are called; by their number where nothing is said.
    pub providers_name: Option<String>,
    /// Where the blobs are, a folder or what else `--blobs` takes; in the network's folder where nothing is said.
    pub blobs: Option<PathBuf>,
}

/// A coordinator's process, and what is the same for all its lives.
struct Coordinator {
    address: SocketAddr,
    process: Option<Process>,
}

/// A provider's process, and what is the same for all its lives.
struct Provider {
    coordinator: String,
    process: Option<Process>,
}

impl Network {
    /// A network in which nobody runs yet.
    pub fn new(kept: Kept) -> Network {
        let folder = tempfile::Builder::new().prefix("anneal-network").tempdir().expect("a temporary folder");
        let cluster = (kept == Kept::Postgres).then(Cluster::shared);
        let store = cluster.as_ref().map(|cluster| cluster.database());
        Network {
            folder,
            store,
            _cluster: cluster,
            coordinators: Vec::new(),
            providers: Vec::new(),
            coordinators_through: Vec::new(),
            coordinators_environment: Vec::new(),
            coordinators_arguments: Vec::new(),
            rules: Some(RULES.to_owned()),
            providers_through: Vec::new(),
            providers_name: None,
            blobs: None,
        }
    }

    /// As [`Network::new`], with as many coordinators as the store allows, and so many providers.
    pub fn start(kept: Kept, providers: usize) -> Network {
        Network::start_with(kept, providers, Vec::new())
    }

    /// The same with coordinators that are told more.
    pub fn start_with(kept: Kept, providers: usize, arguments: Vec<String>) -> Network {
        let mut network = Network::new(kept);
        network.coordinators_arguments = arguments;
        for _ in 0..if kept == Kept::Postgres { 2 } else { 1 } {
            network.add_coordinator();
        }
        for number in 0..providers {
            network.add_provider(&network.url(number));
        }
        network.wait_for_providers();
        network
    }

    /// The folder of everything.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A coordinator's folder.
    pub fn coordinator_folder(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("coordinator-{number}"))
    }

    /// A provider's folder.
    pub fn provider_folder(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("provider-{number}"))
    }

    /// Where blobs are.
    pub fn blobs(&self) -> PathBuf {
        self.blobs.clone().unwrap_or_else(|| self.folder.path().join("blobs"))
    }

    /// The address of a coordinator; they take turns.
    pub fn url(&self, number: usize) -> String {
        format!("http://{}", self.address(number))
    }

    /// The same, as a socket's address.
    pub fn address(&self, number: usize) -> SocketAddr {
        self.coordinators[number % self.coordinators.len()].address
    }

    /// How many coordinators there are.
    pub fn coordinators(&self) -> usize {
        self.coordinators.len()
    }

    /// How many providers there are.
    pub fn providers(&self) -> usize {
        self.providers.len()
    }

    /// The developer, who asks any coordinator that answers.
    pub fn developer(&self) -> Developer {
        let urls = self.coordinators.iter().map(|coordinator| format!("http://{}", coordinator.address));
        Developer::new(self.folder.path().join("data"), urls.collect())
    }

    /// Another coordinator, once it takes commands.
    pub fn add_coordinator(&mut self) {
        let address = free_address();
        let number = self.coordinators.len();
        if number > 0 {
            // They are one coordinator: the key is the same.
            let copied = Command::new("sh")
                .args(["-c", "mkdir -m 700 \"$2\" && cp -p \"$1/key\" \"$2/\"", "sh"])
                .args([self.coordinator_folder(0), self.coordinator_folder(number)])
                .status();
            assert!(copied.is_ok_and(|status| status.success()), "the key is copied");
        }
        self.coordinators.push(Coordinator { address, process: None });
        self.start_coordinator(number);
    }

    /// Starts a coordinator that does not run, and waits until it takes commands.
    pub fn start_coordinator(&mut self, number: usize) {
        self.begin_coordinator(number);
        let address = self.address(number);
        let ready = wait_until(START_TIME, || is_ready(address));
        assert!(ready, "coordinator {number} takes commands:\n{}", self.coordinator_said(number));
    }

    /// Starts a coordinator that does not run.
    pub fn begin_coordinator(&mut self, number: usize) {
        let mut command = self.command(&self.coordinators_through);
        command.envs(self.coordinators_environment.iter().map(|(name, value)| (name, value)));
        let address = self.coordinators[number].address.to_string();
        command.args(["coordinator", "--listen", &address]);
        command.arg("--folder").arg(self.coordinator_folder(number));
        if let Some(rules) = &self.rules {
            let file = self.folder.path().join("rules.toml");
            fs::write(&file, rules).expect("there is room for a file");
            command.arg("--rules").arg(file);
        }
        command.args(&self.coordinators_arguments);
        command.arg("--blobs").arg(self.blobs());
        if let Some(store) = &self.store {
            command.args(["--store", store]);
        }
        let log = self.folder.path().join(format!("coordinator-{number}.log"));
        self.coordinators[number].process = Some(Process::start(command, &log));
    }

    /// Another provider, which works for the coordinator at this address.
    pub fn add_provider(&mut self, coordinator: &str) {
        self.providers.push(Provider { coordinator: coordinator.to_owned(), process: None });
        self.begin_provider(self.providers.len() - 1);
    }

    /// Starts a provider that does not run.
    pub fn begin_provider(&mut self, number: usize) {
        let mut command = self.command(&self.providers_through);
        let name = self.providers_name.clone().unwrap_or_else(|| format!("provider-{number}"));
        command.args(["provide", "--device", "cpu", "--threads", "1", "--name", &name]);
        command.args(["--coordinator", &self.providers[number].coordinator]);
        command.arg("--folder").arg(self.provider_folder(number));
        let log = self.folder.path().join(format!("provider-{number}.log"));
        self.providers[number].process = Some(Process::start(command, &log));
    }

    /// Waits until every provider works.
    pub fn wait_for_providers(&self) {
        for number in 0..self.providers.len() {
            let works = wait_until(START_TIME, || self.provider_said(number).contains("working for"));
            assert!(works, "provider {number} works:\n{}", self.provider_said(number));
        }
    }

    /// The command, started through something where that is said, in a world of this network's own.
    fn command(&self, through: &[String]) -> Command {
        let anneal = crate::command();
        let mut command = match through.split_first() {
            None => anneal,
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(anneal.get_program()).current_dir(crate::workspace());
                command
            }
        };
        command.env("ANNEAL_DATA", self.folder.path().join("data"));
        command.env("ANNEAL_CACHE", self.folder.path().join("cache"));
        command
    }

    /// What a coordinator has said since it was started.
    pub fn coordinator_said(&self, number: usize) -> String {
        self.coordinators[number].process.as_ref().map(Process::said).unwrap_or_default()
    }

    /// What a provider has said since it was started.
    pub fn provider_said(&self, number: usize) -> String {
        self.providers[number].process.as_ref().map(Process::said).unwrap_or_default()
    }

    /// A coordinator's process.
    pub fn coordinator(&mut self, number: usize) -> &mut Process {
        self.coordinators[number].process.as_mut().expect("the coordinator was started")
    }

    /// A provider's process.
    pub fn provider(&mut self, number: usize) -> &mut Process {
        self.providers[number].process.as_mut().expect("the provider was started")
    }

    /// The coordinator that leads, where one does.
    pub fn leader(&self) -> Option<usize> {
        (0..self.coordinators.len()).find(|number| {
            let health = get(self.address(*number), "/v1/health");
            let health = health.and_then(|(_, body)| serde_json::from_str::<serde_json::Value>(&body).ok());
            health.is_some_and(|health| health["leader"] == true)
        })
    }

    /// Everything that was said, for a test that failed.
    pub fn said(&self) -> String {
        let coordinators =
            (0..self.coordinators.len()).map(|n| (format!("coordinator {n}"), self.coordinator_said(n)));
        let providers = (0..self.providers.len()).map(|n| (format!("provider {n}"), self.provider_said(n)));
        coordinators.chain(providers).map(|(who, said)| format!("-- {who}\n{said}")).collect()
    }
}

/// Whether a coordinator at this address takes commands.
pub fn is_ready(address: SocketAddr) -> bool {
    get(address, "/ready").is_some_and(|(status, _)| status == 200)
}

/// Status and body of an open request; `None` where nobody answers.
pub fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let time = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, time).ok()?;
    stream.set_read_timeout(Some(time)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).ok()?;
    let (head, body) = reply.split_once("\r\n\r\n")?;
    Some((head.split_whitespace().nth(1)?.parse().ok()?, body.to_owned()))
}

/// An address on loopback that nobody listens at.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    listener.local_addr().expect("a listener has an address")
}
