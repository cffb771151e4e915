"""Repeat a computation at different numbers of Numba's threads."""

from __future__ import annotations

from collections.abc import Iterator


def numbers_of_threads() -> Iterator[int]:
    """Set Numba to one thread, then to two where there are two, and in the end back to what it was.

    Yields
    ------
    int
        The number of threads that is set.
    """
    import numba

    most: int = getattr(numba.config, "NUMBA_NUM_THREADS")  # noqa: B009 (set at import, unknown to mypy)
    before = numba.get_num_threads()
    try:
        for threads in range(1, 1 + min(2, most)):
            numba.set_num_threads(threads)
            yield threads
    finally:
        numba.set_num_threads(before)
