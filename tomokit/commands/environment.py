"""Variables of the environment that the compiler reads when it is imported, where a wrong one ends in a traceback."""

from __future__ import annotations

import os
import re

from tomokit.errors import OptionError

_MOST_THREADS = 4096
_LAYERS = ("default", "safe", "forksafe", "threadsafe", "tbb", "omp", "workqueue")


def check_environment() -> None:
    """Refuse values that Numba would fail at, with a remedy.

    Raises
    ------
    OptionError
        If ``NUMBA_NUM_THREADS`` is no number of threads, or ``NUMBA_THREADING_LAYER`` no layer.
    """
    threads = os.environ.get("NUMBA_NUM_THREADS")
    if threads is not None and not (re.fullmatch(r"\s*0*[0-9]{1,4}\s*", threads) and 0 < int(threads) <= _MOST_THREADS):
        raise OptionError(
            f"{threads[:20]!r} is no number of threads",
            field="NUMBA_NUM_THREADS",
            remedy="unset this variable of the environment, or give it a whole number of at least 1",
        )
    layer = os.environ.get("NUMBA_THREADING_LAYER")
    if layer is not None and layer not in _LAYERS:
        raise OptionError(
            f"{layer[:20]!r} is no threading layer",
            field="NUMBA_THREADING_LAYER",
            remedy=f"unset this variable of the environment, or choose from {', '.join(_LAYERS)}",
        )
