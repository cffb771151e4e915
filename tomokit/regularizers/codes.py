"""The codes by which kernels know the variants of regularizers.

They are also in ``variation.cuh``. Nothing compiled is imported here: options need them before any kernel is loaded.
"""

from __future__ import annotations

ANISOTROPIC, ISOTROPIC, HUBER, CONCAVE = 0, 1, 2, 3
VARIANTS = {"anisotropic": ANISOTROPIC, "isotropic": ISOTROPIC, "huber": HUBER, "concave": CONCAVE}
"""Variants of total variation by name."""

DOT, GAUSSIAN = 0, 1
KERNELS = {"dot": DOT, "gaussian": GAUSSIAN}
"""Similarities of two values in the cross-node constraint by name."""
