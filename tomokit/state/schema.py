"""What the texts of a state have to be: every field that is read, with its type and its bounds.

A state may come from anywhere, and a seal only says that it is as it was written. So nothing in it is used before it
has been held against the models here, as the arrays are against :mod:`tomokit.state.storage`. Fields that are not
named are left as they are, and used by nothing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from tomokit.state.seal import REMEDY, DamagedState

MOST_BYTES = {"provenance": 16 << 20, "job": 1 << 20, "history": 64 << 20, "density": 1 << 20}
"""Longest text of each name: parsed, a text can take some thirty times its length."""

_DEEPEST = 32
_LARGEST_INTEGER = 2**64


def _usable_text(text: str) -> str:
    """A text that can be printed and be part of a file's name: no control characters, nothing that is no character."""
    if any(character < " " or character == "\x7f" for character in text):
        raise ValueError("has control characters")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ValueError("is not text") from None
    return text


Text = Annotated[str, Field(max_length=4096), AfterValidator(_usable_text)]
Word = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_usable_text)]
FileName = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_usable_text)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Extent = Annotated[int, Field(ge=1, lt=2**31)]
Positive = Annotated[FiniteFloat, Field(gt=0)]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Configuration(_Model):
    options: dict[str, Any]


class _Views(_Model):
    fitted: list[Count]
    held_out: list[Count]


class _Linearization(_Model):
    kind: Literal["log", "linear", "invert"]
    imin: FiniteFloat
    imax: FiniteFloat
    scale: FiniteFloat
    volume_units: Word
    chosen_by: Word = "user"
    reason: Text = ""
    offset: FiniteFloat = 0.0
    background: bool = False


class _Plugin(_Model):
    kind: Word
    name: Word
    origin: Word
    version: Word


class _Provenance(_Model):
    tomokit: Word
    method: Word
    backend: Word
    seed: Annotated[int, Field(ge=0, lt=2**64)]
    configuration: _Configuration
    resolved_parameters: dict[str, Any]
    inputs: Annotated[dict[Text, Digest], Field(min_length=1)]
    plugins: list[_Plugin]
    views: _Views
    linearization: _Linearization
    series: dict[str, Any]


class _Place(_Model):
    from_here: FileName
    absolute: FileName


class _Machine(_Model):
    processor: Word
    features: list[Word]
    versions: dict[Word, Word]


class _Job(_Model):
    files: dict[Word, _Place]
    preview: bool
    threads: Annotated[int, Field(ge=1, lt=2**31)] | None
    state_epochs: Annotated[int, Field(ge=1, lt=2**53)] | None
    state_seconds: Annotated[FiniteFloat, Field(ge=0)] | None
    # States of tomokit 0.2.0 before it recorded them have none.
    computed_on: list[_Machine] = []


class _Scores(_Model):
    # Not a number where the prediction of some view has overflowed, which ends no run.
    correlation: float
    residual: float
    # Runs before there were rings have none; a ring that holds no frequency is null.
    ring_correlation: Annotated[list[FiniteFloat | None], Field(max_length=64)] | None = None
    mean_ring_correlation: FiniteFloat | None = None


class _Epoch(_Model):
    epoch: Count
    loss: FiniteFloat
    terms: dict[Word, FiniteFloat]
    held_out: _Scores | None
    seconds: Annotated[FiniteFloat, Field(ge=0)]


class _Level(_Model):
    x_tilt_deg: Annotated[FiniteFloat, Field(gt=-90, lt=90)]
    shape_zyx: Annotated[list[Extent], Field(min_length=3, max_length=3)]
    centre_zy: Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)]
    first_column: Count
    origin_px: Annotated[list[FiniteFloat], Field(min_length=3, max_length=3)]


class _Lattice(_Model):
    shape_xzy: Annotated[list[Extent], Field(min_length=3, max_length=3)]
    # States of before there were parts of a volume do not have it.
    first_row: Count = 0
    voxel_size_angstrom: Positive
    voxel_size_is_known: bool
    units_scale: FiniteFloat
    units: Word
    # How the tomogram lies in what the arrays hold, where it is not all of that.
    level: _Level | None = None


class _Voxels(_Lattice):
    kind: Literal["voxels"]
    array: Word
    margin_px: Annotated[int, Field(ge=0, lt=2**31)]
    scale: FiniteFloat
    least: FiniteFloat | None


class _Leaves(_Lattice):
    kind: Literal["octree"]
    values: Word
    forest: Word
    activation: Literal["squareplus", "softplus", "identity"]
    parameter: Annotated[FiniteFloat, Field(ge=0)]
    scale: FiniteFloat


_TEXTS: dict[str, TypeAdapter[Any]] = {
    "provenance": TypeAdapter(_Provenance),
    "job": TypeAdapter(_Job),
    "history": TypeAdapter(list[_Epoch]),
    "density": TypeAdapter(Annotated[_Voxels | _Leaves, Field(discriminator="kind")]),
}


def parse_text(name: str, text: bytes, path: Path) -> Any:
    """Parse one of a state's texts, and make sure that it is what the format says.

    Parameters
    ----------
    name : str
        One of :data:`tomokit.state.record.TEXTS`.
    text : bytes
        JSON in UTF-8.
    path : Path
        The state, for error messages.

    Returns
    -------
    dict or list
        As parsed: nothing is converted.

    Raises
    ------
    DamagedState
        Naming the field that is missing, or of another type, or out of bounds.
    """
    try:
        value = json.loads(text.decode("utf-8"))
        _check_plain(value)
        # Of a run that has not begun nothing is known of its density.
        if not (name == "density" and value == {}):
            _TEXTS[name].validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        # The parts of a place are keys, which come from the file.
        place = ".".join(ascii(part).strip("'")[:60] for part in first["loc"])
        problem = f"{first['msg'][:1].lower()}{first['msg'][1:]}".partition(" or instance of ")[0]
        raise DamagedState(problem, file=path, field=f"/{name} {place}".strip(), remedy=REMEDY) from None
    except RecursionError:
        raise DamagedState("is nested too deeply", file=path, field=f"/{name}", remedy=REMEDY) from None
    except ValueError as error:
        raise DamagedState(f"is not what a state has ({error})", file=path, field=f"/{name}", remedy=REMEDY) from None
    return value


def _check_plain(value: Any, depth: int = 0) -> None:
    """Refuse what no setting is and no JSON has: unbounded numbers, texts that are none, endless nesting."""
    if depth > _DEEPEST:
        raise ValueError(f"nested more than {_DEEPEST} deep")
    if isinstance(value, dict):
        for key, inner in value.items():
            _usable_text(key)
            _check_plain(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_plain(inner, depth + 1)
    elif isinstance(value, str):
        _usable_text(value)
    elif isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise ValueError("a number of more than 64 bits")
