//! Caps on a run beside the task's own limits: constants of the contract or of this host. All of them end a
//! run the same way on every machine, save the time.

/// Bytes that one call may hand from guest to host: a whole tensor and some words about it.
pub const HOSTCALL_BYTES_MAX: usize = 136 << 20;
/// Handles of the component model beside the tensors: the streams and pollables of WASI.
pub const OTHER_HANDLES_MAX: usize = 10_000;
/// Elements of all function tables together.
pub const TABLE_ELEMENTS_MAX: usize = 1 << 20;
/// Bytes of one log line; the rest is cut.
pub const LOG_LINE_BYTES_MAX: usize = 4 << 10;
/// Bytes of the log of a task; the rest is dropped.
pub const LOG_BYTES_MAX: usize = 1 << 20;
/// Metrics of a task.
pub const METRICS_MAX: usize = 10_000;
/// Bytes of a metric's name.
pub const METRIC_NAME_BYTES_MAX: usize = 64;
/// Bytes of one `data.bytes`.
pub const DATA_BYTES_MAX: u32 = 4 << 20;
/// Bytes of an error that a guest returns; the rest is cut.
pub const ERROR_BYTES_MAX: usize = 4 << 10;
/// Random bytes of one call of WASI.
pub const RANDOM_BYTES_MAX: u64 = 1 << 20;
/// Gas of a call that computes nothing, and of one that is refused.
pub const CALL_GAS: u64 = 1000;
/// Gas of a call that only looks at a handle: its shape, its dtype, its drop.
pub const LOOK_GAS: u64 = 100;
/// Gas of each index of `data.rows`: a look-up anywhere in an input.
pub const ROW_GAS: u64 = 4;
/// Bytes of a guest's text in an error about it.
pub const QUOTE_BYTES_MAX: usize = 256;
/// Names of inputs in an error.
pub const QUOTE_NAMES_MAX: usize = 16;
/// Native stack of the thread a guest runs on: the guest's own, and room for the host's functions.
pub const THREAD_STACK_BYTES: usize = 8 << 20;
