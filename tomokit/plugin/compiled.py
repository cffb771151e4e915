"""What plugins compile functions of the CPU with: :func:`compiled`, as tomokit's own kernels are."""

from __future__ import annotations

from tomokit.kernels.decorator import compiled

__all__ = ["compiled"]
