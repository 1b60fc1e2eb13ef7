"""Opens a trained state of examples/digits with safetensors and computes its predictions with NumPy.

    python3 tests/values/digits.py target/release/anneal

The operands of a matrix product are rounded to 12 significant bits as the engine does it; the rest is plain
float32, in NumPy's own order of sums. So predictions must agree but for a near tie: at most one may differ.
The last line is "N passed, N failed".
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

PIXELS = 64
BRIGHTEST = 16


def round12(x):
    """float32 to 12 significant bits, ties to even."""
    bits = x.astype(np.float32).view(np.uint32)
    even = (bits >> np.uint32(12)) & np.uint32(1)
    return ((bits + np.uint32(0x7FF) + even) & np.uint32(0xFFFFF000)).view(np.float32)


def linear(state, name, x):
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    return round12(x) @ round12(weight).T + bias


def main(anneal):
    root = Path(__file__).resolve().parents[2]
    with tempfile.TemporaryDirectory() as out:
        # fmt: off
        command = [anneal, "run", str(root / "examples/digits"), "--backend", "cpu", "--out", out, "--json",
                   "--param", "predictions=true"]
        # fmt: on
        report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        state = load_file(Path(out) / "state.safetensors")
    evaluate = report["tasks"][-1]
    assert evaluate["entry"] == "evaluate", evaluate["entry"]
    found = {m["step"]: int(m["value"]) for m in evaluate["metrics"] if m["name"] == "prediction"}
    table = np.loadtxt(root / "examples/digits/digits.csv.gz", delimiter=",", dtype=np.float32)
    rows = sorted(found)
    assert len(rows) in (359, 360), f"{len(rows)} held-out rows, a fifth of 1,797 was expected"
    x = table[rows, :PIXELS] / np.float32(BRIGHTEST)
    x = np.maximum(linear(state, "fc1", x), 0)
    x = np.maximum(linear(state, "fc2", x), 0)
    predicted = linear(state, "fc3", x).argmax(axis=1)
    different = [row for row, class_ in zip(rows, predicted) if found[row] != class_]
    correct = np.mean([class_ == table[row, PIXELS] for row, class_ in zip(rows, predicted)])
    print(f"{len(rows)} predictions, {len(different)} differ from the engine's; accuracy {correct:.4f}")
    failed = int(len(different) > 1) + int(abs(correct - report["metrics"]["accuracy"]) > 1.01 / len(rows))
    print(f"{2 - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
