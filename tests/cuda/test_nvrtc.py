"""Every raw kernel compiles for the GPUs of three generations, within its registers."""

from __future__ import annotations

from pathlib import Path

import pytest
from nvrtc import ARCHITECTURES, MOST_REGISTERS, compile_for

from tomokit.gpu.signature import signatures
from tomokit.gpu.source import kernel_files, source_text
from tomokit.methods.octree.view_duals import REACH

pytest.importorskip("cuda.bindings.nvrtc", reason="no NVRTC: pip install 'tomokit[cuda-check]'", exc_type=ImportError)

# The publication's leaves, the smallest and the largest that the options allow, and fine vertices on coarse pixels.
SIZES = {
    "published": {"N": 42, "PAD": 6, "UNITS": 6, "MOST": 6, "COLUMNS": 6, "PASSES": 7, "TAPS": 4, "WIDE": 1},
    "least": {"N": 4, "PAD": 24, "UNITS": 64, "MOST": 4, "COLUMNS": 64, "PASSES": 1, "TAPS": 4, "WIDE": 0},
    "largest": {"N": 128, "PAD": 5, "UNITS": 2, "MOST": 34, "COLUMNS": 2, "PASSES": 8, "TAPS": 6, "WIDE": 0},
}
OF_LEAVES = {"KNOTS": 64}
# Of the weights of smoothing: a cell has some four vertices along an edge.
NODES = {"published": 11, "least": 2, "largest": 33}


@pytest.mark.parametrize(
    ("size", "architecture"),
    [
        ("published", "sm_90"),
        ("largest", "sm_90"),
        pytest.param("least", "sm_90", marks=pytest.mark.long),
        *(pytest.param("published", other, marks=pytest.mark.long) for other in ARCHITECTURES if other != "sm_90"),
    ],
)
@pytest.mark.parametrize("path", kernel_files(), ids=lambda path: path.stem)
def test_it_compiles_within_its_registers_and_spills_nothing(path: Path, size: str, architecture: str) -> None:
    source = source_text(path, {**SIZES[size], **OF_LEAVES, "NODES": NODES[size], "REACH": REACH})
    found = compile_for(source, path.stem, architecture)
    assert found.keys() == signatures(source).keys()
    for kernel, compiled in found.items():
        assert compiled.spilled_bytes == 0, f"{kernel} spills {compiled.spilled_bytes} bytes"
        assert compiled.registers <= MOST_REGISTERS, f"{kernel} takes {compiled.registers} registers"
        assert compiled.shared_bytes <= 48 << 10, f"{kernel} takes {compiled.shared_bytes} bytes of shared memory"


def test_what_spills_is_seen() -> None:
    body = "".join(f"float v{i} = a[{i} * n];" for i in range(96)) + "for (int i = 0; i < n; ++i) {"
    body += "".join(f"v{i} = v{i} * v{(i * 37 + 5) % 96} + a[i];" for i in range(96)) + "}"
    body += "".join(f"b[{i}] = v{i};" for i in range(96))
    source = f'extern "C" __global__ void __launch_bounds__(1024, 2) k(const float* a, float* b, int n) {{ {body} }}'
    assert compile_for(source, "k", "sm_90")["k"].spilled_bytes > 0
