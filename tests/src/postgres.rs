//! A PostgreSQL server of the tests' own: in a temporary folder, reached by a socket there, gone afterwards.
//! Not the system's server, which is never touched.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use tempfile::TempDir;

/// A running server. Ends when the last test lets go of it.
pub struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    databases: AtomicU32,
}

const PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "createdb"];

static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

impl Cluster {
    /// The server that the tests of this process share.
    pub fn shared() -> Arc<Cluster> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = shared.upgrade() {
            return cluster;
        }
        let cluster = Arc::new(Cluster::start());
        *shared = Arc::downgrade(&cluster);
        cluster
    }

    fn start() -> Cluster {
        let cluster = Cluster::made();
        // The socket alone: no port that somebody else may have.
        cluster.begin("-c listen_addresses=");
        cluster
    }

    /// A server at this port of `localhost`, whose database `postgres` is reached over TLS alone, and `template1`
    /// without it, too.
    pub fn start_secured(certificate: &Path, key: &Path, port: u16) -> Cluster {
        let cluster = Cluster::made();
        for (file, name) in [(certificate, "server.crt"), (key, "server.key")] {
            // As the server's own user, whose file a key must be.
            run(cluster.program("install").args(["-m", "600"]).arg(file).arg(cluster.data().join(name)));
        }
        let rules = "local all all trust\nhostssl all all all trust\nhost template1 all all trust\n";
        fs::write(cluster.data().join("pg_hba.conf"), rules).expect("written");
        cluster.begin(&format!("-c listen_addresses=localhost -p {port} -c ssl=on"));
        cluster
    }

    fn made() -> Cluster {
        let programs = programs();
        let folder =
            tempfile::Builder::new().prefix("anneal-postgres").tempdir().expect("a temporary folder");
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(folder.path()));
        }
        let cluster = Cluster { folder, programs, databases: AtomicU32::new(0) };
        let data = cluster.data();
        run(cluster
            .program("initdb")
            .arg("-D")
            .arg(&data)
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8"]));
        cluster
    }

    fn begin(&self, options: &str) {
        let socket = self.folder.path().display();
        let options = format!("{options} -c unix_socket_directories={socket} -c max_connections=200");
        let log = self.folder.path().join("log");
        run(self
            .program("pg_ctl")
            .args(["-w", "-D"])
            .arg(self.data())
            .arg("-o")
            .arg(options)
            .arg("-l")
            .arg(log)
            .arg("start"));
    }

    /// The URL of a new, empty database.
    pub fn database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let socket = self.folder.path();
        run(self.program("createdb").arg("-h").arg(socket).args(["-U", "postgres", &name]));
        let host = socket.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{host}/{name}")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// PostgreSQL refuses to run as root, so there it runs as the user that its package made.
    fn program(&self, name: &str) -> Command {
        let packaged = self.programs.join(name);
        let path = if packaged.exists() { packaged } else { name.into() };
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir("/").env("LC_ALL", "C");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        run(self.program("pg_ctl").args(["-w", "-m", "immediate", "-D"]).arg(self.data()).arg("stop"));
    }
}

/// Where `initdb` and `pg_ctl` are: Debian keeps them out of the path.
fn programs() -> PathBuf {
    let mut packaged: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    packaged.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).chain(packaged).collect();
    let has_all = |folder: &&PathBuf| PROGRAMS.iter().all(|name| folder.join(name).exists());
    match folders.iter().rev().find(has_all) {
        Some(folder) => folder.clone(),
        None => {
            panic!("PostgreSQL is not installed, and the store must be tested on it: run `tests/setup tests`")
        }
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(Path::new("/proc/self")).is_ok_and(|metadata| metadata.uid() == 0)
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    assert!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
}
