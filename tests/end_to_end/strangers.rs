//! What strangers name, in every output of the command: guests, files, coordinators and providers. Nothing of it
//! reaches a terminal, a log, a document or a file's name raw. The pages are tested with their services.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    thread,
};

use anneal_job::shown;
use anneal_tests::{
    Finished, command, component, finish,
    network::{Kept, Network},
    scratch, workspace,
};
use serde_json::json;

/// As the guest `misbehave` has it.
const HOSTILE: &str = "\u{1b}[31mred\nresult 00\u{202e}\u{9b}7m\u{200b}\u{2028}\u{7f}\u{2066}\r\t";

/// Every line is as it may be shown, and none is forged.
fn check_plain(text: &str, what: &str) {
    for line in text.lines() {
        assert_eq!(shown(line), line, "{what}: {text:?}");
        assert!(!line.starts_with("result 00"), "{what} has a forged line: {text}");
    }
}

/// Neither stream of a command, and no document it printed, has anything raw; and what was named is there, shown.
fn check_outputs(finished: &Finished, what: &str) {
    check_plain(&finished.stdout(), &format!("stdout of {what}"));
    check_plain(&finished.stderr(), &format!("stderr of {what}"));
}

/// The command with everything of its own in this folder.
fn anneal_in(folder: &Path, arguments: &[&str]) -> Finished {
    let mut command = command();
    command.env("ANNEAL_DATA", folder.join("data")).env("ANNEAL_CACHE", cache());
    command.env_remove("ANNEAL_COORDINATOR").args(arguments);
    finish(command)
}

/// Compiled components are shared by the tests.
fn cache() -> std::path::PathBuf {
    workspace().join("target/tmp/strangers-cache")
}

#[test]
fn what_a_guest_names_is_shown_in_every_output_of_a_run() {
    let folder = scratch();
    let guest = component("tests/guests/misbehave");
    let manifest = workspace().join("tests/guests/misbehave/job.toml");
    for (mode, status) in [
        ("hostile-names", 0),
        ("evaluate-hostile-name", 0),
        ("state-strange-name", 0),
        ("hostile-error", 1),
        ("hostile-panic", 1),
    ] {
        for more in [&[][..], &["--json"]] {
            let out = folder.path().join(format!("{mode}-{}", more.len()));
            let fixed = [
                "run",
                guest.to_str().expect("a plain path"),
                "--manifest",
                manifest.to_str().expect("a plain path"),
                "--backend",
                "cpu",
                "--param",
                &format!("mode={mode}"),
                "--out",
                out.to_str().expect("a plain path"),
            ];
            let run = anneal_in(folder.path(), &[&fixed[..], more].concat());
            assert_eq!(run.status(), status, "{mode}: {}", run.stderr());
            check_outputs(&run, mode);
            check_files(&out);
            let told = run.stdout() + &run.stderr();
            let is_named = mode != "state-strange-name";
            assert_eq!(told.contains("[31mred"), is_named, "{mode} is told, not hidden: {told}");
            if !more.is_empty() && mode == "hostile-names" {
                let metrics = run.json()["tasks"].to_string();
                assert!(
                    metrics.contains(&json!(HOSTILE).to_string()),
                    "programs read the very name: {metrics}"
                );
            }
        }
    }
}

/// Names of files are ours, and documents have nothing raw.
fn check_files(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_str().expect("text");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)), "{name:?}");
        if path.is_dir() {
            check_files(&path);
        } else if name.ends_with(".json") {
            check_plain(&fs::read_to_string(&path).expect("a document"), name);
        }
    }
}

/// Keys of `job.toml`, of `policy.toml`, of `provider.toml`; headers of CSV, NPY and safetensors; names of files.
#[test]
fn what_a_file_names_is_shown() {
    let folder = scratch();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("joined")).expect("a folder");
        fs::write(&path, bytes).expect("scratch is writable");
        path.to_str().expect("text").to_owned()
    };
    let key = "\"\\u001b[31mred\\nresult 00\\u202e\\u009b7m\\u200b\\u2028\\u007f\"";
    let guest = component("tests/guests/misbehave").to_str().expect("a plain path").to_owned();
    let check = |arguments: &[&str], what: &str| {
        let refused = anneal_in(folder.path(), arguments).failure(2);
        check_outputs(&refused, what);
        assert!(refused.stderr().contains("[31mred"), "{what} is named: {}", refused.stderr());
        let refused = anneal_in(folder.path(), &[arguments, &["--json"]].concat()).failure(2);
        check_outputs(&refused, what);
        let message = refused.json()["error"]["message"].as_str().expect("a message").to_owned();
        assert!(message.contains("[31mred"), "{what}: {message}");
    };
    for (number, text) in [
        format!("{key} = 1"),
        format!("[plan]\nkind = \"map\"\nover = {{ {key} = [1] }}"),
        format!("[limits]\n{key} = 1"),
        format!("[inputs]\n{key} = \"x\""),
        format!("[inputs]\nx = {key}"),
        format!("[parameters]\n{key} = 1"),
        format!("seed = {key}"),
        format!("[requirements]\nbackend = {key}"),
    ]
    .iter()
    .enumerate()
    {
        let manifest = write(&format!("job-{number}.toml"), text.as_bytes());
        check(&["run", &guest, "--manifest", &manifest], &format!("{text:?}"));
    }
    let manifest = write("raw.toml", "\u{1b}[31mred = 1".as_bytes());
    check_outputs(&anneal_in(folder.path(), &["run", &guest, "--manifest", &manifest]).failure(2), "no TOML");
    let hostile_name = write("\u{1b}[31mred\nresult 00\u{202e}/job.toml", b"sed = 1");
    check(&["run", &guest, "--manifest", &hostile_name], "the name of a folder");
    check(&["inspect", &write("\u{1b}[31mred\u{202e}.wasm", b"no component")], "the name of a component");
    for (name, bytes) in [
        ("x.csv", format!("1,2\n3,{HOSTILE}\n").into_bytes()),
        ("y.csv", "\u{1b}[31mred\u{202e},1\n".as_bytes().to_vec()),
        (
            "x.npy",
            npy("{'descr': '\u{1b}[31mred\u{202e}\nresult 00', 'fortran_order': False, 'shape': (1,)}"),
        ),
        ("y.npy", npy("{'descr': '<f4', 'fortran_order': \u{1b}[31mred\u{202e}\nresult 00, 'shape': (1,)}")),
        ("x.safetensors", safetensors(HOSTILE)),
    ] {
        let path = write(name, &bytes);
        let input = format!("digits={path}");
        let manifest = workspace().join("tests/guests/misbehave/job.toml");
        let manifest = manifest.to_str().expect("a plain path");
        check(&["run", &guest, "--manifest", manifest, "--input", &input], name);
    }
    for (number, text) in [
        format!("{key} = 1"),
        format!("[devices]\n{key} = 1"),
        format!("[time]\nzone = {key}"),
        format!("[owner]\nprograms = [\"/\", {key}]"),
    ]
    .iter()
    .enumerate()
    {
        // The list's first item is what is refused; a program's name is no error.
        let is_named = !text.contains("programs");
        let policy = write(&format!("policy-{number}.toml"), text.as_bytes());
        let refused = anneal_in(folder.path(), &["policy", "check", &policy]).failure(2);
        check_outputs(&refused, text);
        assert_eq!(refused.stderr().contains("[31mred"), is_named, "{text}: {}", refused.stderr());
    }
    let policy = write(
        "policy.toml",
        format!("[owner]\nprograms = [{key}]\n[devices]\n\"\\u202e[31mred\" = true").as_bytes(),
    );
    for command in ["check", "explain"] {
        let told = anneal_in(folder.path(), &["policy", command, &policy]).success();
        check_outputs(&told, command);
        assert_eq!(told.stderr().contains("[31mred"), command == "check", "{}", told.stderr());
    }
    let trace = write("trace.csv", format!("\"{HOSTILE}\"\n1\n").as_bytes());
    let picture = folder.path().join("day.svg");
    let simulate =
        ["policy", "simulate", &policy, "--trace", &trace, "--out", picture.to_str().expect("text")];
    check_outputs(&anneal_in(folder.path(), &simulate).failure(2), "a trace");
    write("provider/provider.toml", format!("{key} = 1").as_bytes());
    let provider = folder.path().join("provider");
    let provider = provider.to_str().expect("text");
    let refused = anneal_in(folder.path(), &["provide", "--folder", provider]).failure(2);
    check_outputs(&refused, "provider.toml");
    assert!(
        refused.stderr().contains("line 1") && refused.stderr().contains("[31mred"),
        "{}",
        refused.stderr()
    );
}

fn npy(header: &str) -> Vec<u8> {
    let length = u16::try_from(header.len()).expect("short").to_le_bytes();
    [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes()].concat()
}

/// A file whose one tensor holds no number.
fn safetensors(name: &str) -> Vec<u8> {
    let tensor = json!({ "dtype": "F32", "shape": [1], "data_offsets": [0, 4] });
    let header =
        json!({ name: tensor, "other": { "dtype": "U8", "shape": [0], "data_offsets": [4, 4] } }).to_string();
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), &f32::NAN.to_le_bytes()].concat()
}

/// A coordinator that answers every request with an error of its own words.
pub fn coordinator_that_says(status: u16, body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let body = body.clone();
            thread::spawn(move || answer(stream, status, &body));
        }
    });
    url
}

fn answer(mut stream: TcpStream, status: u16, body: &str) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
    // Who does not read it is not our matter.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
    let _ = stream.shutdown(Shutdown::Both);
}

/// Refusals, and replies that are none: in every command that asks a coordinator.
#[test]
fn what_a_coordinator_says_is_shown() {
    let folder = scratch();
    let refusal = |status: u16| {
        json!({ "status": status, "code": HOSTILE, "message": HOSTILE, "detail": HOSTILE }).to_string()
    };
    let replies = [
        (400, refusal(400)),
        (404, refusal(404)),
        (200, HOSTILE.to_owned()),
        (200, json!({HOSTILE: 1}).to_string()),
    ];
    for (status, body) in replies {
        let url = coordinator_that_says(status, body.clone());
        let job = "0".repeat(64);
        let guest = component("examples/hello").to_str().expect("a plain path").to_owned();
        let out = folder.path().join("fetched");
        for command in [
            &["jobs"][..],
            &["watch", &job],
            &["cancel", &job],
            &["retry", &job],
            &["fetch", &job, "--out", out.to_str().expect("text")],
            &["replay", &job],
            &["grant", &job],
            &["quote", &guest, "--manifest", "examples/hello/job.toml"],
            &["submit", &guest, "--manifest", "examples/hello/job.toml", "--yes"],
        ] {
            for more in [&[][..], &["--json"]] {
                let line = [command, &["--coordinator", &url], more].concat();
                let line: Vec<&str> =
                    line.into_iter().filter(|word| command[0] != "grant" || *word != "--json").collect();
                let refused = anneal_in(folder.path(), &line);
                assert_ne!(refused.status(), 0, "{line:?}");
                check_outputs(&refused, &format!("{line:?} with {status} {body:?}"));
            }
        }
        let audited = anneal_in(folder.path(), &["audit", &url]);
        assert_ne!(audited.status(), 0);
        check_outputs(&audited, "audit");
    }
}

/// A job of a hostile guest, with a hostile name, on a network with a hostile provider's name: everything that its
/// developer, its provider and its coordinator are told.
#[test]
fn what_a_network_carries_is_shown() {
    let turned = "\u{202e}[31mred\u{2066}\u{200b}";
    let folder = scratch();
    let job = folder.path().join(format!("{turned}\u{1b}\nresult 00"));
    fs::create_dir_all(&job).expect("a folder");
    let guest = component("tests/guests/misbehave");
    let manifest = job.join("job.toml");
    let text = |mode: &str| {
        format!(
            "component = \"guest.wasm\"\n[plan]\nkind = \"train\"\n[parameters]\nmode = \"{mode}\"\n\
             [limits]\ngas = 2_000_000_000\nmemory = \"64 MiB\"\ntensor-memory = \"64 MiB\"\nhandles = 5_000\n"
        )
    };
    fs::copy(guest, job.join("guest.wasm")).expect("copied");
    let mut network = Network::new(Kept::Sqlite);
    network.providers_name = Some(turned.to_owned());
    network.add_coordinator();
    network.add_provider(&network.url(0));
    network.wait_for_providers();
    let url = network.url(0);
    let at = ["--coordinator", &url];
    let job_text = job.to_str().expect("text").to_owned();
    let terms = ["--redundancy", "1", "--yes"];
    for (mode, status) in
        [("hostile-names", 0), ("evaluate-hostile-name", 0), ("hostile-error", 1), ("hostile-panic", 1)]
    {
        fs::write(&manifest, text(mode)).expect("written");
        let out = folder.path().join(format!("fetched-{mode}"));
        let line = [&["submit", &job_text, "--out", out.to_str().expect("text")], &terms[..], &at].concat();
        let submitted = anneal_in(folder.path(), &line);
        assert_eq!(submitted.status(), status, "{mode}: {}\n{}", submitted.stderr(), network.said());
        check_outputs(&submitted, &format!("submit {mode}"));
        let told = submitted.stdout() + &submitted.stderr();
        assert!(told.contains("[31mred"), "{mode} is told: {told}");
        if out.exists() {
            check_files(&out);
        }
    }
    let jobs = anneal_in(folder.path(), &[&["jobs"][..], &at].concat()).success();
    check_outputs(&jobs, "jobs");
    assert!(jobs.stdout().contains("\\u{202e}[31mred"), "{}", jobs.stdout());
    let listed = anneal_in(folder.path(), &[&["jobs", "--json"][..], &at].concat()).success();
    check_outputs(&listed, "jobs --json");
    for job in listed.json()["jobs"].as_array().expect("jobs") {
        let id = job["id"].as_str().expect("an id");
        for line in [vec!["watch", id], vec!["watch", id, "--json"], vec!["replay", &format!("{id}/0")]] {
            let told = anneal_in(folder.path(), &[&line[..], &at].concat());
            check_outputs(&told, &format!("{line:?}"));
        }
    }
    let provider = network.provider_folder(0);
    let provider = provider.to_str().expect("text");
    for more in [&[][..], &["--json"]] {
        let status =
            anneal_in(folder.path(), &[&["status", "--folder", provider][..], more].concat()).success();
        check_outputs(&status, "status");
    }
    check_plain(&network.said(), "the logs of coordinator and provider");
}
