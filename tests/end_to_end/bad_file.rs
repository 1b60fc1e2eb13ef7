//! Files that are no jobs, and data that is no data: one clear error, exit status 2, quickly.

use std::{fs, io::Write as _, path::Path};

use anneal_tests::{anneal, component, scratch};

#[test]
fn files_that_are_no_components_are_refused() {
    let folder = scratch();
    let good = fs::read(component("tests/guests/misbehave")).expect("the guest was built");
    let core_module = b"\0asm\x01\0\0\0";
    let cases: [(&str, &[u8], &str); 7] = [
        ("empty.wasm", b"", "empty"),
        ("text.wasm", b"(component)", "text"),
        ("prose.wasm", b"Dear host, please run me.", "component"),
        ("core.wasm", core_module, "core module"),
        ("truncated.wasm", &good[..good.len() / 2], "truncated"),
        ("elf.wasm", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0", "component"),
        ("bare.wasm", b"\0asm\x0d\0\x01\0", "export"),
    ];
    for (name, bytes, word) in cases {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("scratch is writable");
        refused(&path, word);
    }
}

#[test]
fn two_hundred_megabytes_are_not_read() {
    let folder = scratch();
    let path = folder.path().join("garbage.wasm");
    let file = fs::File::create(&path).expect("scratch is writable");
    file.set_len(200 << 20).expect("a sparse file fits");
    refused(&path, "16777216");
}

#[test]
fn a_bit_flip_anywhere_never_crashes_the_host() {
    let folder = scratch();
    let good = fs::read(component("examples/hello")).expect("the guest was built");
    for place in (0..good.len()).step_by(good.len() / 24) {
        let mut bytes = good.clone();
        bytes[place] ^= 0x10;
        let path = folder.path().join(format!("flipped-{place}.wasm"));
        fs::write(&path, bytes).expect("scratch is writable");
        // It may still be a job that inspects well; it must not be a crash.
        let status = anneal(["inspect".as_ref(), path.as_os_str()]).status();
        assert!(status == 0 || status == 2, "status {status} for a flip at {place}");
    }
}

#[test]
fn bad_data_names_file_and_place() {
    let folder = scratch();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("scratch is writable");
        path
    };
    let idx_header = [0, 0, 8, 1, 0, 0, 0, 9];
    for (path, word) in [
        (write("nan.csv", b"1,2\n3,nan\n"), "line 2"),
        (write("ragged.csv", b"1,2\n3\n"), "line 2"),
        (write("words.csv", b"1,2\n3,four\n"), "four"),
        (write("short.idx", &idx_header), "9"),
        (write("short.npy", b"\x93NUMPY\x01\0"), "header"),
        (write("short.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\x7f"), "safetensors"),
    ] {
        let input = format!("digits={}", path.display());
        let error =
            anneal(["run", "examples/digits", "--backend", "cpu", "--input", &input]).failure(2).stderr();
        let name = path.file_name().expect("a file has a name").to_string_lossy();
        assert!(error.contains(word) && error.contains(&*name), "`{word}`, {name}: {error}");
    }
}

#[test]
fn a_gzip_bomb_is_bounded() {
    let folder = scratch();
    let path = folder.path().join("bomb.csv.gz");
    let file = fs::File::create(&path).expect("scratch is writable");
    let mut bomb = std::process::Command::new("gzip")
        .arg("-1")
        .stdin(std::process::Stdio::piped())
        .stdout(file)
        .spawn()
        .expect("gzip is there");
    let mut stdin = bomb.stdin.take().expect("piped");
    let line = b"0,0,0,0\n".repeat(1 << 17);
    for _ in 0..2100 {
        stdin.write_all(&line).expect("gzip reads");
    }
    drop(stdin);
    assert!(bomb.wait().expect("gzip ends").success());
    let input = format!("digits={}", path.display());
    let error = anneal(["run", "examples/digits", "--input", &input]).failure(2).stderr();
    assert!(error.contains("bomb.csv.gz"), "{error}");
}

#[test]
fn a_wrong_manifest_names_key_line_and_neighbour() {
    let folder = scratch();
    for (text, words) in [
        ("sead = 1\n", vec!["sead", "seed", "line 1"]),
        ("seed = 1\n[plan]\nkind = \"trian\"\n", vec!["trian", "train", "line 3"]),
        ("[limits]\nmemory = \"64 MB of RAM\"\n", vec!["memory", "MiB"]),
        ("[plan]\nkind = \"train\"\nsegments = 0\n", vec!["segments"]),
        ("seed = = 2\n", vec!["line 1"]),
    ] {
        let path = folder.path().join("job.toml");
        fs::write(&path, text).expect("scratch is writable");
        let error =
            anneal(["run".as_ref(), "examples/hello".as_ref(), "--manifest".as_ref(), path.as_os_str()])
                .failure(2)
                .stderr();
        for word in words {
            assert!(error.contains(word), "`{word}` is not in: {error}");
        }
    }
}

#[test]
fn unknown_names_on_the_command_line_are_refused() {
    for arguments in [
        vec!["run", "no-such-directory"],
        vec!["run", "examples/digits", "--input", "digit=examples/digits/digits.csv.gz"],
        vec!["run", "examples/digits", "--param", "hiden=3"],
        vec!["run", "examples/digits", "--backend", "tpu"],
        vec!["run", "examples/digits", "--segments", "0"],
        vec!["inspect", "README.md"],
    ] {
        let finished = anneal(&arguments);
        let status = finished.status();
        assert!(status == 1 || status == 2, "{arguments:?} ended with {status}");
        assert!(!finished.stderr().is_empty(), "{arguments:?} said nothing");
    }
}

fn refused(path: &Path, word: &str) {
    for command in ["inspect", "run"] {
        let error = anneal([command.as_ref(), path.as_os_str()]).failure(2).stderr();
        let name = path.file_name().expect("a file has a name").to_string_lossy();
        assert!(error.contains(word), "{command} {name}: `{word}` is not in: {error}");
    }
}
