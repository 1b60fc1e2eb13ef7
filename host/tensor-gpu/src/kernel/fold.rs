//! The adjoint of a sliding window: a rule-5 sum over the kernel positions of each output element.

use anneal_tensor::{DType, ReduceKind, plan::Fold};

use super::{
    Buffer, Lowered, Shader, Tuning,
    reduce::{Combine, Source, reduction},
};

pub(super) fn lower(fold: &Fold, tuning: Tuning) -> Lowered {
    let [n, c, _, _, kh, kw] = fold.windows_shape;
    let combine = Combine { kind: ReduceKind::Sum, dtype: DType::F32 };
    let outputs = n * c * fold.size[0] * fold.size[1];
    let source = |shader: &mut Shader| Box::new(Windows::new(fold, shader)) as Box<dyn Source>;
    reduction(combine, outputs, kh * kw, &source, fold.out, false, tuning)
}

/// The windows that cover an output element; a kernel position that none reaches gives zero.
struct Windows {
    buffer: String,
    base: String,
    channels: String,
    size: [String; 2],
    windows: [String; 2],
    kernel_columns: String,
    stride: [String; 2],
    dilation: [String; 2],
    strides: [String; 6],
}

impl Windows {
    fn new(fold: &Fold, shader: &mut Shader) -> Windows {
        let [_, c, oh, ow, _, kw] = fold.windows_shape;
        let mut pair = |sizes: [usize; 2]| sizes.map(|size| shader.number(size as isize));
        let (size, windows) = (pair(fold.size), pair([oh, ow]));
        let (stride, dilation) = (pair(fold.stride), pair(fold.dilation));
        let [channels, kernel_columns] = pair([c, kw]);
        let strides = std::array::from_fn(|axis| shader.number(fold.windows.strides[axis]));
        Windows {
            buffer: shader.read(Buffer::Slot(fold.windows.slot)),
            base: shader.number(fold.windows.offset),
            channels,
            size,
            windows,
            kernel_columns,
            stride,
            dilation,
            strides,
        }
    }
}

impl Source for Windows {
    fn prepare(&self, shader: &mut Shader, output: &str) -> Vec<String> {
        let [height, width] = &self.size;
        shader.line(format!("let row_number = {output} / {width};"));
        shader.line(format!("let column = {output} - row_number * {width};"));
        shader.line(format!("let plane = row_number / {height};"));
        shader.line(format!("let row = row_number - plane * {height};"));
        shader.line(format!("let image = plane / {0};\nlet channel = plane - image * {0};", self.channels));
        let [n, c, ..] = &self.strides;
        shader.line(format!("let plane_offset = {} + image * {n} + channel * {c};", self.base));
        Vec::new()
    }

    fn element(&self, shader: &mut Shader, _: &[String], position: &str) -> String {
        let (ky, kx) = (shader.name("ky"), shader.name("kx"));
        let [_, _, stride_oy, stride_ox, stride_ky, stride_kx] = &self.strides;
        shader.line(format!(
            "let {ky} = {position} / {0};\nlet {kx} = {position} - {ky} * {0};",
            self.kernel_columns
        ));
        let mut terms =
            vec!["plane_offset".to_owned(), format!("{ky} * {stride_ky}"), format!("{kx} * {stride_kx}")];
        let mut reached = Vec::new();
        for (axis, tap, at, stride) in [(0, &ky, "row", stride_oy), (1, &kx, "column", stride_ox)] {
            let (shift, distance, window) =
                (shader.name("shift"), shader.name("distance"), shader.name("window"));
            let (step, windows) = (&self.stride[axis], &self.windows[axis]);
            shader.line(format!("let {shift} = {tap} * {};", self.dilation[axis]));
            shader.line(format!("let {distance} = {at} - {shift};\nlet {window} = {distance} / {step};"));
            reached.push(format!(
                "({at} >= {shift}) & ({window} * {step} == {distance}) & ({window} < {windows})"
            ));
            terms.push(format!("{window} * {stride}"));
        }
        let (covered, place) = (shader.name("covered"), shader.name("place"));
        shader.line(format!("let {covered} = {};", reached.join(" & ")));
        // Where no window covers it, any legal element is read and dropped.
        shader.line(format!("let {place} = select(0u, {}, {covered});", terms.join(" + ")));
        format!("select(0u, {}[{place}], {covered})", self.buffer)
    }
}
