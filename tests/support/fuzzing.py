"""How many inputs a fuzzing test makes up, and what became of them.

In the suite there are few; ``nox -s fuzz`` sets ``TOMOKIT_FUZZ`` to the number for each test, and shows the tallies.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

from tomokit.errors import TomokitError


def fuzz_settings(in_the_suite: int) -> Any:
    """Settings of Hypothesis for a fuzzing test that has so many examples in the suite."""
    asked = os.environ.get("TOMOKIT_FUZZ")
    return settings(
        max_examples=int(asked) if asked else in_the_suite,
        deadline=None,
        # A run by `nox -s fuzz` is repeated by its seed, not by what the runs before it found.
        database=None,
        suppress_health_check=list(HealthCheck),
    )


class Tally:
    """Counts inputs that were read and that were refused, by test."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def run(self, test: str, read: Callable[[], Any]) -> Any:
        """Read; a refusal has to be one printable line, and anything else than a refusal fails the test."""
        try:
            result = read()
        except TomokitError as error:
            line = str(error)
            assert line.isprintable(), line
            assert 0 < len(line) < 2000, line
            self._counts[test, "refused"] += 1
            return None
        self._counts[test, "read"] += 1
        return result

    def __str__(self) -> str:
        tests = sorted({test for test, _ in self._counts})
        return "\n".join(
            f"{test}: {self._counts[test, 'read']} read, {self._counts[test, 'refused']} refused" for test in tests
        )
