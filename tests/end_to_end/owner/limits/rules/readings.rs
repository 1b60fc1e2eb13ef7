//! What sensors of the machine and a GPU's driver read, and what becomes of work that is under way.

use super::*;

use anneal_tests::nvml::NvmlStandIn;

/// A GPU of NVIDIA's at the address that the tests give to lavapipe.
pub(super) const DRIVER: &str = "bus_id 00000000:C1:00.0
pci_id 0x233510de
temperature 45
memory_temperature 51
fans 1
fan 38
power_mean_mw 120500
";

/// A provider whose only device is that GPU.
pub(super) fn scene(machine: &MachineStandIn, driver: &NvmlStandIn) -> Scene {
    let library = driver.library();
    Scene::new("gpu", machine)
        .with([("ANNEAL_NVML", library.as_path()), ("ANNEAL_SENSORS_GPU", Path::new("0000:c1:00.0"))])
}

#[test]
fn what_the_machine_reads_holds_work_and_changes_no_digest() {
    let machine = MachineStandIn::new(CALM);
    let mut scene = Scene::new("cpu", &machine);
    scene.provide("[owner]\nprograms = [\"blender\"]\nrun-on-battery = false\nresume-after-seconds = 15\n");
    let rules: [(&str, &dyn Fn()); 3] = [
        ("95 °C", &|| machine.write("sys/class/hwmon/hwmon1/temp1_input 95000")),
        ("battery", &|| machine.write("sys/class/power_supply/AC/online 0")),
        ("blender", &|| machine.write("proc/77/comm blender")),
    ];
    let job = scene.readings(&rules);
    let cleared = Instant::now();
    machine.write(CALM);
    machine.remove("proc/77");
    scene.is_told("nothing is in the way any more; work waits");
    scene.sees("work", |device| device["limits"]["doing"] == "run");
    assert!(cleared.elapsed() >= Duration::from_secs(15), "it came back after {:?}", cleared.elapsed());
    scene.ends(&job, "a machine that is calm");
}

#[test]
fn a_gpu_s_driver_that_reads_anything_holds_work_and_changes_no_digest() {
    let machine = MachineStandIn::new(CALM);
    let driver = NvmlStandIn::new(DRIVER);
    let mut scene = scene(&machine, &driver);
    let policy = "[fan]\nlimit-percent = 60\n[power]\nwatts = 250\n[owner]\nresume-after-seconds = 5\n\
                  gpu-memory-by-others = \"2 GiB\"\ngpu-percent-by-others = 20\n";
    scene.provide(policy);
    let says = |from: &str, to: &str| {
        assert!(DRIVER.contains(from));
        driver.script(&DRIVER.replace(from, to));
    };
    // A rise, reading by reading, until it is too hot.
    let rise = || {
        for celsius in [60, 70, 78, 88] {
            says("\ntemperature 45", &format!("\ntemperature {celsius}"));
            std::thread::sleep(Duration::from_secs(1));
        }
    };
    let rules: [(&str, &dyn Fn()); 13] = [
        ("88 °C", &rise),
        // A spike.
        ("97 °C", &|| says("\ntemperature 45", "\ntemperature 97")),
        ("99 °C", &|| says("memory_temperature 51", "memory_temperature 99")),
        ("80 %", &|| says("fan 38", "fan 80")),
        ("300 W", &|| says("120500", "300000")),
        ("reads 0 °C", &|| says("\ntemperature 45", "\ntemperature 0")),
        ("reads 255 °C", &|| says("\ntemperature 45", "\ntemperature 255")),
        ("other programs hold", &|| driver.script(&format!("{DRIVER}process 1 6000000000\n"))),
        ("other programs use", &|| driver.script(&format!("{DRIVER}use 1 60\n"))),
        ("can no longer be read", &|| says("\ntemperature 45", "\ntemperature error 999")),
        // A library that takes its process with it, at its start and in the midst, and one that never comes back.
        ("the GPU's temperature can no longer be read", &|| driver.script(&format!("{DRIVER}crash_at 1\n"))),
        ("the GPU's power can no longer be read", &|| driver.script(&format!("{DRIVER}hang_at 1\n"))),
        ("the GPU's power can no longer be read", &|| {
            driver.script(&format!("{DRIVER}device error 15\ndriver error 9\n"));
        }),
    ];
    let job = scene.readings(&rules);
    driver.script(DRIVER);
    scene.ends(&job, "a driver that is calm");
}

#[test]
fn a_task_is_kept_over_a_short_pause_and_given_back_after_a_long_one() {
    let machine = MachineStandIn::new(CALM);
    let mut scene = Scene::new("cpu", &machine);
    let plug = |is_in: u8| machine.write(&format!("sys/class/power_supply/AC/online {is_in}"));
    // A small share of the time, so that training is still under way whenever this looks.
    let share = "[shares]\nduty = 0.1\n";
    let job = scene.submit_of("digits", &["--segments", "1", "--param", "epochs=120"]);
    let on_battery = |device: &Value, doing: &str| {
        let limits = &device["limits"];
        limits["doing"] == doing && limits["reasons"].to_string().contains("battery")
    };
    let works = |device: &Value| !device["work"].is_null();
    scene.provide(&format!("{share}[owner]\npause-at-most-minutes = 10\nresume-after-seconds = 5\n"));
    scene.sees("training", |device| device["work"]["entry"] == "train");
    plug(0);
    scene.sees("a pause with the task kept", |device| on_battery(device, "pause") && works(device));
    plug(1);
    scene.sees("work goes on", |device| device["limits"]["doing"] == "run" && works(device));
    assert!(!scene.site.said(&scene.log()).contains("gave back"), "{}", scene.site.said(&scene.log()));

    scene.provide(&format!("{share}[owner]\npause-at-most-minutes = 0\nresume-after-seconds = 5\n"));
    scene.sees("training", |device| device["work"]["entry"] == "train");
    plug(0);
    scene.sees("the task given back", |device| on_battery(device, "release") && !works(device));
    let words = "gave back what was leased: the machine runs on its battery";
    wait_for(words, || scene.site.said(&scene.log()).contains(words).then_some(()));
    plug(1);
    scene.ends(&job, "mains again");
}
