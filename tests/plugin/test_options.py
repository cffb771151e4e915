"""Typed options from strings and from TOML values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomokit.errors import InputError, OptionError
from tomokit.plugin.options import build_options, describe_options, option
from tomokit.plugin.settings import merge, parse_settings, read_toml


@dataclass(frozen=True)
class Inner:
    weight: float = option(1e-4, "Weight.", minimum=0)


@dataclass(frozen=True)
class Options:
    """Every kind of field."""

    epochs: int = option(10, "Passes over all views.", minimum=1, maximum=1000)
    relaxation: float = option(1.0, "Step.", minimum=0, maximum=2)
    window: str = option("ramp", "Filter.", choices=("ramp", "hann"))
    positive: bool = option(True, "Clip below 0.")
    limit: float | None = option(None, "Cut-off.", minimum=0)
    levels: tuple[int, ...] = option((1, 2), "Levels.", minimum=1)
    span: tuple[float, float] | None = option(None, "Two numbers.")
    mode: Literal["a", "b", 3] = "a"
    where: Path | None = None
    inner: Inner = field(default_factory=Inner)
    table: dict[str, Any] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("key", "given_value", "expected"),
    [
        ("epochs", "12", 12),
        ("epochs", 12, 12),
        ("relaxation", "0.5", 0.5),
        ("relaxation", 1, 1.0),
        ("relaxation", "1e-3", 1e-3),
        ("positive", "no", False),
        ("positive", "True", True),
        ("positive", False, False),
        ("window", "hann", "hann"),
        ("limit", "none", None),
        ("limit", "0.25", 0.25),
        ("levels", "1,2,4", (1, 2, 4)),
        ("levels", [3], (3,)),
        ("span", "1,99.5", (1.0, 99.5)),
        ("mode", "b", "b"),
        ("mode", "3", 3),
        ("where", "a/b", Path("a/b")),
        ("inner", {"weight": "0.5"}, Inner(0.5)),
        ("table", {"a": 1}, {"a": 1}),
    ],
)
def test_values_become_what_the_field_says(key: str, given_value: object, expected: object) -> None:
    value = getattr(build_options(Options, {key: given_value}, "here"), key)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", "1.5"),
        ("epochs", 1.0),
        ("epochs", True),
        ("epochs", "0"),
        ("epochs", 1001),
        ("relaxation", "nan"),
        ("relaxation", "inf"),
        ("relaxation", "2.1"),
        ("relaxation", ""),
        ("positive", "maybe"),
        ("positive", 1),
        ("window", "hamming"),
        ("window", 3),
        ("limit", "-1"),
        ("limit", "no number"),
        ("levels", "1,,2"),
        ("levels", "0"),
        ("levels", 3),
        ("span", "1,2,3"),
        ("mode", "c"),
        ("inner", "0.5"),
        ("inner", {"wieght": "1"}),
        ("table", "x"),
        ("where", ""),
    ],
)
def test_values_of_another_kind_are_refused_in_one_line_naming_place_and_key(key: str, value: object) -> None:
    with pytest.raises(OptionError) as caught:
        build_options(Options, {key: value}, "method x")
    assert str(caught.value).startswith(f"method x: {key}")
    assert "\n" not in str(caught.value)


def test_an_unknown_key_gives_the_nearest_and_all() -> None:
    with pytest.raises(OptionError, match=r"no option 'epoch'; did you mean epochs\? it has epochs, inner,"):
        build_options(Options, {"epoch": 3}, "method x")


def test_nothing_given_is_the_defaults() -> None:
    assert build_options(Options, {}, "x") == Options()


def test_descriptions_have_what_a_user_needs() -> None:
    described = {one["name"]: one for one in describe_options(Options)}
    assert described["epochs"] == {
        "name": "epochs",
        "type": "int",
        "default": 10,
        "help": "Passes over all views.",
        "choices": None,
        "minimum": 1,
        "maximum": 1000,
    }
    assert described["window"]["choices"] == ["ramp", "hann"]
    assert described["limit"]["type"] == "float | None"


@given(st.dictionaries(st.sampled_from(["epochs", "relaxation", "window", "levels", "limit", "mode"]), st.text()))
def test_any_text_is_taken_or_refused_by_name(values: dict[str, str]) -> None:
    try:
        built = build_options(Options, values, "x")
    except OptionError:
        return
    assert 1 <= built.epochs <= 1000
    assert built.window in ("ramp", "hann")


def test_settings_nest_by_dots_and_later_ones_win() -> None:
    settings = [
        "regularizers.tv.weight=1e-4",
        "epochs = 3",
        "epochs=4",
        "regularizers.tv.space=raw",
        "name=a=b",
        "hold-out=2",
    ]
    assert parse_settings(settings) == {
        "regularizers": {"tv": {"weight": "1e-4", "space": "raw"}},
        "epochs": "4",
        "name": "a=b",
        "hold_out": "2",
    }


@pytest.mark.parametrize("wrong", [["epochs"], ["=3"], ["a..b=1"], ["a=1", "a.b=2"], ["a.b=2", "a=1"], [""]])
def test_settings_that_make_no_sense_are_refused(wrong: list[str]) -> None:
    with pytest.raises(OptionError, match="--set"):
        parse_settings(wrong)


_parts = st.text(alphabet="abc_", min_size=1, max_size=3)


@given(
    st.dictionaries(
        st.lists(_parts, min_size=1, max_size=3).map(tuple), st.text(alphabet="x=. 1", max_size=4), max_size=4
    )
)
def test_settings_round_trip(leaves: dict[tuple[str, ...], str]) -> None:
    assignments = [f"{'.'.join(path)}={value}" for path, value in leaves.items()]
    clash = any(a != b and b[: len(a)] == a for a in leaves for b in leaves)
    if clash:
        with pytest.raises(OptionError):
            parse_settings(assignments)
        return
    tree = parse_settings(assignments)
    for path, value in leaves.items():
        node: Any = tree
        for part in path:
            node = node[part]
        assert node == value.strip()


def test_layers_are_laid_table_by_table() -> None:
    base = {"a": 1, "t": {"x": 1, "y": 2}, "u": 3}
    assert merge(base, {"t": {"y": 5}, "u": {"z": 1}}) == {"a": 1, "t": {"x": 1, "y": 5}, "u": {"z": 1}}
    assert base == {"a": 1, "t": {"x": 1, "y": 2}, "u": 3}


@pytest.mark.parametrize("content", [b"a = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_not_toml_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"c\.toml"):
        read_toml(path)


def test_a_file_that_is_missing_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lost\.toml"):
        read_toml(tmp_path / "lost.toml")
