//! Shares of the machine: what a task may have of it, seen from outside while a job runs to its digest.

use super::*;

use anneal_tests::{nvml::NvmlStandIn, process::workers_of};

use super::readings::{DRIVER, scene};

#[test]
fn a_share_of_time_and_of_threads_is_kept_and_the_digest_stays() {
    let machine = MachineStandIn::new(CALM);
    let cache = anneal_tests::scratch();
    // A cache of its own, so that the component is compiled here.
    let mut scene = Scene::with_threads("cpu", 4, &machine).with([("ANNEAL_CACHE", cache.path())]);
    let job = scene.submit();
    scene.provide(&format!("[shares]\ncpu-threads = 1\nduty = 0.2\n{FREE}"));
    assert!(
        scene.site.said(&scene.log()).contains("cpu (1 thread) passes"),
        "{}",
        scene.site.said(&scene.log())
    );
    let provider = scene.provider.as_ref().expect("it was begun").0.id();
    let (mut seen, mut duty_max) = (BTreeSet::new(), 0.0_f64);
    wait_for("the job's end", || {
        for (kind, process) in workers_of(provider) {
            if let Some(threads) = threads_allowed(process) {
                assert_eq!(threads, 1, "{kind} may use {threads} threads");
                seen.insert(kind);
            }
        }
        duty_max = duty_max.max(scene.device()["limits"]["duty"].as_f64().unwrap_or_default());
        scene.end(&job)
    });
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["__compile", "__worker"]);
    assert!((0.1..=0.2).contains(&duty_max), "it was busy for {duty_max} of its time");
    scene.sees("all of its share", |device| device["limits"]["duty"] == 0.2);
    scene.ends(&job, "shares");
}

/// Threads of the processor that a process may use, unless it has ended.
fn threads_allowed(process: u32) -> Option<usize> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?.trim();
    let count = |part: &str| match part.split_once('-') {
        Some((first, last)) => Some(last.parse::<usize>().ok()? - first.parse::<usize>().ok()? + 1),
        None => Some(1),
    };
    list.split(',').map(count).sum()
}

#[test]
fn what_travels_keeps_to_the_bandwidth_and_the_digest_stays() {
    const A_SECOND: u64 = 12 << 10;
    let machine = MachineStandIn::new(CALM);
    let mut scene = Scene::new("cpu", &machine);
    let job = scene.submit();
    let component = fs::metadata(anneal_tests::component("examples/hello")).expect("it was built").len();
    let began = Instant::now();
    scene.provide(&format!("[shares]\nbandwidth = {A_SECOND}\n{FREE}"));
    // Training begins from a state that travels after the component, so not before that
    // is paid for.
    let leased = |entry: &str| scene.site.said(&scene.log()).matches(&format!("leased {entry}")).count();
    wait_for("training", || (leased("train") > 0).then_some(()));
    let (took, least) = (began.elapsed(), Duration::from_secs(component / A_SECOND));
    assert!(took >= least, "{component} bytes and more in {took:?}, not {least:?}");
    scene.ends(&job, "a narrow line");
    // Nobody took the lease away meanwhile, though it took longer than a provider may be silent.
    assert_eq!((leased("init"), leased("train")), (1, 1), "{}", scene.site.said(&scene.log()));
}

#[test]
fn a_gpu_s_memory_is_shared_and_the_digest_stays() {
    let machine = MachineStandIn::new(CALM);
    let driver = NvmlStandIn::new(DRIVER);
    let mut scene = scene(&machine, &driver);
    let job = scene.submit();
    scene.texts(&job, &[("`shares.gpu-memory`", "[shares]\ngpu-memory = \"1 MiB\"\n".to_owned())]);
    scene.provide(&format!("[shares]\ngpu-memory = \"2 GiB\"\n{FREE}"));
    scene.ends(&job, "a share that is large enough");
}

#[test]
fn two_devices_take_turns_where_one_task_at_once_is_allowed() {
    let machine = MachineStandIn::new(CALM);
    let mut scene = Scene::new("all", &machine);
    let busy = |scene: &Scene| {
        let devices = scene.devices();
        let devices = devices.as_object().expect("devices");
        assert!(devices.len() >= 2, "{devices:?}");
        devices.values().filter(|device| !device["work"].is_null()).count()
    };
    scene.provide(&format!("[shares]\nconcurrent-tasks = 1\n{FREE}"));
    let jobs = [scene.submit(), scene.submit()];
    wait_for("the jobs' end", || {
        assert!(busy(&scene) <= 1, "{}", scene.devices());
        jobs.iter().all(|job| scene.end(job).is_some()).then_some(())
    });
    jobs.iter().for_each(|job| scene.ends(job, "one at once"));

    scene.provide(&format!("[shares]\nconcurrent-tasks = 2\n{FREE}"));
    let jobs = [scene.submit(), scene.submit(), scene.submit(), scene.submit()];
    wait_for("two at once", || (busy(&scene) == 2).then_some(()));
    jobs.iter().for_each(|job| scene.ends(job, "two at once"));
}
