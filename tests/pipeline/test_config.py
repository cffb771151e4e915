"""Layers of configuration, and which one wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from tomokit.errors import InputError, OptionError
from tomokit.pipeline.config import build_request, preset_names, read_preset
from tomokit.plugin.manager import get_registry

FILES = {"stack": Path("s.mrc"), "output": Path("o.mrc")}


def config(folder: Path, text: str) -> Path:
    path = folder / "c.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_default_preset_holds_where_nothing_is_said() -> None:
    request = build_request(FILES)
    assert request.method == read_preset("default")["method"]
    assert (request.bin, request.linearization, request.preview) == (1, "auto", True)


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_builds_and_names_a_method_that_exists(name: str) -> None:
    request = build_request(FILES, preset=name)
    assert request.method in get_registry().names("method")


def test_each_layer_overrides_the_one_before(tmp_path: Path) -> None:
    path = config(
        tmp_path, "method = 'blur'\nbin = 2\nseed = 5\nthickness = 7\n[options]\nepochs = 2\nclaim_bytes = 1\n"
    )
    request = build_request({**FILES, "seed": 6, "bin": None}, settings=["epochs=9"], config=path, preset="quick")
    assert (request.method, request.bin, request.seed, request.thickness) == ("blur", 2, 6, 7)
    assert request.options == {"epochs": "9", "claim_bytes": 1}


def test_options_of_another_method_are_dropped(tmp_path: Path) -> None:
    path = config(tmp_path, "method = 'tv'\n[options]\nweight = 2\n")
    assert build_request({**FILES, "method": "blur"}, config=path).options == {}
    assert build_request({**FILES, "method": "tv"}, config=path).options == {"weight": 2}


def test_settings_of_an_optimizer_that_is_not_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"optimizers\.rmsprop: no effect, since the optimizer is adam"):
        build_request(FILES, settings=["optimizers.rmsprop.lr=0.1"])
    # Of a preset or a file they are a choice that waits for its optimizer.
    path = config(tmp_path, "[options.optimizers.rmsprop]\nlr = 0.1\n")
    request = build_request(FILES, settings=["optimizer=rmsprop", "optimizers.rmsprop.alpha=0.9"], config=path)
    assert request.options["optimizers"]["rmsprop"] == {"lr": 0.1, "alpha": "0.9"}


def test_paths_in_a_file_start_from_its_folder(tmp_path: Path) -> None:
    path = config(tmp_path, "mask = 'm.mrc'\nangles = '/abs/a.tlt'\n")
    request = build_request(FILES, config=path)
    assert request.mask == tmp_path / "m.mrc"
    assert request.angles == Path("/abs/a.tlt")


def test_views_to_exclude_may_be_a_list(tmp_path: Path) -> None:
    assert build_request(FILES, config=config(tmp_path, "exclude = [0, 3, 7]\n")).exclude == "0,3,7"
    assert build_request(FILES, config=config(tmp_path, "exclude = []\n")).exclude is None
    with pytest.raises(OptionError, match="exclude"):
        build_request(FILES, config=config(tmp_path, "exclude = [0, 1.5]\n"))


@pytest.mark.parametrize("key", ["preset", "output", "stack", "overwrite"])
def test_some_keys_are_for_the_command_line_only(tmp_path: Path, key: str) -> None:
    with pytest.raises(OptionError, match=f"{key!r} is given on the command line only"):
        build_request(FILES, config=config(tmp_path, f"{key} = 'quick'\n"))


def test_hyphens_in_keys_are_underscores(tmp_path: Path) -> None:
    assert build_request(FILES, config=config(tmp_path, "hold-out = 8\n")).hold_out == 8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("thicknes = 3", "thickness"),
        ("bin = 'two'", "bin"),
        ("bin = 0", "bin"),
        ("linearization = 'square'", "linearization"),
        ("output = 'x.mrc'", "command line"),
        ("overwrite = true", "command line"),
        ("options = 3", "options"),
    ],
)
def test_what_a_file_says_wrong_is_refused_naming_the_file(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(OptionError) as caught:
        build_request(FILES, config=config(tmp_path, text))
    assert "c.toml" in str(caught.value)
    assert said in str(caught.value)


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lost\.toml"):
        build_request(FILES, config=tmp_path / "lost.toml")


def test_an_unknown_preset_gives_the_nearest() -> None:
    with pytest.raises(OptionError, match="did you mean quick"):
        build_request(FILES, preset="quik")


def test_percentiles_come_as_text_or_as_a_list(tmp_path: Path) -> None:
    path = config(tmp_path, "percentiles = [1, 99]")
    assert build_request(FILES, config=path).percentiles == (1.0, 99.0)
    assert build_request({**FILES, "percentiles": "0.5,99.5"}, config=path).percentiles == (0.5, 99.5)
