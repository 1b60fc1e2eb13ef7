//! A governor changes when work is done and no bit of it: a real training in real workers, throttled, paused and
//! resumed a thousand times, ends with the digests of one that nobody held.

use std::path::PathBuf;

use anneal_cli::{arguments::JobArguments, host::Host, job, terminal::Terminal};
use anneal_job::{Digest, Outcome};
use anneal_runner::{Backend, Job};
use anneal_sandbox::{AttemptRequest, Event, Machine, PaceHandle, PaceReport, StopFlag};
use anneal_tensor::{Duty, Pace};
use anneal_tests::{command, component, scratch};

/// More trainings than the slowest or the fastest machine should need.
const TRAININGS_MAX: u64 = 20;

#[test]
fn a_thousand_changes_of_pace_on_the_cpu_change_no_digest() {
    let (host, job) = digits(&["epochs=30"]);
    let mut machine = host.launcher.worker(&Backend::cpu(Some(2)), None);
    let expected = train(&job, &mut machine, None).0;
    check_changes(&job, &mut machine, &expected, 1000);
}

#[test]
fn changes_of_pace_on_a_gpu_change_no_digest() {
    let (host, job) = digits(&["epochs=3", "hidden=64"]);
    let expected = train(&job, &mut host.launcher.worker(&Backend::cpu(Some(2)), None), None).0;
    let gpu =
        Backend::gpus(&host.launcher).into_iter().next().expect("the tests have a GPU, if only lavapipe");
    check_changes(&job, &mut host.launcher.worker(&gpu, None), &expected, 100);
}

/// Trains as often as it takes until the pace has changed so many times, and compares the digests each time. How many
/// changes one training sees is up to the machine's speed.
fn check_changes(job: &Job, machine: &mut dyn Machine, expected: &[(Digest, u64)], changes: u64) {
    let mut told = Told::default();
    for _ in 0..TRAININGS_MAX {
        let (found, more) = train(job, machine, Some(&mut Whims::new(changes)));
        assert_eq!(found, expected);
        told = Told { changes: told.changes + more.changes, holds: told.holds + more.holds };
        if told.changes >= changes {
            assert!(told.holds >= 1, "the training was never held");
            return;
        }
    }
    panic!("the pace changed {} times in {TRAININGS_MAX} trainings", told.changes);
}

/// What was heard of how a training was held.
#[derive(Default)]
struct Told {
    changes: u64,
    holds: u64,
}

/// An owner of many minds: as soon as a worker says that it goes by the last word, there is another one.
struct Whims {
    pace: PaceHandle,
    state: u64,
    left: u64,
}

impl Whims {
    fn new(changes: u64) -> Whims {
        Whims { pace: PaceHandle::default(), state: 1, left: changes }
    }

    /// Low duties and many pauses while there are changes to come, so that the training outlasts them; never
    /// what it was.
    fn next(&mut self) -> Pace {
        if self.left == 0 {
            return Pace::FULL;
        }
        self.left -= 1;
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let duty = |per_mille| Pace::Run { duty: Duty::of_per_mille(per_mille).expect("in range") };
        match ((self.state >> 33) % 200, self.pace.pace()) {
            (0, now) if now != Pace::FULL => Pace::FULL,
            (whim, now) if whim % 2 == 0 && now != Pace::Pause => Pace::Pause,
            (whim, now) if now == duty(whim as u16 + 1) => duty(whim as u16 + 2),
            (whim, _) => duty(whim as u16 + 1),
        }
    }

    fn hear(&mut self, report: PaceReport) {
        if report.per_mille == self.pace.pace().per_mille() {
            let next = self.next();
            self.pace.set(next);
        }
    }
}

/// Runs the whole plan; the results of its tasks, and their gas.
fn train(job: &Job, machine: &mut dyn Machine, mut whims: Option<&mut Whims>) -> (Vec<(Digest, u64)>, Told) {
    let folder = scratch();
    let (mut results, mut told) = (Vec::new(), Told::default());
    let mut states: Vec<(Digest, PathBuf)> = Vec::new();
    for planned in job.report.plan.unroll() {
        let from = planned.states.iter().map(|&index| states[index].clone());
        let (digests, files): (Vec<Digest>, Vec<PathBuf>) = from.unzip();
        let output = folder.path().join(format!("{}.safetensors", planned.index));
        let task = job.task(&planned, digests);
        let request = job.attempt(task, files, Some(output.clone()), &StopFlag::default());
        let pace = whims.as_ref().map(|whims| whims.pace.clone());
        if let Some(pace) = &pace {
            // A worker that begins with a pause says nothing until it may begin.
            pace.set(Pace::FULL);
        }
        let request = AttemptRequest { pace, ..request };
        let (mut last, mut holds) = (None, 0);
        let outcome = machine.attempt(&request, &mut |event: Event| {
            let Event::Paced(report) = event else { return };
            told.changes += u64::from(last.replace(report.per_mille) != Some(report.per_mille));
            holds = report.holds;
            if let Some(whims) = &mut whims {
                whims.hear(report);
            }
        });
        told.holds += holds;
        match outcome {
            Outcome::Completed(completed) => {
                results.push((completed.result, completed.gas));
                states.push((completed.state, output));
            }
            other => panic!("task {} of {}: {other:?}", planned.index, machine.name()),
        }
    }
    (results, told)
}

/// The digits, ready to run in workers that are the command.
fn digits(parameters: &[&str]) -> (Host, Job) {
    let program = command().get_program().to_owned();
    let mut host = Host::here().expect("tests have a file");
    host.launcher.program = program.into();
    let arguments = JobArguments {
        job: component("examples/digits"),
        manifest: Some(anneal_tests::workspace().join("examples/digits/job.toml")),
        inputs: Vec::new(),
        parameters: parameters.iter().map(|&parameter| parameter.to_owned()).collect(),
        seed: None,
        workers: None,
        segments: None,
    };
    let job = job::load(&arguments, &host, &Terminal::new(true)).unwrap_or_else(|_| panic!("digits load"));
    (host, job)
}
