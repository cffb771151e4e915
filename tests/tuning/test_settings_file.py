"""The TOML says again exactly what was chosen, whatever presets say."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tomokit.pipeline.config import build_request, method_options, preset_names
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.plugin.manager import get_registry
from tomokit.plugin.options import build_options
from tomokit.plugin.settings import by_plugin_name
from tomokit.tuning.settings_file import settings_toml


def what_runs(request: ReconstructionRequest) -> dict[str, Any]:
    """Options of the method with those of the regularizers and the optimizer that have a say in full."""
    method = get_registry().get("method", request.method)()
    options = dataclasses.asdict(method_options(method, request.options))
    for kind in ("regularizer", "optimizer"):
        tables = by_plugin_name(options.get(f"{kind}s", {}))
        for name, table in tables.items():
            typed = dataclasses.asdict(build_options(get_registry().get(kind, name).Options, table, name))
            # A weight that is not given follows from the noise.
            tables[name] = typed if kind == "optimizer" or "weight" in table else typed | {"weight": None}
        if kind == "optimizer":
            # Of one that is not used, what the default preset gives is given back too.
            tables = {name: table for name, table in tables.items() if name == options.get("optimizer")}
        if f"{kind}s" in options:
            options[f"{kind}s"] = {n: t for n, t in tables.items() if t != _own(kind, n)}
    return options


def _own(kind: str, name: str) -> dict[str, Any]:
    """What runs where nothing is given of a regularizer that is on anyway."""
    own = dataclasses.asdict(get_registry().get(kind, name).Options())
    return own | {"weight": None} if kind == "regularizer" else own


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("method", [None, "tv"])
def test_it_reproduces_what_any_preset_gave(tmp_path: Path, preset: str, method: str | None) -> None:
    stack = tmp_path / "tilts.mrc"
    given = {"stack": stack, "output": tmp_path / "a.toml", "bin": 2, "mask": Path("mask.mrc"), "exclude": "0,3",
             "hold_out": "5:2", "y": "3:9", "seed": 7, "method": method, "angles": Path("header")}  # fmt: skip
    settings = [] if (method or preset) in ("tv", "quick") else ["regularizers.cnlc.weight=1e-5", "spacing_px=none"]
    request = build_request(given, preset=preset, settings=settings)
    file = tmp_path / "a.toml"
    file.write_text(settings_toml(request, ["a\nb"]), encoding="utf-8")
    again = build_request({"stack": stack, "output": tmp_path / "b.mrc"}, config=file)
    assert what_runs(again) == what_runs(request)
    assert (again.bin, again.exclude, again.seed, again.method) == (2, "0,3", 7, request.method)
    assert again.mask == Path("mask.mrc").resolve()
    assert str(again.angles) == "header"
    assert (again.y, again.hold_out) == (None, None)
    assert file.read_text().startswith("# a b\n\n")
