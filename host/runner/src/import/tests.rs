//! Small files of every format, whole and broken.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;

use super::*;

fn check(bytes: &[u8], format: InputFormat, dtype: DType, sizes: &[usize], expected: Elements) {
    let parts = read(bytes.to_vec(), format).expect("a good file");
    assert_eq!(parts.len(), 1);
    let value = &parts[0].value;
    assert_eq!((value.dtype, &*value.shape), (dtype, sizes));
    assert_eq!(**value.elements().expect("in host memory"), expected);
}

fn check_error(bytes: &[u8], format: InputFormat, expected: &str) {
    let error = read(bytes.to_vec(), format).err().expect("a bad file");
    let message = format!("{error:#}");
    assert!(message.contains(expected), "got {message}\nwant {expected}");
}

fn npy(descr: &str, fortran: &str, shape: &str, elements: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), elements].concat()
}

fn little<const N: usize>(elements: impl IntoIterator<Item = [u8; N]>) -> Vec<u8> {
    elements.into_iter().flatten().collect()
}

#[test]
fn csv_files() {
    let six = Elements::F32(vec![1.0, 2.5, -3.0, 4.0, 5.0, 6.0]);
    let rows = "1, 2.5\n-3,4\r\n5,6";
    check(rows.as_bytes(), InputFormat::Csv, DType::F32, &[3, 2], six.clone());
    check(format!("x,\"y z\"\n{rows}\n").as_bytes(), InputFormat::Csv, DType::F32, &[3, 2], six);
    for empty in [&b""[..], b"\n\n", b"x,y\n", b"x,y\n\n"] {
        check_error(empty, InputFormat::Csv, "there is no row of numbers");
    }
    check_error(b"1,2\n3,nan\n", InputFormat::Csv, "line 2, column 2: NaN or infinity");
    check_error(b"1,2\n3,1e39\n", InputFormat::Csv, "line 2, column 2: NaN or infinity");
    check_error(b"1,2\n3,\n", InputFormat::Csv, "line 2, column 2: an empty field");
    check_error(b"1,2\nthree,4\n", InputFormat::Csv, "line 2, column 1: \"three\" is no number");
    check_error(b"1,2\n3\n", InputFormat::Csv, "line 2 has 1 columns, the first has 2");
    check_error(b"1,x\n", InputFormat::Csv, "line 1, column 2: \"x\" is no number");
    check_error(b"\xff\xfe\n1\n\xff", InputFormat::Csv, "line 3, column 1");
}

#[test]
fn npy_files() {
    let six = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
    let bytes = little(six.map(f32::to_le_bytes));
    check(
        &npy("<f4", "False", "(2, 3)", &bytes),
        InputFormat::Npy,
        DType::F32,
        &[2, 3],
        Elements::F32(six.to_vec()),
    );
    let columns = Elements::F32(vec![1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
    check(&npy("<f4", "True", "(2, 3)", &bytes), InputFormat::Npy, DType::F32, &[2, 3], columns);
    let longs = little([7i64, -8].map(i64::to_le_bytes));
    check(
        &npy("<i8", "False", "(2,)", &longs),
        InputFormat::Npy,
        DType::I32,
        &[2],
        Elements::I32(vec![7, -8]),
    );
    let doubles = little([0.1f64].map(f64::to_le_bytes));
    check(
        &npy("<f8", "False", "(1,)", &doubles),
        InputFormat::Npy,
        DType::F32,
        &[1],
        Elements::F32(vec![0.1]),
    );
    check(&npy("|u1", "False", "()", &[9]), InputFormat::Npy, DType::U8, &[], Elements::U8(vec![9]));

    let nan = little([1.0f32, 2.0, 3.0, f32::NAN].map(f32::to_le_bytes));
    check_error(&npy("<f4", "False", "(2, 2)", &nan), InputFormat::Npy, "row 1, column 1: NaN or infinity");
    let big = little([1i64 << 31].map(i64::to_le_bytes));
    check_error(&npy("<i8", "False", "(1,)", &big), InputFormat::Npy, "row 0: 2147483648 does not fit i32");
    let huge = little([1e300f64].map(f64::to_le_bytes));
    check_error(&npy("<f8", "False", "(1,)", &huge), InputFormat::Npy, "row 0: 1e300 does not fit f32");
    check_error(&npy("|b1", "False", "(1,)", &[2]), InputFormat::Npy, "the boolean 2 is neither 0 nor 1");
    check_error(&npy("<f4", "False", "(2, 3)", &bytes[1..]), InputFormat::Npy, "needs 24 bytes of elements");
    check_error(&npy("<f4", "True", "(2, 3)", &bytes[1..]), InputFormat::Npy, "cut off");
    check_error(&npy("<f4", "False", "(1,1,1,1,1,1,1,1,1)", &[]), InputFormat::Npy, "at most 8 axes");
    check_error(&npy("<f4", "False", "(4294967296, 0)", &[]), InputFormat::Npy, "cannot have the shape");
    check_error(b"PK\x03\x04", InputFormat::Npy, "this is no NPY file");
}

#[test]
fn idx_files() {
    check(
        &[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 1, 5, 6],
        InputFormat::Idx,
        DType::U8,
        &[2, 1],
        Elements::U8(vec![5, 6]),
    );
    check(
        &[0, 0, 12, 1, 0, 0, 0, 1, 0, 0, 1, 2],
        InputFormat::Idx,
        DType::I32,
        &[1],
        Elements::I32(vec![258]),
    );
    check_error(&[0, 0, 8, 1, 0, 0, 0, 2, 5], InputFormat::Idx, "needs 2 bytes of elements, the file has 1");
    check_error(&[0, 0, 8, 3, 0, 0], InputFormat::Idx, "cut off within its sizes");
    check_error(b"text", InputFormat::Idx, "begins with 74 65");
    for rank in [9, 255u8] {
        let many = [&[0, 0, 8, rank][..], &[0; 4 * 255]].concat();
        check_error(
            &many,
            InputFormat::Idx,
            &format!("the file has {rank} axes, a tensor has at most 8: reshape"),
        );
        let error = format!("{:#}", read(many, InputFormat::Idx).err().expect("it has too many axes"));
        assert!(error.len() < 100, "{error}");
    }
    check_error(&[0, 0, 1, 0], InputFormat::Idx, "no element type 0x01");
}

#[test]
fn safetensors_files() {
    let one = little([3i64].map(i64::to_le_bytes));
    let view = |name: &str| {
        (
            name.to_owned(),
            ::safetensors::tensor::TensorView::new(::safetensors::Dtype::I64, vec![1], &one).expect("a view"),
        )
    };
    let file = ::safetensors::serialize([view("only")], None).expect("a file");
    check(&file, InputFormat::Safetensors, DType::I32, &[1], Elements::I32(vec![3]));
    let file = ::safetensors::serialize([view("b"), view("a")], None).expect("a file");
    let names: Vec<Option<String>> = read(file.clone(), InputFormat::Safetensors)
        .expect("two tensors")
        .into_iter()
        .map(|part| part.name)
        .collect();
    assert_eq!(names, [Some("a".to_owned()), Some("b".to_owned())]);
    check_error(&file[..file.len() - 1], InputFormat::Safetensors, "no safetensors file, or it is cut off");
    check_error(b"hello, world", InputFormat::Safetensors, "no safetensors file");
}

#[test]
fn formats_follow_from_names() {
    for (name, format, packed) in [
        ("a.csv", InputFormat::Csv, false),
        ("A.CSV.gz", InputFormat::Csv, true),
        ("train-images-idx3-ubyte.gz", InputFormat::Idx, true),
        ("train-images.idx3-ubyte", InputFormat::Idx, false),
        ("x.idx", InputFormat::Idx, false),
        ("w.safetensors", InputFormat::Safetensors, false),
        ("w.npy", InputFormat::Npy, false),
        ("text.txt", InputFormat::Raw, false),
        ("blob.gz", InputFormat::Raw, false),
    ] {
        assert_eq!(resolve(Path::new(name), InputFormat::Auto).expect(name), (format, packed), "{name}");
    }
    assert!(resolve(Path::new("x.npz"), InputFormat::Auto).is_err());
}

#[test]
fn files_are_read_unpacked_and_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("x.csv.gz");
    let mut encoder = GzEncoder::new(std::fs::File::create(&path).expect("a file"), Compression::fast());
    encoder.write_all(b"1,2\n").expect("written");
    encoder.finish().expect("written");
    let imported = import(&file(&path, InputFormat::Auto)).expect("a good file");
    assert_eq!((imported[0].name.as_str(), &*imported[0].value.shape), ("x", &[1, 2][..]));
    let raw = import(&file(&path, InputFormat::Raw)).expect("any file");
    assert_eq!(raw[0].value.dtype, DType::U8);

    let missing = import(&file(&directory.path().join("none.csv"), InputFormat::Auto)).expect_err("no file");
    assert!(format!("{missing:#}").starts_with("input `x` from "), "{missing:#}");
    assert!(import(&file(directory.path(), InputFormat::Auto)).is_err());
}

fn file(path: &Path, format: InputFormat) -> InputFile {
    InputFile { name: "x".to_owned(), path: path.to_owned(), format, within: None }
}

/// None of them is opened: to open a pipe would wait for its writer, for ever.
#[cfg(unix)]
#[test]
fn pipes_sockets_and_devices_are_refused_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let (pipe, socket, link) =
        (directory.path().join("pipe"), directory.path().join("socket"), directory.path().join("link"));
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    std::os::unix::fs::symlink(&pipe, &link).expect("a link");
    for path in [&pipe, &socket, &link, Path::new("/dev/null"), Path::new("/dev/zero")] {
        for within in [None, Some(directory.path().to_owned())] {
            let error = import(&InputFile { within, ..file(path, InputFormat::Raw) }).expect_err("no file");
            let message = format!("{error:#}");
            assert!(message.contains("pipe, a socket or a device"), "{}: {message}", path.display());
        }
    }
}

#[cfg(unix)]
#[test]
fn what_lies_outside_of_the_folder_is_not_read() {
    use std::os::unix::fs::symlink;
    let directory = tempfile::tempdir().expect("a directory");
    let job = directory.path().join("job");
    std::fs::create_dir_all(job.join("data")).expect("a folder");
    std::fs::write(directory.path().join("secret"), "s").expect("written");
    std::fs::write(job.join("data/own"), "o").expect("written");
    symlink("../secret", job.join("out")).expect("a link");
    symlink("..", job.join("up")).expect("a link");
    symlink(directory.path(), job.join("away")).expect("a link");
    symlink("data/own", job.join("in")).expect("a link");
    symlink(job.join("data/own"), job.join("in-too")).expect("a link");
    let read = |name: &str| {
        let within = Some(job.clone());
        import(&InputFile { within, ..file(&job.join(name), InputFormat::Raw) })
    };
    for name in ["data/own", "in", "in-too", "data/../in", "./data/own", "up/job/in"] {
        assert_eq!(read(name).expect(name)[0].value.shape.elements(), 1, "{name}");
    }
    for name in ["../secret", "/etc/hostname", "out", "up/secret", "away/secret", "data/../../secret"] {
        let message = format!("{:#}", read(name).expect_err(name));
        assert!(message.contains("outside of the job's folder") && message.contains("--allow-outside"));
        import(&file(&job.join(name), InputFormat::Raw)).expect("it is read where that is allowed");
    }
}

/// A file that is none of its format is refused by its first bytes, however large it is.
#[test]
fn what_begins_unlike_its_format_is_not_read() {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, words) in [
        ("x.npy", "no NPY file"),
        ("x.safetensors", "no safetensors file"),
        ("x.idx", "no element type 0x00"),
    ] {
        let path = directory.path().join(name);
        std::fs::File::create(&path).and_then(|file| file.set_len(1 << 40)).expect("a file of holes");
        let error = format!("{:#}", import(&file(&path, InputFormat::Auto)).expect_err(name));
        assert!(error.contains(words), "{name}: {error}");
        // The same, packed: what follows the beginning is never unpacked, so that it need not even be there.
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&vec![0; 1 << 20]).expect("written");
        let packed = encoder.finish().expect("written");
        let path = directory.path().join(format!("{name}.gz"));
        std::fs::write(&path, &packed[..packed.len() - 100]).expect("written");
        let error = format!("{:#}", import(&file(&path, InputFormat::Auto)).expect_err(name));
        assert!(error.contains(words), "{name}.gz: {error}");
    }
}

/// What the kernel makes up has no size before it is read, and some of it never ends.
#[cfg(target_os = "linux")]
#[test]
fn files_of_the_kernel_are_no_inputs() {
    for path in ["/proc/self/pagemap", "/proc/self/environ", "/proc/kmsg"] {
        let error = import(&file(Path::new(path), InputFormat::Raw)).expect_err(path);
        assert!(format!("{error:#}").contains("input `x` from /proc/"), "{error:#}");
    }
}

#[test]
fn a_bomb_stops_at_its_limit() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; 1 << 20]).expect("written");
    let bomb = encoder.finish().expect("written");
    assert!(bomb.len() < 4096);
    let error = gzip::unpack(&bomb[..], 1000, |_| Ok(())).expect_err("too large");
    assert!(error.to_string().contains("more than 1000 bytes"), "{error}");
    assert!(gzip::unpack(&bomb[..100], 1 << 21, |_| Ok(())).is_err());
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), which in 0usize..5) {
        let format = InputFormat::NAMES[which + 1].1;
        let _ = read(bytes.clone(), format);
        let _ = read([b"\x93NUMPY\x01\x00\x40\x00", &bytes[..]].concat(), InputFormat::Npy);
        let _ = read([&[0, 0, 8][..], &bytes].concat(), InputFormat::Idx);
    }
}
