//! Heat of each part that a policy knows, by that part's own target, limit, hysteresis and whether it must be told.

use super::*;

/// A GPU of AMD's, whose core, hottest spot and memory can be read.
const RADEON: &str = "
    sys/class/drm/card1/device/uevent DRIVER=amdgpu\\nPCI_CLASS=30000\\nPCI_ID=1002:744C\\nPCI_SLOT_NAME=0000:03:00.0
    sys/class/drm/card1/device/hwmon/hwmon5/name amdgpu
    sys/class/drm/card1/device/hwmon/hwmon5/temp1_label edge
    sys/class/drm/card1/device/hwmon/hwmon5/temp2_label junction
    sys/class/drm/card1/device/hwmon/hwmon5/temp3_label mem
";
/// Each part's words for its owner, and the file of its sensor.
const PARTS: [(&str, &str); 4] = [
    ("the GPU's temperature", "sys/class/drm/card1/device/hwmon/hwmon5/temp1_input"),
    ("the GPU's hot spot", "sys/class/drm/card1/device/hwmon/hwmon5/temp2_input"),
    ("the GPU memory's temperature", "sys/class/drm/card1/device/hwmon/hwmon5/temp3_input"),
    ("the processor's temperature", "sys/class/hwmon/hwmon1/temp1_input"),
];

/// What the kernel says of a worker, for nothing that it says of itself counts: its state, and its processor time.
fn known(worker: u32) -> Option<(char, u64)> {
    let stat = fs::read_to_string(format!("/proc/{worker}/stat")).ok()?;
    let words: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some((words[0].chars().next()?, words[11].parse::<u64>().ok()? + words[12].parse::<u64>().ok()?))
}

#[test]
fn heat_stops_a_worker_on_a_processor_where_it_is_and_it_goes_on() {
    let machine = MachineStandIn::new(CALM);
    let mut scene = Scene::new("cpu", &machine);
    let job = scene.submit_of("digits", &["--segments", "1", "--param", "epochs=6"]);
    scene.provide("[temperature]\ncpu = { target = 85, limit = 90 }\n[owner]\nresume-after-seconds = 5\n");
    scene.sees("training", |device| device["work"]["entry"] == "train");
    machine.write("sys/class/hwmon/hwmon1/temp1_input 99000");
    let provider = scene.provider.as_ref().expect("it was begun").0.id();
    let (worker, stopped) = wait_for("a worker that is stopped", || {
        let workers = anneal_tests::process::workers_of(provider);
        let (_, worker) = workers.into_iter().find(|(role, _)| *role == "__worker")?;
        known(worker).filter(|(state, _)| *state == 'T').map(|known| (worker, known))
    });
    scene.is_told("99 °C");
    scene.sees("the task kept", |device| device["limits"]["doing"] == "pause" && !device["work"].is_null());
    let (state, processor) = known(worker).expect("it is kept");
    // Its other threads may have stopped a moment after the first.
    assert!(state == 'T' && processor <= stopped.1 + 1, "{stopped:?} became {:?}", (state, processor));
    machine.write(CALM);
    scene.ends(&job, "a processor that is cool");
    assert!(!scene.site.said(&scene.log()).contains("gave back"), "{}", scene.site.said(&scene.log()));
}

#[test]
fn heat_of_every_part_is_held_by_its_own_numbers() {
    let machine = MachineStandIn::new(CALM);
    machine.write(RADEON);
    machine.remove("sys/class/hwmon/hwmon1/temp1_input");
    let mut scene = Scene::new("gpu", &machine).with([
        ("ANNEAL_NVML", Path::new("/none/libnvidia-ml.so")),
        ("ANNEAL_SENSORS_GPU", Path::new("0000:03:00.0")),
    ]);
    let numbers = "{ target = 60, limit = 70, hysteresis = 20, required = true }";
    let policy = format!(
        "[temperature]\ngpu = {numbers}\nhot-spot = {numbers}\ngpu-memory = {numbers}\ncpu = {numbers}\n{FREE}"
    );
    let heat = |part: usize, celsius: u32| machine.write(&format!("{} {celsius}000", PARTS[part].1));
    let job = scene.submit();
    scene.provide(&policy);
    for (part, _) in PARTS {
        scene.is_held(&format!("this machine cannot tell {part}"), &job);
    }
    // Each in turn is too hot and falls, but not far enough; the one before it is cool once the next is hot.
    for part in 0..PARTS.len() {
        heat(part, 71);
    }
    for (part, (words, _)) in PARTS.iter().enumerate() {
        scene.is_held(&format!("{words} is at 71 °C, and its limit is 70 °C"), &job);
        heat(part, 50);
        scene.is_held(&format!("{words} reached its limit and has to fall from 50 °C to 40 °C"), &job);
    }
    (0..PARTS.len()).for_each(|part| heat(part, 35));
    // Above its target, and below its limit, each holds the duty at the least there is.
    let duty = |device: &Value| device["limits"]["duty"].as_f64().unwrap_or_default();
    for (part, (words, _)) in PARTS.iter().enumerate() {
        scene.sees("a duty that rises", |device| duty(device) > 0.06);
        heat(part, 65);
        scene.sees(&format!("the least duty for {words}"), |device| (0.01..0.06).contains(&duty(device)));
        heat(part, 35);
    }
    scene.ends(&job, "every part is cool");
}
