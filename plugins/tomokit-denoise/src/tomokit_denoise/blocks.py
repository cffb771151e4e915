"""A network applied to a whole tomogram in blocks, so that memory holds one block and some rows.

Each block is read with as many voxels beyond its faces as have a say in it, and these are cut off again: blocks come
out as the whole would, and no window has to hide seams. Each is shown to the network in the four turns that patches
were shown in (:mod:`tomokit_denoise.patches`), and what it makes of them is averaged. Beyond the faces of the tomogram
it is continued by reflection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tomokit.io.voxel_blocks import Block
from tomokit_denoise.halves import Halves
from tomokit_denoise.network import REACH, STRIDE, Denoiser

Array = NDArray[np.float32]

_FLOATS_PER_VOXEL, _FLOATS_PER_CHANNEL = 9.0, 0.8
"""Of each voxel that is read, at the peak of the network: measured on blocks of 120 and 168 for widths of 8 to 48."""


@dataclass(frozen=True)
class Scale:
    """What a network's result is, where halves of mean 0 and deviation 1 go in: times a factor, plus an offset.

    Attributes
    ----------
    factor, offset : float
        In deviations of the halves; 1 and 0 where a network was held to the halves that it was given.
    """

    factor: float = 1.0
    offset: float = 0.0


def block_edge(width: int, memory_bytes: int) -> int:
    """Choose the edge of the blocks by the memory that they may take.

    Parameters
    ----------
    width : int
        Channels of the network.
    memory_bytes : int

    Returns
    -------
    int
        Voxels, a multiple of the stride, from 32 to 256.
    """
    edge = (memory_bytes / (4 * (_FLOATS_PER_VOXEL + _FLOATS_PER_CHANNEL * width))) ** (1 / 3) - 2 * REACH
    return int(np.clip(edge, 32, 256)) // STRIDE * STRIDE


def denoised_rows(
    network: Denoiser, halves: Halves, scale: Scale, edge: int, device: str, tell: Callable[[int, int], None]
) -> Iterator[tuple[int, Array]]:
    """Denoise both halves and give the mean of the two, some rows at a time.

    Parameters
    ----------
    network : Denoiser
    halves : Halves
    scale : Scale
        What the network's result is in units of the halves.
    edge : int
        Of the blocks in voxels, a multiple of the stride.
    device : {"cpu", "cuda"}
    tell : callable
        Is told after each block how many are done, and of how many.

    Yields
    ------
    first_row : int
        Along axis 1 of the volume.
    rows : ndarray of float32, shape (n_0, rows, n_2)
        Densities.
    """
    n_0, n_1, n_2 = halves.shape
    corners = [(a, c) for a in range(0, n_0, edge) for c in range(0, n_2, edge)]
    total, done = len(corners) * len(range(0, n_1, edge)), 0
    factor = np.float32(halves.deviation * scale.factor / 2)
    level = np.float32(sum(halves.means) / 2 + halves.deviation * scale.offset)
    network = network.to(device).eval()
    for b in range(0, n_1, edge):
        rows = np.empty((n_0, min(edge, n_1 - b), n_2), np.float32)
        for a, c in corners:
            block = slice(a, min(a + edge, n_0)), slice(b, min(b + edge, n_1)), slice(c, min(c + edge, n_2))
            found = sum(denoised_half(network, halves, half, block, device) for half in (0, 1))
            rows[block[0], :, block[2]] = found * factor + level
            done += 1
            tell(done, total)
        yield b, rows


@torch.no_grad()
def denoised_half(network: Denoiser, halves: Halves, half: int, block: Block, device: str) -> Array:
    """Denoise a block of one half, as the mean over the four turns.

    Parameters
    ----------
    network : Denoiser
    halves : Halves
    half : {0, 1}
    block : tuple of three slices
        Beginning at multiples of the stride.
    device : {"cpu", "cuda"}

    Returns
    -------
    ndarray of float32
        In deviations of what the network was held to.
    """
    wide = torch.from_numpy(read_reflected(halves, half, block)).to(device)[None, None]
    every = turns(halves.tilt_axis)
    result = torch.zeros_like(wide)
    for axes in every:
        # The extents are multiples of the stride: turned, the same voxels are folded together.
        result += network(wide.flip(axes)).flip(axes)
    inner = tuple(slice(REACH, REACH + part.stop - part.start) for part in block)
    found: Array = (result[0, 0] / len(every)).cpu().numpy()[inner]
    return found


def turns(tilt_axis: int) -> list[list[int]]:
    """Name what a volume can be turned into without moving its missing wedge: itself, mirrored, turned, both.

    Parameters
    ----------
    tilt_axis : int
        Axis of the volume along which the tilt axis lies.

    Returns
    -------
    list of list of int
        Axes to be flipped, of a tensor with two axes before those of the volume.
    """
    half_turn = [2 + axis for axis in range(3) if axis != tilt_axis]
    return [[], [2 + tilt_axis], half_turn, [2, 3, 4]]


def read_reflected(halves: Halves, half: int, block: Block) -> Array:
    """Read a block with :data:`~tomokit_denoise.network.REACH` voxels more on each side, filled up to the stride.

    Parameters
    ----------
    halves : Halves
    half : {0, 1}
    block : tuple of three slices

    Returns
    -------
    ndarray of float32
        Beyond the faces of the volume, its reflection about its outermost voxels.
    """
    bounds, indices = [], []
    for part, n in zip(block, halves.shape, strict=True):
        length = part.stop - part.start
        stop = part.stop + REACH + -length % STRIDE
        index = _reflected(np.arange(part.start - REACH, stop), n)
        low, high = int(index.min()), int(index.max()) + 1
        bounds.append(slice(low, high))
        indices.append(index - low)
    z, y, x = bounds
    return np.ascontiguousarray(halves.read(half, (z, y, x))[np.ix_(*indices)])


def _reflected(index: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Places within 0 to n - 1, those beyond reflected about the outermost ones, as often as need be."""
    period = 2 * (n - 1)
    within = np.abs(index) % period
    return np.asarray(np.where(within < n, within, period - within), np.int64)
