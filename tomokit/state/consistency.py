"""Whether the parts of a state belong together: epochs, history, arrays, and the density that follows from them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from tomokit.errors import InputError
from tomokit.state.record import State
from tomokit.state.seal import REMEDY, DamagedState


def check_consistent(state: State, path: Path) -> None:
    """Refuse a state whose parts contradict each other, each of them being well-formed.

    Parameters
    ----------
    state : State
        As read, its texts held against :mod:`tomokit.state.schema`.
    path : Path
        Its file, for error messages.

    Raises
    ------
    DamagedState
        Naming the part.
    """
    for field, problem in _contradictions(state):
        raise DamagedState(problem, file=path, field=field, remedy=REMEDY)


def _contradictions(state: State) -> list[tuple[str, str]]:
    """What contradicts what, as pairs of a part and what is wrong with it."""
    if state.epoch > state.epochs or (state.paused and state.finished):
        return [("attribute epoch", f"{state.epoch} of {state.epochs}, in the middle of one: {state.paused}")]
    if len(state.history) != state.epoch:
        return [("/history", f"{len(state.history)} entries after {state.epoch} epochs")]
    scored = bool(state.provenance["views"]["held_out"])
    if any((entry["held_out"] is not None) != scored for entry in state.history):
        return [("/history", "does not score the views that were held out")]
    if not state.arrays:
        begun = state.epoch > 0 or state.paused or state.density
        return [("/arrays", "has none, though steps are done")] if begun else []
    if not state.density:
        return [("/density", "does not say how the density follows from the arrays")]
    try:
        check_recipe(state)
    except InputError as error:
        return [(error.field or "/density", error.problem)]
    return []


def check_recipe(state: State) -> None:
    """Make sure that the arrays are there from which the density follows, and are of its size.

    Parameters
    ----------
    state : State
        With arrays, its texts held against :mod:`tomokit.state.schema`.

    Raises
    ------
    InputError
        Naming the array.
    """
    recipe = state.density
    if recipe["kind"] == "voxels":
        array = _floats(state, recipe["array"])
        x, z, y = recipe["shape_xzy"]
        expected = (x + 2 * recipe["margin_px"], z, y)
        if array.shape != expected:
            raise InputError(f"shape {array.shape}, expected {expected}", field=f"/arrays/{recipe['array']}")
        return
    from tomokit.octree.state import from_arrays

    values, prefix = _floats(state, recipe["values"]), recipe["forest"]
    named = {name[len(prefix) :]: array for name, array in state.arrays.items() if name.startswith(prefix)}
    forest = from_arrays(named)
    if values.shape != forest.values_shape:
        problem = f"shape {values.shape}, expected {forest.values_shape}"
        raise InputError(problem, field=f"/arrays/{recipe['values']}")
    # The forest covers the tomogram, so that what is allocated for it is no larger than the leaves are.
    box = [math.ceil(roots * forest.root_px) for roots in forest.roots]
    if any(extent > edge for extent, edge in zip(recipe["shape_xzy"], box, strict=True)):
        raise InputError(f"a tomogram of {recipe['shape_xzy']} in a box of {box}", field="/density shape_xzy")


def _floats(state: State, name: str) -> np.ndarray[Any, np.dtype[np.floating[Any]]]:
    array = state.arrays.get(name)
    if array is None or array.dtype.kind != "f":
        raise InputError("is not an array of densities", field=f"/arrays/{name}")
    return array
