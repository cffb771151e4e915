"""What a bare CuPy environment needs: the CUDA path without Numba, Typer and h5py; and CuPy only for a device."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cases import needs_compiler

HERE = Path(__file__).parent

BARE = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"numba", "llvmlite", "typer", "h5py", "mrcfile", "matplotlib", "cupy"}:
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Blocked())
sys.path[:0] = [FOLDER, SUPPORT]
import numpy as np
import tomokit.methods.octree.cuda.pyramid_level
from forests import two_level_forest
from on_cpu import CpuDevice
from tomokit.projector.cuda.voxels import VoxelProjectorInSlabs
from tomokit.projector.cuda.leaves import LeavesOnDevice
from tomokit.octree.cuda.sampling import sample_volume
from tomokit.geometry import TiltGeometry
from tomokit.projector import DenseProjector

views = TiltGeometry(np.array([-30.0, 10.0]), 11, 9)
volume = np.random.default_rng(0).random((11, 5, 9), np.float32)
exact = DenseProjector(views, 5, backend="reference")(volume)
found = VoxelProjectorInSlabs([CpuDevice()], views, volume.shape).forward(volume)
assert np.allclose(found, exact, atol=1e-4)
forest = two_level_forest(4)
device = CpuDevice()
density = device.xp.full(forest.values_shape, 1, np.float32)
assert device.to_host(LeavesOnDevice(device, forest, views)(density)).max() > 5
assert sample_volume(device, density, forest, (7, 5, 6)).max() == 1
try:
    from tomokit.gpu.cuda_device import CudaDevice
    CudaDevice(0)
except Exception as error:
    assert type(error).__name__ == "ResourceError", error
    assert "cupy cannot be imported" in str(error)
else:
    raise AssertionError("a device without cupy")
print("bare")
"""


@needs_compiler
def test_the_cuda_path_runs_without_numba_typer_and_h5py() -> None:
    source = BARE.replace("FOLDER", repr(str(HERE))).replace("SUPPORT", repr(str(HERE.parent / "support")))
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "bare", done.stderr[-3000:]
