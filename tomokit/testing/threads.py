"""The same thing at other numbers of threads."""

from __future__ import annotations

from collections.abc import Iterator


def numbers_of_threads() -> Iterator[int]:
    """Set Numba to one thread, then to two where there are two; as it was, in the end."""
    import numba

    most: int = getattr(numba.config, "NUMBA_NUM_THREADS")  # noqa: B009 (set at import, unknown to mypy)
    before = numba.get_num_threads()
    try:
        for threads in range(1, 1 + min(2, most)):
            numba.set_num_threads(threads)
            yield threads
    finally:
        numba.set_num_threads(before)
