"""An inverse of ``A^T A`` plus a Laplacian, diagonal in cosines.

``A^T A`` of a tilt series is nearly a convolution, and the cosine transform with free boundaries diagonalizes the
gradient's square exactly. So ``M = S(k_x, k_z) + g (4 sin^2(k_x/2) + ...) + c`` is close to
``A^T A + g grad^T grad + c``, and dividing by it in the cosine domain makes directions that the data determine well and
badly converge at one pace. S is measured, not modelled: the mean of the cosine spectra's product of white noise
with its own ``A^T A``, over rows along the tilt axis, each of which is an independent probe.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn
from scipy.ndimage import gaussian_filter
from scipy.sparse.linalg import LinearOperator, eigsh

from tomokit.geometry import TiltGeometry
from tomokit.projector import DenseProjector

PROBES = 128  # rows of noise that measure the spectrum
_FLOOR = 0.01  # of the largest eigenvalue: what leaks between cosines keeps the wedge from being empty


class CosinePreconditioner:
    """``v -> M^-1 v`` scaled such that ``M^-1 (A^T A + g grad^T grad + c)`` has no eigenvalue above one.

    Parameters
    ----------
    geometry : TiltGeometry
        Views and detector width; the rows' shifts are ignored.
    shape : tuple of int
        ``(n_x, n_z, n_y)`` of the volume in voxels, margins included.
    gradient_weight, constant : float
        Weights of the squared gradient and of the identity, g and c.
    threads : int
        Threads of the cosine transform.

    Attributes
    ----------
    largest : float
        Largest eigenvalue of ``M^-1 (A^T A + g grad^T grad + c)`` before M is scaled by it.
    plane : ndarray of float32, shape (n_x, n_z)
    line : ndarray of float32, shape (n_y,)
        The scaled M's eigenvalue of ``(k_x, k_z, k_y)`` is ``plane[k_x, k_z] + line[k_y]``.
    """

    def __init__(
        self, geometry: TiltGeometry, shape: tuple[int, int, int], gradient_weight: float, constant: float, threads: int
    ) -> None:
        n_x, n_z, n_y = shape
        self._threads = threads
        plane = _data_spectrum(geometry, n_x, n_z) + constant
        plane += gradient_weight * (_difference_spectrum(n_x)[:, None] + _difference_spectrum(n_z)[None, :])
        self.largest = _largest_eigenvalue(geometry, plane, gradient_weight, constant)
        self.plane = (plane * self.largest).astype(np.float32)
        self.line = (gradient_weight * self.largest * _difference_spectrum(n_y)).astype(np.float32)

    def __call__(self, v: NDArray[np.floating]) -> NDArray[np.floating]:
        """Multiply a volume by ``M^-1``.

        Parameters
        ----------
        v : ndarray, shape (n_x, n_z, n_y)
            Left as it is.

        Returns
        -------
        ndarray, shape (n_x, n_z, n_y)
            A new volume of the same type.
        """
        spectrum = dctn(v, norm="ortho", workers=self._threads)
        # A plane at a time, because the whole sum of both would be one more volume.
        for x in range(len(spectrum)):
            spectrum[x] /= self.plane[x][:, None] + self.line
        return idctn(spectrum, norm="ortho", workers=self._threads, overwrite_x=True)


def _difference_spectrum(n: int) -> NDArray[np.float64]:
    """Eigenvalues of the squared forward difference on `n` samples with free ends."""
    return 2 - 2 * np.cos(np.pi * np.arange(n) / n)


def _data_spectrum(geometry: TiltGeometry, n_x: int, n_z: int) -> NDArray[np.float64]:
    """Diagonal of ``A^T A`` in the cosine basis of a plane across the tilt axis, shape (n_x, n_z), measured."""
    flat = replace(geometry, n_v=PROBES, shift_v_px=np.zeros(geometry.n_views))
    projector = DenseProjector(flat, n_z, n_x)
    probe = np.random.default_rng(0).standard_normal(projector.volume_shape, np.float32)
    # The expectation of a product of cosine coefficients of v and of A^T A v is the diagonal, v being white noise.
    answer = projector.T(projector(probe))
    spectra = (dctn(volume, axes=(0, 1), norm="ortho") for volume in (probe, answer))
    product = next(spectra) * next(spectra)
    spectrum = gaussian_filter(product.mean(axis=2, dtype=np.float64), 1.0)
    return np.maximum(spectrum, _FLOOR * spectrum.max())


def _largest_eigenvalue(
    geometry: TiltGeometry, plane: NDArray[np.float64], gradient_weight: float, constant: float
) -> float:
    """Largest eigenvalue of ``M^-1 (A^T A + g grad^T grad + c)``.

    Along y everything is diagonal in cosines, and the constant one is the worst: the others add the same positive
    number to both, which keeps a bound that is at least one. So one plane across the axis tells; masks, and shifts
    along y, can only make the eigenvalue smaller. The iteration is on
    ``M^-1/2 (...) M^-1/2``, which has the same eigenvalues and is symmetric, as Lanczos' method needs.
    """
    n_x, n_z = plane.shape
    flat = replace(geometry, n_v=1, shift_v_px=np.zeros(geometry.n_views))
    projector = DenseProjector(flat, n_z, n_x)
    smooth = gradient_weight * (_difference_spectrum(n_x)[:, None] + _difference_spectrum(n_z)[None, :]) + constant
    root = 1 / np.sqrt(plane)

    def apply(v: NDArray[np.floating]) -> NDArray[np.floating]:
        scaled = root * v.reshape(n_x, n_z)
        image = idctn(scaled, norm="ortho").astype(np.float32)[:, :, None]
        data = dctn(projector.T(projector(image))[:, :, 0].astype(np.float64), norm="ortho")
        return (root * (data + smooth * scaled)).ravel()

    size = n_x * n_z
    start = np.random.default_rng(0).standard_normal(size)
    if size < 16:
        # Too small for Lanczos' method.
        exact = np.linalg.eigvalsh(np.stack([apply(row) for row in np.eye(size)])).max()
        return max(float(exact), 1.0) * 1.01  # room for rounding, as M is kept in single precision
    operator = LinearOperator((size, size), matvec=apply, dtype=np.float64)
    value = eigsh(operator, k=1, which="LA", tol=1e-2, v0=start, ncv=min(size - 1, 12), return_eigenvectors=False)
    return max(float(value[0]), 1.0) * 1.02  # and for the tolerance
