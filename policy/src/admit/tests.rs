//! Offers that are taken, and every reason why one is not.

use super::*;

fn offer() -> Offer {
    Offer {
        device: "GPU 0".to_owned(),
        developer: DeveloperKey([1; 32]),
        component: Digest::from_bytes([2; 32]),
        price: GasPrice(1000),
        expected_s: 1800.0,
        gpu_memory: ByteCount(4 << 30),
        ram: ByteCount(2 << 30),
        disk: ByteCount(1 << 30),
    }
}

fn refusals(text: &str, offer: &Offer, occupancy: Occupancy) -> Vec<Refusal> {
    let policy = Policy::parse(text).expect(text);
    let now = "2026-11-23T06:00:00Z".parse().expect("a time");
    admit(&policy, offer, &occupancy, now).err().unwrap_or_default()
}

fn check(text: &str, expected: &str) {
    let found: Vec<String> =
        refusals(text, &offer(), Occupancy::default()).iter().map(Refusal::to_string).collect();
    assert_eq!(found.join("; "), expected, "{text}");
}

fn key(byte: &str) -> String {
    byte.repeat(32)
}

#[test]
fn an_offer_within_all_limits_is_taken() {
    check("", "");
    check("[jobs]\nminimum-price = 1000\nlongest-task-minutes = 30", "");
    check(&format!("[jobs]\nallowed-developers = [\"{}\"]", key("01")), "");
    check(&format!("[jobs]\ndenied-developers = [\"{}\"]", key("09")), "");
    check("[shares]\ngpu-memory = \"4 GiB\"\nram = \"2 GiB\"\ndisk = \"1 GiB\"", "");
    check("[time]\nzone = \"UTC\"\nwindows = [\"until 06:30\"]", "");
}

#[test]
fn every_limit_refuses_with_its_key() {
    check(
        "[jobs]\nminimum-price = 1001",
        "it pays 1000 piconero for a billion gas; the least is 1001 (`jobs.minimum-price`)",
    );
    check(
        "[jobs]\nlongest-task-minutes = 29",
        "it would take 30 min; the longest is 29 min (`jobs.longest-task-minutes`)",
    );
    check(
        &format!("[jobs]\ndenied-developers = [\"{}\"]", key("01")),
        "its developer is in `jobs.denied-developers`",
    );
    check(
        &format!("[jobs]\nallowed-developers = [\"{}\"]", key("09")),
        "its developer is not in `jobs.allowed-developers`",
    );
    check(
        &format!("[jobs]\ndenied-components = [\"{}\"]", key("02")),
        "its component is in `jobs.denied-components`",
    );
    check(
        &format!("[jobs]\nallowed-components = [\"{}\"]", key("09")),
        "its component is not in `jobs.allowed-components`",
    );
    check("[devices]\n\"GPU 0\" = false", "the device \"GPU 0\" is off (`[devices]`)");
    check(
        "[shares]\nram = \"1 GiB\"",
        "it needs 2 GiB of main memory, and 1 GiB are left of its share (`shares.ram`)",
    );
    check(
        "[time]\nzone = \"UTC\"\nwindows = [\"until 06:29\"]",
        "it would not end before Mon 2026-11-23 06:29, when your hours end (`time`)",
    );
    check("[time]\nzone = \"UTC\"\nwindows = [\"until 05:00\"]", "your hours are over (`time`)");
}

#[test]
fn all_reasons_are_named_at_once() {
    let text = "[jobs]\nminimum-price = 5000\nlongest-task-minutes = 5\n[shares]\ndisk = \"1 MiB\"";
    assert_eq!(refusals(text, &offer(), Occupancy::default()).len(), 3);
}

#[test]
fn denying_wins_over_allowing() {
    let one = key("01");
    let text = format!("[jobs]\nallowed-developers = [\"{one}\"]\ndenied-developers = [\"{one}\"]");
    assert_eq!(refusals(&text, &offer(), Occupancy::default()), [Refusal::DeveloperDenied]);
}

#[test]
fn what_is_taken_already_counts() {
    let taken = Occupancy { tasks: 1, gpu_memory: ByteCount(5 << 30), ..Occupancy::default() };
    let found = refusals("[shares]\ngpu-memory = \"8 GiB\"", &offer(), taken);
    assert_eq!(found[0], Refusal::TooManyTasks { running: 1 });
    assert!(matches!(found[1], Refusal::ShareTooSmall { left: ByteCount(left), .. } if left == 3 << 30));
    assert_eq!(refusals("[shares]\nconcurrent-tasks = 2", &offer(), taken), []);
    // More taken than there is: nothing is left, and nothing underflows.
    let all = Occupancy { gpu_memory: ByteCount(u64::MAX), ..Occupancy::default() };
    assert_eq!(refusals("[shares]\ngpu-memory = \"8 GiB\"", &offer(), all).len(), 1);
}

#[test]
fn a_share_of_the_duty_makes_it_longer() {
    let text = "[jobs]\nlongest-task-minutes = 59\n[shares]\nduty = 0.5";
    assert_eq!(
        refusals(text, &offer(), Occupancy::default()),
        [Refusal::TooLong { expected_s: 3600.0, longest_s: 3540.0 }]
    );
}

#[test]
fn a_length_that_is_none_is_refused() {
    for expected_s in [f64::NAN, f64::INFINITY, -1.0] {
        let offer = Offer { expected_s, ..offer() };
        assert_eq!(refusals("", &offer, Occupancy::default()), [Refusal::LengthUnknown], "{expected_s}");
    }
}
