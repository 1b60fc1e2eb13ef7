//! Every adapter computes canonical results.
#[test]
fn every_adapter_passes_its_canary() {
    let adapters = anneal_tensor_gpu::adapters();
    assert!(!adapters.is_empty(), "no adapter: tests/setup installs lavapipe");
    for adapter in adapters {
        let started = std::time::Instant::now();
        let executor = anneal_tensor_gpu::GpuExecutor::new(&adapter).unwrap();
        println!("{:?} {:?} {:?}", adapter.info(), executor.tuning(), started.elapsed());
    }
}
