"""``tomokit plugins check`` and ``plugins new``: what they print and how they end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tomokit.plugin.manager import get_registry
from tomokit.plugin.registry import Entry
from tomokit.regularizers.tv import TotalVariation

Cli = Callable[..., tuple[int, str, str]]


class Wrong(TotalVariation):
    """A gradient a hundredth too large."""

    name: ClassVar[str] = "a-wrong-one"

    def value_and_gradient(self, field: Any, gradient: Any, scale: float) -> float:
        return super().value_and_gradient(field, gradient, 1.01 * scale)


class HeldBack(TotalVariation):
    """One that has something to say of devices."""

    name: ClassVar[str] = "held-back"

    def cuda_unsupported_reason(self, options: Any) -> str:
        return "it is not done yet"


@pytest.fixture
def wrong() -> Iterator[None]:
    get_registry.cache_clear()
    for cls in (Wrong, HeldBack):
        get_registry().add(Entry.of("regularizer", cls, "tests", "0"))
    yield
    get_registry.cache_clear()


@pytest.mark.parametrize(
    "words",
    [
        ("boundary",),
        # Kernels in double precision are compiled for it, which nothing else uses.
        pytest.param(("cnlc", "--set", "kernel=gaussian"), marks=pytest.mark.long),
        ("adam", "--seed", "4"),
    ],
)
def test_a_right_one_passes(cli: Cli, words: tuple[str, ...]) -> None:
    status, out, err = cli("plugins", "check", *words)
    assert (status, err) == (0, "")
    assert "  ok  " in out
    assert "NO" not in out


def test_a_name_of_two_kinds_is_checked_for_both_or_for_one(cli: Cli) -> None:
    status, out, _ = cli("plugins", "check", "tv", "--kind", "regularizer", "--set", "variant=huber", "--json")
    assert status == 0
    found = json.loads(out)
    assert found["passed"] is True
    assert [one["kind"] for one in found["checked"]] == ["regularizer"]
    checks = [one["check"] for one in found["checked"][0]["checks"]]
    assert len(checks) == 13
    assert "its fused term is the gradient that it adds itself" in checks


@pytest.mark.usefixtures("wrong")
def test_a_wrong_one_is_told_and_ends_with_2(cli: Cli) -> None:
    status, out, err = cli("plugins", "check", "a_wrong_one", "--json")
    assert status == 2
    found = json.loads(out)
    assert found["passed"] is False
    (problem,) = (one["problem"] for one in found["checked"][0]["checks"] if one["problem"])
    assert "it is 1.01 times as large" in problem
    assert problem in err
    assert err.count("\n") == 1


@pytest.mark.usefixtures("wrong")
def test_what_cannot_be_tried_is_no_pass_and_no_failure(cli: Cli) -> None:
    status, out, _ = cli("plugins", "check", "held-back")
    assert status == 0
    (line,) = (line for line in out.splitlines() if "GPU" in line)
    name, said = line.split(": ", 1)
    assert name == "  --  it gives on a GPU what it gives on the CPU"
    assert said == "not tried, it refuses these options there: it is not done yet"
    found = json.loads(cli("plugins", "check", "held-back", "--json")[1])
    assert found["passed"] is True
    assert found["checked"][0]["checks"][-1]["not_tried"].endswith("it is not done yet")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing",), "choose from adam"),
        (("mrc",), "there are no checks for readers and commands"),
        (("tv", "--kind", "reader"), "choose from method, regularizer, optimizer"),
        (("adam", "--kind", "method"), "no method of the name 'adam'"),
        (("adam", "--set", "lr"), "write key=value"),
        (("adam", "--set", "rl=1"), "no option 'rl'"),
    ],
)
def test_what_cannot_be_checked_is_told(cli: Cli, words: tuple[str, ...], said: str) -> None:
    status, _, err = cli("plugins", "check", *words)
    assert status == 2
    assert said in err


def test_a_refused_one_is_told_with_the_reason(cli: Cli) -> None:
    get_registry.cache_clear()
    get_registry().refuse("tomokit-broken", ImportError("no module named lost"))
    status, _, err = cli("plugins", "check", "tomokit-broken")
    get_registry.cache_clear()
    assert status == 2
    assert "not loaded: ImportError: no module named lost" in err


def test_new_tells_what_it_wrote(cli: Cli, tmp_path: Path) -> None:
    status, out, _ = cli("plugins", "new", tmp_path / "tomokit-smooth", "--json")
    assert status == 0
    files = json.loads(out)["files"]
    assert len(files) == 6
    assert all(Path(file).is_file() for file in files)
    status, _, err = cli("plugins", "new", tmp_path / "tomokit-smooth")
    assert status == 2
    assert "exists already" in err


def test_verbose_shows_every_option_with_its_bounds(cli: Cli) -> None:
    out = cli("plugins", "list", "--verbose")[1]
    assert "\n    weight = 1e-06  (float, at least 0)\n        How strongly each leaf is made of values" in out
    assert "\n    relaxation = 1  (float, 1e-06 to 1.999)\n" in out
    assert "\n    filter = hann  (str, one of ramp, hann, sirt)\n" in out
    # What holds is what the preset sets.
    assert "\n    large_leaves = 0.5 [method's own: 0]  (float, 0 to 0.95)\n" in out
    assert "\n    lr = 0.04 [method's own: 0.01]  (float, at least 0)\n" in out


def test_a_name_shows_that_one_with_its_options(cli: Cli) -> None:
    listed = json.loads(cli("plugins", "list", "tv", "--json")[1])["plugins"]
    assert [(one["kind"], one["name"]) for one in listed] == [("method", "tv"), ("regularizer", "tv")]
    out = cli("plugins", "list", "cnlc")[1]
    assert "bandwidth = 0.25" in out
    status, _, err = cli("plugins", "list", "snirt")
    assert status == 2
    assert "did you mean sirt?" in err
