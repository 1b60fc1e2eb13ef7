//! The keys of `policy.toml` by table: the reader refuses others; tests hold schema and reference to them.

pub(super) const ROOT: &[&str] =
    &["temperature", "fan", "power", "earnings", "time", "owner", "shares", "devices", "jobs"];
pub(super) const TEMPERATURE: &[&str] = &["gpu", "hot-spot", "gpu-memory", "cpu"];
pub(super) const HEAT: &[&str] = &["target", "limit", "hysteresis", "required"];
pub(super) const FAN: &[&str] = &["limit-percent"];
pub(super) const POWER: &[&str] = &["watts", "kwh-per-day", "kwh-per-month", "overhead-watts"];
pub(super) const EARNINGS: &[&str] =
    &["currency", "xmr-price", "price-per-kwh", "working-watts", "margin", "tariffs"];
pub(super) const TARIFF: &[&str] = &["hours", "price-per-kwh"];
pub(super) const TIME: &[&str] = &["zone", "windows", "holidays", "holiday-windows", "until"];
pub(super) const OWNER: &[&str] = &[
    "idle-minutes",
    "fullscreen",
    "programs",
    "gpu-memory-by-others",
    "gpu-percent-by-others",
    "run-on-battery",
    "run-on-metered-network",
    "resume-after-seconds",
    "pause-at-most-minutes",
];
pub(super) const SHARES: &[&str] =
    &["gpu-memory", "duty", "cpu-threads", "ram", "disk", "bandwidth", "concurrent-tasks"];
pub(super) const JOBS: &[&str] = &[
    "minimum-price",
    "longest-task-minutes",
    "allowed-developers",
    "denied-developers",
    "allowed-components",
    "denied-components",
];
