//! Manifests that are right, and the sentence that each wrong one gets.

use std::collections::BTreeSet;

use super::*;

const REFERENCE: &str = include_str!("../../job.toml");

fn check(text: &str, expected: &str) {
    let error = Manifest::parse(text).expect_err(text).to_string();
    assert!(error.contains(expected), "for {text:?}\n  got  {error}\n  want {expected}");
}

#[test]
fn nothing_at_all_is_a_manifest() {
    let manifest = Manifest::parse("").expect("an empty text");
    assert_eq!(manifest, Manifest::default());
    assert_eq!(manifest.limits, Limits::DEFAULT);
}

#[test]
fn the_reference_reads() {
    let manifest = Manifest::parse(REFERENCE).expect("the reference");
    assert_eq!(manifest.plan, Some(PlanSpec::Train { segments: 10, workers: 1 }));
    assert_eq!(manifest.limits, Limits::DEFAULT);
    assert_eq!(manifest.redundancy, Redundancy::Adaptive);
    assert_eq!(Manifest::parse("redundancy = 3").map(|read| read.redundancy), Ok(Redundancy::Fixed(3)));
    assert_eq!(manifest.inputs["images"].format, InputFormat::Idx);
    assert_eq!(manifest.inputs["digits"].format, InputFormat::Auto);
    assert_eq!(manifest.parameters["epochs"], ParameterValue::Integer(20));
    assert_eq!(manifest.requirements.device_memory, Some(ByteCount(2 << 30)));
}

#[test]
fn a_map_reads() {
    let text = "[plan]\nkind = \"map\"\nover = { fold = [0, 1, 2], rate = [0.5] }";
    let Some(PlanSpec::Map { over }) = Manifest::parse(text).expect(text).plan else { panic!("a map") };
    assert_eq!(over["fold"].len(), 3);
    assert_eq!(over["rate"], [ParameterValue::Number(0.5)]);
}

/// Keys of the schema's tables: the reader, the schema and the reference know the same.
#[test]
fn schema_reader_and_reference_agree() {
    let schema = schema().to_value();
    let table = |name: &str| -> BTreeSet<String> {
        let object = if name.is_empty() { &schema } else { &schema["$defs"][name] };
        object["properties"].as_object().expect(name).keys().cloned().collect()
    };
    for (name, known) in [
        ("", file::ROOT_KEYS),
        ("PlanTable", file::PLAN_KEYS),
        ("InputTable", file::INPUT_KEYS),
        ("LimitsTable", file::LIMITS_KEYS),
        ("RequirementsTable", file::REQUIREMENTS_KEYS),
    ] {
        assert_eq!(table(name), known.iter().map(|&key| key.to_owned()).collect(), "keys of {name:?}");
        for key in known {
            let written = [format!("{key} = "), format!("[{key}]")];
            assert!(written.iter().any(|text| REFERENCE.contains(text)), "{key} stands in the reference");
        }
    }
}

#[test]
fn unknown_keys_are_named_with_the_nearest() {
    check("sed = 1", "line 1: unknown key `sed` (did you mean `seed`?); known here: component, seed");
    check(
        "seed = 1\n\n[limits]\ntensor_memory = 5",
        "line 4: unknown key `limits.tensor_memory` (did you mean `tensor-memory`?)",
    );
    check(
        "[plan]\nkind = \"train\"\nsegmants = 2",
        "line 3: unknown key `plan.segmants` (did you mean `segments`?)",
    );
    check("[inputs]\nx = { file = \"a\" }", "line 2: unknown key `inputs.x.file`");
    check("[zebra]", "line 1: unknown key `zebra`; known here");
}

#[test]
fn wrong_values_are_named_with_an_example() {
    check("seed = -1", "`seed` is the number -1, but must be a whole number from 0 to 18446744073709551615");
    check("seed = \"x\"", "`seed` is the text \"x\"");
    check("plan = 3", "`plan` is the number 3, but must be a table; for example `plan.kind");
    check("[plan]\nsegments = 3", "line 1: `plan.kind` is missing");
    check("[plan]\nkind = \"trian\"", "\"single\" or \"train\" or \"map\"; for example `kind = \"train\"`");
    check(
        "[plan]\nkind = \"train\"\nsegments = 0",
        "a whole number from 1 to 100000; for example `segments = 10`",
    );
    check(
        "[plan]\nkind = \"single\"\nworkers = 2",
        "line 3: `plan.workers` does not go with kind = \"single\"",
    );
    check("[plan]\nkind = \"map\"", "`plan.over` is missing");
    check("[plan]\nkind = \"map\"\nover = { a = [] }", "`plan.over.a` is a list of 0");
    check(
        "[limits]\nmemory = \"64 MB\"",
        "`limits.memory` is the text \"64 MB\", but must be a size from 64 KiB to 4 GiB",
    );
    check("[limits]\nmemory = 1", "a size from 64 KiB to 4 GiB");
    check("[limits]\ngas = 1.5", "`limits.gas` is the number 1.5");
    check("[inputs]\nx = 3", "`inputs.x` is the number 3, but must be a table");
    check("[inputs]\nx = \"\"", "the path of a file");
    check("[inputs]\nx = { format = \"csv\" }", "`inputs.x.path` is missing");
    check("[inputs]\nx = { path = \"a\", format = \"cvs\" }", "for example `format = \"csv\"`");
    check("[inputs]\n\"a b\" = \"x\"", "`inputs.a b`: a name has 1 to 64");
    check("[parameters]\nrate = nan", "`parameters.rate` is the number nan");
    check("[parameters]\nwhen = 2020-01-01", "`parameters.when` is a date");
    check("[requirements]\nbackend = \"cuda\"", "\"auto\" or \"cpu\" or \"gpu\"");
    check("redundancy = 0", "a whole number from 1 to 8; for example `redundancy = 2`");
    check("redundancy = \"twice\"", "but must be \"adaptive\"");
    check("component = []", "`component` is a list of 0");
}

#[test]
fn what_is_no_toml_names_its_line() {
    check("seed = 1\nseed = 2", "line 2: ");
    check("a b c", "line 1: ");
    check(&"x".repeat(MANIFEST_BYTES_MAX + 1), "1048577 bytes");
    check(&"[".repeat(10_000), "line 1: ");
}

#[test]
fn big_products_are_refused() {
    let list = format!("[{}]", vec!["1"; 200].join(", "));
    check(&format!("[plan]\nkind = \"map\"\nover = {{ a = {list}, b = {list} }}"), "40000 tasks");
}

/// In a table of their own, in the plan, or divided between both.
#[test]
fn a_task_has_so_many_parameters_however_they_are_given() {
    let table = |from: usize, count: usize, value: &str| {
        (from..from + count).map(|n| format!("k{n} = {value}\n")).collect::<String>()
    };
    let manifest =
        |fixed: &str, over: &str| format!("[parameters]\n{fixed}[plan]\nkind = \"map\"\n[plan.over]\n{over}");
    let read = |text: &str| Manifest::parse(text).expect("so many are allowed");
    read(&manifest(&table(0, 255, "1"), &table(255, 1, "[1]")));
    read(&manifest(&table(0, 256, "1"), &table(0, 256, "[1]")));
    check(
        &manifest(&table(0, 256, "1"), &table(256, 1, "[1]")),
        "line 258: a task would have 257 parameters",
    );
    check(&manifest("", &table(0, 257, "[1]")), "line 4: 257 parameters that vary, but at most 256");
    check(&manifest(&table(0, 257, "1"), "a = [1]"), "line 1: 257 parameters, but at most 256");
    let long = format!("\"{}\"", "x".repeat(4097));
    check(&manifest("", &table(0, 1, &format!("[{long}]"))), "`plan.over.k0` is a list of 1");
    check(&manifest("", &format!("{} = [1]", "k".repeat(65))), "a name has 1 to 64");
}

/// Manifests of nearly the most bytes, in every shape whose reading could cost the product of keys and bytes: that
/// would take minutes each.
#[test]
fn a_manifest_of_any_size_is_read_in_linear_time() {
    let lines = |line: &dyn Fn(usize) -> String| {
        let mut text = String::with_capacity(MANIFEST_BYTES_MAX);
        for number in 0.. {
            let line = line(number);
            if text.len() + line.len() + 100 > MANIFEST_BYTES_MAX {
                return text;
            }
            text += &line;
        }
        text
    };
    let unknown = lines(&|n| format!("k{n}=1\n"));
    assert!(unknown.lines().count() > 90_000);
    check(&unknown, "line 1: unknown key `k0`");
    check(&lines(&|n| format!("seed.k{n}=1\n")), "`seed` is a table");
    check(&format!("[plan]\nkind=\"map\"\n[plan.over]\n{unknown}"), "parameters that vary, but at most 256");
    let over = lines(&|n| format!("k{n}=[1]\n"));
    check(&format!("[plan]\nkind=\"map\"\n[plan.over]\n{over}"), "parameters that vary, but at most 256");
    check(&format!("[limits]\n{unknown}"), "unknown key `limits.k0`");
    check(&format!("[inputs]\n{}", lines(&|n| format!("k{n}=\"x\"\n"))), "inputs, but at most 256");
    check(&format!("[inputs.x]\n{unknown}"), "unknown key `inputs.x.k0`");
    check(&format!("[parameters]\n{unknown}"), "parameters, but at most 256");
    check(&lines(&|n| format!("[k{n}]\n")), "line 1: unknown key `k0`");
    check(&lines(&|_| "[[k]]\n".to_owned()), "line 1: unknown key `k`");
    check(&lines(&|_| "seed = 1\n".to_owned()), "line 2: ");
    check(&lines(&|_| "= =\n".to_owned()), "line 1: ");
    check(&format!("plan.kind={}", lines(&|_| "[".to_owned())), "line 1: ");
    check(&format!("{}=1", lines(&|_| "a.".to_owned()) + "a"), "line 1: ");
    check(&format!("{}=1", "k".repeat(MANIFEST_BYTES_MAX - 10)), "line 1: unknown key `kkk");
    check(&format!("seed = \"{}\"", lines(&|_| "x".to_owned())), "a text of ");
    check(&format!("seed = {}", lines(&|_| "9".to_owned())), "`seed` is the number 999");
    check(&format!("seed = [{}]", lines(&|_| "1,".to_owned())), "`seed` is a list of");
    check(&format!("{}sed = 1", lines(&|_| "\n".to_owned())), "unknown key `sed`");
}

/// What a stranger has written there reaches nobody raw.
#[test]
fn keys_and_values_are_shown() {
    for text in [
        "\"\\u001b[31mred\\nresult 00\" = 1",
        "[plan]\nkind = \"map\"\nover = { \"\\u202eabc\\n\" = [1] }",
        "[limits]\n\"\\u202e\\u001b\\n\" = 1",
        "seed = \"\\u202e\\u001b[31m\\u2028\\n\"",
        "[inputs]\n\"\\u009b31m\" = \"x\"",
        "[inputs]\nx = { path = \"a\", format = \"\\u202ecsv\" }",
        "\u{1b}[31m = 1",
        "seed = \u{202e}1",
    ] {
        let error = Manifest::parse(text).expect_err(text).to_string();
        assert_eq!(crate::shown(&error), error, "{text:?}");
    }
    check(
        &format!("{} = 1", "k".repeat(1000)),
        &format!("`{}…`", "k".repeat(crate::SHOWN_NAME_CHARACTERS_MAX)),
    );
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = Manifest::parse(&text);
    }
}
