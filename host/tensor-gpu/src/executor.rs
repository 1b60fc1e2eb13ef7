//! The executor: walks a plan, binds buffers, launches kernels, and moves elements in and out.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::{Arc, Weak, mpsc},
    time::{Duration, Instant},
};

use anneal_tensor::{
    DType, DeviceInfo, Elements, Executor, ExecutorError, Gate, Storage, Tensor, Value,
    governor::PIECE_MAX,
    plan::{Arguments, Plan, PlanCache},
};

use crate::{
    canary,
    device::{Adapter, Gpu, GpuError, adapters},
    kernel::{self, Buffer, Dispatch, Lowered, Tuning},
    pool::Pooled,
    speed::{self, Speed, Work},
};

/// Launches that are handed to the device at once.
const LAUNCHES_PER_SUBMISSION: usize = 256;
/// Submissions that wait on the device before the host waits for them.
const SUBMISSIONS_MAX: usize = 8;
/// The same where a gate may hold work at any time: one is being done, and one is next.
const SUBMISSIONS_GATED_MAX: usize = 1;
/// A wait that was shorter did not wait: what was waited for had been done before.
const WAITED: Duration = Duration::from_micros(300);
/// How long the host waits for the oldest of them before it gives a GPU up as hung. None of ours is planned
/// to take a second.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same for a program that plays a GPU: on a busy machine it may take minutes.
const PATIENCE_WITH_SOFTWARE: Duration = Duration::from_secs(1800);

/// A GPU as a backend.
///
/// Every element takes four bytes on the device whatever its dtype, so a `u8` tensor needs four times its
/// logical size there; one that exceeds the device's buffer limit is [`ExecutorError::OutOfMemory`].
#[derive(Debug)]
pub struct GpuExecutor {
    gpu: Gpu,
    tuning: Tuning,
    plans: PlanCache,
    /// Launches by plan; the plan is held so that its address stays its own.
    lowered: HashMap<usize, (Arc<Plan>, Arc<[Lowered]>)>,
    /// Device copies of host values that are still alive, by address.
    uploads: HashMap<usize, (Weak<Elements>, Arc<Pooled>)>,
    submissions: VecDeque<Submission>,
    patience: Duration,
    gate: Option<Arc<dyn Gate>>,
    speed: Speed,
    /// When the device was seen to have done something last.
    done: Instant,
}

/// What the device was given at once.
#[derive(Debug)]
struct Submission {
    index: wgpu::SubmissionIndex,
    work: Work,
    at: Instant,
}

/// A tensor on a device.
#[derive(Debug)]
struct DeviceTensor {
    device: u64,
    elements: usize,
    buffer: Arc<Pooled>,
}

impl GpuExecutor {
    /// Every device that opens and computes canonical results, real GPUs first. The others are logged.
    pub fn all() -> Vec<GpuExecutor> {
        let open = |adapter: &Adapter| match GpuExecutor::new(adapter) {
            Ok(executor) => Some(executor),
            Err(error) => {
                tracing::warn!(adapter = adapter.info().name, %error, "a GPU is not used");
                None
            }
        };
        adapters().iter().filter_map(open).collect()
    }

    /// Opens an adapter and checks on small inputs that it computes canonical results; where its compiler
    /// rearranges fma chains, with a barrier after each of their steps, which is slower.
    ///
    /// # Errors
    /// Where it does not open, fails, or computes other bits whatever is tried.
    pub fn new(adapter: &Adapter) -> Result<GpuExecutor, GpuError> {
        let invocations = if adapter.info().software { 256 } else { Tuning::default().invocations };
        let failure = |source| GpuError::Failed { adapter: adapter.info().name.clone(), source };
        let mut failed = String::new();
        for barrier_each_step in [false, true] {
            let tuning = Tuning { barrier_each_step, invocations, ..Tuning::default() };
            // Large tiles first, which small tensors get only where nobody minds an idle device.
            let mut executor = GpuExecutor::unchecked(adapter, Tuning { invocations: 1, ..tuning })?;
            let mut difference = canary::difference(&mut executor).map_err(failure)?;
            if difference.is_none() {
                executor.retune(tuning);
                difference = canary::difference(&mut executor).map_err(failure)?;
            }
            match difference {
                None => return Ok(executor),
                Some(difference) => failed = difference,
            }
            tracing::info!(adapter = adapter.info().name, failed, barrier_each_step, "a canary failed");
        }
        Err(GpuError::NotCanonical { adapter: adapter.info().name.clone(), failed })
    }

    fn retune(&mut self, tuning: Tuning) {
        self.tuning = tuning;
        self.lowered.clear();
    }

    /// Opens an adapter with a tuning of one's own and checks nothing: for tests and measurements.
    ///
    /// # Errors
    /// Where it does not open.
    pub fn unchecked(adapter: &Adapter, tuning: Tuning) -> Result<GpuExecutor, GpuError> {
        Ok(GpuExecutor {
            gpu: Gpu::open(adapter, tuning.no_contraction)?,
            tuning,
            plans: PlanCache::default(),
            lowered: HashMap::new(),
            uploads: HashMap::new(),
            submissions: VecDeque::new(),
            gate: None,
            speed: Speed::unknown(),
            done: Instant::now(),
            patience: if adapter.info().software { PATIENCE_WITH_SOFTWARE } else { PATIENCE },
        })
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// How kernels are cut for it.
    pub fn tuning(&self) -> Tuning {
        self.tuning
    }

    /// All tensors of a task together take at most this many bytes of the device; more is
    /// [`ExecutorError::OutOfMemory`], which names the limit. Kernels and the driver's own are not counted.
    pub fn limit_memory(&mut self, bytes_max: Option<u64>) {
        self.gpu.pool().limit(bytes_max);
    }

    /// Waits until everything that was launched is done.
    ///
    /// # Errors
    /// Where the device failed.
    pub fn finish(&mut self) -> Result<(), ExecutorError> {
        while let Some(submission) = self.submissions.pop_front() {
            self.wait_for(submission)?;
        }
        self.wait(None)
    }

    /// Waits until this is done, and learns how long it took.
    fn wait_for(&mut self, submission: Submission) -> Result<(), ExecutorError> {
        let begun = Instant::now();
        self.wait(Some(submission.index))?;
        let done = Instant::now();
        // The device does one thing after the other.
        let took = done.saturating_duration_since(submission.at.max(self.done));
        self.speed.learn(&submission.work, took, done - begun > WAITED);
        self.done = done;
        Ok(())
    }

    fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<(), ExecutorError> {
        let poll = wgpu::PollType::Wait { submission_index: submission, timeout: Some(self.patience) };
        let polled = self.gpu.device.poll(poll);
        self.gpu.check("a wait for a GPU (wgpu::Device::poll)")?;
        match polled {
            Ok(_) => Ok(()),
            Err(wgpu::PollError::Timeout) => Err(self.gpu.give_up(format!(
                "{} did not finish its work within {} s, so it hangs",
                self.gpu.info().name,
                self.patience.as_secs()
            ))),
            Err(error) => Err(ExecutorError::DeviceLost(error.to_string())),
        }
    }

    fn submit(&mut self, commands: wgpu::CommandBuffer, work: Work) -> Result<(), ExecutorError> {
        let index = self.gpu.queue.submit([commands]);
        self.submissions.push_back(Submission { index, work, at: Instant::now() });
        self.gpu.check("the handing of work to a GPU (wgpu::Queue::submit)")?;
        let waiting_max = match &self.gate {
            None => SUBMISSIONS_MAX,
            // Whoever is held has nothing on the device.
            Some(gate) if gate.limits() => 0,
            Some(_) => SUBMISSIONS_GATED_MAX,
        };
        while self.submissions.len() > waiting_max {
            let Some(oldest) = self.submissions.pop_front() else { break };
            self.wait_for(oldest)?;
        }
        self.pass()
    }

    fn pass(&self) -> Result<(), ExecutorError> {
        self.gate.as_ref().map_or(Ok(()), |gate| gate.pass())
    }

    fn lowered(&mut self, plan: &Arc<Plan>) -> Arc<[Lowered]> {
        let address = Arc::as_ptr(plan) as usize;
        if let Some((_, lowered)) = self.lowered.get(&address) {
            return Arc::clone(lowered);
        }
        // A plan that only this map holds was dropped from the cache of plans.
        self.lowered.retain(|_, (plan, _)| Arc::strong_count(plan) > 1);
        let tuning = self.tuning;
        let lowered: Arc<[Lowered]> =
            plan.steps.iter().map(|step| kernel::lower(&step.kind, &plan.slots, tuning)).collect();
        self.lowered.insert(address, (Arc::clone(plan), Arc::clone(&lowered)));
        lowered
    }

    /// The elements on the device.
    fn on_device(&mut self, value: &Value) -> Result<Arc<Pooled>, ExecutorError> {
        match &value.storage {
            Storage::Device(tensor) => Ok(Arc::clone(&self.open(tensor)?.buffer)),
            Storage::Host(elements) => self.upload(elements),
        }
    }

    fn open<'a>(
        &self,
        tensor: &'a Arc<dyn std::any::Any + Send + Sync>,
    ) -> Result<&'a DeviceTensor, ExecutorError> {
        tensor
            .downcast_ref::<DeviceTensor>()
            .filter(|tensor| tensor.device == self.gpu.id)
            .ok_or(ExecutorError::ForeignValue("a GPU"))
    }

    fn upload(&mut self, elements: &Arc<Elements>) -> Result<Arc<Pooled>, ExecutorError> {
        let address = Arc::as_ptr(elements) as usize;
        if let Some((_, buffer)) = self.uploads.get(&address) {
            return Ok(Arc::clone(buffer));
        }
        let buffer = Arc::new(self.gpu.buffer(elements.len())?);
        let wide: Vec<u32>;
        let bytes: &[u8] = match &**elements {
            Elements::F32(elements) => bytemuck::cast_slice(elements),
            Elements::I32(elements) => bytemuck::cast_slice(elements),
            Elements::U8(elements) => {
                wide = elements.iter().map(|&element| u32::from(element)).collect();
                bytemuck::cast_slice(&wide)
            }
            Elements::U16(elements) => {
                wide = elements.iter().map(|&element| u32::from(element)).collect();
                bytemuck::cast_slice(&wide)
            }
        };
        if !bytes.is_empty() {
            self.gpu.queue.write_buffer(buffer.buffer(), 0, bytes);
        }
        self.gpu.check("an upload to a GPU (wgpu::Queue::write_buffer)")?;
        // The weak reference keeps the address from being used again.
        self.uploads.insert(address, (Arc::downgrade(elements), Arc::clone(&buffer)));
        Ok(buffer)
    }

    /// The slots after all steps; those that were released are empty.
    fn run(
        &mut self,
        plan: &Arc<Plan>,
        arguments: &Arguments,
    ) -> Result<Vec<Option<Arc<Pooled>>>, ExecutorError> {
        let lowered = self.lowered(plan);
        let mut slots: Vec<Option<Arc<Pooled>>> = Vec::with_capacity(plan.slots.len());
        for value in &arguments.values {
            slots.push(Some(self.on_device(value)?));
        }
        slots.resize_with(plan.slots.len(), || None);
        for &target in &plan.targets {
            // Nothing writes a target without elements, so no step would make its buffer.
            if plan.slots[target].elements == 0 && slots[target].is_none() {
                slots[target] = Some(Arc::new(self.gpu.buffer(0)?));
            }
        }
        if lowered.is_empty() {
            return Ok(slots);
        }
        let pieces = self.pieces(plan, &lowered);
        let words = Words::new(&lowered, &pieces, &arguments.scalars, &self.gpu.limits);
        let words_buffer = self.gpu.buffer(words.all.len())?;
        self.gpu.queue.write_buffer(words_buffer.buffer(), 0, bytemuck::cast_slice(&words.all));

        let mut launches = Launches::default();
        let mut pieces = pieces.iter().zip(&words.starts);
        for (at, step) in lowered.iter().enumerate() {
            let kind = &plan.steps[at].kind;
            // What is read was written, or has no elements.
            for slot in kind.writes().into_iter().chain(kind.reads()) {
                if slots[slot].is_none() {
                    slots[slot] = Some(Arc::new(self.gpu.buffer(plan.slots[slot].elements)?));
                }
            }
            let temporaries: Vec<Arc<Pooled>> = step
                .temporaries
                .iter()
                .map(|&elements| self.gpu.buffer(elements).map(Arc::new))
                .collect::<Result<_, _>>()?;
            for dispatch in &step.dispatches {
                let bound = |buffer: &Buffer| match *buffer {
                    Buffer::Slot(slot) => slots[slot].as_ref().expect("a step's slots are held"),
                    Buffer::Temporary(number) => &temporaries[number],
                };
                let buffers: Vec<&Pooled> = dispatch.buffers.iter().map(|buffer| &**bound(buffer)).collect();
                let (pieces, starts) = pieces.next().expect("each dispatch has its words");
                for (piece, &start) in pieces.iter().zip(starts) {
                    let launch = self.launch(dispatch, piece, (&words_buffer, start), &buffers)?;
                    if self.is_enough(&launches, piece) {
                        self.encode(&mut launches)?;
                    }
                    launches.push(launch, piece.work);
                }
            }
            for &slot in &plan.releases[at] {
                slots[slot] = None;
            }
            if launches.all.len() >= LAUNCHES_PER_SUBMISSION {
                self.encode(&mut launches)?;
            }
        }
        self.encode(&mut launches)?;
        Ok(slots)
    }

    /// In what pieces each dispatch is launched: whole, or, where a gate is passed between, cut.
    fn pieces(&self, plan: &Plan, lowered: &[Lowered]) -> Vec<Vec<Piece>> {
        let steps = plan.steps.iter().zip(lowered);
        let dispatches = steps.flat_map(|(step, lowered)| {
            lowered.dispatches.iter().enumerate().map(move |(number, dispatch)| (step, number, dispatch))
        });
        dispatches
            .map(|(step, number, &Dispatch { workgroups, .. })| {
                let work = Work::of(&step.kind, number, workgroups);
                let ranges = match (self.tuning.pieces, &self.gate) {
                    (Some(pieces), _) => speed::cut(workgroups, pieces),
                    (None, Some(_)) => self.speed.cut(&work, workgroups),
                    (None, None) => std::iter::once(0..workgroups).collect(),
                };
                let piece = |workgroups_of: Range<u32>| {
                    let part =
                        f64::from(workgroups_of.end - workgroups_of.start) / f64::from(workgroups.max(1));
                    Piece { work: work.part(part), workgroups: workgroups_of }
                };
                ranges.into_iter().map(piece).collect()
            })
            .collect()
    }

    /// Whether another piece would make a submission too long for a gate.
    fn is_enough(&self, launches: &Launches, next: &Piece) -> bool {
        self.gate.is_some() && self.speed.planned(&launches.work.and(next.work)) > PIECE_MAX
    }

    fn launch(
        &mut self,
        dispatch: &Dispatch,
        piece: &Piece,
        (words, start): (&Pooled, u64),
        buffers: &[&Pooled],
    ) -> Result<Launch, ExecutorError> {
        // It may have to be compiled, which is work, too.
        self.pass()?;
        let pipeline = self.gpu.pipeline(&dispatch.kernel)?;
        let binding = |buffer, offset, size| {
            let size = wgpu::BufferSize::new(size);
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size })
        };
        let words = binding(words.buffer(), start, dispatch.arguments.len() as u64 * 4);
        let most = self.gpu.limits.max_storage_buffer_binding_size;
        let buffers = buffers.iter().map(|buffer| {
            let buffer = buffer.buffer();
            binding(buffer, 0, buffer.size().min(most))
        });
        let entries: Vec<wgpu::BindGroupEntry> = std::iter::once(words)
            .chain(buffers)
            .enumerate()
            .map(|(at, resource)| wgpu::BindGroupEntry { binding: at as u32, resource })
            .collect();
        let bindings = self.gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.bindings,
            entries: &entries,
        });
        let grid = kernel::grid(piece.workgroups.end - piece.workgroups.start);
        self.gpu.check("the binding of a kernel's buffers (wgpu::Device::create_bind_group)")?;
        Ok(Launch { pipeline: pipeline.pipeline, bindings, grid })
    }

    /// One command buffer with one pass; wgpu orders launches that touch the same buffer.
    fn encode(&mut self, launches: &mut Launches) -> Result<(), ExecutorError> {
        if launches.all.is_empty() {
            return Ok(());
        }
        let mut encoder =
            self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for launch in launches.all.drain(..) {
            pass.set_pipeline(&launch.pipeline);
            pass.set_bind_group(0, &launch.bindings, &[]);
            pass.dispatch_workgroups(launch.grid.0, launch.grid.1, 1);
        }
        drop(pass);
        let commands = encoder.finish();
        self.gpu.check("the recording of work for a GPU (wgpu::CommandEncoder::finish)")?;
        self.submit(commands, std::mem::take(&mut launches.work))
    }

    fn download(&mut self, tensor: &DeviceTensor, dtype: DType) -> Result<Elements, ExecutorError> {
        if tensor.elements == 0 {
            return Ok(Elements::zeros(dtype, 0));
        }
        let bytes = tensor.elements as u64 * 4;
        let staging = self.gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: bytes,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.gpu.check("the making of a buffer that is read from (wgpu::Device::create_buffer)")?;
        let mut encoder =
            self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
        encoder.copy_buffer_to_buffer(tensor.buffer.buffer(), 0, &staging, 0, bytes);
        self.submit(encoder.finish(), Work::default())?;
        let (sender, receiver) = mpsc::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            let _nobody_waits_any_more = sender.send(result);
        });
        self.finish()?;
        let lost = |error: String| ExecutorError::DeviceLost(error);
        match receiver.try_recv() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(lost(error.to_string())),
            Err(error) => return Err(lost(error.to_string())),
        }
        let mapped = staging.get_mapped_range(..).map_err(|error| lost(error.to_string()))?;
        self.gpu.check("the reading of a buffer (wgpu::Buffer::get_mapped_range)")?;
        let words = mapped.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Ok(Elements::from_words(dtype, words))
    }
}

impl Executor for GpuExecutor {
    fn device(&self) -> &DeviceInfo {
        self.gpu.info()
    }

    fn evaluate(&mut self, targets: &[Tensor]) -> Result<Vec<Value>, ExecutorError> {
        self.uploads.retain(|_, (elements, _)| elements.strong_count() > 0);
        // Buffers that were dropped meanwhile were given back to the driver.
        self.gpu.check("what ran before a computation on a GPU")?;
        let (plan, arguments) = self.plans.plan(targets);
        let slots = self.run(&plan, &arguments)?;
        let value = |(target, &slot): (&Tensor, &usize)| {
            let (dtype, shape) = (target.dtype(), *target.shape());
            if let Some(given) = arguments.values.get(slot) {
                return Value { dtype, shape, storage: given.storage.clone() };
            }
            let buffer = Arc::clone(slots[slot].as_ref().expect("targets are never released"));
            let tensor = DeviceTensor { device: self.gpu.id, elements: shape.elements(), buffer };
            Value { dtype, shape, storage: Storage::Device(Arc::new(tensor)) }
        };
        Ok(targets.iter().zip(&plan.targets).map(value).collect())
    }

    fn read(&mut self, value: &Value) -> Result<Arc<Elements>, ExecutorError> {
        match &value.storage {
            Storage::Host(elements) => Ok(Arc::clone(elements)),
            Storage::Device(tensor) => {
                let tensor = self.open(tensor)?;
                self.download(tensor, value.dtype).map(Arc::new)
            }
        }
    }

    fn place(&mut self, value: Value) -> Result<Value, ExecutorError> {
        let buffer = self.on_device(&value)?;
        let tensor = DeviceTensor { device: self.gpu.id, elements: value.shape.elements(), buffer };
        Ok(Value { storage: Storage::Device(Arc::new(tensor)), ..value })
    }

    fn forget(&mut self) {
        self.uploads.clear();
        self.gpu.pool().clear();
    }

    fn groups_of(&mut self, targets: &[Tensor]) -> Vec<String> {
        self.plans.plan(targets).0.groups()
    }

    fn govern(&mut self, gate: Option<Arc<dyn Gate>>) {
        self.gate = gate;
    }
}

/// What of a dispatch is launched at once.
struct Piece {
    workgroups: Range<u32>,
    work: Work,
}

/// The launches of a submission.
#[derive(Default)]
struct Launches {
    all: Vec<Launch>,
    work: Work,
}

impl Launches {
    fn push(&mut self, launch: Launch, work: Work) {
        self.all.push(launch);
        self.work = self.work.and(work);
    }
}

/// One launch with everything it needs.
struct Launch {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    grid: (u32, u32),
}

/// The argument words of all launches of a run, in one buffer.
struct Words {
    all: Vec<u32>,
    /// Where those of each piece of each dispatch begin, in bytes.
    starts: Vec<Vec<u64>>,
}

impl Words {
    fn new(lowered: &[Lowered], pieces: &[Vec<Piece>], scalars: &[u32], limits: &wgpu::Limits) -> Words {
        let alignment = (limits.min_storage_buffer_offset_alignment as usize / 4).max(1);
        let mut words = Words { all: Vec::new(), starts: Vec::new() };
        let dispatches = lowered.iter().flat_map(|step| &step.dispatches);
        for (dispatch, pieces) in dispatches.zip(pieces) {
            let mut starts = Vec::with_capacity(pieces.len());
            for piece in pieces {
                words.all.resize(words.all.len().next_multiple_of(alignment), 0);
                starts.push(words.all.len() as u64 * 4);
                words.all.extend(dispatch.part(scalars, &piece.workgroups));
            }
            words.starts.push(starts);
        }
        words
    }
}
