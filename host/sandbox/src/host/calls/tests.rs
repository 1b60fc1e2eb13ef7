//! What must hold for every sequence of calls, and what calls may cost the host.

use proptest::{
    collection::vec,
    prelude::*,
    strategy::{Strategy, ValueTree},
};

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn no_call_panics_and_no_byte_is_lost(bytes in vec(any::<u8>(), 0..1200)) {
        let played = play(&decode(&bytes));
        prop_assert!(played.is_ok(), "{played:?}");
    }
}

/// Every function with every length of a list, and random sequences, each many times over.
#[test]
#[expect(clippy::print_stdout, reason = "it says what it measured, to who runs it alone")]
fn what_calls_cost_the_host_is_counted_or_paid_for() {
    if !alone("host::calls::tests::what_calls_cost_the_host_is_counted_or_paid_for") {
        return;
    }
    let mut worst = cost::Worst::default();
    let mut check = |calls: &[Call], rounds: usize| {
        let costs = cost::measure(calls, rounds, Box::new(Reference::new()), Some(cost::Bounds::CONTRACT));
        worst.add(&costs.unwrap_or_else(|error| panic!("{error}")), calls.len());
    };
    for function in 0..FUNCTIONS as u8 {
        for length in 0..LENGTHS.len() as u8 {
            for tensors in [[2, 2, 2, 0], [0, 4, 6, 1]] {
                let start = [function, tensors[0], tensors[1], tensors[2], tensors[3]];
                let calls = decode(&[&start[..], &[4, 1, 0, length, 1, 2, 193, 194]].concat());
                check(&calls, 20);
            }
        }
    }
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..200 {
        let bytes = vec(any::<u8>(), 0..1500).new_tree(&mut runner).expect("bytes are drawn").current();
        check(&decode(&bytes), 10);
    }
    println!("{worst}");
}

/// Whichever of its lists a call is refused for, copying all of them out of the guest is paid for.
#[test]
fn a_refused_call_pays_for_everything_that_it_was_given() {
    const LONG: usize = 300_000;
    fn long() -> Vec<u32> {
        vec![1; LONG]
    }
    type Make = fn(&mut Host, u32) -> Result<(), Refusal>;
    let b = Handle::new_borrow;
    let words = size_of::<u32>() * LONG;
    let cases: [(&str, usize, Make); 15] = [
        ("full", words, |host, _| host.full(wit::Dtype::F32, long(), 0.0).map(drop)),
        ("iota", words, |host, _| host.iota(long()).map(drop)),
        ("reshape", words, |host, x| host.reshape(Handle::new_borrow(x), long()).map(drop)),
        ("sum", words, |host, x| host.sum(Handle::new_borrow(x), long(), false).map(drop)),
        ("pad, below", words, |host, x| host.pad(Handle::new_borrow(x), long(), vec![0; 9], 0.0).map(drop)),
        ("pad, above", words, |host, x| host.pad(Handle::new_borrow(x), vec![0; 9], long(), 0.0).map(drop)),
        ("slice, all of them", 3 * words, |host, x| {
            host.slice(Handle::new_borrow(x), long(), long(), long()).map(drop)
        }),
        ("slice, the last", words, |host, x| {
            host.slice(Handle::new_borrow(x), vec![0; 9], vec![0; 9], long()).map(drop)
        }),
        ("from-bytes, its bytes", LONG, |host, _| {
            host.from_bytes(wit::Dtype::F32, vec![1], vec![0; LONG]).map(drop)
        }),
        ("from-bytes, both", words + LONG, |host, _| {
            host.from_bytes(wit::Dtype::F32, long(), vec![0; LONG]).map(drop)
        }),
        ("rows, a name", words + LONG, |host, _| host.rows("x".repeat(LONG), long()).map(drop)),
        ("rows, an index", words, |host, _| host.rows("table".to_owned(), vec![7; LONG]).map(drop)),
        ("whole", LONG, |host, _| host.whole("x".repeat(LONG)).map(drop)),
        ("concat", words, |host, x| {
            host.concat((0..LONG).map(|_| Handle::new_borrow(x)).collect(), 0).map(drop)
        }),
        ("gradients of no loss", words, |host, x| {
            let all = (0..LONG).map(|_| Handle::new_borrow(x)).collect();
            host.gradients(Handle::new_borrow(x), all).map(drop)
        }),
    ];
    for (name, bytes, make) in cases {
        let mut host = host(Box::new(Reference::new()));
        host.task.limits.handles = 1 << 20;
        let x = host.full(wit::Dtype::F32, vec![2], 0.0).expect("it fits").rep();
        assert_eq!(host.shape(b(x)).expect("it is held"), [2]);
        let meter = host.graph.meter().clone();
        meter.take_gas();
        host.begin_call();
        let Err(refusal @ Refusal::Call(_)) = make(&mut host, x) else { panic!("{name} is not refused") };
        host.convert_error(refusal).expect("there is gas");
        let gas = meter.take_gas();
        assert!(gas >= bytes as u64, "{name}: {gas} gas for {bytes} bytes");
        // What one call was given is none of the next one's.
        host.begin_call();
        let refusal = host.concat(Vec::new(), 0).expect_err("it is empty");
        host.convert_error(refusal).expect("there is gas");
        let gas = meter.take_gas();
        assert!(gas < 1100, "{name}: {gas} gas for a call after it");
    }
}

/// What a record and a handle count is more than they take, for the largest operations that there are.
#[test]
#[expect(clippy::print_stdout, reason = "it says what it measured, to who runs it alone")]
fn a_record_and_a_handle_count_more_than_they_take() {
    if !alone("host::calls::tests::a_record_and_a_handle_count_more_than_they_take") {
        return;
    }
    type Make = fn(&mut Host, u32) -> u32;
    let borrow = Handle::new_borrow;
    let makes: [(&str, usize, Make); 5] = [
        ("a chain", 20_000, |host, x| {
            let next = host.neg(Handle::new_borrow(x)).expect("it fits").rep();
            host.drop(Handle::new_own(x)).expect("it is held");
            next
        }),
        ("concats", 2000, |host, x| {
            host.concat((0..64).map(|_| Handle::new_borrow(x)).collect(), 0).expect("it fits");
            x
        }),
        ("pads", 2000, |host, x| {
            host.pad(Handle::new_borrow(x), vec![0; 8], vec![0; 8], 0.0).expect("it fits");
            x
        }),
        ("slices", 2000, |host, x| {
            host.slice(Handle::new_borrow(x), vec![0; 8], vec![0; 8], vec![1; 8]).expect("it fits");
            x
        }),
        ("commits", 200, |host, x| {
            host.commit((0..50).map(|_| Handle::new_borrow(x)).collect()).expect("it fits");
            x
        }),
    ];
    for (name, count, make) in makes {
        let mut host = host(Box::new(Reference::new()));
        host.task.limits.handles = 1 << 20;
        host.table.set_max_capacity(1 << 20);
        let mut x = host.full(wit::Dtype::F32, vec![0; 8], 0.0).expect("it fits").rep();
        let shape = host.shape(borrow(x)).expect("it is held");
        assert_eq!(shape, [0; 8]);
        let meter = host.graph.meter().clone();
        let (live, counted) = (allocator::live(), meter.bytes_live());
        for _ in 0..count {
            x = make(&mut host, x);
        }
        let (live, counted) = (allocator::live() - live, meter.bytes_live() - counted);
        println!("{name}: {live} bytes, {counted} are counted");
        assert!((live as u64) <= counted, "{name}: {live} bytes, {counted} are counted");
    }
}

/// Whether nothing else runs in this process. Otherwise the test of this name runs again in one of its own.
fn alone(name: &str) -> bool {
    const ALONE: &str = "ANNEAL_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let this = std::env::current_exe().expect("a program knows its own path");
    let again = std::process::Command::new(this).args([name, "--exact"]).env(ALONE, "1").output();
    let again = again.expect("it starts again");
    let said = String::from_utf8_lossy(&again.stdout);
    assert!(again.status.success() && said.contains("1 passed"), "{said}");
    false
}

#[test]
fn every_function_is_called() {
    let mut bytes = Vec::new();
    for function in 0..FUNCTIONS {
        bytes.extend([function as u8, 2, 2, 2, 2, 0, 0, 0, 1]);
    }
    let calls = decode(&bytes);
    assert!(calls.iter().map(|call| call.function).eq(0..FUNCTIONS));
    play(&calls).expect("all of it holds");
}
