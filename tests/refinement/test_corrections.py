"""Corrections compose with IMOD's transforms, leave the specimen where it is, and survive their record."""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest

from tomokit.errors import InputError, OptionError
from tomokit.io.transforms import transform_points
from tomokit.refinement.corrections import Corrections, parse_kinds

N = 9
TILT = np.linspace(-60, 58, N)
RNG = np.random.default_rng(2)


def some() -> Corrections:
    shifts = RNG.uniform(-3, 3, (2, N))
    turns = RNG.uniform(-2, 2, (2, N))
    return Corrections(*shifts, *turns, RNG.uniform(-0.02, 0.02, N))


def test_a_corrected_transform_takes_a_point_to_where_the_model_has_it() -> None:
    corrections, q = some(), RNG.uniform(-50, 50, (4, 2))
    given = np.column_stack(
        [RNG.uniform(0.8, 1.2, (N, 1)), np.full((N, 2), 0.1), np.ones(N), RNG.uniform(-5, 5, (N, 2))]
    )
    for view, row in enumerate(corrections.after(given)):
        turn, scale = np.deg2rad(corrections.rotation_deg[view]), 1 + corrections.magnification[view]
        matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        shift = np.array([corrections.shift_u_px[view], corrections.shift_v_px[view]])
        aligned_as_given = (q + shift) @ matrix.T
        raw = (aligned_as_given - given[view, 4:]) @ np.linalg.inv(given[view, :4].reshape(2, 2)).T
        np.testing.assert_allclose(transform_points(row, raw), q, atol=1e-9)
    np.testing.assert_allclose(corrections.after(np.tile([1.0, 0, 0, 1, 0, 0], (N, 1))), corrections.transforms())


def test_what_moves_the_specimen_is_taken_away_and_nothing_else() -> None:
    fitted = np.arange(N) % 4 != 2
    angle = np.deg2rad(TILT)
    moved = Corrections(
        5 * np.cos(angle) - 7 * np.sin(angle), np.full(N, 3.0), np.zeros(N), np.zeros(N), np.full(N, 0.01)
    )
    left = moved.without_gauge(TILT, fitted)
    assert max(np.abs(getattr(left, item.name)).max() for item in fields(left)) < 1e-12
    once = some().without_gauge(TILT, fitted)
    again = once.without_gauge(TILT, fitted)
    for item in fields(once):
        np.testing.assert_allclose(getattr(again, item.name), getattr(once, item.name), atol=1e-12)
    assert np.abs(once.shift_u_px).max() > 0.5
    assert abs(once.tilt_deg[fitted].mean()) < 1e-12


def test_a_record_gives_the_same_bits_and_a_wrong_one_is_refused() -> None:
    corrections = some()
    record = json.loads(json.dumps(corrections.to_json()))
    read = Corrections.from_json(record, N, "run.h5")
    assert all(np.array_equal(getattr(read, item.name), getattr(corrections, item.name)) for item in fields(read))
    for wrong in (None, [0.0], [float("nan")] * N, ["a"] * N, [1e9] * N):
        with pytest.raises(InputError, match="corrections"):
            Corrections.from_json({**record, "tilt_deg": wrong}, N, "run.h5")
    with pytest.raises(InputError, match="magnification"):
        Corrections.from_json({**record, "magnification": [-1.0] * N}, N, "run.h5")


def test_names_of_what_is_refined() -> None:
    assert parse_kinds("angles, shifts") == ("shifts", "angles")
    for text in ("", "shift", "shifts;angles"):
        with pytest.raises(OptionError, match="--refine"):
            parse_kinds(text)


def test_parameters_are_the_corrections() -> None:
    corrections = some()
    back = Corrections.from_parameters(corrections.parameters(4.0), 4.0)
    for item in fields(back):
        np.testing.assert_allclose(getattr(back, item.name), getattr(corrections, item.name), rtol=1e-13)
