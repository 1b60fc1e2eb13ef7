//! Each rule by itself: what it says to a machine that ran, in which sentence, and that it also lets run.

use super::*;

/// A machine that ran calmly meets `change`: what is decided at that very reading, and why.
fn check(text: &str, change: impl FnOnce(&mut Readings), expected: &str, sentence: &str) {
    let mut running = Running::warm(text, &calm());
    assert!(running.step(&calm()).decision.runs(), "before the change:\n{text}");
    let mut readings = calm();
    change(&mut readings);
    let decided = running.step(&readings);
    let reason = decided.reasons.first().map(ToString::to_string).unwrap_or_default();
    assert_eq!((kind(decided.decision), reason.as_str()), (expected, sentence), "{text}");
    for reason in &decided.reasons {
        assert!(reason.remedy().len() > 10, "{reason} says what would have to change");
    }
}

#[test]
fn heat_stops_at_its_limit_and_not_below() {
    let hot = |sensor: fn(&mut Readings) -> &mut Sensor<Celsius>, celsius: f64| {
        move |readings: &mut Readings| *sensor(readings) = Sensor::Value(Celsius(celsius))
    };
    let gpu: fn(&mut Readings) -> &mut Sensor<Celsius> = |readings| &mut readings.gpu;
    check("", hot(gpu, 81.9), "run", "");
    check("", hot(gpu, 82.0), "pause", "the GPU's temperature is at 82 °C, and its limit is 82 °C");
    check("[temperature.gpu]\nlimit = 90", hot(gpu, 89.0), "run", "");
    check(
        "",
        hot(|r| &mut r.hot_spot, 97.5),
        "pause",
        "the GPU's hot spot is at 97.5 °C, and its limit is 97 °C",
    );
    check(
        "",
        hot(|r| &mut r.gpu_memory, 96.0),
        "pause",
        "the GPU memory's temperature is at 96 °C, and its limit is 96 °C",
    );
    check(
        "",
        hot(|r| &mut r.cpu, 99.0),
        "pause",
        "the processor's temperature is at 99 °C, and its limit is 90 °C",
    );
}

#[test]
fn fan_and_power_stop_at_their_limits() {
    let fan = |percent| move |r: &mut Readings| r.fan = Sensor::Value(Percent(percent));
    check("[fan]\nlimit-percent = 45", fan(44.0), "run", "");
    check("[fan]\nlimit-percent = 45", fan(45.0), "pause", "the GPU's fan is at 45 %, and its limit is 45 %");
    check("", fan(100.0), "run", "");
    let watts = |watts| move |r: &mut Readings| r.gpu_watts = Sensor::Value(Watts(watts));
    check("[power]\nwatts = 250", watts(249.0), "run", "");
    check(
        "[power]\nwatts = 250",
        watts(250.5),
        "pause",
        "the GPU's power is at 250.5 W, and its limit is 250 W",
    );
}

#[test]
fn what_a_sensor_cannot_say_is_not_believed() {
    for (celsius, shown) in [(0.0, "0 °C"), (255.0, "255 °C"), (-40.0, "-40 °C"), (f64::NAN, "NaN °C")] {
        check(
            "",
            |readings| readings.gpu = Sensor::Value(Celsius(celsius)),
            "pause",
            &format!("the GPU's temperature reads {shown}, which cannot be"),
        );
    }
    check("", |r| r.gpu = Sensor::Lost, "pause", "the GPU's temperature can no longer be read");
    // One that was there and is gone without a word is lost, not absent; also where it is not required.
    check("", |r| r.gpu = Sensor::Absent, "pause", "the GPU's temperature can no longer be read");
    check("", |r| r.cpu = Sensor::Absent, "pause", "the processor's temperature can no longer be read");
    check(
        "[power]\nkwh-per-day = 5",
        |r| r.gpu_watts = Sensor::Value(Watts(-1.0)),
        "pause",
        "the GPU's power reads -1 W, which cannot be",
    );
    // A sensor that no rule uses may say what it likes.
    check("", |r| r.fan = Sensor::Lost, "run", "");
}

/// A driver that fails as a whole fails for sensors, too, that its device never had; once it is back nobody waits for
/// those.
#[test]
fn a_sensor_that_never_said_anything_is_not_missed_after_a_failure() {
    let without = |sensor: Sensor<Celsius>| Readings { hot_spot: sensor, ..calm() };
    let mut running = Running::warm("", &without(Sensor::Absent));
    assert!(!running.step(&without(Sensor::Lost)).decision.runs());
    let runs = (0..60).any(|_| running.step(&without(Sensor::Absent)).decision.runs());
    assert!(runs, "it waits for a sensor that this device never had");
}

#[test]
fn the_owner_comes_first() {
    let idle = |seconds| move |r: &mut Readings| r.idle_s = Sensor::Value(seconds);
    check(
        "[owner]\nidle-minutes = 5",
        idle(0.4),
        "pause",
        "you used the machine 1 s ago, and work waits for 5 min without input",
    );
    check("[owner]\nidle-minutes = 5", idle(300.0), "run", "");
    check("", idle(0.0), "run", "");
    let full = |r: &mut Readings| r.fullscreen = Sensor::Value(true);
    check("[owner]\nfullscreen = true", full, "release", "a program covers the screen");
    check("", full, "run", "");
    let blender =
        |r: &mut Readings| r.programs = Sensor::Value(vec!["sh".to_owned(), "Blender.exe".to_owned()]);
    check(
        "[owner]\nprograms = [\"blender\"]",
        blender,
        "release",
        "\"Blender.exe\" runs, and it comes first",
    );
    check("[owner]\nprograms = [\"obs\"]", blender, "run", "");
    let held = |r: &mut Readings| r.memory_by_others = Sensor::Value(ByteCount(3 << 30));
    check(
        "[owner]\ngpu-memory-by-others = \"2 GiB\"",
        held,
        "release",
        "other programs hold 3 GiB of GPU memory, and 2 GiB are left to them",
    );
    check("[owner]\ngpu-memory-by-others = \"4 GiB\"", held, "run", "");
    let used = |r: &mut Readings| r.use_by_others = Sensor::Value(Percent(30.0));
    check(
        "[owner]\ngpu-percent-by-others = 20",
        used,
        "pause",
        "other programs use 30 % of the GPU, and 20 % are left to them",
    );
    check("[owner]\ngpu-percent-by-others = 40", used, "run", "");
}

#[test]
fn scarce_supplies_are_spared() {
    let battery = |r: &mut Readings| r.on_battery = Sensor::Value(true);
    check("", battery, "pause", "the machine runs on its battery");
    check("[owner]\nrun-on-battery = true", battery, "run", "");
    let metered = |r: &mut Readings| r.metered = Sensor::Value(true);
    check("", metered, "pause", "the network is paid by volume");
    check("[owner]\nrun-on-metered-network = true", metered, "run", "");
}

#[test]
fn a_device_that_is_off_is_refused() {
    let running = Running::new("[devices]\n\"GPU 0\" = false").step(&calm());
    assert_eq!(kind(running.decision), "refuse");
    assert_eq!(running.reasons[0].to_string(), "the device \"GPU 0\" is off in your policy");
    assert_eq!(running.reasons[0].remedy(), "`\"GPU 0\" = true` under `[devices]`");
    assert!(Running::new("[devices]\n\"GPU 1\" = false").step(&calm()).decision.runs());
}

#[test]
fn a_sensor_that_is_missing_refuses_or_is_told() {
    let blind =
        Readings { device: "GPU 0".to_owned(), gpu: Sensor::Value(Celsius(45.0)), ..Readings::default() };
    for (text, key) in [
        ("[temperature.hot-spot]\nrequired = true", "temperature.hot-spot"),
        ("[fan]\nlimit-percent = 50", "fan.limit-percent"),
        ("[power]\nwatts = 200", "power"),
        ("[power]\nkwh-per-day = 2", "power"),
        ("[owner]\nidle-minutes = 5", "owner.idle-minutes"),
        ("[owner]\nfullscreen = true", "owner.fullscreen"),
        ("[owner]\nprograms = [\"obs\"]", "owner.programs"),
        ("[owner]\ngpu-memory-by-others = \"1 GiB\"", "owner.gpu-memory-by-others"),
        ("[owner]\ngpu-percent-by-others = 20", "owner.gpu-percent-by-others"),
        ("[owner]\nrun-on-battery = false", "owner.run-on-battery"),
        ("[owner]\nrun-on-metered-network = false", "owner.run-on-metered-network"),
    ] {
        let decided = Running::new(text).step(&blind);
        assert_eq!(kind(decided.decision), "refuse", "{text}");
        let said = decided.reasons[0].to_string();
        assert!(said.starts_with("this machine cannot tell") && said.contains(&format!("`{key}`")), "{said}");
    }
    let decided = Running::new("").step(&blind);
    assert!(decided.decision.runs());
    assert_eq!(decided.notes.len(), 5, "hot spot, memory, processor, battery, network: {:?}", decided.notes);
    let coreless = Readings { gpu: Sensor::Absent, ..blind };
    assert_eq!(kind(Running::new("").step(&coreless).decision), "refuse");
    assert!(Running::new("[temperature.gpu]\nrequired = false").step(&coreless).decision.runs());
}

#[test]
fn the_share_of_the_duty_is_kept() {
    let decided = Running::warm("[shares]\nduty = 0.6", &calm()).step(&calm());
    assert_eq!(decided.decision.duty().fraction(), 0.6);
    assert_eq!(decided.limited_by, Some(crate::Limiter::Share));
    let full = Running::warm("", &calm()).step(&calm());
    assert_eq!((full.decision.duty().fraction(), full.limited_by), (1.0, Some(crate::Limiter::Nothing)));
}

#[test]
fn energy_pays_or_work_stops() {
    let rule = "[earnings]\nxmr-price = 150\nprice-per-kwh = 0.3\nworking-watts = 300\nmargin = 1.2\n";
    // 0.09 an hour is 0.0006 XMR; to begin, 0.0072.
    let earning = |piconero| move |r: &mut Readings| r.earnings_per_hour = Some(Piconero(piconero));
    check(rule, earning(601_000_000), "run", "");
    check(
        rule,
        earning(600_000_000),
        "release",
        "an hour would not earn what its energy costs: earns 0.000600 XMR/h × 150 EUR/XMR = 0.0900 EUR/h; \
         costs 0.3 kW × 0.3 EUR/kWh = 0.0900 EUR/h, times 1.2 to begin = 0.1080 EUR/h",
    );
    check(
        rule,
        |r| r.earnings_per_hour = None,
        "pause",
        "what an hour would earn is not known, so it cannot be compared with its energy",
    );
    let begin = |piconero| {
        let readings = Readings { earnings_per_hour: Some(Piconero(piconero)), ..calm() };
        kind(Running::new(rule).step(&readings).decision)
    };
    assert_eq!((begin(700_000_000), begin(721_000_000)), ("release", "run"));
    // Without a price of XMR the rule is off, and says so.
    let off = Running::new("[earnings]\nprice-per-kwh = 0.3\nworking-watts = 300").step(&calm());
    assert!(off.decision.runs());
    assert!(off.notes.iter().any(|note| note.to_string().contains("`xmr-price`")), "{:?}", off.notes);
}

#[test]
fn a_processor_is_not_asked_for_what_only_a_gpu_has() {
    let policy = Policy::parse(
        "[fan]\nlimit-percent = 50\n[owner]\ngpu-memory-by-others = \"1 GiB\"\ngpu-percent-by-others = 10\n\
         [temperature.cpu]\nrequired = true",
    )
    .expect("a policy");
    let processor = policy.for_processor();
    let readings = Readings { cpu: Sensor::Value(Celsius(50.0)), ..Readings::default() };
    let now = Moment { wall: "2026-11-23T12:00:00Z".parse().expect("a time"), steady_ms: 0 };
    let decided = |policy: &Policy, readings: &Readings| decide(policy, readings, &History::default(), now);
    assert_eq!(kind(decided(&policy, &readings).decision), "refuse");
    assert_eq!(kind(decided(&processor, &readings).decision), "run");
    // Its own rules hold.
    assert_eq!(kind(decided(&processor, &Readings::default()).decision), "refuse");
    let hot = Readings { cpu: Sensor::Value(Celsius(90.0)), ..Readings::default() };
    assert_eq!(kind(decided(&processor, &hot).decision), "pause");
}
