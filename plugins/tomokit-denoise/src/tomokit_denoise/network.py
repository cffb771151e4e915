"""The network: a small U-Net of two levels on voxels that are folded two by two by two into channels.

Folding (Shi et al., CVPR 2016; for denoising Zhang, Zuo and Zhang, IEEE TIP 27, 4608, 2018) lets the convolutions of
the finer level run on an eighth of the voxels, which is what makes training on a CPU a matter of minutes. There is no
normalization, so that a voxel of the result depends on the voxels within :data:`REACH` of it and on nothing else: a
volume that is cut into blocks comes out as the whole would.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import cast

import torch
from torch import nn

from tomokit.plugin.options import option

FOLD = 2
STRIDE = 2 * FOLD
"""Voxels by which a block may be moved so that what comes out is moved with it."""

REACH = 20
"""Voxels, a multiple of :data:`STRIDE`, beyond which nothing has a say in a voxel of the result.

In folded voxels, from the result back: two convolutions (2), a coarse voxel (1), two convolutions of coarse voxels
(4), two convolutions (2): 9, each of two voxels, and up to one within a folded voxel."""


@dataclass(frozen=True)
class NetworkOptions:
    """Sizes of the network, all that is needed to make it again."""

    width: int = option(24, "Channels of the finer level; the coarser has twice as many.", minimum=1, maximum=256)


class Denoiser(nn.Module):
    """A half tomogram in, the density that both halves are expected to have in common out.

    Parameters
    ----------
    options : NetworkOptions
    """

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__()
        width, folded = options.width, FOLD**3
        self.options = options
        self.down = _two_convolutions(folded, width)
        self.coarsen = nn.Conv3d(width, 2 * width, 2, stride=2)
        self.coarse = _two_convolutions(2 * width, 2 * width)
        self.refine = nn.ConvTranspose3d(2 * width, width, 2, stride=2)
        self.up = _two_convolutions(2 * width, width)
        self.last = nn.Conv3d(width, folded, 1)

    def forward(self, half: torch.Tensor) -> torch.Tensor:
        """Denoise blocks of a half.

        Parameters
        ----------
        half : tensor of float32, shape (blocks, 1, n_z, n_y, n_x)
            Of mean 0 and standard deviation 1 over the volume; each extent is a multiple of :data:`STRIDE`.

        Returns
        -------
        tensor of float32, of the same shape
        """
        fine = self.down(fold(half))
        coarse = self.coarse(self.coarsen(fine))
        joined = torch.cat([fine, self.refine(coarse)], dim=1)
        return unfold(self.last(self.up(joined)))

    def to_json(self) -> dict[str, int]:
        """Sizes and number of parameters, for records.

        Returns
        -------
        dict
        """
        return {**asdict(self.options), "parameters": sum(weight.numel() for weight in self.parameters())}


def make_network(options: NetworkOptions, seed: int) -> Denoiser:
    """Make a network whose weights are drawn by a seed.

    Parameters
    ----------
    options : NetworkOptions
    seed : int

    Returns
    -------
    Denoiser
        On the CPU; the state of PyTorch's own random numbers is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Denoiser(options)
        with torch.no_grad():
            # Near 0 at first, which is the mean: a start at the half itself has its noise to unlearn.
            network.last.weight.normal_(0.0, 0.02)
            cast(torch.Tensor, network.last.bias).zero_()
    return network


def fold(volume: torch.Tensor) -> torch.Tensor:
    """Put cubes of voxels into channels.

    Parameters
    ----------
    volume : tensor, shape (blocks, 1, n_z, n_y, n_x)

    Returns
    -------
    tensor, shape (blocks, FOLD**3, n_z / FOLD, n_y / FOLD, n_x / FOLD)
    """
    blocks, _, z, y, x = volume.shape
    cubes = volume.reshape(blocks, z // FOLD, FOLD, y // FOLD, FOLD, x // FOLD, FOLD)
    return cubes.permute(0, 2, 4, 6, 1, 3, 5).reshape(blocks, FOLD**3, z // FOLD, y // FOLD, x // FOLD)


def unfold(channels: torch.Tensor) -> torch.Tensor:
    """Put channels back into cubes of voxels, the inverse of :func:`fold`.

    Parameters
    ----------
    channels : tensor, shape (blocks, FOLD**3, n_z, n_y, n_x)

    Returns
    -------
    tensor, shape (blocks, 1, FOLD * n_z, FOLD * n_y, FOLD * n_x)
    """
    blocks, _, z, y, x = channels.shape
    cubes = channels.reshape(blocks, FOLD, FOLD, FOLD, z, y, x)
    return cubes.permute(0, 4, 1, 5, 2, 6, 3).reshape(blocks, 1, FOLD * z, FOLD * y, FOLD * x)


def _two_convolutions(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(before, after, 3, padding=1), nn.SiLU(), nn.Conv3d(after, after, 3, padding=1), nn.SiLU()
    )
