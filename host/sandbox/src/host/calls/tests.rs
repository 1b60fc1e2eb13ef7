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
