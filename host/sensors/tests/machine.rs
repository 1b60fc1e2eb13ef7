//! A machine's own sensors and GPUs of AMD and Intel, against folders shaped like those of real machines.

use std::thread;

use anneal_job::ByteCount;
use anneal_policy::{Celsius, Percent, Readings, Sensor, SensorName, Watts};
use anneal_sensors::{DeviceKind, GpuIdentity, Reading, Screen, SensedDevice, Sensors, SensorsConfig};
use anneal_tests::machine::MachineStandIn;

/// A Radeon RX 7900 XTX as card 1; card 0 is the processor's own GPU.
const RADEON: &str = "
    sys/class/drm/version drm 1.1.0 20060810
    sys/class/drm/card0/device/uevent DRIVER=amdgpu\\nPCI_CLASS=30000\\nPCI_ID=1002:164E\\nPCI_SLOT_NAME=0000:0f:00.0
    sys/class/drm/card0/device/hwmon/hwmon3/temp1_input 39000
    sys/class/drm/card0/device/hwmon/hwmon3/temp1_label edge
    sys/class/drm/card0-DP-1/status disconnected
    sys/class/drm/renderD128/dev 226:128
    sys/class/drm/card1/device/uevent DRIVER=amdgpu\\nPCI_CLASS=30000\\nPCI_ID=1002:744C\\nPCI_SLOT_NAME=0000:03:00.0
    sys/class/drm/card1/device/mem_info_vram_used 3221225472
    sys/class/drm/card1/device/hwmon/hwmon5/name amdgpu
    sys/class/drm/card1/device/hwmon/hwmon5/temp1_input 57000
    sys/class/drm/card1/device/hwmon/hwmon5/temp1_label edge
    sys/class/drm/card1/device/hwmon/hwmon5/temp2_input 71500
    sys/class/drm/card1/device/hwmon/hwmon5/temp2_label junction
    sys/class/drm/card1/device/hwmon/hwmon5/temp3_input 66000
    sys/class/drm/card1/device/hwmon/hwmon5/temp3_label mem
    sys/class/drm/card1/device/hwmon/hwmon5/fan1_input 1150
    sys/class/drm/card1/device/hwmon/hwmon5/fan1_max 3400
    sys/class/drm/card1/device/hwmon/hwmon5/pwm1 99
    sys/class/drm/card1/device/hwmon/hwmon5/power1_average 213000000
";

/// An Arc B580: no mean of power but a counter, no full speed of the fan.
const ARC: &str = "
    sys/class/drm/card0/device/uevent DRIVER=xe\\nPCI_ID=8086:E20B\\nPCI_SLOT_NAME=0000:04:00.0
    sys/class/drm/card0/device/hwmon/hwmon2/name xe
    sys/class/drm/card0/device/hwmon/hwmon2/temp2_input 48000
    sys/class/drm/card0/device/hwmon/hwmon2/temp2_label pkg
    sys/class/drm/card0/device/hwmon/hwmon2/temp3_input 52000
    sys/class/drm/card0/device/hwmon/hwmon2/temp3_label vram
    sys/class/drm/card0/device/hwmon/hwmon2/fan1_input 800
    sys/class/drm/card0/device/hwmon/hwmon2/energy1_input 66000000
";

const XEON: &str = "
    sys/class/hwmon/hwmon0/name acpitz
    sys/class/hwmon/hwmon0/temp1_input 99000
    sys/class/hwmon/hwmon1/name coretemp
    sys/class/hwmon/hwmon1/temp1_input 52000
    sys/class/hwmon/hwmon1/temp1_label Package id 0
    sys/class/hwmon/hwmon1/temp1_max 80000
    sys/class/hwmon/hwmon1/temp2_input 50000
    sys/class/hwmon/hwmon1/temp2_label Core 0
    sys/class/hwmon/hwmon2/name coretemp
    sys/class/hwmon/hwmon2/temp1_input 61000
    sys/class/hwmon/hwmon2/temp1_label Package id 1
    sys/class/powercap/intel-rapl/enabled 1
    sys/class/powercap/intel-rapl:0/name package-0
    sys/class/powercap/intel-rapl:0/energy_uj 5000
    sys/class/powercap/intel-rapl:0/max_energy_range_uj 262143328850
    sys/class/powercap/intel-rapl:0:0/name core
    sys/class/powercap/intel-rapl:0:0/energy_uj 7
    sys/class/powercap/intel-rapl:1/name psys
    sys/class/powercap/intel-rapl:1/energy_uj 7
    sys/class/powercap/intel-rapl-mmio:0/name package-0
    sys/class/powercap/intel-rapl-mmio:0/energy_uj 7
";

fn open(machine: &MachineStandIn, kind: DeviceKind) -> Sensors {
    let config = SensorsConfig {
        root: machine.root().to_owned(),
        nvml_process: Vec::new(),
        nvml: Some("/none/libnvidia-ml.so".into()),
        process: 100,
        screen: Screen::None,
    };
    Sensors::open(&config, vec![SensedDevice { name: "it".to_owned(), kind }])
}

fn gpu(address: &str, id: &str) -> DeviceKind {
    DeviceKind::Gpu(GpuIdentity { address: address.parse().ok(), id: id.parse().ok() })
}

fn read(machine: &MachineStandIn, kind: DeviceKind) -> Reading {
    open(machine, kind).read(0)
}

fn machine_reading(files: &str) -> Readings {
    read(&MachineStandIn::new(files), DeviceKind::Processor).readings
}

#[test]
fn a_radeon_says_all_of_it() {
    let machine = MachineStandIn::new(RADEON);
    for kind in [gpu("0000:03:00.0", "1002:744c"), gpu("", "1002:744c"), gpu("0000:03:00.0", "")] {
        let reading = read(&machine, kind);
        let readings = &reading.readings;
        assert_eq!(readings.gpu, Sensor::Value(Celsius(57.0)), "{reading:?}");
        assert_eq!(readings.hot_spot, Sensor::Value(Celsius(71.5)));
        assert_eq!(readings.gpu_memory, Sensor::Value(Celsius(66.0)));
        assert_eq!(readings.gpu_watts, Sensor::Value(Watts(213.0)));
        assert_eq!(readings.use_by_others, Sensor::Absent);
        let Sensor::Value(Percent(fan)) = readings.fan else { panic!("{reading:?}") };
        assert!((fan - 33.8).abs() < 0.1, "{fan}");
    }
    // The other card is not mistaken for it, and what it has not it has not.
    let reading = read(&machine, gpu("0000:0f:00.0", "1002:164e"));
    assert_eq!(reading.readings.gpu, Sensor::Value(Celsius(39.0)));
    assert_eq!(reading.readings.hot_spot, Sensor::Absent);
    assert_eq!((reading.readings.fan, reading.readings.gpu_watts), (Sensor::Absent, Sensor::Absent));
    assert_eq!(read(&machine, gpu("0000:05:00.0", "1002:744c")).readings.gpu, Sensor::Absent);
}

#[test]
fn two_of_a_kind_are_not_confused() {
    let machine = MachineStandIn::new(RADEON);
    machine.write(
        "sys/class/drm/card2/device/uevent DRIVER=amdgpu\\nPCI_ID=1002:744C\\nPCI_SLOT_NAME=0000:23:00.0",
    );
    let reading = read(&machine, gpu("", "1002:744c"));
    assert_eq!(reading.readings.gpu, Sensor::Absent);
    let why =
        &reading.missing.iter().find(|missing| missing.sensor == SensorName::GpuCore).expect("told").why;
    assert!(why.contains("2 GPUs of the kind 1002:744c"), "{why}");
    assert_eq!(read(&machine, gpu("0000:03:00.0", "1002:744c")).readings.gpu, Sensor::Value(Celsius(57.0)));
}

#[test]
fn a_sensor_that_breaks_is_lost_and_what_it_says_is_given_on() {
    let hwmon = "sys/class/drm/card1/device/hwmon/hwmon5";
    let machine = MachineStandIn::new(RADEON);
    let mut sensors = open(&machine, gpu("0000:03:00.0", ""));
    for (text, expected) in [
        ("0", Sensor::Value(Celsius(0.0))),
        ("255000", Sensor::Value(Celsius(255.0))),
        ("-128000", Sensor::Value(Celsius(-128.0))),
        ("", Sensor::Lost),
        ("hot", Sensor::Lost),
    ] {
        machine.write(&format!("{hwmon}/temp1_input {text}"));
        let readings = sensors.read(0).readings;
        assert_eq!(readings.gpu, expected, "{text}");
        assert_eq!(readings.gpu_memory, Sensor::Value(Celsius(66.0)));
    }
    machine.break_file(&format!("{hwmon}/temp1_input"));
    assert_eq!(sensors.read(0).readings.gpu, Sensor::Lost);
    // A driver that is loaded anew numbers its sensors anew.
    machine.remove(hwmon);
    assert_eq!(sensors.read(0).readings.gpu, Sensor::Absent);
    machine.write("sys/class/drm/card1/device/hwmon/hwmon9/temp1_input 44000");
    assert_eq!(sensors.read(0).readings.gpu, Sensor::Value(Celsius(44.0)));
}

#[test]
fn an_arc_counts_its_energy() {
    let machine = MachineStandIn::new(ARC);
    let mut sensors = open(&machine, gpu("0000:04:00.0", "8086:e20b"));
    let readings = sensors.read(0).readings;
    assert_eq!(readings.gpu, Sensor::Value(Celsius(48.0)));
    assert_eq!(readings.gpu_memory, Sensor::Value(Celsius(52.0)));
    assert_eq!((readings.hot_spot, readings.fan), (Sensor::Absent, Sensor::Absent));
    assert_eq!(readings.memory_by_others, Sensor::Absent);
    assert_eq!(readings.gpu_watts, Sensor::Lost, "one reading is no mean");
    // The counter stands still, so whatever time went by, the mean is nothing.
    while sensors.read(0).readings.gpu_watts != Sensor::Value(Watts(0.0)) {
        thread::yield_now();
    }
}

#[test]
fn the_hottest_of_the_processors_counts() {
    assert_eq!(machine_reading(XEON).cpu, Sensor::Value(Celsius(61.0)));
    let ryzen = "sys/class/hwmon/hwmon2/name k10temp
        sys/class/hwmon/hwmon2/temp1_input 72000\nsys/class/hwmon/hwmon2/temp1_label Tctl
        sys/class/hwmon/hwmon2/temp3_input 44000\nsys/class/hwmon/hwmon2/temp3_label Tccd1";
    assert_eq!(machine_reading(ryzen).cpu, Sensor::Value(Celsius(72.0)));
    let threadripper =
        format!("{ryzen}\nsys/class/hwmon/hwmon2/temp2_input 45000\nsys/class/hwmon/hwmon2/temp2_label Tdie");
    assert_eq!(machine_reading(&threadripper).cpu, Sensor::Value(Celsius(45.0)));
    assert_eq!(machine_reading("sys/class/hwmon/hwmon0/name nvme").cpu, Sensor::Absent);
    assert_eq!(machine_reading("").cpu, Sensor::Absent);
    let machine = MachineStandIn::new(XEON);
    machine.break_file("sys/class/hwmon/hwmon2/temp1_input");
    assert_eq!(read(&machine, DeviceKind::Processor).readings.cpu, Sensor::Lost);
}

#[test]
fn a_processor_s_power_is_that_of_its_packages() {
    // The counters stand still: no power, and not none that is known.
    let machine = MachineStandIn::new(XEON);
    let processor = read(&machine, DeviceKind::Processor).readings;
    assert_eq!((processor.gpu_watts, processor.cpu_watts), (Sensor::Value(Watts(0.0)), Sensor::Absent));
    let beside = read(&machine, gpu("", "")).readings;
    assert_eq!((beside.gpu_watts, beside.cpu_watts), (Sensor::Absent, Sensor::Value(Watts(0.0))));
    machine.break_file("sys/class/powercap/intel-rapl:0/energy_uj");
    assert_eq!(read(&machine, DeviceKind::Processor).readings.gpu_watts, Sensor::Lost);
    machine.remove("sys/class/powercap");
    assert_eq!(read(&machine, DeviceKind::Processor).readings.gpu_watts, Sensor::Absent);
    assert_eq!(machine_reading("sys/class/powercap/intel-rapl:0/name psys").gpu_watts, Sensor::Absent);
}

#[test]
fn a_machine_runs_on_its_battery_or_not() {
    let supply = |name: &str, files: &[(&str, &str)]| -> String {
        files.iter().map(|(file, text)| format!("sys/class/power_supply/{name}/{file} {text}\n")).collect()
    };
    let mains = |online| supply("AC", &[("type", "Mains"), ("online", online)]);
    let battery = |status| supply("BAT0", &[("type", "Battery"), ("present", "1"), ("status", status)]);
    let mouse =
        supply("hidpp_battery_0", &[("type", "Battery"), ("scope", "Device"), ("status", "Discharging")]);
    let check = |files: &[&str], expected: Sensor<bool>| {
        let text = files.concat();
        assert_eq!(machine_reading(&text).on_battery, expected, "{text}");
    };
    check(&[&mains("1"), &battery("Charging")], Sensor::Value(false));
    check(&[&mains("1"), &battery("Discharging")], Sensor::Value(false));
    check(&[&mains("0"), &battery("Discharging")], Sensor::Value(true));
    check(&[&mains("0"), &battery("Unknown")], Sensor::Value(true));
    check(&[&battery("Discharging")], Sensor::Value(true));
    check(&[&battery("Full")], Sensor::Value(false));
    check(&[&mains("0"), &supply("BAT0", &[("type", "Battery"), ("present", "0")])], Sensor::Value(false));
    check(&[&mouse], Sensor::Value(false));
    check(&[&mains("?")], Sensor::Lost);
    check(&[&supply("BAT0", &[("type", "Battery"), ("present", "1")])], Sensor::Absent);
    check(&[], Sensor::Absent);
    let desktop = MachineStandIn::new("sys/class/power_supply/.keep");
    desktop.remove("sys/class/power_supply/.keep");
    assert_eq!(read(&desktop, DeviceKind::Processor).readings.on_battery, Sensor::Value(false));
}

#[test]
fn programs_are_named_as_the_kernel_and_their_files_do() {
    let machine = MachineStandIn::new(
        "proc/1/comm systemd\nproc/1/stat 1 (systemd) S 0 1\nproc/77/comm davinci-resolve\nproc/78/comm game.exe
         proc/self/comm no-number\nproc/uptime 1 1",
    );
    std::os::unix::fs::symlink("/opt/resolve/bin/resolve-studio", machine.path("proc/77/exe"))
        .expect("a link");
    std::os::unix::fs::symlink("/usr/bin/wine64 (deleted)", machine.path("proc/78/exe")).expect("a link");
    let named = |names: &[&str]| Sensor::Value(names.iter().map(ToString::to_string).collect::<Vec<_>>());
    let readings = read(&machine, DeviceKind::Processor).readings;
    assert_eq!(
        readings.programs,
        named(&["davinci-resolve", "game.exe", "resolve-studio", "systemd", "wine64"])
    );
    // Where others' processes are hidden, a list would be a guess.
    machine.remove("proc/1");
    assert_eq!(read(&machine, DeviceKind::Processor).readings.programs, Sensor::Absent);
    assert_eq!(machine_reading("").programs, Sensor::Absent);
}

#[test]
fn what_our_processes_hold_is_not_others() {
    // 100 is ours, 101 a worker of its worker; 55's name tries to look like a child of ours.
    let client = |client: u32, address: &str, memory: &str| {
        format!(
            "pos:\\t0\\ndrm-driver:\\tamdgpu\\ndrm-client-id:\\t{client}\\ndrm-pdev:\\t{address}\\n{memory}"
        )
    };
    let machine = MachineStandIn::new(&format!(
        "{RADEON}
         proc/1/stat 1 (systemd) S 0 1
         proc/100/stat 100 (anneal) S 1 100
         proc/100/fdinfo/3 pos:\\t0
         proc/105/stat 105 (anneal) S 100 100
         proc/101/stat 101 (a) S 9) S 105 100
         proc/101/fdinfo/7 {held}
         proc/101/fdinfo/8 {held}
         proc/101/fdinfo/9 {elsewhere}
         proc/55/stat 55 (x) S 100 (y) S 1 55
         proc/55/fdinfo/7 {others}",
        held = client(12, "0000:03:00.0", "drm-memory-vram:\\t1048576 KiB"),
        elsewhere = client(13, "0000:0f:00.0", "drm-memory-vram:\\t4 KiB"),
        others = client(14, "0000:03:00.0", "drm-memory-vram:\\t512 KiB"),
    ));
    let others = || read(&machine, gpu("0000:03:00.0", "")).readings.memory_by_others;
    assert_eq!(others(), Sensor::Value(ByteCount(2 << 30)), "3 GiB are used, 1 GiB is ours");
    machine.break_file("sys/class/drm/card1/device/mem_info_vram_used");
    assert_eq!(others(), Sensor::Lost);
}

#[test]
fn a_device_that_is_not_in_the_list_has_no_sensors() {
    let machine = MachineStandIn::new(XEON);
    assert_eq!(open(&machine, DeviceKind::Processor).read(1), Reading::default());
}

#[test]
fn every_sensor_without_a_value_says_why() {
    for kind in [DeviceKind::Processor, gpu("", ""), gpu("0000:03:00.0", "1002:744c")] {
        let reading = read(&MachineStandIn::new(""), kind);
        let told: Vec<SensorName> = reading.missing.iter().map(|missing| missing.sensor).collect();
        let mut expected = vec![
            SensorName::Cpu,
            SensorName::Idle,
            SensorName::Fullscreen,
            SensorName::Programs,
            SensorName::Battery,
            SensorName::Metered,
            SensorName::GpuWatts,
        ];
        if kind != DeviceKind::Processor {
            expected.extend([
                SensorName::CpuWatts,
                SensorName::GpuCore,
                SensorName::HotSpot,
                SensorName::GpuMemory,
                SensorName::Fan,
                SensorName::MemoryByOthers,
                SensorName::UseByOthers,
            ]);
        }
        for sensor in expected {
            assert!(told.contains(&sensor), "{sensor:?} of {kind:?}: {told:?}");
        }
        assert!(reading.missing.iter().all(|missing| !missing.lost && missing.why.len() > 10), "{reading:?}");
    }
}
