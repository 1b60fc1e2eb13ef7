//! The shape of `policy.toml` for editors: types that exist for their JSON Schema. The reader is `file`.

use std::collections::BTreeMap;

use anneal_job::ByteCount;
use schemars::{JsonSchema, Schema, schema_for};

/// What a provider's owner allows.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PolicyFile {
    /// How warm things may get.
    pub temperature: Option<TemperatureTable>,
    /// How loud.
    pub fan: Option<FanTable>,
    /// How much power and energy.
    pub power: Option<PowerTable>,
    /// Work only while it earns more than its energy costs.
    pub earnings: Option<EarningsTable>,
    /// When.
    pub time: Option<TimeTable>,
    /// What of yours comes first.
    pub owner: Option<OwnerTable>,
    /// How much of the machine.
    pub shares: Option<SharesTable>,
    /// Devices by name: on or off.
    pub devices: Option<DevicesTable>,
    /// Which jobs.
    pub jobs: Option<JobsTable>,
}

/// Devices by name: true is on.
pub type DevicesTable = BTreeMap<String, bool>;

/// How warm each part may get.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TemperatureTable {
    /// The GPU's core.
    pub gpu: Option<HeatTable>,
    /// The GPU's hottest spot.
    pub hot_spot: Option<HeatTable>,
    /// The GPU's memory.
    pub gpu_memory: Option<HeatTable>,
    /// The processor.
    pub cpu: Option<HeatTable>,
}

/// How warm one part may get, in °C.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HeatTable {
    /// The duty is lowered to hold this.
    #[schemars(range(min = 20, max = 120))]
    pub target: Option<f64>,
    /// At this, work stops at once.
    #[schemars(range(min = 20, max = 120))]
    pub limit: Option<f64>,
    /// After a stop, work waits until it is this much below the target.
    #[schemars(range(min = 1, max = 30))]
    pub hysteresis: Option<f64>,
    /// Whether a machine without this sensor does no work.
    pub required: Option<bool>,
}

/// How loud.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FanTable {
    /// The GPU's fan, of its full speed.
    #[schemars(range(min = 20, max = 100))]
    pub limit_percent: Option<f64>,
}

/// How much power and energy.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PowerTable {
    /// What the GPU may draw.
    #[schemars(range(min = 20, max = 2500))]
    pub watts: Option<f64>,
    /// Energy of a day.
    pub kwh_per_day: Option<f64>,
    /// Energy of a calendar month.
    pub kwh_per_month: Option<f64>,
    /// What the rest of the machine draws while it works.
    pub overhead_watts: Option<f64>,
}

/// Work only while it earns more than its energy costs.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EarningsTable {
    /// What you call the money.
    pub currency: Option<String>,
    /// What one XMR is worth. Without it the rule is off.
    pub xmr_price: Option<f64>,
    /// What a kilowatt-hour costs.
    pub price_per_kwh: f64,
    /// What the machine draws from the wall while it works.
    pub working_watts: f64,
    /// To begin, earnings must be this many times the cost.
    pub margin: Option<f64>,
    /// Other prices at some hours; the first that fits.
    pub tariffs: Option<Vec<TariffTable>>,
}

/// A price at some hours.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TariffTable {
    /// When, like a window of `[time]`.
    pub hours: String,
    /// What a kilowatt-hour costs then.
    pub price_per_kwh: f64,
}

/// When.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TimeTable {
    /// Whose clock, like `Europe/Berlin`.
    pub zone: Option<String>,
    /// Weekly windows like `mon-fri 22:00-07:30`.
    pub windows: Option<Vec<String>>,
    /// Dates, or `12-25` for every year.
    pub holidays: Option<Vec<String>>,
    /// Windows on holidays.
    pub holiday_windows: Option<Vec<String>>,
    /// The last moment of work, like `2026-12-01 07:30`.
    pub until: Option<String>,
}

/// What of yours comes first.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OwnerTable {
    /// No work until this long after your last input.
    pub idle_minutes: Option<f64>,
    /// No work while a program covers the screen.
    pub fullscreen: Option<bool>,
    /// No work while one of these runs.
    pub programs: Option<Vec<String>>,
    /// No work while others hold this much GPU memory.
    pub gpu_memory_by_others: Option<ByteCount>,
    /// No work while others use this much of the GPU.
    pub gpu_percent_by_others: Option<f64>,
    /// Whether to work on battery.
    pub run_on_battery: Option<bool>,
    /// Whether to work on a network paid by volume.
    pub run_on_metered_network: Option<bool>,
    /// Work comes back when nothing was in its way for this long.
    pub resume_after_seconds: Option<f64>,
    /// A task that is paused longer is given back.
    pub pause_at_most_minutes: Option<f64>,
}

/// How much of the machine.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SharesTable {
    /// Memory of each device.
    pub gpu_memory: Option<ByteCount>,
    /// Busy fraction of each device.
    #[schemars(range(min = 0.05, max = 1))]
    pub duty: Option<f64>,
    /// Threads of the processor.
    pub cpu_threads: Option<u32>,
    /// Main memory.
    pub ram: Option<ByteCount>,
    /// Disk.
    pub disk: Option<ByteCount>,
    /// Bytes a second, both ways together.
    pub bandwidth: Option<ByteCount>,
    /// Tasks at once.
    pub concurrent_tasks: Option<u32>,
}

/// Which jobs.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JobsTable {
    /// The least pay, in piconero for a billion gas.
    pub minimum_price: Option<u64>,
    /// The longest a task may be expected to take.
    pub longest_task_minutes: Option<f64>,
    /// Only these developers, by their keys.
    pub allowed_developers: Option<Vec<String>>,
    /// Never these developers.
    pub denied_developers: Option<Vec<String>>,
    /// Only these components, by their digests.
    pub allowed_components: Option<Vec<String>>,
    /// Never these components.
    pub denied_components: Option<Vec<String>>,
}

/// The JSON Schema of `policy.toml`.
pub fn schema() -> Schema {
    schema_for!(PolicyFile)
}
