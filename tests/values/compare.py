"""Recomputes every operation of the contract with NumPy and compares it with what the engine computed.

    cargo run --release -p anneal-tensor --example values > values.json
    python3 tests/values/compare.py values.json

An implementation of its own, in float64, from the words of wit/tensors.wit: it shares no code with the
engine, so a wrong formula, axis or order of arguments shows. It does not check bits; the conformance vectors
do. Exits with 1 and a table where something differs; the last line is "N passed, N failed".
"""

import json
import math
import sys

import numpy as np

LARGEST = 2.0**62
SMALLEST_PRODUCT = 2.0**-100
# One rounding to f32 is half a unit in the last place, 2^-24 of the value; two units for a transcendental.
ROUNDING = 2.0**-24
FUNCTION = 2.0**-22
# An operand of 12 significant bits is off by 2^-12 of itself, a product of two by a little over 2^-11.
PRODUCT = 2.0**-11 * 1.01


def saturated(x):
    return np.clip(np.asarray(x, np.float64), -LARGEST, LARGEST)


def decode(tensor):
    """The elements by value: floats as float64, integers as int64, truth values as bool."""
    words = np.array(tensor["words"], dtype=np.uint32).reshape(tensor["shape"])
    match tensor["dtype"]:
        case "f32":
            return words.view(np.float32).astype(np.float64)
        case "i32":
            return words.view(np.int32).astype(np.int64)
        case "u8":
            return words.astype(np.int64)
        case "bool":
            return words != 0
        case "bf16":
            return (words << 16).view(np.float32).astype(np.float64)
        case "f16":
            return words.astype(np.uint16).view(np.float16).astype(np.float64)
    raise ValueError(tensor["dtype"])


def wrap(x):
    """An integer modulo 2^32, as i32."""
    return (np.asarray(x, np.int64) + 2**31) % 2**32 - 2**31


def is_integer(x):
    return x.dtype == np.int64


class Near:
    """An expected result and how far off it may be, element by element.

    Products and functions may be zero below 2^-100; sums may not (flushed=False).
    """

    def __init__(self, value, relative=0.0, absolute=0.0, flushed=True):
        self.value = saturated(value)
        self.tolerance = relative * np.abs(self.value) + absolute + (SMALLEST_PRODUCT if flushed else 0.0)


class Exact:
    """An expected result to the last bit."""

    def __init__(self, value):
        self.value = np.asarray(value)
        self.tolerance = 0.0


# --- element by element ----------------------------------------------------------------------------------


def number(on_floats, on_integers, relative=ROUNDING, flushed=True):
    def compute(case, *xs):
        if is_integer(xs[0]):
            return Exact(wrap(on_integers(*xs)))
        return Near(on_floats(*xs), relative, 0.0, flushed)

    return compute


def function(on_floats, relative=FUNCTION, absolute=0.0):
    def compute(case, *xs):
        with np.errstate(all="ignore"):
            return Near(on_floats(*xs), relative, absolute)

    return compute


def exact(compute_value):
    return lambda case, *xs: Exact(compute_value(*xs))


def divide(a, b):
    with np.errstate(all="ignore"):
        return np.where(b == 0, np.where(a < 0, -LARGEST, LARGEST), a / np.where(b == 0, 1.0, b))


def divide_integers(a, b):
    safe = np.where(b == 0, 1, b)
    quotient = np.abs(a) // np.abs(safe) * np.sign(a) * np.sign(safe)
    return np.where(b == 0, 0, quotient)


def power(a, b):
    a, b = np.broadcast_arrays(a, b)
    whole = b == np.floor(b)
    odd = whole & (np.mod(b, 2.0) == 1.0)
    magnitude = np.power(np.where(a == 0, 1.0, np.abs(a)), b)
    result = np.where(a < 0, np.where(whole, np.where(odd, -magnitude, magnitude), 0.0), magnitude)
    result = np.where(a == 0, np.where(b > 0, 0.0, LARGEST), result)
    return np.where(b == 0, 1.0, result)


def sigmoid(x):
    return np.where(x >= 0, 1.0 / (1.0 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1.0 + np.exp(-np.abs(x))))


def logarithm(x):
    return np.where(x > 0, np.log(np.where(x > 0, x, 1.0)), -LARGEST)


def inverse_root(x):
    return np.where(x > 0, 1.0 / np.sqrt(np.where(x > 0, x, 1.0)), LARGEST)


erf = np.vectorize(math.erf, otypes=[np.float64])


def gelu(case, x):
    # 1 + erf cancels below zero: what is left is off by roundings of 1.
    expected = x * (1.0 + erf(x / math.sqrt(2.0))) / 2.0
    return Near(expected, FUNCTION, np.abs(x) * FUNCTION)


def enter(x):
    """A half float as canonical f32: what is below 2^-100 and no multiple of 2^-123 is zero."""
    steps = x / 2.0**-123
    return saturated(np.where((np.abs(x) < SMALLEST_PRODUCT) & (steps != np.round(steps)), 0.0, x))


def cast(case, x):
    to = case["arguments"]["dtype"]
    source = case["inputs"][0]["dtype"]
    if source == to:
        return Exact(x)
    if source in ("bf16", "f16"):
        x = enter(x)
    if to == "bool":
        return Exact(x != 0)
    if to in ("i32", "u8"):
        low, high = (-(2**31), 2**31 - 1) if to == "i32" else (0, 255)
        return Exact(np.clip(np.trunc(x.astype(np.float64)), low, high).astype(np.int64))
    single = x.astype(np.float32)
    if to == "f16":
        with np.errstate(over="ignore"):
            single = np.clip(single.astype(np.float16).astype(np.float64), -65504.0, 65504.0)
    if to == "bf16":
        bits = single.view(np.uint32).astype(np.uint64)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
        single = rounded.astype(np.uint32).view(np.float32)
    return Exact(single.astype(np.float64))


# --- creation --------------------------------------------------------------------------------------------


def threefry(key, counter):
    """Threefry-2x32, 20 rounds (Salmon et al., 2011), on Python integers."""
    mask = 0xFFFFFFFF
    rotations = [13, 15, 26, 6, 17, 29, 16, 24]
    schedule = [key[0], key[1], 0x1BD11BDA ^ key[0] ^ key[1]]
    x, y = (counter[0] + key[0]) & mask, (counter[1] + key[1]) & mask
    for round_number in range(20):
        by = rotations[round_number % 8]
        x = (x + y) & mask
        y = ((y << by) | (y >> (32 - by))) & mask
        y ^= x
        if round_number % 4 == 3:
            number_of_key = round_number // 4 + 1
            x = (x + schedule[number_of_key % 3]) & mask
            y = (y + schedule[(number_of_key + 1) % 3] + number_of_key) & mask
    return x, y


def words_of_stream(arguments):
    split = lambda word: (word & 0xFFFFFFFF, word >> 32)
    key = threefry(split(arguments["seed"]), split(arguments["stream"]))
    count = math.prod(arguments["shape"])
    pairs = np.array([threefry(key, (index, 0)) for index in range(count)], dtype=np.float64)
    return np.floor(pairs / 256.0).reshape(arguments["shape"] + [2])


def uniform(case):
    return Exact(words_of_stream(case["arguments"])[..., 0] * 2.0**-24)


def normal(case):
    words = words_of_stream(case["arguments"])
    radius = np.sqrt(-2.0 * np.log((words[..., 0] + 1.0) * 2.0**-24))
    # Where the radius or the cosine is small it is off by roundings of what it was made of.
    return Near(radius * np.cos(2.0 * np.pi * words[..., 1] * 2.0**-24), 2 * FUNCTION, 6 * FUNCTION)


def iota(case):
    shape = case["arguments"]["shape"]
    return Exact(np.arange(math.prod(shape)).reshape(shape))


def full(case):
    arguments = case["arguments"]
    kind = {"f32": np.float64, "f16": np.float64, "bool": bool}.get(arguments["dtype"], np.int64)
    return Exact(np.full(arguments["shape"], arguments["value"]).astype(kind))


# --- movement --------------------------------------------------------------------------------------------


def slice_of(case, x):
    a = case["arguments"]
    return Exact(x[tuple(slice(*of) for of in zip(a["starts"], a["ends"], a["steps"]))])


def pad(case, x):
    a = case["arguments"]
    return Exact(np.pad(x, list(zip(a["low"], a["high"])), constant_values=x.dtype.type(a["value"])))


# --- reductions ------------------------------------------------------------------------------------------


def axes_of(case, x):
    return tuple(case["arguments"]["axes"]) or tuple(range(x.ndim))


def total(case, x):
    axes, keep = axes_of(case, x), case["arguments"]["keep"]
    value = x.sum(axis=axes, keepdims=keep)
    if is_integer(x):
        return Exact(wrap(value))
    # No element passes through more than 40 roundings on its way to the sum of up to 2^30.
    return Near(value, 0.0, 40 * ROUNDING * np.abs(x).sum(axis=axes, keepdims=keep))


def mean(case, x):
    axes, keep = axes_of(case, x), case["arguments"]["keep"]
    magnitude = np.abs(x).mean(axis=axes, keepdims=keep)
    return Near(x.mean(axis=axes, keepdims=keep), 0.0, 41 * ROUNDING * magnitude)


def extreme(of, on_nothing):
    def compute(case, x):
        axes, keep = axes_of(case, x), case["arguments"]["keep"]
        initial = on_nothing * LARGEST
        if is_integer(x):
            initial = 2**31 - 1 if on_nothing > 0 else -(2**31)
        return Exact(of(x, axis=axes, keepdims=keep, initial=initial))

    return compute


def position(of):
    def compute(case, x):
        a = case["arguments"]
        return Exact(of(x, axis=a["axis"], keepdims=a["keep"]).astype(np.int64))

    return compute


# --- linear, pooling, normalising --------------------------------------------------------------------------


def products(value, magnitude, terms):
    """A sum of products: roundings of operands and of the sum, both of the sum of magnitudes."""
    return Near(value, 0.0, (PRODUCT + terms * ROUNDING) * magnitude)


def matmul(case, a, b):
    a = np.swapaxes(a, -1, -2) if case["arguments"]["transpose_a"] else a
    b = np.swapaxes(b, -1, -2) if case["arguments"]["transpose_b"] else b
    return products(a @ b, np.abs(a) @ np.abs(b), a.shape[-1])


def windows(x, kernel, stride, dilation):
    """[n, c, oh, ow, kh, kw]: tap by tap, by slicing."""
    size = [(x.shape[2 + i] - (kernel[i] - 1) * dilation[i] - 1) // stride[i] + 1 for i in (0, 1)]
    taps = np.empty((*x.shape[:2], *size, *kernel))
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            top, left = row * dilation[0], column * dilation[1]
            bottom, right = top + (size[0] - 1) * stride[0] + 1, left + (size[1] - 1) * stride[1] + 1
            taps[..., row, column] = x[:, :, top : bottom : stride[0], left : right : stride[1]]
    return taps


def around(x, padding, value):
    return np.pad(x, [(0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2], constant_values=value)


def conv2d(case, x, weight):
    a = case["arguments"]
    taps = windows(around(x, a["padding"], 0.0), weight.shape[2:], a["stride"], a["dilation"])
    channels, outputs = weight.shape[1], weight.shape[0] // a["groups"]
    value, magnitude = [], []
    for group in range(a["groups"]):
        seen = taps[:, group * channels : (group + 1) * channels]
        by = weight[group * outputs : (group + 1) * outputs]
        value.append(np.einsum("nchwij,ocij->nohw", seen, by))
        magnitude.append(np.einsum("nchwij,ocij->nohw", np.abs(seen), np.abs(by)))
    terms = math.prod(weight.shape[1:])
    return products(np.concatenate(value, 1), np.concatenate(magnitude, 1), terms)


def max_pool2d(case, x):
    a = case["arguments"]
    taps = windows(around(x, a["padding"], -LARGEST), a["kernel"], a["stride"], (1, 1))
    return Exact(taps.max(axis=(4, 5)))


def avg_pool2d(case, x):
    a = case["arguments"]
    taps = windows(around(x, a["padding"], 0.0), a["kernel"], a["stride"], (1, 1))
    return Near(taps.mean(axis=(4, 5)), 0.0, 12 * ROUNDING * np.abs(taps).mean(axis=(4, 5)))


def shares(x, axis):
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def softmax(case, x):
    return Near(shares(x, case["arguments"]["axis"]), 32 * ROUNDING)


def log_softmax(case, x):
    return Near(np.log(shares(x, case["arguments"]["axis"])), 16 * ROUNDING, 32 * ROUNDING)


def layer_norm(case, x):
    axes = tuple(range(x.ndim - case["arguments"]["axes"], x.ndim))
    centred = x - x.mean(axis=axes, keepdims=True)
    variance = (centred**2).mean(axis=axes, keepdims=True)
    # Values of a few units, of a spread near one: roundings of those.
    return Near(centred / np.sqrt(variance + case["arguments"]["epsilon"]), 40 * ROUNDING, 80 * ROUNDING)


# --- indexing, training ------------------------------------------------------------------------------------


def gather(case, x, indices):
    axis = case["arguments"]["axis"]
    size = x.shape[axis]
    inside = (indices >= 0) & (indices < size)
    taken = np.take(x, np.where(inside, indices, 0), axis=axis)
    after = (1,) * (x.ndim - axis - 1)
    return Exact(np.where(inside.reshape(inside.shape + after), taken, x.dtype.type(0)))


def scatter_add(case, base, indices, source):
    axis = case["arguments"]["axis"]
    sums, magnitude = np.moveaxis(base.copy(), axis, 0), np.moveaxis(np.abs(base), axis, 0).copy()
    flat = source.reshape(*source.shape[:axis], indices.size, *source.shape[axis + indices.ndim :])
    flat = np.moveaxis(flat, axis, 0)
    for index, part in zip(indices.reshape(-1), flat):
        if 0 <= index < base.shape[axis]:
            sums[index] += part
            magnitude[index] += np.abs(part)
    sums, magnitude = np.moveaxis(sums, 0, axis), np.moveaxis(magnitude, 0, axis)
    if is_integer(base):
        return Exact(wrap(sums))
    return Near(sums, 0.0, indices.size * ROUNDING * magnitude)


def one_hot(case, indices):
    return Exact((indices[..., None] == np.arange(case["arguments"]["classes"])).astype(np.float64))


def sgd(case, parameter, gradient, velocity):
    a = case["arguments"]
    decayed = gradient + a["weight_decay"] * parameter
    velocity = a["momentum"] * velocity + decayed
    step = decayed + a["momentum"] * velocity if a["nesterov"] else velocity
    scale = 8 * ROUNDING * 10.0
    return [Near(parameter - a["learning_rate"] * step, 0.0, scale), Near(velocity, 0.0, scale)]


def adamw(case, parameter, gradient, first, second):
    a = case["arguments"]
    first = a["beta1"] * first + (1 - a["beta1"]) * gradient
    second = a["beta2"] * second + (1 - a["beta2"]) * gradient**2
    mean = first / (1 - a["beta1"] ** a["step"])
    root = np.sqrt(second / (1 - a["beta2"] ** a["step"]))
    update = a["learning_rate"] * mean / (root + a["epsilon"])
    result = parameter - a["learning_rate"] * a["weight_decay"] * parameter - update
    # 1 − β₂ and 1 − β₂^t are differences of f32: 0.001 is off by 2^-24 of one, so by 6e-5 of itself.
    corrections = 1e-4 * np.abs(update)
    scale = 16 * ROUNDING * 4.0
    return [Near(result, 0.0, corrections + scale), Near(first, 0.0, scale), Near(second, 1e-4, scale)]


OPERATIONS = {
    "full": full,
    "iota": iota,
    "uniform": uniform,
    "normal": normal,
    "reshape": lambda case, x: Exact(x.reshape(case["arguments"]["shape"])),
    "permute": lambda case, x: Exact(x.transpose(case["arguments"]["axes"])),
    "permute_flip": lambda case, x: Exact(
        np.flip(x.transpose(case["arguments"]["axes"]), case["arguments"]["flipped"])
    ),
    "slice": slice_of,
    "pad": pad,
    "broadcast_to": lambda case, x: Exact(np.broadcast_to(x, case["arguments"]["shape"])),
    "concat": lambda case, *xs: Exact(np.concatenate(xs, case["arguments"]["axis"])),
    "detach": exact(lambda x: x),
    "cast": cast,
    "neg": number(np.negative, np.negative, 0.0, flushed=False),
    "abs": number(np.abs, np.abs, 0.0, flushed=False),
    "sign": number(np.sign, np.sign, 0.0, flushed=False),
    "recip": function(lambda x: divide(np.ones_like(x), x), ROUNDING),
    "exp": function(np.exp),
    "ln": function(logarithm),
    "sqrt": function(lambda x: np.sqrt(np.maximum(x, 0.0)), ROUNDING),
    "rsqrt": function(inverse_root, 2 * ROUNDING),
    "tanh": function(np.tanh),
    "sigmoid": function(sigmoid),
    "erf": function(erf),
    "sin": function(np.sin),
    "cos": function(np.cos),
    "floor": exact(np.floor),
    "relu": exact(lambda x: np.maximum(x, 0.0)),
    "gelu": gelu,
    "silu": function(lambda x: x * sigmoid(x)),
    "logical_not": exact(np.logical_not),
    "add": number(np.add, np.add, flushed=False),
    "sub": number(np.subtract, np.subtract, flushed=False),
    "mul": number(np.multiply, np.multiply),
    "div": number(divide, divide_integers),
    "pow": function(power),
    "maximum": exact(np.maximum),
    "minimum": exact(np.minimum),
    "eq": exact(np.equal),
    "lt": exact(np.less),
    "le": exact(np.less_equal),
    "logical_and": exact(np.logical_and),
    "logical_or": exact(np.logical_or),
    "where": exact(np.where),
    "sum": total,
    "mean": mean,
    "max": extreme(np.max, -1),
    "min": extreme(np.min, 1),
    "argmax": position(np.argmax),
    "argmin": position(np.argmin),
    "matmul": matmul,
    "conv2d": conv2d,
    "max_pool2d": max_pool2d,
    "avg_pool2d": avg_pool2d,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "layer_norm": layer_norm,
    "gather": gather,
    "scatter_add": scatter_add,
    "one_hot": one_hot,
    "sgd": sgd,
    "adamw": adamw,
}


def difference(expected, tensor):
    """What is wrong with a result, or None."""
    found = decode(tensor)
    if list(expected.value.shape) != tensor["shape"]:
        return f"the shape is {tensor['shape']}, expected {list(expected.value.shape)}"
    if expected.value.dtype != found.dtype:
        return f"the elements are {found.dtype}, expected {expected.value.dtype}"
    if found.dtype == bool:
        wrong = found != expected.value
    else:
        wrong = ~(np.abs(found - expected.value) <= expected.tolerance)
    if not wrong.any():
        return None
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{int(wrong.sum())} of {wrong.size}, at {at}: {found[at]!r}, expected {expected.value[at]!r}"


def main():
    cases = json.load(open(sys.argv[1]) if len(sys.argv) > 1 else sys.stdin)
    failures, used = [], set()
    for case in cases:
        used.add(case["operation"])
        expected = OPERATIONS[case["operation"]](case, *map(decode, case["inputs"]))
        expected = expected if isinstance(expected, list) else [expected]
        for number_of_output, (one, tensor) in enumerate(zip(expected, case["outputs"], strict=True)):
            wrong = difference(one, tensor)
            if wrong:
                kinds = ", ".join(f"{x['dtype']} {x['shape']}" for x in case["inputs"])
                failures.append((case, f"{case['operation']}({kinds}) output {number_of_output}: {wrong}"))
    for operation in sorted(set(OPERATIONS) - used):
        failures.append((None, f"{operation}: no case"))
    for case, failure in failures:
        print(failure, json.dumps(case["arguments"]) if case else "", file=sys.stderr)
    failed = len({id(case) for case, _ in failures})
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
