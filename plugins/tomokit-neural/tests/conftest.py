"""One thread: waking others takes longer than these small networks."""

from __future__ import annotations

import numba
import pytest


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)
