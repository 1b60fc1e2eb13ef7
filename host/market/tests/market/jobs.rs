//! The rules about jobs, leases, matching, prices and credits, one by one.

use std::collections::{BTreeMap, BTreeSet};

use anneal_job::{
    Credits, Digest, FaultCode, HostFault, ParameterValue, PlanSpec, Price, Redundancy, Span, Versions,
};
use anneal_market::{
    Account, Command, DeviceId, DeviceOffer, Effect, EventKind, GiveBackReason, JobRequirements, JobSpec,
    Key, NothingHint, Parameters, PauseReason, Rejection, Reply, view::magnitude,
};

use crate::desk::{DEVELOPER, Desk, VERSIONS, honest, offer, provider, quiet, receipt, spec, strict};

const TWO: Redundancy = Redundancy::Fixed(2);
const ONE: Redundancy = Redundancy::Fixed(1);

fn train(segments: u32, workers: u32) -> PlanSpec {
    PlanSpec::Train { segments, workers }
}

fn host_fault() -> HostFault {
    HostFault { code: FaultCode::DeviceLost, message: "the GPU is gone".to_owned() }
}

#[test]
fn one_address_is_a_preference_and_no_more() {
    let mut desk = Desk::new(quiet(), 0);
    let payout = Some(Digest::of(b"one address"));
    desk.join(0, payout);
    desk.join(1, payout);
    desk.join(2, None);
    desk.list(&[0, 1, 2]);
    desk.submit(spec(PlanSpec::Single, TWO));
    desk.lease(0);
    assert_eq!(desk.ask(0), Err(NothingHint::NoneFits), "a key gets a task once");
    assert_eq!(desk.ask(1), Err(NothingHint::NoneFits), "somebody unrelated may come");
    desk.wait(61);
    desk.lease(1);
    desk.check_log();
}

#[test]
fn a_speed_is_what_long_tasks_took() {
    let mut desk = Desk::new(quiet(), 1);
    let speed = |desk: &Desk| {
        let known = desk.market.provider(&provider(0)).expect("it is enrolled");
        known.devices[&DeviceId(0)].speed_gas_per_second
    };
    let gas = |desk: &mut Desk, seconds: u64| {
        // Another job each time: the same one would be answered from the cache.
        desk.submit(JobSpec { seed: seconds, ..spec(PlanSpec::Single, ONE) });
        let lease = desk.lease(0);
        desk.wait(seconds);
        let said = honest(&lease, None);
        desk.commit(0, &lease, &said);
        desk.reveal(0, &lease, &said).expect("it was committed to");
        desk.store(&lease, &said);
        receipt(0, &lease, &said).outcome.gas()
    };
    gas(&mut desk, 19);
    assert_eq!(speed(&desk), 0, "of a task that was mostly begun and ended");
    let first = gas(&mut desk, 40) / 40;
    assert_eq!(speed(&desk), first, "what it says of itself counts for nothing");
    let second = gas(&mut desk, 80) / 80;
    assert_eq!(speed(&desk), (first * 3 + second) / 4);
    desk.check_log();
}

/// A job with this requirement goes to a device that meets it, and to no other.
fn check_match(job: impl Fn(&mut JobSpec), device: impl Fn(&mut DeviceOffer)) {
    let mut desk = Desk::new(quiet(), 1);
    let mut wanted = spec(PlanSpec::Single, ONE);
    job(&mut wanted);
    desk.submit(wanted);
    assert!(desk.ask(0).is_err(), "it does not fit yet");
    let mut better = offer();
    device(&mut better);
    desk.ok(Command::RegisterDevice { provider: provider(0), device: DeviceId(0), offer: better });
    desk.lease(0);
}

#[test]
fn devices_meet_requirements() {
    let needs =
        |requirements: JobRequirements| move |job: &mut JobSpec| job.requirements = requirements.clone();
    let memory = JobRequirements { memory_bytes: 16 << 30, ..Default::default() };
    check_match(needs(memory), |device| device.memory_bytes = 16 << 30);
    let feature = BTreeSet::from(["f16".to_owned()]);
    let features = JobRequirements { features: feature.clone(), ..Default::default() };
    check_match(needs(features), |device| device.features = feature.clone());
    let speed = JobRequirements { speed_gas_per_second: 2_000_000_000, ..Default::default() };
    check_match(needs(speed), |device| device.speed_gas_per_second = 2_000_000_000);
    let newer = Versions { numerics: 2, ..VERSIONS };
    check_match(|job| job.versions = newer, |device| device.selftest = Some(newer));
}

#[test]
fn caps_lists_and_software_are_heeded() {
    let mut desk = Desk::new(quiet(), 2);
    desk.submit(JobSpec { price_cap: Price(999), ..spec(PlanSpec::Single, ONE) });
    assert_eq!(desk.ask(0), Err(NothingHint::NoneFits), "the class's price is 1000");
    desk.submit(JobSpec { allow: BTreeSet::from([provider(1)]), ..spec(PlanSpec::Single, ONE) });
    assert_eq!(desk.ask(0), Err(NothingHint::NoneFits));
    desk.lease(1);
    let software = DeviceOffer { software: true, ..offer() };
    desk.ok(Command::RegisterDevice { provider: provider(0), device: DeviceId(0), offer: software });
    desk.submit(spec(PlanSpec::Single, ONE));
    assert_eq!(desk.ask(0), Err(NothingHint::NoneFits), "software takes test jobs only");
    desk.submit(JobSpec { test: true, ..spec(PlanSpec::Single, ONE) });
    desk.lease(0);
    let ask = Command::AskLease { provider: provider(1), device: DeviceId(0), price_floor: Price(1001) };
    let reply = desk.ok(ask);
    assert!(matches!(reply, Reply::Nothing { hint: NothingHint::PriceBelowFloor, .. }), "{reply:?}");
}

#[test]
fn work_without_stake_is_capped() {
    let value = 100_000;
    let rules = Parameters { unreleased_allowance: Credits(value + 1), unreleased_leverage: 2, ..quiet() };
    let mut desk = Desk::new(rules, 1);
    desk.list(&[]);
    // Its developer vouches for it, so it need not shadow anybody first.
    let allow = BTreeSet::from([provider(0)]);
    desk.submit(JobSpec { allow, ..spec(PlanSpec::Map { over: values(3) }, ONE) });
    desk.lease(0);
    assert_eq!(desk.ask(0), Err(NothingHint::StakeCap));
    let operator = desk.market.provider(&provider(0)).expect("enrolled").operator;
    desk.ok(Command::SetFunds { account: Account::Stake { operator }, credits: Credits(value) });
    desk.lease(0);
    assert_eq!(desk.ask(0), Err(NothingHint::DeviceBusy));
}

fn values(count: i64) -> BTreeMap<String, Vec<ParameterValue>> {
    BTreeMap::from([("a".to_owned(), (0..count).map(ParameterValue::Integer).collect())])
}

#[test]
fn a_quote_is_a_cap() {
    let mut desk = Desk::new(quiet(), 2);
    let before = desk.available();
    let job = spec(PlanSpec::Single, TWO);
    let quote = desk.market.quote(&job).expect("a job");
    // 100 Ggas at a cap of 2000, two replicas and two more for stragglers.
    assert_eq!((quote.replicas, quote.replicas_max, quote.cap), (2, 4, Credits(800_000)));
    desk.submit(job.clone());
    assert_eq!(desk.available(), before - 800_000);
    let leases = desk.finish(&[0, 1]);
    let gas = honest(&leases[0], None).0.gas();
    assert_eq!(desk.available(), before - 2 * gas * 1000 / 1_000_000_000);
    let account = Account::Available { owner: DEVELOPER };
    desk.ok(Command::SetFunds { account, credits: Credits(799_999) });
    let submit = Command::Submit { developer: DEVELOPER, nonce: 99, spec: Box::new(job) };
    let (needed, available) = (Credits(800_000), Credits(799_999));
    assert_eq!(desk.apply(submit), Err(Rejection::InsufficientFunds { needed, available }));
}

#[test]
fn a_withdrawn_device_gives_its_leases_to_others() {
    let mut desk = Desk::new(quiet(), 3);
    desk.submit(spec(PlanSpec::Single, TWO));
    let first = desk.lease(0);
    desk.lease(1);
    assert_eq!(desk.ask(2), Err(NothingHint::NoTasks));
    let withdraw = Command::WithdrawDevice { provider: provider(0), device: DeviceId(0) };
    desk.ok(withdraw.clone());
    assert_eq!(desk.apply(withdraw), Err(Rejection::UnknownDevice { device: 0 }));
    // Nobody waits for its deadline, and what it had done until then counts no more.
    assert_eq!(desk.lease(2).task_id, first.task_id);
    let commit =
        Command::Commit { provider: provider(0), attempt: first.attempt, commitment: Digest::of(b"late") };
    assert_eq!(desk.apply(commit), Err(Rejection::LeaseEnded));
    let floor = Command::AskLease { provider: provider(0), device: DeviceId(0), price_floor: Price(0) };
    assert_eq!(desk.apply(floor), Err(Rejection::UnknownDevice { device: 0 }));
}

#[test]
fn a_cancelled_job_pays_what_runs_and_refunds_the_rest() {
    let mut desk = Desk::new(quiet(), 3);
    let before = desk.available();
    let job = desk.submit(spec(PlanSpec::Map { over: values(5) }, TWO));
    let (first, second) = (desk.lease(0), desk.lease(1));
    desk.ok(Command::Cancel { developer: DEVELOPER, job });
    assert_eq!(desk.ask(2), Err(NothingHint::NoTasks));
    let said = honest(&first, None);
    desk.commit(0, &first, &said);
    if first.task_id == second.task_id {
        desk.commit(1, &second, &said);
        desk.reveal(1, &second, &said).expect("asked");
    } else {
        let (provider, attempt) = (provider(1), second.attempt);
        desk.ok(Command::GiveBack { provider, attempt, reason: GiveBackReason::Policy });
    }
    desk.reveal(0, &first, &said).expect("asked");
    // Alone, it is judged by a replay.
    while !desk.orders.is_empty() {
        desk.replay(None);
    }
    assert!(desk.market.job(&job).is_none());
    let paid = desk.paid().len() as u64;
    assert!(paid >= 1);
    assert_eq!(desk.available(), before - (paid * said.0.gas() * 1000) / 1_000_000_000);
    desk.check_log();
}

#[test]
fn two_operators_faults_pause_the_job() {
    let mut desk = Desk::new(quiet(), 3);
    let job = desk.submit(spec(PlanSpec::Single, TWO));
    for number in 0..2 {
        let lease = desk.lease(number);
        let (provider, attempt) = (provider(number), lease.attempt);
        desk.ok(Command::HostFault { provider, attempt, fault: host_fault() });
    }
    assert_eq!(desk.ask(2), Err(NothingHint::NoTasks));
    let told = desk.effects.iter().any(|effect| {
        matches!(effect, Effect::TellDeveloper { message, .. } if message.contains("the GPU is gone"))
    });
    assert!(told);
    let failures =
        |number| desk.market.provider(&provider(number)).expect("enrolled").reputation.failures_in_a_row;
    assert_eq!((failures(0), failures(1)), (0, 0), "the job is to blame");
    desk.ok(Command::ResumeJob { developer: DEVELOPER, job });
    desk.lease(2);
}

#[test]
fn five_failures_pause_a_provider() {
    let mut desk = Desk::new(quiet(), 2);
    let mut waited = Vec::new();
    for number in 0..5 {
        desk.submit(spec(PlanSpec::Single, TWO));
        while desk.ask(1).is_ok() {}
        let lease = loop {
            match desk.ask(0) {
                Ok(lease) => break lease,
                Err(hint) => {
                    assert_eq!(hint, NothingHint::Backoff, "lease {number}");
                    desk.wait(5);
                }
            }
        };
        let (id, attempt) = (provider(0), lease.attempt);
        desk.ok(Command::HostFault { provider: id, attempt, fault: host_fault() });
        let until = desk.market.provider(&id).expect("enrolled").backoff_until;
        waited.push(until.0 - desk.now);
    }
    assert_eq!(waited, [10_000, 20_000, 40_000, 80_000, 160_000]);
    let pause = desk.market.provider(&provider(0)).expect("enrolled").pause.expect("it is paused");
    assert_eq!(pause.reason, PauseReason::Failures { in_a_row: 5 });
    let ask = Command::AskLease { provider: provider(0), device: DeviceId(0), price_floor: Price(1) };
    assert_eq!(desk.apply(ask).expect_err("paused").code(), "provider-paused");
    let resume = Command::ResumeProvider { provider: provider(0) };
    assert_eq!(desk.apply(resume.clone()).expect_err("too early").code(), "backoff");
    desk.wait(200);
    desk.ok(resume);
    assert!(desk.market.provider(&provider(0)).expect("enrolled").pause.is_none());
}

#[test]
fn a_forgotten_lease_is_taken_back() {
    let mut desk = Desk::new(quiet(), 2);
    desk.submit(spec(PlanSpec::Single, ONE));
    let lease = desk.lease(0);
    desk.wait(60);
    desk.heartbeat(0, &[]);
    desk.wait(31);
    desk.heartbeat(0, &[]);
    let closed = |event: &EventKind| matches!(event, EventKind::AttemptClosed { attempt, .. } if *attempt == lease.attempt);
    assert_eq!(desk.count(closed), 1);
    desk.lease(1);
}

#[test]
fn the_cache_serves_its_owner_until_a_fault() {
    let mut desk = Desk::new(strict(), 4);
    let job = || spec(PlanSpec::Single, TWO);
    desk.submit(job());
    desk.finish(&[0, 1]);
    desk.replay(None);
    let again = desk.submit(job());
    assert!(desk.market.job(&again).is_none(), "it has ended at once");
    assert_eq!(desk.paid().len(), 2);
    // More evidence than was there: replayed evidence is enough for any redundancy.
    let more = desk.submit(spec(PlanSpec::Single, Redundancy::Fixed(3)));
    assert!(desk.market.job(&more).is_none());
    desk.check_log();

    let mut desk = Desk::new(quiet(), 4);
    desk.submit(job());
    desk.finish(&[0, 1]);
    let more = desk.submit(spec(PlanSpec::Single, Redundancy::Fixed(3)));
    assert!(desk.market.job(&more).is_some(), "two are no evidence for three");
    let other = JobSpec { seed: 8, ..job() };
    desk.ok(Command::Cancel { developer: DEVELOPER, job: more });
    desk.submit(other);
    let (first, second) = (desk.lease(0), desk.lease(2));
    desk.commit(0, &first, &honest(&first, Some(1)));
    desk.commit(2, &second, &honest(&second, None));
    desk.reveal(0, &first, &honest(&first, Some(1))).expect("asked");
    desk.reveal(2, &second, &honest(&second, None)).expect("asked");
    desk.replay(None);
    let revoked = desk.submit(job());
    assert!(desk.market.job(&revoked).is_some(), "one of its operators was at fault since");
}

#[test]
fn adaptive_jobs_need_one_attempt_of_who_is_trusted() {
    let rules = Parameters { replicate_floor_millionths: 0, adaptive_streak: 3, ..quiet() };
    let mut desk = Desk::new(rules, 2);
    for seed in 0..3 {
        desk.submit(JobSpec { seed, ..spec(PlanSpec::Single, Redundancy::Adaptive) });
        desk.finish(&[0, 1]);
    }
    let mut alone = 0;
    for seed in 10..40 {
        desk.submit(JobSpec { seed, ..spec(PlanSpec::Single, Redundancy::Adaptive) });
        let lease = desk.lease(0);
        desk.now += 60_000;
        let said = honest(&lease, None);
        desk.commit(0, &lease, &said);
        match desk.reveal(0, &lease, &said) {
            Ok(_) => {
                alone += 1;
                desk.store(&lease, &said);
            }
            Err(rejection) => {
                assert_eq!(rejection, Rejection::RevealTooEarly);
                let second = desk.lease(1);
                desk.commit(1, &second, &said);
                desk.reveal(0, &lease, &said).expect("asked");
                desk.reveal(1, &second, &said).expect("asked");
                desk.store(&lease, &said);
            }
        }
    }
    assert!((20..30).contains(&alone), "{alone} of 30 were enough alone, by 1 in n");
    desk.check_log();
}

#[test]
fn tiny_tasks_earn_no_trust_for_big_ones() {
    assert_ne!(magnitude(5_000_000), magnitude(50_000_000_000));
    let rules = Parameters { replicate_floor_millionths: 0, adaptive_streak: 3, ..quiet() };
    let mut desk = Desk::new(rules, 2);
    for seed in 0..6 {
        let mut tiny = JobSpec { seed, ..spec(PlanSpec::Single, TWO) };
        tiny.limits.gas = 10_000_000;
        desk.submit(tiny);
        desk.finish(&[0, 1]);
    }
    for seed in 10..20 {
        let job = desk.submit(JobSpec { seed, ..spec(PlanSpec::Single, Redundancy::Adaptive) });
        desk.lease(0);
        let needed = desk.market.tasks(&job).next().map(|task| task.needed);
        assert_eq!(needed, Some(2));
        desk.lease(1);
        // Both devices may hold two leases; free them again.
        desk.ok(Command::Cancel { developer: DEVELOPER, job });
        desk.wait(20_000);
        desk.wait(20_000);
        for number in 0..2 {
            desk.apply(Command::ResumeProvider { provider: provider(number) }).expect("it may go on");
        }
    }
}

#[test]
fn a_long_plan_is_never_unrolled() {
    let mut desk = Desk::new(quiet(), 2);
    let mut long = spec(train(100_000, 64), ONE);
    long.limits.gas = 1_000_000_000;
    let job = desk.submit(long);
    assert_eq!(desk.market.tasks(&job).count(), 1);
    desk.finish(&[0]);
    assert_eq!(desk.market.tasks(&job).count(), 64, "a round's workers");
    for _ in 0..400 {
        desk.finish(&[0]);
    }
    let known = desk.market.job(&job).expect("it runs");
    assert!(known.states.len() <= 130 && known.checkpoints.len() <= 3, "{} states", known.states.len());
    let row = desk.market.row(&Key::Job(job)).expect("it runs");
    assert!(row.len() < 64 * 1024, "its row has {} bytes", row.len());
    let wide = desk.submit(spec(PlanSpec::Map { over: values(10_000) }, ONE));
    assert_eq!(desk.market.tasks(&wide).count(), 256);
}

#[test]
fn earnings_are_held_and_released() {
    let mut desk = Desk::new(quiet(), 2);
    desk.submit(spec(PlanSpec::Single, TWO));
    desk.finish(&[0, 1]);
    let account = |desk: &Desk| {
        let known = desk.market.provider(&provider(0)).expect("enrolled");
        (known.held.0 > 0, known.payable.0 > 0)
    };
    assert_eq!(account(&desk), (true, false));
    desk.wait(23 * 3600);
    assert_eq!(account(&desk), (true, false));
    desk.wait(2 * 3600);
    assert_eq!(account(&desk), (false, true));
}

#[test]
fn prices_follow_demand() {
    let rules = Parameters::default();
    let next = |price, demand, supply| rules.next_price(Price(price), demand, supply).0;
    assert_eq!(next(1000, 5, 5), 1000);
    assert_eq!(next(1000, 10, 0), 1050);
    assert_eq!(next(1000, 0, 10), 950);
    assert_eq!(next(1000, 3, 1), 1025);
    assert_eq!((next(10, 0, 1), next(1_000_000, 1, 0)), (10, 1_000_000));
    assert_eq!(next(11, 1_000, 999), 12, "a small difference moves a small price, too");

    let mut desk = Desk::new(quiet(), 3);
    desk.submit(spec(PlanSpec::Map { over: values(50) }, TWO));
    for _ in 0..10 {
        desk.wait(60);
    }
    let price = desk.market.classes().next().expect("a class").price;
    assert!(price > Price(1500) && price <= Price(2100), "no cap is passed by more than a step: {price}");
}

#[test]
fn jobs_that_are_none_are_refused() {
    let mut desk = Desk::new(quiet(), 1);
    let mut check = |code: &str, job: JobSpec| {
        let submit = Command::Submit { developer: DEVELOPER, nonce: 1, spec: Box::new(job) };
        assert_eq!(desk.apply(submit).expect_err(code).code(), code);
    };
    let good = || spec(PlanSpec::Single, TWO);
    check("too-many", JobSpec { plan: train(100_001, 1), ..good() });
    check("too-many", JobSpec { plan: train(1, 65), ..good() });
    check("too-many", JobSpec { plan: PlanSpec::Map { over: values(10_001) }, ..good() });
    check("bad-spec", JobSpec { plan: train(0, 1), ..good() });
    check("bad-spec", JobSpec { plan: PlanSpec::Map { over: BTreeMap::new() }, ..good() });
    check("bad-spec", JobSpec { inputs: BTreeMap::from([("x".to_owned(), Digest::of(b"x"))]), ..good() });
    check("bad-spec", JobSpec { redundancy: Redundancy::Fixed(9), ..good() });
    let number = |value| BTreeMap::from([("x".to_owned(), ParameterValue::Number(value))]);
    check("bad-spec", JobSpec { parameters: number(f64::NAN), ..good() });
    let text = |text: String| BTreeMap::from([("x".to_owned(), ParameterValue::Text(text))]);
    check("too-many", JobSpec { parameters: text("x".repeat(5000)), ..good() });
    let over = |from: usize, count: usize, value: ParameterValue| PlanSpec::Map {
        over: (from..from + count).map(|n| (format!("p{n}"), vec![value.clone()])).collect(),
    };
    let one = || ParameterValue::Integer(1);
    let fixed: BTreeMap<String, ParameterValue> = (0..255).map(|n| (format!("p{n}"), one())).collect();
    check("too-many", JobSpec { plan: over(0, 257, one()), ..good() });
    check("too-many", JobSpec { plan: over(255, 2, one()), parameters: fixed, ..good() });
    let long = ParameterValue::Text("x".repeat(4096));
    check("too-many", JobSpec { plan: over(0, 256, long), ..good() });
    check("too-many", JobSpec { plan: over(0, 1, ParameterValue::Text("x".repeat(4097))), ..good() });
    check("bad-spec", JobSpec { plan: over(0, 1, ParameterValue::Number(f64::INFINITY)), ..good() });
    check("price-cap-too-low", JobSpec { price_cap: Price(9), ..good() });
    let mut greedy = JobSpec { price_cap: Price(u64::MAX), ..good() };
    greedy.limits.gas = u64::MAX;
    check("amount-overflow", greedy);
    let hour = Parameters::default().hold;
    assert_eq!(hour, Span::hours(24));
}
