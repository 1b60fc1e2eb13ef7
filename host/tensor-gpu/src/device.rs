//! Adapters and devices: which GPUs there are, what opened one, what went wrong on it, and its compiled
//! kernels. Nothing here knows about tensors; `executor` does.

use std::{
    collections::HashMap,
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use anneal_tensor::{DeviceInfo, ExecutorError, WrongMode, float_mode};
use thiserror::Error;

use crate::{
    kernel::Kernel,
    pool::{OverLimit, Pool, Pooled},
    spirv,
};

/// Why an adapter cannot be used.
#[derive(Debug, Error)]
pub enum GpuError {
    /// The driver refused to open it.
    #[error("{adapter} cannot be opened: {message}; update its driver or use the CPU")]
    Open {
        /// Its name.
        adapter: String,
        /// What the driver said.
        message: String,
    },
    /// It computes other bits than the reference, whatever is tried: it can never earn.
    #[error("{adapter} does not compute canonical results ({failed}); update its driver or use the CPU")]
    NotCanonical {
        /// Its name.
        adapter: String,
        /// What differed.
        failed: String,
    },
    /// A driver or a layer changed how this process computes, while it was looked for.
    #[error("{adapter} cannot be used; the CPU can")]
    FloatMode {
        /// Its name.
        adapter: String,
        /// How, and at what.
        #[source]
        source: WrongMode,
    },
    /// It failed while it was tried.
    #[error("{adapter} failed its first computation")]
    Failed {
        /// Its name.
        adapter: String,
        /// How.
        #[source]
        source: ExecutorError,
    },
}

/// A GPU (or a program that plays one) that can be opened.
#[derive(Debug)]
pub struct Adapter {
    adapter: wgpu::Adapter,
    info: DeviceInfo,
    /// What looking for it did to the thread that looked.
    mode: Result<(), WrongMode>,
}

/// An open device.
#[derive(Debug)]
pub struct Gpu {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    /// Distinguishes tensors of this device from those of others.
    pub(crate) id: u64,
    pub(crate) limits: wgpu::Limits,
    info: DeviceInfo,
    faults: Arc<Mutex<Option<Fault>>>,
    pool: Pool,
    passthrough: bool,
    layouts: HashMap<Vec<bool>, Layout>,
    /// Compiled kernels by text, with when each was used last.
    pipelines: HashMap<String, (Pipeline, u64)>,
    kernels_compiled: u64,
    clock: u64,
}

/// Compiled kernels that are kept; then the half that was not used for the longest time goes.
const PIPELINES_MAX: usize = 1024;

/// A compiled kernel.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) bindings: wgpu::BindGroupLayout,
}

#[derive(Clone, Debug)]
struct Layout {
    bindings: wgpu::BindGroupLayout,
    pipeline: wgpu::PipelineLayout,
}

/// The call that makes a buffer.
const BUFFER: &str = "the making of a buffer on a GPU (wgpu::Device::create_buffer)";

/// What a device's callbacks reported.
#[derive(Clone, Debug)]
enum Fault {
    Lost(String),
    Memory(String),
}

/// Every adapter, real GPUs first. One GPU behind two drivers (Vulkan and DX12) is listed once.
pub fn adapters() -> Vec<Adapter> {
    let before = float_mode::check("what ran before GPUs were looked for");
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::PRIMARY,
        flags: wgpu::InstanceFlags::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mode = before.and(float_mode::check("the loading of GPU drivers (wgpu::Instance::new)"));
    let mut found = now(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    let mode = mode.and(float_mode::check("the search for GPUs (wgpu::Instance::enumerate_adapters)"));
    let order = |adapter: &wgpu::Adapter| {
        let info = adapter.get_info();
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => 0,
            wgpu::DeviceType::IntegratedGpu => 1,
            wgpu::DeviceType::VirtualGpu | wgpu::DeviceType::Other => 2,
            wgpu::DeviceType::Cpu => 3,
        };
        (kind, info.backend == wgpu::Backend::Dx12)
    };
    found.sort_by_key(order);
    let mut seen = Vec::new();
    found.retain(|adapter| {
        let info = adapter.get_info();
        let again = info.backend == wgpu::Backend::Dx12 && seen.contains(&(info.vendor, info.device));
        seen.push((info.vendor, info.device));
        !again
    });
    found.into_iter().map(|adapter| Adapter::new(adapter, mode)).collect()
}

impl Adapter {
    /// Where it sits on the PCI bus, like `0000:01:00.0`, where its driver says.
    pub fn pci_address(&self) -> Option<String> {
        Some(self.adapter.get_info().device_pci_bus_id).filter(|address| !address.is_empty())
    }

    /// Vendor and model as PCI numbers them, like `10de:2335`; none for what is no PCI device.
    pub fn pci_id(&self) -> Option<String> {
        let info = self.adapter.get_info();
        let (vendor, device) = (u16::try_from(info.vendor).ok()?, u16::try_from(info.device).ok()?);
        (vendor != 0).then(|| format!("{vendor:04x}:{device:04x}"))
    }

    fn new(adapter: wgpu::Adapter, mode: Result<(), WrongMode>) -> Adapter {
        let found = adapter.get_info();
        let info = DeviceInfo {
            backend: "gpu",
            name: found.name.clone(),
            driver: format!("{} {} ({:?})", found.driver, found.driver_info, found.backend),
            threads: 0,
            memory_bytes: None,
            software: found.device_type == wgpu::DeviceType::Cpu,
        };
        Adapter { adapter, info, mode }
    }

    /// What it is.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }
}

impl Gpu {
    /// Opens an adapter, for SPIR-V with `NoContraction` where it takes that and the caller wants it. What it
    /// computes is not checked here: see [`crate::GpuExecutor::new`].
    ///
    /// # Errors
    /// Where the driver refuses, or it or a layer changes how this thread computes.
    pub fn open(adapter: &Adapter, no_contraction: bool) -> Result<Gpu, GpuError> {
        let wrong_mode =
            |source: WrongMode| GpuError::FloatMode { adapter: adapter.info.name.clone(), source };
        adapter.mode.map_err(wrong_mode)?;
        static IDS: AtomicU64 = AtomicU64::new(0);
        let passthrough = no_contraction
            && adapter.adapter.get_info().backend == wgpu::Backend::Vulkan
            && adapter.adapter.features().contains(wgpu::Features::PASSTHROUGH_SHADERS);
        let features =
            if passthrough { wgpu::Features::PASSTHROUGH_SHADERS } else { wgpu::Features::empty() };
        let limits = adapter.adapter.limits();
        let request = adapter.adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("anneal"),
            required_features: features,
            required_limits: limits.clone(),
            ..wgpu::DeviceDescriptor::default()
        });
        let opened = now(request);
        float_mode::check("the opening of a GPU (wgpu::Adapter::request_device)").map_err(wrong_mode)?;
        let (device, queue) = opened.map_err(|error| GpuError::Open {
            adapter: adapter.info.name.clone(),
            message: error.to_string(),
        })?;
        let faults = Arc::new(Mutex::new(None));
        listen(&device, &faults);
        Ok(Gpu {
            device,
            queue,
            id: IDS.fetch_add(1, Ordering::Relaxed),
            limits,
            info: adapter.info.clone(),
            faults,
            pool: Pool::default(),
            passthrough,
            layouts: HashMap::new(),
            pipelines: HashMap::new(),
            kernels_compiled: 0,
            clock: 0,
        })
    }

    /// What it is.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// How many kernels were compiled: a step that should reuse them must not raise it.
    pub fn kernels_compiled(&self) -> u64 {
        self.kernels_compiled
    }

    /// The first thing that went wrong since the last check, and whether this thread computes as it must, after a
    /// call that may have reached the driver.
    ///
    /// # Errors
    /// That thing. A lost device stays lost; memory may be there again later.
    pub(crate) fn check(&self, call: &'static str) -> Result<(), ExecutorError> {
        float_mode::check(call)?;
        let mut fault = lock(&self.faults);
        match fault.clone() {
            None => Ok(()),
            Some(Fault::Lost(message)) => Err(ExecutorError::DeviceLost(message)),
            Some(Fault::Memory(message)) => {
                *fault = None;
                Err(ExecutorError::OutOfMemory(message))
            }
        }
    }

    /// Keeps it lost: what it still computes is not waited for.
    pub(crate) fn give_up(&self, message: String) -> ExecutorError {
        *lock(&self.faults) = Some(Fault::Lost(message.clone()));
        ExecutorError::DeviceLost(message)
    }

    /// The buffers.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// A storage buffer of at least this many words.
    ///
    /// # Errors
    /// Where it would be larger than a binding may be, or the device has no memory.
    pub(crate) fn buffer(&self, words: usize) -> Result<Pooled, ExecutorError> {
        let bytes = words as u64 * 4;
        let most = self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size);
        if bytes > most {
            return Err(ExecutorError::OutOfMemory(format!(
                "a tensor of {words} elements takes {bytes} bytes on {}, whose buffers hold at most {most} \
                 (every element is 4 bytes there): use smaller tensors or the CPU",
                self.info.name
            )));
        }
        let create = |size| {
            self.device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size,
                usage: wgpu::BufferUsages::STORAGE
                    | wgpu::BufferUsages::COPY_DST
                    | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            })
        };
        let take = || {
            self.pool.take(bytes, create).map_err(|OverLimit { needed, limit }| {
                ExecutorError::OutOfMemory(format!(
                    "the task needs {needed} bytes on {}, over the limit of {limit} that its owner set \
                     (shares.gpu-memory)",
                    self.info.name
                ))
            })
        };
        let buffer = take()?;
        match self.check(BUFFER) {
            Err(ExecutorError::OutOfMemory(_)) => {
                // The refused buffer is not to be used again, and unused ones may make room.
                drop(buffer);
                self.pool.clear();
                let buffer = take()?;
                self.check(BUFFER).map(|()| buffer)
            }
            other => other.map(|()| buffer),
        }
    }

    /// The compiled kernel.
    ///
    /// # Errors
    /// Where the device or its compiler fails.
    pub(crate) fn pipeline(&mut self, kernel: &Kernel) -> Result<Pipeline, ExecutorError> {
        self.clock += 1;
        if let Some((pipeline, used)) = self.pipelines.get_mut(&kernel.text) {
            *used = self.clock;
            return Ok(pipeline.clone());
        }
        if self.pipelines.len() >= PIPELINES_MAX {
            let mut times: Vec<u64> = self.pipelines.values().map(|&(_, used)| used).collect();
            let (_, &mut middle, _) = times.select_nth_unstable(PIPELINES_MAX / 2);
            self.pipelines.retain(|_, (_, used)| *used > middle);
        }
        let module = self.module(&kernel.text)?;
        let layout = self.layout(&kernel.written);
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: Some(&layout.pipeline),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..wgpu::PipelineCompilationOptions::default()
            },
            cache: None,
        });
        self.check("the compiling of a kernel (wgpu::Device::create_compute_pipeline)")?;
        let pipeline = Pipeline { pipeline, bindings: layout.bindings };
        self.kernels_compiled += 1;
        self.pipelines.insert(kernel.text.clone(), (pipeline.clone(), self.clock));
        Ok(pipeline)
    }

    #[expect(unsafe_code, reason = "wgpu offers NoContraction and unbounded loops through unsafe calls only")]
    fn module(&self, text: &str) -> Result<wgpu::ShaderModule, ExecutorError> {
        if !self.passthrough {
            let mut checks = wgpu::ShaderRuntimeChecks::checked();
            // A loop counter in every loop costs up to a hundredfold; ours end by construction.
            checks.force_loop_bounding = false;
            let descriptor =
                wgpu::ShaderModuleDescriptor { label: None, source: wgpu::ShaderSource::Wgsl(text.into()) };
            // SAFETY: every loop of a generated kernel counts up to a size (the hostile interpreter runs them
            // all); the other checks stay on.
            return Ok(unsafe { self.device.create_shader_module_trusted(descriptor, checks) });
        }
        let words = spirv::compile(text)
            .map_err(|error| ExecutorError::DeviceLost(format!("internal error: {error}")))?;
        let entry = wgpu::PassthroughShaderEntryPoint { name: "main".into(), workgroup_size: (1, 1, 1) };
        let descriptor = wgpu::ShaderModuleDescriptorPassthrough {
            entry_points: vec![entry].into(),
            spirv: Some(words.into()),
            ..wgpu::ShaderModuleDescriptorPassthrough::default()
        };
        // SAFETY: the words are naga's own output for a module that naga validated, plus decorations that
        // change no type; the bindings are dense and match the layout given to the pipeline.
        Ok(unsafe { self.device.create_shader_module_passthrough(descriptor) })
    }

    fn layout(&mut self, written: &[bool]) -> Layout {
        if let Some(layout) = self.layouts.get(written) {
            return layout.clone();
        }
        let read_only = std::iter::once(true).chain(written.iter().map(|&written| !written));
        let entries: Vec<_> = read_only
            .enumerate()
            .map(|(binding, read_only)| wgpu::BindGroupLayoutEntry {
                binding: binding as u32,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Storage { read_only },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let bindings = self
            .device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
        let pipeline = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        let layout = Layout { bindings, pipeline };
        self.layouts.insert(written.to_vec(), layout.clone());
        layout
    }
}

/// Keeps what the driver reports; wgpu's own handler would panic.
fn listen(device: &wgpu::Device, faults: &Arc<Mutex<Option<Fault>>>) {
    let errors = Arc::clone(faults);
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        let fault = match error {
            wgpu::Error::OutOfMemory { source } => Fault::Memory(source.to_string()),
            other => Fault::Lost(other.to_string()),
        };
        tracing::debug!(?fault, "the device reported an error");
        let mut first = lock(&errors);
        if !matches!(*first, Some(Fault::Lost(_))) {
            *first = Some(fault);
        }
    }));
    let losses = Arc::clone(faults);
    device.set_device_lost_callback(move |reason, message| {
        if reason != wgpu::DeviceLostReason::Destroyed {
            *lock(&losses) = Some(Fault::Lost(message));
        }
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The result of a future that native wgpu completes at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}
