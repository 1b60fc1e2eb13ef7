//! States on disk: what is written comes back, what is no state is refused in words.

use cap_std::ambient_authority;

use super::*;

fn folder() -> (tempfile::TempDir, Dir) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).expect("the folder opens");
    (folder, dir)
}

fn named(name: &str, dtype: DType, sizes: &[usize], bytes: &[u8]) -> NamedValue {
    let value = Value::import(dtype, Shape::of(sizes), bytes).expect("the bytes are canonical");
    NamedValue { name: name.to_owned(), value }
}

#[test]
fn a_state_of_every_dtype_and_strange_names_comes_back() {
    let (_kept, dir) = folder();
    let state = State::new(vec![
        named("weight", DType::F32, &[2, 1], &[0, 0, 128, 63, 0, 0, 0, 192]),
        named("scalar", DType::I32, &[], &[1, 2, 3, 4]),
        named("nothing", DType::U8, &[3, 0], &[]),
        named("../../etc/passwd", DType::Bool, &[3], &[1, 0, 1]),
        named("__metadata__", DType::Bf16, &[1], &[128, 63]),
        named("\0__metadata__", DType::F16, &[1], &[0, 60]),
        named("\u{1b}[31m\"},{\"", DType::U8, &[1], &[7]),
    ])
    .expect("it is a state");
    write_state(&dir, "state.safetensors".as_ref(), &state).expect("it is written");
    let read = read_state(&dir, "state.safetensors".as_ref(), 1 << 20).expect("it is read");
    assert_eq!(read.digest(), state.digest());
    let names = |state: &State| state.tensors().iter().map(|tensor| tensor.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&read), names(&state));
    let left: Vec<_> = dir.entries().expect("the folder is read").collect();
    assert_eq!(left.len(), 1, "no part of a file is left behind");
}

#[test]
fn what_is_no_state_is_refused() {
    let (_kept, dir) = folder();
    let check = |contents: &[u8], words: &str| {
        write_whole(&dir, "x.safetensors".as_ref(), contents).expect("it is written");
        let error =
            read_state(&dir, "x.safetensors".as_ref(), 10_000).expect_err("it is refused").to_string();
        assert!(error.contains(words), "\"{error}\" does not say \"{words}\"");
    };
    let file = |dtype: Dtype, shape: &[usize], bytes: &[u8]| {
        let view = TensorView::new(dtype, shape.to_vec(), bytes).expect("the view fits");
        safetensors::serialize([("loss", view)], None).expect("it is serialized")
    };
    check(b"", "no safetensors file");
    check(b"\xff\xff\xff\xff\xff\xff\xff\xff{}", "no safetensors file");
    check(&file(Dtype::I64, &[1], &[0; 8]), "\"loss\" of x.safetensors is I64");
    check(&file(Dtype::F64, &[1], &[0; 8]), "convert it first");
    check(&file(Dtype::F32, &[1], &[0, 0, 192, 127]), "NaN");
    check(&file(Dtype::BOOL, &[1], &[2]), "not 0 or 1");
    check(&file(Dtype::U8, &[1; 9], &[2]), "at most 8 axes");
    check(&file(Dtype::U8, &[0], &[])[..20], "no safetensors file");
    check(&[0; 10_001], "at most 10000");
    let missing = read_state(&dir, "missing".as_ref(), 10).expect_err("it is missing").to_string();
    assert!(missing.starts_with("missing cannot be read"), "{missing}");
}

#[test]
fn names_are_checked() {
    let tensor = |name: &str| named(name, DType::U8, &[0], &[]);
    let check = |names: &[&str], expected: StateError| {
        let tensors = names.iter().map(|name| tensor(name)).collect();
        assert_eq!(State::new(tensors).map(|state| state.digest()), Err(expected));
    };
    check(&[""], StateError::NameLength { name: String::new(), bytes: 0 });
    let long = "ß".repeat(129);
    check(&[&long], StateError::NameLength { name: "ß".repeat(32), bytes: 258 });
    check(&["a", "b", "a"], StateError::NameRepeated { name: "a".to_owned() });
    let many: Vec<String> = (0..4097).map(|number| number.to_string()).collect();
    check(&many.iter().map(String::as_str).collect::<Vec<_>>(), StateError::Count { found: 4097 });
}
