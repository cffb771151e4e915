"""What is compiled before a fit is what the fit calls."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest
import warm_start

RUN = """
from tomokit.kernels.ahead import signatures
from tomokit.kernels.cache import MachineCodeCache
from tomokit.methods.octree.kernels_ahead import kernels_of_gradient, kernels_of_primal_dual

called, compiling = set(), 0
load, save = MachineCodeCache.load_overload, MachineCodeCache.save_overload

def name(cache):
    return cache._function.__module__ + "." + cache._function.__qualname__

def listen(self, signature, context):
    global compiling
    if not compiling:
        called.add((name(self), str(signature)))
    found = load(self, signature, context)
    compiling += found is None
    return found

def end(self, signature, data):
    global compiling
    compiling -= 1
    save(self, signature, data)

import tomokit
series, _ = tomokit.simulate_series((12, 24, 24), range(-60, 61, 12), noise=0.1)
MachineCodeCache.load_overload, MachineCodeCache.save_overload = listen, end
kernels = {"zero": kernels_of_gradient, "fit": kernels_of_primal_dual}[OFFSETS]
tomokit.reconstruct(series, thickness=12, linearization="linear", offsets=OFFSETS, threads=1, backend="cpu")
print(called)
print({(name(dispatcher._cache), str(signature)) for dispatcher, signature in signatures(kernels())})
"""


@pytest.mark.parametrize("offsets", ["zero", "fit"])
def test_the_list_has_what_a_fit_of_the_default_preset_calls(tmp_path: Path, offsets: str) -> None:
    done = warm_start.run(["-c", f"OFFSETS = {offsets!r}\n{RUN}"], cwd=tmp_path, env={**os.environ})
    assert done.returncode == 0, done.stderr
    called, listed = (ast.literal_eval(line) for line in done.stdout.splitlines()[-2:])
    assert called == listed
