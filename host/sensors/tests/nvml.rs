//! NVIDIA's GPUs: nvml-wrapper against a library that says what each test writes, and what policy makes of it. This
//! program plays the process that loads the library, too, so it is without libtest.
#![expect(clippy::print_stdout, reason = "a test's program says what it did")]

use std::{process, thread, time::Duration};

use anneal_job::ByteCount;
use anneal_policy::{
    Celsius, Decision, History, Moment, Percent, Policy, Readings, Sensor, SensorName, Watts, decide,
};
use anneal_sensors::{DeviceKind, GpuIdentity, Reading, Screen, SensedDevice, Sensors, SensorsConfig};
use anneal_tests::{machine::MachineStandIn, nvml::NvmlStandIn};

const CALM: &str = "bus_id 00000000:C1:00.0
pci_id 0x233510de
temperature 45
memory_temperature 51
fans 2
fan 38
power_mean_mw 120500
";

const CHECKS: [(&str, fn()); 13] = [
    ("what_the_driver_says_is_read", what_the_driver_says_is_read),
    ("what_rises_is_followed_reading_by_reading", what_rises_is_followed_reading_by_reading),
    ("a_gpu_without_a_sensor_has_none", a_gpu_without_a_sensor_has_none),
    ("an_older_card_s_power_is_the_mean_of_its_counter", an_older_card_s_power_is_the_mean_of_its_counter),
    (
        "a_sensor_that_fails_is_lost_and_the_others_are_not",
        a_sensor_that_fails_is_lost_and_the_others_are_not,
    ),
    ("a_driver_that_is_gone_is_lost_until_it_is_back", a_driver_that_is_gone_is_lost_until_it_is_back),
    ("a_machine_without_the_library_has_no_such_sensors", a_machine_without_the_library_has_no_such_sensors),
    ("a_gpu_is_found_by_its_place_or_its_kind", a_gpu_is_found_by_its_place_or_its_kind),
    (
        "what_others_hold_and_use_is_counted_without_our_own",
        what_others_hold_and_use_is_counted_without_our_own,
    ),
    ("policy_stops_for_what_cannot_be", policy_stops_for_what_cannot_be),
    (
        "a_driver_that_crashes_costs_readings_and_no_process",
        a_driver_that_crashes_costs_readings_and_no_process,
    ),
    ("a_driver_that_hangs_is_ended_and_tried_again", a_driver_that_hangs_is_ended_and_tried_again),
    (
        "another_process_loads_the_library_and_ends_with_this_one",
        another_process_loads_the_library_and_ends_with_this_one,
    ),
];

fn main() -> process::ExitCode {
    // Flags are libtest's.
    let role = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    match role.as_str() {
        "serve" => anneal_sensors::serve_nvml(),
        filter => {
            for (name, check) in CHECKS.iter().filter(|(name, _)| name.contains(filter)) {
                check();
                println!("test {name} ... ok");
            }
            process::ExitCode::SUCCESS
        }
    }
}

/// The process that loads the library.
fn served() -> Vec<std::ffi::OsString> {
    let this = std::env::current_exe().expect("a program knows its own path");
    vec![this.into_os_string(), "serve".into()]
}

/// A machine with this driver, and its GPU.
struct Rig {
    driver: NvmlStandIn,
    sensors: Sensors,
    _machine: MachineStandIn,
}

impl Rig {
    fn new(script: &str) -> Rig {
        Rig::with(script, GpuIdentity { address: "0000:c1:00.0".parse().ok(), id: "10de:2335".parse().ok() })
    }

    fn with(script: &str, gpu: GpuIdentity) -> Rig {
        let machine = MachineStandIn::new("");
        let driver = NvmlStandIn::new(script);
        let config = SensorsConfig {
            root: "/".into(),
            nvml_process: served(),
            nvml: Some(driver.library()),
            process: process::id(),
            screen: Screen::None,
        };
        let device = SensedDevice { name: "NVIDIA Test".to_owned(), kind: DeviceKind::Gpu(gpu) };
        Rig { driver, sensors: Sensors::open(&config, vec![device]), _machine: machine }
    }

    fn read(&mut self) -> Reading {
        self.sensors.read(0)
    }

    /// After a failure the library is left alone for a while.
    fn read_until(&mut self, is_it: impl Fn(&Readings) -> bool) -> Readings {
        for _ in 0..600 {
            let readings = self.read().readings;
            if is_it(&readings) {
                return readings;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("it is never so: {:?}", self.read());
    }
}

/// Why a sensor has no value.
fn why(reading: &Reading, sensor: SensorName) -> &str {
    let missing = reading.missing.iter().find(|missing| missing.sensor == sensor);
    missing.map_or("it has one", |missing| &missing.why)
}

fn what_the_driver_says_is_read() {
    let mut rig = Rig::new(CALM);
    let reading = rig.read();
    let readings = &reading.readings;
    assert_eq!(readings.device, "NVIDIA Test");
    assert_eq!(readings.gpu, Sensor::Value(Celsius(45.0)), "{reading:?}");
    assert_eq!(readings.gpu_memory, Sensor::Value(Celsius(51.0)));
    assert_eq!(readings.hot_spot, Sensor::Absent);
    assert_eq!(readings.fan, Sensor::Value(Percent(38.0)));
    assert_eq!(readings.gpu_watts, Sensor::Value(Watts(120.5)));
    assert_eq!(readings.memory_by_others, Sensor::Value(ByteCount(0)));
    assert_eq!(readings.use_by_others, Sensor::Value(Percent(0.0)));
    assert!(why(&reading, SensorName::HotSpot).contains("hottest spot"), "{reading:?}");
}

fn what_rises_is_followed_reading_by_reading() {
    let mut rig = Rig::new(CALM);
    for celsius in [45, 46, 60, 81, 97, 30] {
        rig.driver.script(&CALM.replace("temperature 45", &format!("temperature {celsius}")));
        assert_eq!(rig.read().readings.gpu, Sensor::Value(Celsius(celsius.into())));
    }
}

fn a_gpu_without_a_sensor_has_none() {
    let mut rig =
        Rig::new("bus_id 00000000:C1:00.0\npci_id 0x233510de\ntemperature 45\nfans 0\npower_mw 33000\n");
    let reading = rig.read();
    assert_eq!(reading.readings.fan, Sensor::Absent);
    assert_eq!(reading.readings.gpu_memory, Sensor::Absent);
    // Neither a mean nor a counter: what there is.
    assert_eq!(reading.readings.gpu_watts, Sensor::Value(Watts(33.0)));
    assert_eq!(why(&reading, SensorName::Fan), "NVML shows no fan");
}

fn an_older_card_s_power_is_the_mean_of_its_counter() {
    let counter = |millijoules: u64| {
        format!("bus_id 00000000:C1:00.0\npci_id 0x233510de\npower_mw 299000\nenergy_mj {millijoules}\n")
    };
    let mut rig = Rig::new(&counter(1_000));
    assert_eq!(rig.read().readings.gpu_watts, Sensor::Value(Watts(299.0)), "the first reading has no span");
    // The counter stands still: whatever time went by, that is no power, and not the moment's 299 W.
    rig.read_until(|readings| readings.gpu_watts == Sensor::Value(Watts(0.0)));
}

fn a_sensor_that_fails_is_lost_and_the_others_are_not() {
    let mut rig = Rig::new(CALM);
    rig.read();
    // 10: a time-out; 17: the operating system refuses.
    for error in [10, 17] {
        rig.driver.script(&CALM.replace("\ntemperature 45", &format!("\ntemperature error {error}")));
        let reading = rig.read();
        assert_eq!(reading.readings.gpu, Sensor::Lost);
        assert_eq!(reading.readings.gpu_memory, Sensor::Value(Celsius(51.0)));
        assert!(why(&reading, SensorName::GpuCore).starts_with("NVML, temperature: "), "{reading:?}");
    }
    rig.driver.script(CALM);
    assert_eq!(rig.read().readings.gpu, Sensor::Value(Celsius(45.0)));
}

fn a_driver_that_is_gone_is_lost_until_it_is_back() {
    // 15: the GPU is lost; 9: the driver is not loaded; 999: anything.
    for error in [15, 9, 999] {
        let mut rig = Rig::new(CALM);
        assert_eq!(rig.read().readings.gpu, Sensor::Value(Celsius(45.0)));
        rig.driver.script(&format!("{CALM}device error {error}\ndriver error 9\n"));
        for _ in 0..3 {
            let reading = rig.read();
            let Readings { gpu, gpu_watts, fan, memory_by_others, .. } = &reading.readings;
            assert_eq!((*gpu, *gpu_watts, *fan), (Sensor::Lost, Sensor::Lost, Sensor::Lost), "{reading:?}");
            assert_eq!(*memory_by_others, Sensor::Lost);
        }
        assert!(why(&rig.read(), SensorName::GpuCore).contains("is NVIDIA's driver loaded?"));
        rig.driver.script(&CALM.replace("45", "47"));
        rig.read_until(|readings| readings.gpu == Sensor::Value(Celsius(47.0)));
    }
}

fn a_machine_without_the_library_has_no_such_sensors() {
    let config = SensorsConfig {
        root: "/".into(),
        nvml_process: served(),
        nvml: Some("/none/libnvidia-ml.so.1".into()),
        process: 1,
        screen: Screen::None,
    };
    let gpu = GpuIdentity { address: "0000:c1:00.0".parse().ok(), id: "10de:2335".parse().ok() };
    let device = SensedDevice { name: "GPU".to_owned(), kind: DeviceKind::Gpu(gpu) };
    let reading = Sensors::open(&config, vec![device]).read(0);
    assert_eq!(reading.readings.gpu, Sensor::Absent);
    assert!(why(&reading, SensorName::GpuCore).contains("comes with NVIDIA's driver"), "{reading:?}");
}

fn a_gpu_is_found_by_its_place_or_its_kind() {
    let check = |address: &str, id: &str, expected: Sensor<Celsius>| {
        let mut rig = Rig::with(CALM, GpuIdentity { address: address.parse().ok(), id: id.parse().ok() });
        let reading = rig.read();
        assert_eq!(reading.readings.gpu, expected, "{address} {id}: {reading:?}");
    };
    check("0000:c1:00.0", "10de:2335", Sensor::Value(Celsius(45.0)));
    check("", "10de:2335", Sensor::Value(Celsius(45.0)));
    check("0000:c2:00.0", "10de:2335", Sensor::Lost);
    check("", "10de:2336", Sensor::Absent);
}

fn what_others_hold_and_use_is_counted_without_our_own() {
    let ours = process::id();
    // The first process of this machine is nobody's child.
    let script = format!(
        "{CALM}process {ours} 6000000000\nprocess 1 700\nprocess 4194000 2000\nuse {ours} 90\nuse 1 7\n"
    );
    let mut rig = Rig::new(&script);
    let reading = rig.read();
    assert_eq!(reading.readings.memory_by_others, Sensor::Value(ByteCount(2700)), "{reading:?}");
    assert_eq!(reading.readings.use_by_others, Sensor::Value(Percent(7.0)));
    // What a worker of ours holds is ours, too.
    let mut worker = process::Command::new("sleep").arg("60").spawn().expect("a child starts");
    rig.driver.script(&format!("{CALM}process {} 6000000000\n", worker.id()));
    let held = rig.read().readings.memory_by_others;
    worker.kill().expect("a child is killed");
    worker.wait().expect("a child ends");
    assert_eq!(held, Sensor::Value(ByteCount(0)));
    // One whose memory the driver does not tell makes the sum unknown.
    rig.driver.script(&format!("{CALM}process 1 {}\n", u64::MAX));
    assert_eq!(rig.read().readings.memory_by_others, Sensor::Lost);
}

fn policy_stops_for_what_cannot_be() {
    let policy = Policy::parse("[owner]\nresume-after-seconds = 5").expect("a policy");
    let mut rig = Rig::new(CALM);
    let mut at = 0;
    let mut history = History::default();
    let mut step = |readings: &Readings| {
        at += 1;
        let now = Moment {
            wall: "2026-11-23T12:00:00Z".parse::<jiff::Timestamp>().expect("a time")
                + Duration::from_secs(at),
            steady_ms: at * 1000,
        };
        let decided = decide(&policy, readings, &history, now);
        history = decided.history.clone();
        decided
    };
    // Only the GPU is looked at: what else this machine has must not matter.
    let gpu = |rig: &mut Rig| {
        let readings = rig.read().readings;
        Readings { gpu: readings.gpu, on_battery: Sensor::Value(false), ..Readings::default() }
    };
    assert!(step(&gpu(&mut rig)).decision.runs());
    for (script, sentence) in [
        ("temperature 0", "the GPU's temperature reads 0 °C, which cannot be"),
        ("temperature 255", "the GPU's temperature reads 255 °C, which cannot be"),
        ("temperature 4294967295", "the GPU's temperature reads 4294967295 °C, which cannot be"),
        ("temperature error 10", "the GPU's temperature can no longer be read"),
        ("temperature error 3", "the GPU's temperature can no longer be read"),
        ("temperature 98", "the GPU's temperature is at 98 °C, and its limit is 82 °C"),
        ("temperature 45\ndevice error 15", "the GPU's temperature can no longer be read"),
    ] {
        rig.driver.script(&CALM.replace("temperature 45", script));
        let decided = step(&gpu(&mut rig));
        assert_eq!(decided.decision, Decision::Pause, "{script}");
        assert_eq!(decided.reasons[0].to_string(), sentence, "{script}");
        rig.driver.script(CALM);
        rig.read_until(|readings| readings.gpu == Sensor::Value(Celsius(45.0)));
        while !step(&gpu(&mut rig)).decision.runs() {}
    }
}

fn a_driver_that_crashes_costs_readings_and_no_process() {
    let mut rig = Rig::new(CALM);
    let celsius = |celsius: f64| Sensor::Value(Celsius(celsius));
    assert_eq!(rig.read().readings.gpu, celsius(45.0));
    // The second reading, in the midst of many.
    rig.driver.script(&format!("{CALM}crash_at 2\n"));
    let reading = rig.read();
    let Readings { gpu, gpu_watts, memory_by_others, .. } = &reading.readings;
    assert_eq!((*gpu, *gpu_watts), (Sensor::Lost, Sensor::Lost), "{reading:?}");
    assert_eq!(*memory_by_others, Sensor::Lost);
    let said = why(&reading, SensorName::GpuCore);
    assert!(said.contains("signal: 11") && said.contains("another is tried 1 s later"), "{said}");
    // It is left alone for a while, and says the same meanwhile; another reads once, and crashes, too.
    assert_eq!(rig.read().readings.gpu, Sensor::Lost);
    rig.read_until(|readings| readings.gpu == celsius(45.0));
    let said = rig.read();
    assert!(why(&said, SensorName::GpuCore).contains("another is tried 2 s later"), "{said:?}");
    // At its very start, again and again: the rests grow.
    rig.driver.script(&format!("{CALM}crash_at 0\n"));
    while !why(&rig.read(), SensorName::GpuCore).contains("another is tried 4 s later") {
        thread::sleep(Duration::from_millis(50));
    }
    rig.driver.script(&CALM.replace("45", "47"));
    rig.read_until(|readings| readings.gpu == celsius(47.0));
}

fn a_driver_that_hangs_is_ended_and_tried_again() {
    for at in [0, 2] {
        let mut rig = Rig::new(&format!("{CALM}hang_at {at}\n"));
        if at > 0 {
            assert_eq!(rig.read().readings.gpu, Sensor::Value(Celsius(45.0)));
        }
        let reading = rig.read();
        assert_eq!(reading.readings.gpu, Sensor::Lost, "{reading:?}");
        assert!(why(&reading, SensorName::GpuCore).contains("has not answered for"), "{reading:?}");
        // What it would say now is about another moment: the one that hangs never hears the new script.
        rig.driver.script(&CALM.replace("45", "47"));
        while why(&rig.read(), SensorName::GpuCore).contains("has not answered for") {}
        let reading = rig.read();
        assert!(why(&reading, SensorName::GpuCore).contains("and was ended"), "{reading:?}");
        rig.read_until(|readings| readings.gpu == Sensor::Value(Celsius(47.0)));
    }
}

fn another_process_loads_the_library_and_ends_with_this_one() {
    let mut rig = Rig::new(CALM);
    assert_eq!(rig.read().readings.gpu, Sensor::Value(Celsius(45.0)));
    let library = rig.driver.library();
    let maps = |process: &str| std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
    let loads = |process: &str| maps(process).contains(&*library.to_string_lossy());
    assert!(!loads("self"), "the library is in this process");
    let processes = || {
        let all = std::fs::read_dir("/proc").expect("/proc is mounted").flatten();
        all.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| loads(name))
    };
    assert_eq!(processes().count(), 1);
    drop(rig);
    assert_eq!(processes().count(), 0);
}
