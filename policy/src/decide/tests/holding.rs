//! Controllers on simulated devices: the target is neared from below and held, without swinging, from small
//! coolers to large ones, with noise, whole degrees and late sensors.

use super::*;
use crate::simulate::ThermalPlant;

/// How a device and its sensor are.
#[derive(Clone, Copy, Debug)]
struct Device {
    cooler_gain: f64,
    cooler_s: f64,
    die_gain: f64,
    ambient: f64,
    noise: f64,
    late_s: usize,
    whole_degrees: bool,
}

/// What an hour and a half on it was like, the last half hour apart.
struct Held {
    highest: f64,
    mean: f64,
    duty_mean: f64,
    duty_deviation: f64,
    stops: usize,
}

fn hold(text: &str, device: Device) -> Held {
    let mut plant = ThermalPlant::new(device.cooler_gain, device.cooler_s, device.die_gain, 3.0);
    let mut noise = Noise(7);
    let mut running = Running::new(text);
    let mut past = vec![device.ambient; device.late_s + 1];
    let (mut highest, mut stops, mut ran) = (0.0f64, 0, false);
    let (mut temperatures, mut duties) = (Vec::new(), Vec::new());
    for second in 0..5400 {
        past.push(plant.temperature(device.ambient));
        let mut read = past[past.len() - 1 - device.late_s] + device.noise * noise.next();
        if device.whole_degrees {
            read = read.round();
        }
        let readings = Readings { gpu: Sensor::Value(Celsius(read)), hot_spot: Sensor::Absent, ..calm() };
        let decision = running.step(&readings).decision;
        stops += usize::from(ran && !decision.runs());
        ran = decision.runs();
        plant.advance(decision.duty().fraction(), 1.0);
        highest = highest.max(plant.temperature(device.ambient));
        if second >= 3600 {
            temperatures.push(plant.temperature(device.ambient));
            duties.push(decision.duty().fraction());
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let duty_mean = mean(&duties);
    let squares: Vec<f64> = duties.iter().map(|duty| (duty - duty_mean).powi(2)).collect();
    Held { highest, mean: mean(&temperatures), duty_mean, duty_deviation: mean(&squares).sqrt(), stops }
}

/// Every device there might be: those that full duty warms past their target, and those that it does not.
fn devices() -> impl Iterator<Item = Device> {
    let coolers = [3.0, 10.0, 30.0, 100.0, 300.0, 600.0];
    let gains = [(20.0, 5.0), (40.0, 15.0), (60.0, 20.0), (80.0, 10.0)];
    let sensors = [(0.0, 0, false), (1.0, 1, true), (2.5, 2, true)];
    coolers.into_iter().flat_map(move |cooler_s| {
        gains.into_iter().flat_map(move |(cooler_gain, die_gain)| {
            [15.0, 32.0].into_iter().flat_map(move |ambient| {
                sensors.into_iter().map(move |(noise, late_s, whole_degrees)| Device {
                    cooler_gain,
                    cooler_s,
                    die_gain,
                    ambient,
                    noise,
                    late_s,
                    whole_degrees,
                })
            })
        })
    })
}

#[test]
fn the_target_is_held_without_swinging() {
    let (mut held, mut free) = (0, 0);
    for device in devices() {
        let result = hold("[temperature.gpu]\ntarget = 70\nlimit = 80", device);
        assert_eq!(result.stops, 0, "{device:?}");
        // Half of the way to the limit on the most sluggish device, a third on those that people have.
        let room = if device.cooler_gain > 60.0 { 5.0 } else { 3.0 };
        assert!(result.highest < 70.0 + room, "{device:?} reached {}", result.highest);
        let at_full_duty = device.ambient + device.cooler_gain + device.die_gain;
        if at_full_duty > 71.0 {
            held += 1;
            assert!((result.mean - 70.0).abs() < 1.0, "{device:?} was held at {}", result.mean);
        } else if at_full_duty < 68.0 {
            free += 1;
            assert!(result.duty_mean > 0.97, "{device:?} is needlessly slow: {}", result.duty_mean);
        }
        assert!(result.duty_deviation < 0.03, "{device:?} swings by {}", result.duty_deviation);
    }
    assert!(held > 60 && free > 20, "{held} held, {free} free");
}

#[test]
fn what_it_cannot_hold_it_stops() {
    // The room itself is warmer than the target: work stops after a fair try, and does not come back by turns.
    let hot = Device {
        cooler_gain: 40.0,
        cooler_s: 60.0,
        die_gain: 10.0,
        ambient: 48.0,
        noise: 1.0,
        late_s: 1,
        whole_degrees: true,
    };
    let result = hold("[temperature.gpu]\ntarget = 45\nlimit = 60", hot);
    assert_eq!((result.stops, result.duty_mean), (1, 0.0));
}

#[test]
fn the_power_is_held_below_its_limit() {
    for (full, idle, noise_share) in [(150.0, 20.0, 0.02), (350.0, 40.0, 0.04), (600.0, 60.0, 0.04)] {
        for late_s in [0, 1, 2] {
            let mut running = Running::new("[power]\nwatts = 220");
            let mut noise = Noise(3);
            let mut past = vec![idle; late_s + 1];
            let (mut sum, mut stops, mut ran, mut highest) = (0.0, 0, false, 0.0f64);
            for second in 0..3600 {
                let read = past[past.len() - 1 - late_s];
                let readings = Readings { gpu_watts: Sensor::Value(Watts(read)), ..calm() };
                let decision = running.step(&readings).decision;
                stops += usize::from(ran && !decision.runs());
                ran = decision.runs();
                let drawn = idle + decision.duty().fraction() * (full - idle);
                past.push(drawn * (1.0 + noise_share * noise.next()));
                highest = highest.max(drawn);
                sum += if second >= 1800 { drawn / 1800.0 } else { 0.0 };
            }
            let expected = if full > 220.0 { 220.0 * 0.88 } else { full };
            assert!((sum - expected).abs() < 4.0, "{full} W was held at {sum}, late by {late_s} s");
            assert!(stops == 0 && highest < 220.0, "{full} W stopped {stops} times, highest {highest}");
        }
    }
}

#[test]
fn the_fan_is_held_below_its_limit() {
    // A fan that follows the temperature slowly, as firmware does it: 30 % at 40 °C, 100 % at 85 °C.
    let mut running = Running::new("[fan]\nlimit-percent = 50");
    let mut plant = ThermalPlant::card();
    let (mut fan, mut highest, mut stops, mut ran) = (30.0f64, 0.0f64, 0, false);
    for _ in 0..5400 {
        let temperature = plant.temperature(26.0);
        let wanted = (30.0 + (temperature - 40.0) * 70.0 / 45.0).clamp(30.0, 100.0);
        fan += (wanted - fan) / 8.0;
        let readings = Readings {
            gpu: Sensor::Value(Celsius(temperature)),
            fan: Sensor::Value(Percent(fan.round())),
            ..calm()
        };
        let decision = running.step(&readings).decision;
        stops += usize::from(ran && !decision.runs());
        ran = decision.runs();
        plant.advance(decision.duty().fraction(), 1.0);
        highest = highest.max(fan);
    }
    assert_eq!(stops, 0);
    assert!(highest < 50.0 && (fan - 44.0).abs() < 1.5, "highest {highest}, in the end {fan}");
}

#[test]
fn a_room_that_warms_is_followed() {
    let mut running = Running::new("[temperature.gpu]\ntarget = 65\nlimit = 75");
    let mut plant = ThermalPlant::card();
    let mut highest = 0.0f64;
    for second in 0..4 * 3600 {
        let ambient = 20.0 + 15.0 * f64::from(second) / (4.0 * 3600.0);
        let temperature = plant.temperature(ambient);
        let readings = Readings { gpu: Sensor::Value(Celsius(temperature)), ..calm() };
        let decision = running.step(&readings).decision;
        assert!(decision.runs());
        plant.advance(decision.duty().fraction(), 1.0);
        highest = highest.max(temperature);
    }
    assert!(highest < 67.0, "{highest}");
    assert!((running.history.duty().fraction() - 30.0 / 48.0).abs() < 0.03, "{}", running.history.duty());
}
