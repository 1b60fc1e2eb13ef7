//! Full disks: a small file system of memory where the coordinator keeps its database or its blobs, or a provider
//! its work. What cannot be written is refused and said; when there is room again, everything goes on.

use std::{fs, path::PathBuf, process::Command, thread, time::Duration};

use anneal_tests::{
    network::{JobLine, Kept, Network},
    process::{Process, wait_until},
};

use super::ends_undisturbed;

/// Bytes of the small disk.
const DISK: &str = "24m";
/// How long a disk stays full.
const FULL_TIME: Duration = Duration::from_secs(8);

/// A small disk in a mount namespace of its own, held by a process that sleeps.
struct SmallDisk {
    holder: Process,
    at: PathBuf,
}

impl SmallDisk {
    /// A disk that is mounted at this path, for whoever is started through it.
    fn mount(at: PathBuf) -> SmallDisk {
        fs::create_dir_all(&at).expect("a folder");
        let script =
            format!("mount -t tmpfs -o size={DISK},mode=700 tmpfs \"$1\" && echo mounted && exec sleep 3600");
        let mut command = Command::new("unshare");
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--mount", "sh", "-c", &script, "sh"]).arg(&at);
        let holder = Process::start(command, &at.with_extension("disk.log"));
        let mounted = wait_until(Duration::from_secs(10), || holder.said().contains("mounted"));
        assert!(
            mounted,
            "no small disk can be mounted (unshare says: {}); run the tests as root, or allow user namespaces",
            holder.said()
        );
        SmallDisk { holder, at }
    }

    /// What a process is started through that sees the disk.
    fn through(&self) -> Vec<String> {
        let mut through = vec!["nsenter".to_owned(), "--target".to_owned(), self.holder.id().to_string()];
        if !is_root() {
            through.extend(["--user", "--preserve-credentials"].map(str::to_owned));
        }
        through.extend(["--mount", "--"].map(str::to_owned));
        through
    }

    /// The disk, seen from here.
    fn seen(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.holder.id(), self.at.display()))
    }

    /// Writes until there is no room for a byte.
    fn fill(&self) {
        let mut file = fs::File::create(self.seen().join("filler")).expect("the disk is there");
        let mut chunk = 1 << 20;
        while chunk > 0 {
            if std::io::Write::write_all(&mut file, &vec![0; chunk]).is_err() {
                chunk /= 16;
            }
        }
    }

    fn free(&self) {
        fs::remove_file(self.seen().join("filler")).expect("the disk was filled");
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// Fills the disk in the middle of a job, frees it some time later, and sees the job end.
fn full_in_the_middle(
    network: &mut Network,
    disk: &SmallDisk,
    seed: u64,
    complaint: impl Fn(&Network) -> bool,
) {
    let developer = network.developer();
    let line = JobLine { segments: 5, ..JobLine::hello(seed) };
    let job = developer.submit(&line);
    let begun = wait_until(Duration::from_secs(60), || {
        developer.view(job).is_ok_and(|view| view.summary.tasks_done >= 2)
    });
    assert!(begun, "the job is under way: {}", network.said());
    disk.fill();
    assert!(wait_until(FULL_TIME * 4, || complaint(network)), "somebody says so: {}", network.said());
    thread::sleep(FULL_TIME);
    disk.free();
    ends_undisturbed(network, &developer, &line, job);
    assert!(network.ended_by_themselves().is_empty(), "{}", network.said());
}

/// A coordinator stops taking uploads while there is still room; here the disk is to be full in earnest.
fn without_reserve(network: &mut Network) {
    let file = network.folder().join("settings.toml");
    fs::write(&file, "[limits]\ndisk_reserve_bytes = 1\n").expect("there is room for a file");
    network.coordinators_arguments = vec!["--settings".to_owned(), file.display().to_string()];
}

fn says_full(said: &str) -> bool {
    said.contains("No space left on device") || said.contains("disk is full")
}

#[test]
fn a_full_disk_under_the_database_loses_nothing() {
    let mut network = Network::new(Kept::Sqlite);
    let disk = SmallDisk::mount(network.coordinator_folder(0));
    network.coordinators_through = disk.through();
    without_reserve(&mut network);
    network.add_coordinator();
    for _ in 0..2 {
        network.add_provider(&network.url(0));
    }
    network.wait_for_providers();
    full_in_the_middle(&mut network, &disk, 31, |network| says_full(&network.coordinator_said(0)));
    // And what was answered is in the database: it is read again from there.
    network.coordinator(0).kill();
    network.start_coordinator(0);
    anneal_tests::network::check(&network.developer());
}

#[test]
fn a_full_disk_under_the_blobs_loses_nothing() {
    let mut network = Network::new(Kept::Sqlite);
    let disk = SmallDisk::mount(network.folder().join("blobs"));
    network.coordinators_through = disk.through();
    without_reserve(&mut network);
    network.add_coordinator();
    for _ in 0..2 {
        network.add_provider(&network.url(0));
    }
    network.wait_for_providers();
    full_in_the_middle(&mut network, &disk, 32, |network| says_full(&network.coordinator_said(0)));
}

#[test]
fn a_full_disk_at_a_provider_loses_nothing() {
    let mut network = Network::new(Kept::Sqlite);
    network.add_coordinator();
    let disk = SmallDisk::mount(network.provider_folder(0));
    network.providers_through = disk.through();
    network.add_provider(&network.url(0));
    network.providers_through = Vec::new();
    network.add_provider(&network.url(0));
    network.wait_for_providers();
    full_in_the_middle(&mut network, &disk, 33, |network| says_full(&network.provider_said(0)));
}
