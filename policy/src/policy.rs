//! A provider's limits as values. How they are written is `file`; what follows from them is `decide`.

use std::collections::{BTreeMap, BTreeSet};

use anneal_job::{ByteCount, Digest};

use crate::{
    Celsius, Duty, KilowattHours, Percent, Watts,
    admit::{DeveloperKey, GasPrice},
    schedule::{Schedule, Window},
};

/// Everything an owner allows. [`Policy::default`] is an empty `policy.toml`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// How warm things may get.
    pub temperature: TemperatureLimits,
    /// How loud: the fan's share of its full speed.
    pub fan: Option<Percent>,
    /// How much power and energy.
    pub power: PowerLimits,
    /// What it must earn.
    pub earnings: Option<EarningsRule>,
    /// When.
    pub schedule: Schedule,
    /// What of the owner's comes first.
    pub owner: OwnerRules,
    /// How much of the machine.
    pub shares: Shares,
    /// Devices by name; one that is not named is on.
    pub devices: BTreeMap<String, bool>,
    /// Which jobs.
    pub jobs: JobRules,
}

/// How warm each part may get.
#[derive(Clone, Debug, PartialEq)]
pub struct TemperatureLimits {
    /// The GPU's core.
    pub gpu: HeatLimit,
    /// Its hottest spot.
    pub hot_spot: HeatLimit,
    /// Its memory.
    pub gpu_memory: HeatLimit,
    /// The processor.
    pub cpu: HeatLimit,
}

/// How warm one part may get.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeatLimit {
    /// What the duty is held for.
    pub target: Celsius,
    /// At this, work stops at once.
    pub limit: Celsius,
    /// After a stop, work waits until it is this much below the target.
    pub hysteresis: Celsius,
    /// Whether a machine without this sensor is refused.
    pub is_required: bool,
}

/// How much power and energy.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PowerLimits {
    /// What the GPU may draw.
    pub watts: Option<Watts>,
    /// Energy of a day.
    pub per_day: Option<KilowattHours>,
    /// Energy of a calendar month.
    pub per_month: Option<KilowattHours>,
    /// What the rest of the machine draws while it works, counted with the GPU.
    pub overhead: Watts,
}

/// Work only while it earns more than its energy costs.
#[derive(Clone, Debug, PartialEq)]
pub struct EarningsRule {
    /// What the owner calls the money.
    pub currency: String,
    /// What one XMR is worth; without it the rule is off.
    pub xmr_price: Option<f64>,
    /// What a kilowatt-hour costs where no tariff says otherwise.
    pub price_per_kwh: f64,
    /// Other prices at some hours; the first that fits.
    pub tariffs: Vec<Tariff>,
    /// What the machine draws from the wall at full duty.
    pub working_watts: Watts,
    /// To begin, earnings must be this many times the cost.
    pub margin: f64,
}

/// A price of energy at some hours.
#[derive(Clone, Debug, PartialEq)]
pub struct Tariff {
    /// When.
    pub window: Window,
    /// What a kilowatt-hour costs then.
    pub price_per_kwh: f64,
}

/// What of the owner's comes first.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnerRules {
    /// No work until this long after the last input.
    pub idle_s: Option<f64>,
    /// No work while a program covers the screen.
    pub yields_to_fullscreen: bool,
    /// No work while one of these runs; in lower case.
    pub programs: BTreeSet<String>,
    /// No work while others hold more GPU memory.
    pub memory_by_others: Option<ByteCount>,
    /// No work while others use more GPU time.
    pub use_by_others: Option<Percent>,
    /// Whether to work on battery.
    pub on_battery: Supply,
    /// Whether to work on a network paid by volume.
    pub on_metered: Supply,
    /// After whatever stopped it, work waits until nothing did for this long.
    pub resume_after_s: f64,
    /// A task that is paused longer is given back.
    pub pause_at_most_s: f64,
}

/// What to do on a scarce supply: the battery, a network paid by volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supply {
    /// Work.
    Run,
    /// No work; a machine that cannot tell works.
    YieldWhereTold,
    /// No work; a machine that cannot tell is refused.
    Yield,
}

/// How much of the machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    /// Memory of each device.
    pub gpu_memory: Option<ByteCount>,
    /// Busy fraction of each device.
    pub duty: Duty,
    /// Threads of the processor.
    pub cpu_threads: Option<u32>,
    /// Main memory.
    pub ram: Option<ByteCount>,
    /// Disk.
    pub disk: Option<ByteCount>,
    /// Bytes a second, both ways together.
    pub bandwidth: Option<ByteCount>,
    /// Tasks at once.
    pub concurrent_tasks: u32,
}

/// Which jobs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobRules {
    /// The least that gas must be paid.
    pub minimum_price: GasPrice,
    /// The longest a task may be expected to take.
    pub longest_task_s: Option<f64>,
    /// If any: only these developers.
    pub allowed_developers: BTreeSet<DeveloperKey>,
    /// Never these developers.
    pub denied_developers: BTreeSet<DeveloperKey>,
    /// If any: only these components.
    pub allowed_components: BTreeSet<Digest>,
    /// Never these components.
    pub denied_components: BTreeSet<Digest>,
}

/// Below this share of its time a device is not worth running; no policy may ask for less.
pub const DUTY_MIN: f64 = 0.05;

impl Policy {
    /// Whether a device may work at all.
    pub fn is_device_on(&self, device: &str) -> bool {
        self.devices.get(device).copied().unwrap_or(true)
    }

    /// The same for a device that is the processor: what only a GPU has is not asked of it.
    pub fn for_processor(&self) -> Policy {
        let mut policy = self.clone();
        let temperature = &mut policy.temperature;
        for limit in [&mut temperature.gpu, &mut temperature.hot_spot, &mut temperature.gpu_memory] {
            limit.is_required = false;
        }
        policy.fan = None;
        policy.owner.memory_by_others = None;
        policy.owner.use_by_others = None;
        policy
    }

    /// Whether any rule needs the clock to be right.
    pub(crate) fn needs_clock(&self) -> bool {
        let has_tariffs = self.earnings.as_ref().is_some_and(|rule| !rule.tariffs.is_empty());
        self.schedule.is_limited() || self.power.has_budget() || has_tariffs
    }
}

impl PowerLimits {
    /// Whether energy must be counted.
    pub(crate) fn has_budget(&self) -> bool {
        self.per_day.is_some() || self.per_month.is_some()
    }
}

impl HeatLimit {
    const fn new(target: f64, limit: f64, is_required: bool) -> HeatLimit {
        HeatLimit { target: Celsius(target), limit: Celsius(limit), hysteresis: Celsius(5.0), is_required }
    }
}

impl Default for TemperatureLimits {
    fn default() -> TemperatureLimits {
        TemperatureLimits {
            gpu: HeatLimit::new(72.0, 82.0, true),
            hot_spot: HeatLimit::new(85.0, 97.0, false),
            gpu_memory: HeatLimit::new(86.0, 96.0, false),
            cpu: HeatLimit::new(78.0, 90.0, false),
        }
    }
}

impl Default for OwnerRules {
    fn default() -> OwnerRules {
        OwnerRules {
            idle_s: None,
            yields_to_fullscreen: false,
            programs: BTreeSet::new(),
            memory_by_others: None,
            use_by_others: None,
            on_battery: Supply::YieldWhereTold,
            on_metered: Supply::YieldWhereTold,
            resume_after_s: 30.0,
            pause_at_most_s: 600.0,
        }
    }
}

impl Default for Shares {
    fn default() -> Shares {
        Shares {
            gpu_memory: None,
            duty: Duty::FULL,
            cpu_threads: None,
            ram: None,
            disk: None,
            bandwidth: None,
            concurrent_tasks: 1,
        }
    }
}
