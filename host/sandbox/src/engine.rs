//! The wasmtime engine: every switch that decides what a guest can do or what its bits are, set explicitly.
//!
//! Compiler and worker build the same engine, or wasmtime refuses the compiled code. Not here: the limits of
//! one run, which belong to its store (`run`).

use std::num::NonZeroUsize;

use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, OperatorCost, OptLevel, Strategy, WasmBacktraceDetails,
    WasmFeatures,
};

/// Bytes of native stack that a guest's calls may use.
pub const STACK_BYTES: usize = 512 << 10;
/// Frames of a backtrace that a developer is shown.
const BACKTRACE_FRAMES_MAX: usize = 64;

/// An engine for guests.
///
/// # Errors
/// Where wasmtime cannot run on this machine.
pub fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    determine(&mut config);
    meter(&mut config);
    restrict(&mut config);
    place(&mut config);
    Engine::new(&config)
}

/// What would differ between machines.
fn determine(config: &mut Config) {
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_relaxed_simd(false);
}

/// Fuel counts, the same everywhere; epochs stop a guest from outside, and are never a result.
fn meter(config: &mut Config) {
    config
        .consume_fuel(true)
        // The costs as of wasmtime 48: one an instruction. They are part of gas version 1, and a test holds
        // them, so an update of wasmtime cannot change them unseen.
        .operator_cost(OperatorCost::new())
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES);
}

/// Everything that a tool chain for WASI 0.2 does not need is off.
fn restrict(config: &mut Config) {
    config
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_shared_everything_threads(false)
        .wasm_stack_switching(false)
        // These have no switch of their own without wasmtime's cargo features, but are on by default.
        .wasm_features(WasmFeatures::GC | WasmFeatures::FUNCTION_REFERENCES, false)
        .wasm_features(WasmFeatures::EXCEPTIONS | WasmFeatures::THREADS, false)
        .wasm_component_model(true)
        .wasm_component_model_error_context(false)
        .wasm_component_model_memory64(false)
        .wasm_component_model_fixed_length_lists(false)
        .wasm_component_model_map(false)
        .wasm_component_model_implements(false)
        .concurrency_support(false);
}

/// How a guest lies in the host's memory.
fn place(config: &mut Config) {
    config
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        .memory_reservation(4 << 30)
        .memory_guard_size(32 << 20)
        .guard_before_linear_memory(true)
        .memory_may_move(false)
        .signals_based_traps(true)
        .generate_address_map(true)
        .native_unwind_info(false)
        // Without the guest's own DWARF sections, which would be parsed by the host.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(NonZeroUsize::new(BACKTRACE_FRAMES_MAX));
}

#[cfg(test)]
mod tests {
    use super::*;
    use anneal_job::Digest;

    #[test]
    fn every_switch_that_matters_is_set() {
        let engine = engine().expect("this machine runs wasmtime");
        assert_eq!(engine.get_cranelift_nan_canonicalization(), Some(true));
        assert!(engine.get_relaxed_simd_deterministic());
        assert!(engine.get_consume_fuel());
        assert!(engine.get_epoch_interruption());
        assert!(!engine.get_concurrency_support());
        assert!(!engine.get_shared_memory());
        assert!(!engine.get_memory_may_move());
        assert!(engine.get_signals_based_traps());
        assert!(engine.get_guard_before_linear_memory());
        assert!(engine.get_pooling_config().is_none());
        assert_eq!(engine.get_max_wasm_stack(), STACK_BYTES);
        assert_eq!(engine.get_memory_reservation(), 4 << 30);
        assert_eq!(engine.get_strategy(), Some(Strategy::Cranelift));
        assert_eq!(engine.get_cranelift_opt_level(), Some(OptLevel::Speed));
        assert_eq!(
            engine.get_cranelift_flags_set().count() + engine.get_cranelift_flags_enabled().count(),
            0
        );
    }

    #[test]
    fn the_guest_gets_exactly_these_features_of_wasm() {
        let expected = WasmFeatures::MUTABLE_GLOBAL
            | WasmFeatures::SATURATING_FLOAT_TO_INT
            | WasmFeatures::SIGN_EXTENSION
            | WasmFeatures::REFERENCE_TYPES
            | WasmFeatures::MULTI_VALUE
            | WasmFeatures::BULK_MEMORY
            | WasmFeatures::SIMD
            | WasmFeatures::FLOATS
            | WasmFeatures::EXTENDED_CONST
            | WasmFeatures::COMPONENT_MODEL;
        let engine = engine().expect("this machine runs wasmtime");
        assert_eq!(engine.get_wasm_features(), expected);
    }

    #[test]
    fn fuel_costs_are_those_of_gas_version_1() {
        let costs = format!("{:?}", OperatorCost::new());
        assert_eq!(
            Digest::of(costs.as_bytes()).to_string(),
            "56ab2396bcabd3b0a204f9fcd129be0c4e964528c00684d31c096b1a02b72f2c",
            "wasmtime's costs changed: keep the old ones, or make a new gas version"
        );
    }
}
