"""The repository's device of g++ and the CPU, for tests of the kernels without a GPU."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3] / "tests" / "cuda"))
