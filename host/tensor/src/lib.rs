//! Tensors with canonical arithmetic: operations, shapes, gradients, and their execution on a CPU.
//!
//! The way of a value: a guest's call is checked and recorded by [`Graph`] as [`Tensor`] nodes made of
//! [`Op`]s; an [`Executor`] evaluates targets by a [`plan`] it builds once a structure; values leave as bytes
//! with a [`digest`]. The arithmetic itself is [`numerics`], written once for every backend.
//!
//! No IO, no clock, no randomness; wgpu is in `anneal-tensor-gpu`.

pub mod conformance;
pub mod cpu;
pub mod digest;
mod dtype;
mod error;
mod executor;
pub mod float_mode;
pub mod gas;
pub mod governor;
mod gradient;
mod graph;
pub mod limits;
mod meter;
mod node;
pub mod numerics;
mod op;
pub mod plan;
pub mod real;
pub mod reference;
mod shape;
pub mod testing;
mod value;

pub use cpu::{Cpu, CpuError, InstructionSet};
pub use dtype::DType;
pub use error::{CallError, CallErrorCode, Exhausted, RecordError};
pub use executor::{DeviceInfo, Executor, ExecutorError};
pub use float_mode::{FloatMode, WrongMode};
pub use governor::{Duty, Gate, Pace};
pub use graph::{AdamwOptions, Graph, Pool2dOptions, Recorded, SgdOptions};
pub use meter::Meter;
pub use node::{Tensor, reachable};
pub use op::{
    AdamwScalars, Conv2dAttributes, ElementOp, Op, ReduceKind, SgdScalars, ViewOp, WindowAttributes,
};
pub use reference::Reference;
pub use shape::Shape;
pub use value::{Elements, ImportError, Storage, Value};
