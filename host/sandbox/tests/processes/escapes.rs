//! A malicious worker and a malicious compiling process, against all layers together, and against each layer
//! alone where it claims to stop them. An attempt that nothing stopped must succeed without layers, or the
//! test would show nothing; what this machine cannot show is said and counted.

use std::{
    fs::{self, File},
    net::{TcpListener, UdpSocket},
    os::{
        fd::AsRawFd,
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr, UnixListener},
        },
    },
    path::PathBuf,
};

use anneal_job::{FaultCode, Limits, Outcome};
use anneal_sandbox::{
    BackendRequest, WorkerMachine,
    compile::{self, CompileError, CompileLimits},
    confine::{
        Confinement, ConfinementReport, GroupFolders, Layer, LayerState, Requirement, STRANGERS_MINIMUM,
    },
};

use crate::{
    Scene, attempt, check_fault, command, guest, machine,
    malice::{ATTEMPTS, Attempt, BOMB_BYTES, SUCCEEDED, Target},
};

const MEMORY_BYTES: u64 = 512 << 20;
const _: () = assert!(BOMB_BYTES as u64 > MEMORY_BYTES);

/// Runs one attempt under these layers; what it says of itself.
type Try<'a> = &'a dyn Fn(&Attempt, Confinement) -> String;

/// What could not be shown here, and why.
#[derive(Default)]
struct Tally {
    stopped: usize,
    alone: usize,
    not_shown: Vec<String>,
}

pub fn malicious_worker(scene: &Scene) {
    let surroundings = Surroundings::new(scene);
    let request = scene.request(&guest("(i32.const 0)", ""), Limits::DEFAULT);
    let worker = |target: String, confinement, gpu| WorkerMachine {
        environment: vec![("ANNEAL_TEST_SECRET".into(), "secret".into())],
        memory_bytes: Some(MEMORY_BYTES),
        confinement,
        gpu,
        groups: groups(),
        backend: BackendRequest {
            backend: format!("malice {target}"),
            threads: None,
            ..BackendRequest::default()
        },
        ..machine("worker", "malice")
    };
    let report = WorkerMachine {
        memory_bytes: Some(MEMORY_BYTES),
        groups: groups(),
        ..machine("worker", "reference")
    }
    .check()
    .expect("a worker says how it is confined");
    let make = |gpu: bool| {
        let surroundings = &surroundings;
        let request = &request;
        let worker = &worker;
        move |attempted: &Attempt, confinement: Confinement| {
            let mut worker = worker(surroundings.target(attempted), confinement, gpu);
            match attempt(&mut worker, request).0 {
                Outcome::HostFault(fault) => fault.message,
                other => panic!("a malicious worker computes nothing: {other:?}"),
            }
        }
    };
    check_layers("worker", &report, &make(false), &[]);
    // A GPU's driver needs more; what it must not have is the same.
    let mut tally = Tally::default();
    check_all("worker with a GPU", &report, &make(true), &[], &mut tally);
    println!("  worker with a GPU: {} attempts stopped by all layers together", tally.stopped);
}

pub fn malicious_compiler(scene: &Scene) {
    let surroundings = Surroundings::new(scene);
    let limits =
        |confinement| CompileLimits { memory_bytes: MEMORY_BYTES, confinement, ..CompileLimits::DEFAULT };
    let report = compile::check(&command("compile"), limits(Confinement::default()))
        .expect("a compiling process says how it is confined");
    let make = |attempted: &Attempt, confinement: Confinement| {
        let component = scene.write(surroundings.target(attempted).as_bytes());
        let run = compile::run(&command("compile malice"), &component, &scene.cache(), limits(confinement));
        match run {
            Err(error @ (CompileError::Refused(_) | CompileError::Limits(_))) => error.to_string(),
            other => panic!("a malicious compiler compiles nothing: {other:?}"),
        }
    };
    // Its environment is empty whoever asks, and it has no control group.
    check_layers(
        "compiling process",
        &report,
        &make,
        &["read the owner's environment", "start many threads"],
    );
}

fn check_layers(process: &str, report: &ConfinementReport, make: Try, except: &[&str]) {
    let mut tally = Tally::default();
    for layer in &report.layers {
        if let LayerState::Unavailable { reason, .. } = &layer.state {
            tally.not_shown.push(format!("the layer {}, which is not here: {reason}", layer.layer.name()));
        }
    }
    check_all(process, report, make, except, &mut tally);
    for attempt in attempts(except) {
        check_alone(process, report, attempt, make, &mut tally);
    }
    println!(
        "  {process}: {} attempts stopped by all layers together, {} times by one layer alone; not shown here: {}",
        tally.stopped,
        tally.alone,
        tally.not_shown.len()
    );
    tally.not_shown.iter().for_each(|what| println!("    not shown: {what}"));
}

fn attempts(except: &[&str]) -> impl Iterator<Item = &'static Attempt> {
    ATTEMPTS.iter().filter(move |attempt| !except.contains(&attempt.name))
}

/// All layers together stop everything that one of them stops.
fn check_all(process: &str, report: &ConfinementReport, make: Try, except: &[&str], tally: &mut Tally) {
    for attempt in attempts(except) {
        if !attempt.stopped_by.iter().any(|&layer| report.enforces(layer)) {
            tally.not_shown.push(format!("\"{}\" against all layers", attempt.name));
            continue;
        }
        let said = make(attempt, Confinement::default());
        assert!(!said.contains(SUCCEEDED), "the {process} could {} with all layers on", attempt.name);
        tally.stopped += 1;
    }
}

/// Without layers it succeeds; with one of those that stop it, it does not.
fn check_alone(process: &str, report: &ConfinementReport, attempt: &Attempt, make: Try, tally: &mut Tally) {
    let only =
        |layers: &[Layer]| make(attempt, Confinement::only_for_tests(layers, Requirement::BEST_EFFORT));
    let said = only(&[]);
    if !said.contains(SUCCEEDED) {
        assert!(attempt.optional, "the {process} cannot {} even without layers: {said}", attempt.name);
        tally.not_shown.push(format!("\"{}\" by one layer: without any, it {said}", attempt.name));
        return;
    }
    for &layer in attempt.stopped_by {
        if report.enforces(layer) {
            let said = only(&[layer]);
            let layer = layer.name();
            assert!(!said.contains(SUCCEEDED), "the {process} could {} although {layer} is on", attempt.name);
            tally.alone += 1;
        } else if report.layers.iter().any(|report| report.layer == layer) {
            tally.not_shown.push(format!("\"{}\" by the layer {} alone", attempt.name, layer.name()));
        }
    }
}

/// Control groups only where the one who runs the tests gave a folder for them.
fn groups() -> GroupFolders {
    let folders = std::env::var_os("ANNEAL_CGROUP").unwrap_or_default();
    GroupFolders(std::env::split_paths(&folders).filter(|path| path.is_absolute()).collect())
}

/// What a malicious process goes for.
struct Surroundings {
    folder: PathBuf,
    secret: File,
    tcp: TcpListener,
    udp: UdpSocket,
    _unix: UnixListener,
    _abstract_unix: UnixListener,
}

impl Surroundings {
    fn new(scene: &Scene) -> Surroundings {
        let folder = scene.folder.path().join("owner");
        fs::create_dir(&folder).expect("there is room for a folder");
        fs::write(folder.join("secret"), "secret").expect("there is room for a file");
        let secret = File::open(folder.join("secret")).expect("the file is there");
        // As a careless library would leave it to every child.
        rustix::io::fcntl_setfd(&secret, rustix::io::FdFlags::empty()).expect("the file is open");
        let address = SocketAddr::from_abstract_name(abstract_name()).expect("a short name");
        Surroundings {
            secret,
            tcp: TcpListener::bind("127.0.0.1:0").expect("a port is free"),
            udp: UdpSocket::bind("127.0.0.1:0").expect("a port is free"),
            _unix: UnixListener::bind(folder.join("socket")).expect("the name is free"),
            _abstract_unix: UnixListener::bind_addr(&address).expect("the name is free"),
            folder,
        }
    }

    /// For this attempt, everything is as if no attempt had been before it.
    fn target(&self, attempt: &Attempt) -> String {
        let path = |name: &str| self.folder.join(name);
        fs::write(path("secret"), "secret").expect("there is room for a file");
        fs::write(path("closed"), "closed")
            .or_else(|_| fs::metadata(path("closed")).map(drop))
            .expect("as above");
        fs::set_permissions(path("closed"), PermissionsExt::from_mode(0o000)).expect("the file is ours");
        let _it_may_be_missing = fs::remove_file(path("outside"));
        let target = Target {
            attempt: attempt.name.to_owned(),
            secret: path("secret"),
            closed: path("closed"),
            outside: path("outside"),
            socket: path("socket"),
            abstract_socket: abstract_name(),
            tcp: self.tcp.local_addr().expect("it is bound").port(),
            udp: self.udp.local_addr().expect("it is bound").port(),
            descriptor: self.secret.as_raw_fd(),
        };
        serde_json::to_string(&target).expect("a target is JSON")
    }
}

fn abstract_name() -> String {
    format!("anneal-test-{}", std::process::id())
}

/// What the parent insists on is there, or the process does nothing.
pub fn insisted(scene: &Scene) {
    let request = scene.request(&guest("(i32.const 0)", ""), Limits::DEFAULT);
    let strangers = |layers: &[Layer]| Confinement::only_for_tests(layers, Requirement::STRANGERS);
    for missing in STRANGERS_MINIMUM {
        let others: Vec<Layer> = Layer::ALL.into_iter().filter(|&layer| layer != missing).collect();
        let words = format!("the layer {} is missing", missing.name());
        let worker = &mut WorkerMachine { confinement: strangers(&others), ..machine("worker", "reference") };
        check_fault(worker, &request, FaultCode::Confinement, &words);
        let limits = CompileLimits { confinement: strangers(&others), ..CompileLimits::DEFAULT };
        let component = scene.write(&guest("(i32.const 0)", "not in the cache"));
        let compiled = compile::run(&command("compile"), &component, &scene.cache(), limits);
        assert!(
            matches!(&compiled, Err(CompileError::Confinement(message)) if message.contains(&words)),
            "{compiled:?}"
        );
    }
    // Without a limit of memory the minimum is not met, either.
    let confinement = Confinement::new(Requirement::STRANGERS);
    let unlimited = &mut WorkerMachine { memory_bytes: None, confinement, ..machine("worker", "reference") };
    check_fault(unlimited, &request, FaultCode::Confinement, "the layer limits is missing");
    let whole = &mut WorkerMachine { confinement, ..machine("worker", "reference") };
    let report = machine("worker", "reference").check().expect("a worker says how it is confined");
    match (attempt(whole, &request).0, report.unmet(Requirement::STRANGERS)) {
        (Outcome::Completed(_), None) => {}
        (Outcome::HostFault(fault), Some(unmet)) => println!("  not shown here: {} ({unmet})", fault.message),
        (outcome, unmet) => panic!("{outcome:?} although the minimum misses {unmet:?}"),
    }
    assert_eq!(
        fs::read_dir(scene.folder.path()).expect("the folder is there").count(),
        4,
        "nothing is left over but the component, the cache, its key and the result"
    );
}

/// Dropping privileges and leaving the network change a process's credentials, at which a kernel may forget
/// that it is to be killed with its parent.
pub fn ends_with_parent(scene: &Scene) {
    let request = scene.request(&guest("(i32.const 0)", ""), Limits::DEFAULT);
    // Not the layer of system calls, under which it could not ask.
    let layers = [Layer::Network, Layer::Privileges, Layer::Files, Layer::Scope];
    let confinement = Confinement::only_for_tests(&layers, Requirement::BEST_EFFORT);
    let worker = &mut WorkerMachine { confinement, ..machine("worker", "death signal") };
    check_fault(worker, &request, FaultCode::DeviceLost, "Signal::KILL");
}

/// A worker that computes without saying how it is confined is not believed.
pub fn silent(scene: &Scene) {
    let request = scene.request(&guest("(i32.const 0)", ""), Limits::DEFAULT);
    check_fault(&mut machine("silent", "reference"), &request, FaultCode::Internal, "how it is confined");
    let output = request.output.as_ref().expect("it was asked for");
    assert!(!output.exists());
}
