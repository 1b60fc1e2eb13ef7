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
