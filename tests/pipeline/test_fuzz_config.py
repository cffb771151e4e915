"""Made-up configurations: each is a request and the options of its method, or refused in one line."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fuzzing import Tally, fuzz_settings
from hypothesis import given
from hypothesis import strategies as st

from tomokit.pipeline.config import build_request, method_options, preset_names
from tomokit.plugin.manager import get_registry

METHODS = get_registry().names("method")
KEYS = [
    *("method", "bin", "thickness", "exclude", "exclude_from_1", "exclude-from-1", "hold_out", "half", "seed", "slabs"),
    *("angles", "mask", "xf", "state", "percentiles", "linearization", "offsets", "y", "threads", "options", "stack"),
]
OPTIONS = [
    *("epochs", "iterations", "weight", "n", "max_leaves", "optimizer", "structure_epochs", "spacing_px", "margin"),
    *("optimizers.adam.lr", "optimizers.adam", "regularizers.tv.weight", "regularizers.cnlc", "regularizers", "bend"),
]
VALUES = st.one_of(
    st.sampled_from(METHODS).map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(str),
    st.sampled_from(["true", "[]", "[1, 2]", "[0.1, 99.9]", "{}", "{a = 1}", "1e400", "''", "'~'", "'~nobody/x'"]),
    st.sampled_from(["1979-05-27", "07:32:00", "'0,3,7-9'", "'9-1'", "'even'", "[[1]]", "9" * 5000, "nan"]),
    st.text(max_size=6).map(lambda text: repr(text)),
)
ASSIGNMENTS = st.builds("{} = {}".format, st.sampled_from(KEYS), VALUES)
OF_METHODS = st.builds("{} = {}".format, st.sampled_from(OPTIONS), VALUES)
VALID = st.sampled_from(["bin = 2", "seed = 3", "exclude = [1, 2]", "hold_out = 5", "mask = 'm.mrc'", "method = 'tv'"])
VALID_OPTIONS = st.sampled_from(["epochs = 9", "n = 10", "optimizers.adam.lr = 0.1", "margin = 0.5"])
FILES = st.builds(
    lambda top, below: "\n".join([*top, "[options]", *below]),
    st.lists(ASSIGNMENTS | VALID | VALID | VALID, max_size=3),
    st.lists(OF_METHODS | VALID_OPTIONS | VALID_OPTIONS, max_size=3),
)
SETTINGS = st.builds("{}={}".format, st.sampled_from(OPTIONS) | st.text(max_size=6), VALUES | st.text(max_size=6))


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    counts = Tally()
    yield counts
    print(f"\n{counts}")


@fuzz_settings(200)
@given(
    raw=st.one_of(FILES, FILES, FILES, st.text(max_size=60)).map(lambda text: text.encode("utf-8", "surrogatepass")),
    settings=st.lists(SETTINGS, max_size=2),
    preset=st.sampled_from([None, *preset_names(), "none"]),
)
def test_configuration(tmp_path: Path, tally: Tally, raw: bytes, settings: list[str], preset: str | None) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(raw)

    def build() -> Any:
        given = {"stack": Path("s.mrc"), "output": Path("o.mrc")}
        request = build_request(given, settings=settings, config=path, preset=preset)
        method = get_registry().get("method", request.method)()
        return method_options(method, request.options)

    options = tally.run("configuration", build)
    assert options is None or dataclasses.is_dataclass(options)
