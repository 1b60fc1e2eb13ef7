//! Interface `tensors`: each function is one of the engine's recorder. What an operation means, and what it
//! refuses, is written there.

use anneal_tensor::{
    AdamwOptions, CallErrorCode, Conv2dAttributes, DType, Pool2dOptions, RecordError, SgdOptions, Tensor,
    gas, limits,
};
use wasmtime::component::Resource;

use super::{Host, Refusal, bindings::tensors as wit, size, word};
use crate::{
    limits::{CALL_GAS, LOOK_GAS},
    state,
};

type Handle = Resource<Tensor>;
type Answer = Result<Handle, Refusal>;

/// Functions of tensors alone: `name(a, b) = method` calls the recorder's method.
macro_rules! recorded {
    ($($name:ident($($input:ident),+) = $method:ident;)*) => {
        $(fn $name(&mut self, $($input: Handle),+) -> Answer {
            let recorded = self.graph.$method($(self.table.get(&$input)?),+)?;
            self.hand_out(recorded)
        })*
    };
}

/// Functions of one tensor and scalars: `name(x; axis: u32 as size) = method`.
macro_rules! recorded_with {
    ($($name:ident($x:ident; $($argument:ident: $type:ty as $convert:expr),+);)*) => {
        $(fn $name(&mut self, $x: Handle, $($argument: $type),+) -> Answer {
            let recorded = self.graph.$name(self.table.get(&$x)?, $(($convert)($argument)),+)?;
            self.hand_out(recorded)
        })*
    };
}

/// Reductions over axes.
macro_rules! reductions {
    ($($name:ident)*) => {
        $(fn $name(&mut self, x: Handle, axes: Vec<u32>, keep: bool) -> Answer {
            let axes = self.sizes(stringify!($name), &axes)?;
            let recorded = self.graph.$name(self.table.get(&x)?, &axes, keep)?;
            self.hand_out(recorded)
        })*
    };
}

impl wit::HostTensor for Host {
    fn shape(&mut self, x: Handle) -> wasmtime::Result<Vec<u32>> {
        self.charge(LOOK_GAS)?;
        Ok(self.tensor(&x)?.shape().iter().map(|&size| word(size)).collect())
    }

    fn dtype(&mut self, x: Handle) -> wasmtime::Result<wit::Dtype> {
        self.charge(LOOK_GAS)?;
        Ok(super::data::dtype(self.tensor(&x)?.dtype()))
    }

    fn read(&mut self, x: Handle) -> Result<Vec<u8>, Refusal> {
        let x = self.tensor(&x)?.clone();
        self.charge(CALL_GAS)?;
        if x.bytes() > limits::READ_BYTES_MAX {
            let message = format!(
                "{} {} holds {} bytes; at most {} are read at once: slice it",
                x.dtype(),
                x.shape(),
                x.bytes(),
                limits::READ_BYTES_MAX
            );
            return Err(RecordError::call(CallErrorCode::Limit, "read", message).into());
        }
        self.charge(x.bytes() as u64)?;
        let elements = self.elements(&x)?;
        if let Some(at) = state::saturated(x.dtype(), &elements) {
            let message = format!(
                "element {at} of {} {} (made by {}) is ±2^62: the computation overflowed; try a smaller \
                 learning rate, or clip",
                x.dtype(),
                x.shape(),
                x.label()
            );
            return Err(RecordError::call(CallErrorCode::Overflow, "read", message).into());
        }
        Ok(elements.to_bytes())
    }

    fn drop(&mut self, x: Handle) -> wasmtime::Result<()> {
        self.charge(LOOK_GAS)?;
        self.take_back(x)?;
        Ok(())
    }
}

impl wit::Host for Host {
    fn convert_error(&mut self, refusal: Refusal) -> wasmtime::Result<wit::Error> {
        match refusal {
            Refusal::Call(error) => {
                self.charge_call(error.message.len())?;
                Ok(error)
            }
            Refusal::End(end) => Err(end),
        }
    }

    fn from_bytes(&mut self, dtype: wit::Dtype, shape: Vec<u32>, bytes: Vec<u8>) -> Answer {
        // They were copied before they are checked.
        self.charge(gas::moved(bytes.len() as u64))?;
        let shape = self.sizes("from_bytes", &shape)?;
        let recorded = self.graph.from_bytes(engine_dtype(dtype), &shape, &bytes)?;
        self.hand_out(recorded)
    }

    fn full(&mut self, dtype: wit::Dtype, shape: Vec<u32>, value: f64) -> Answer {
        let shape = self.sizes("full", &shape)?;
        let recorded = self.graph.full(engine_dtype(dtype), &shape, value)?;
        self.hand_out(recorded)
    }

    fn iota(&mut self, shape: Vec<u32>) -> Answer {
        let shape = self.sizes("iota", &shape)?;
        let recorded = self.graph.iota(&shape)?;
        self.hand_out(recorded)
    }

    fn uniform(&mut self, shape: Vec<u32>, stream: u64) -> Answer {
        let shape = self.sizes("uniform", &shape)?;
        let recorded = self.graph.uniform(&shape, stream)?;
        self.hand_out(recorded)
    }

    fn normal(&mut self, shape: Vec<u32>, stream: u64) -> Answer {
        let shape = self.sizes("normal", &shape)?;
        let recorded = self.graph.normal(&shape, stream)?;
        self.hand_out(recorded)
    }

    fn slice(&mut self, x: Handle, starts: Vec<u32>, ends: Vec<u32>, steps: Vec<u32>) -> Answer {
        let [starts, ends, steps] = [starts, ends, steps].map(|list| self.sizes("slice", &list));
        let (starts, ends, steps) = (starts?, ends?, steps?);
        let recorded = self.graph.slice(self.table.get(&x)?, &starts, &ends, &steps)?;
        self.hand_out(recorded)
    }

    fn pad(&mut self, x: Handle, low: Vec<u32>, high: Vec<u32>, value: f64) -> Answer {
        let (low, high) = (self.sizes("pad", &low)?, self.sizes("pad", &high)?);
        let recorded = self.graph.pad(self.table.get(&x)?, &low, &high, value)?;
        self.hand_out(recorded)
    }

    fn concat(&mut self, xs: Vec<Handle>, axis: u32) -> Answer {
        if xs.len() > limits::CONCAT_INPUTS_MAX {
            self.charge(gas::LISTED * xs.len() as u64)?;
            let message = format!("{} tensors were given, 1 to {} fit", xs.len(), limits::CONCAT_INPUTS_MAX);
            return Err(RecordError::call(CallErrorCode::Argument, "concat", message).into());
        }
        let xs = self.all(&xs)?;
        let recorded = self.graph.concat(&xs.iter().collect::<Vec<_>>(), size(axis))?;
        self.hand_out(recorded)
    }

    fn reshape(&mut self, x: Handle, shape: Vec<u32>) -> Answer {
        let shape = self.sizes("reshape", &shape)?;
        let recorded = self.graph.reshape(self.table.get(&x)?, &shape)?;
        self.hand_out(recorded)
    }

    fn permute(&mut self, x: Handle, axes: Vec<u32>) -> Answer {
        let axes = self.sizes("permute", &axes)?;
        let recorded = self.graph.permute(self.table.get(&x)?, &axes)?;
        self.hand_out(recorded)
    }

    fn broadcast_to(&mut self, x: Handle, shape: Vec<u32>) -> Answer {
        let shape = self.sizes("broadcast_to", &shape)?;
        let recorded = self.graph.broadcast_to(self.table.get(&x)?, &shape)?;
        self.hand_out(recorded)
    }

    fn flip(&mut self, x: Handle, axes: Vec<u32>) -> Answer {
        let axes = self.sizes("flip", &axes)?;
        let recorded = self.graph.flip(self.table.get(&x)?, &axes)?;
        self.hand_out(recorded)
    }

    recorded! {
        detach(x) = detach;
        neg(x) = neg;
        abs(x) = abs;
        sign(x) = sign;
        recip(x) = recip;
        exp(x) = exp;
        ln(x) = ln;
        sqrt(x) = sqrt;
        rsqrt(x) = rsqrt;
        tanh(x) = tanh;
        sigmoid(x) = sigmoid;
        erf(x) = erf;
        sin(x) = sin;
        cos(x) = cos;
        floor(x) = floor;
        relu(x) = relu;
        gelu(x) = gelu;
        silu(x) = silu;
        logical_not(x) = logical_not;
        add(a, b) = add;
        sub(a, b) = sub;
        mul(a, b) = mul;
        div(a, b) = div;
        pow(a, b) = pow;
        maximum(a, b) = maximum;
        minimum(a, b) = minimum;
        eq(a, b) = eq;
        lt(a, b) = lt;
        le(a, b) = le;
        logical_and(a, b) = logical_and;
        logical_or(a, b) = logical_or;
        where_(condition, yes, no) = select;
    }

    recorded_with! {
        cast(x; dtype: wit::Dtype as engine_dtype);
        argmax(x; axis: u32 as size, keep: bool as kept);
        argmin(x; axis: u32 as size, keep: bool as kept);
        softmax(x; axis: u32 as size);
        log_softmax(x; axis: u32 as size);
        layer_norm(x; axes: u32 as size, epsilon: f32 as same);
        one_hot(x; classes: u32 as size);
        max_pool2d(x; options: wit::Pool2dOptions as pool2d);
        avg_pool2d(x; options: wit::Pool2dOptions as pool2d);
    }

    reductions!(sum mean max min);

    fn matmul(&mut self, a: Handle, b: Handle, transpose_a: bool, transpose_b: bool) -> Answer {
        let (a, b) = (self.table.get(&a)?, self.table.get(&b)?);
        let recorded = self.graph.matmul(a, b, transpose_a, transpose_b)?;
        self.hand_out(recorded)
    }

    fn conv2d(&mut self, x: Handle, weight: Handle, options: wit::Conv2dOptions) -> Answer {
        let attributes = Conv2dAttributes {
            stride: pair(options.stride),
            padding: pair(options.padding),
            dilation: pair(options.dilation),
            groups: size(options.groups),
        };
        let recorded = self.graph.conv2d(self.table.get(&x)?, self.table.get(&weight)?, attributes)?;
        self.hand_out(recorded)
    }

    fn gather(&mut self, x: Handle, axis: u32, indices: Handle) -> Answer {
        let recorded = self.graph.gather(self.table.get(&x)?, size(axis), self.table.get(&indices)?)?;
        self.hand_out(recorded)
    }

    fn scatter_add(&mut self, base: Handle, axis: u32, indices: Handle, source: Handle) -> Answer {
        let (base, indices) = (self.table.get(&base)?, self.table.get(&indices)?);
        let recorded = self.graph.scatter_add(base, size(axis), indices, self.table.get(&source)?)?;
        self.hand_out(recorded)
    }

    fn sgd(
        &mut self,
        parameter: Handle,
        gradient: Handle,
        velocity: Handle,
        options: wit::SgdOptions,
    ) -> Result<(Handle, Handle), Refusal> {
        let wit::SgdOptions { learning_rate, momentum, weight_decay, nesterov } = options;
        let options = SgdOptions { learning_rate, momentum, weight_decay, nesterov };
        let (parameter, gradient) = (self.table.get(&parameter)?, self.table.get(&gradient)?);
        let (parameter, velocity) =
            self.graph.sgd(parameter, gradient, self.table.get(&velocity)?, options)?;
        Ok((self.hand_out(parameter)?, self.hand_out(velocity)?))
    }

    fn adamw(
        &mut self,
        parameter: Handle,
        gradient: Handle,
        first: Handle,
        second: Handle,
        options: wit::AdamwOptions,
    ) -> Result<(Handle, Handle, Handle), Refusal> {
        let wit::AdamwOptions { learning_rate, beta1, beta2, epsilon, weight_decay, step } = options;
        let options = AdamwOptions { learning_rate, beta1, beta2, epsilon, weight_decay, step };
        let (parameter, gradient) = (self.table.get(&parameter)?, self.table.get(&gradient)?);
        let (first, second) = (self.table.get(&first)?, self.table.get(&second)?);
        let (parameter, first, second) = self.graph.adamw(parameter, gradient, first, second, options)?;
        Ok((self.hand_out(parameter)?, self.hand_out(first)?, self.hand_out(second)?))
    }

    fn gradients(&mut self, loss: Handle, wrt: Vec<Handle>) -> Result<Vec<Handle>, Refusal> {
        self.check_room(wrt.len())?;
        let wrt = self.all(&wrt)?;
        let gradients = self.graph.gradients(self.table.get(&loss)?, &wrt.iter().collect::<Vec<_>>())?;
        self.hand_out_all(gradients)
    }

    fn commit(&mut self, xs: Vec<Handle>) -> wasmtime::Result<Vec<Handle>> {
        self.charge(CALL_GAS + gas::LISTED * xs.len() as u64)?;
        self.check_room(xs.len())?;
        let xs = self.all(&xs)?;
        let committed = self.commit_traced(&xs)?;
        Ok(self.hand_out_all(committed)?)
    }
}

fn engine_dtype(dtype: wit::Dtype) -> DType {
    match dtype {
        wit::Dtype::F32 => DType::F32,
        wit::Dtype::I32 => DType::I32,
        wit::Dtype::U8 => DType::U8,
        wit::Dtype::Boolean => DType::Bool,
        wit::Dtype::Bf16 => DType::Bf16,
        wit::Dtype::F16 => DType::F16,
    }
}

fn pool2d(options: wit::Pool2dOptions) -> Pool2dOptions {
    let wit::Pool2dOptions { kernel, stride, padding } = options;
    Pool2dOptions { kernel: pair(kernel), stride: pair(stride), padding: pair(padding) }
}

fn pair((rows, columns): (u32, u32)) -> [usize; 2] {
    [size(rows), size(columns)]
}

fn kept(keep: bool) -> bool {
    keep
}

fn same(scalar: f32) -> f32 {
    scalar
}
