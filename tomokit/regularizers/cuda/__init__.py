"""The regularizers on a GPU: kernels, and what launches them."""

from __future__ import annotations

from pathlib import Path

BOUNDARY_SOURCE = Path(__file__).with_name("boundary.cu")
LOCAL_PENALTY_SOURCE = Path(__file__).with_name("local_penalty.cu")
