"""Shifts along the tilt axis: whole, fractional, out of the view, and transposed."""

import numpy as np
import pytest

from tomokit.projector.along_axis import shift_rows


def test_whole_shift_moves_rows_and_loses_what_leaves():
    stack = np.arange(1.0, 6.0).reshape(1, 1, 5)
    assert shift_rows(stack, np.array([2.0]), 5)[0, 0].tolist() == [0, 0, 1, 2, 3]
    assert shift_rows(stack, np.array([-4.0]), 5)[0, 0].tolist() == [5, 0, 0, 0, 0]
    assert not shift_rows(stack, np.array([5.0]), 5).any()
    assert not shift_rows(stack, np.array([-500.0]), 5).any()


def test_fractional_shift_shares_a_row_between_two():
    stack = np.zeros((1, 1, 5))
    stack[0, 0, 2] = 1
    np.testing.assert_allclose(shift_rows(stack, np.array([0.25]), 5)[0, 0], [0, 0, 0.75, 0.25, 0])
    np.testing.assert_allclose(shift_rows(stack, np.array([-0.25]), 5)[0, 0], [0, 0.25, 0.75, 0, 0])


def test_centres_coincide_whatever_the_lengths():
    stack = np.zeros((1, 1, 5))
    stack[0, 0, 2] = 1
    assert shift_rows(stack, np.zeros(1), 9)[0, 0].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert shift_rows(stack, np.zeros(1), 3)[0, 0].tolist() == [0, 1, 0]
    # Odd in even: half a pixel on either side.
    np.testing.assert_allclose(shift_rows(stack, np.zeros(1), 6)[0, 0], [0, 0, 0.5, 0.5, 0, 0])


@pytest.mark.parametrize(("n_in", "n_out"), [(7, 7), (7, 10), (10, 7), (1, 4)])
def test_negative_shift_and_swapped_lengths_give_the_transpose(n_in, n_out):
    shifts = np.array([0.0, 0.4, -2.7, 3.0])
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 3, n_in)), rng.normal(size=(4, 3, n_out))
    forward = np.vdot(shift_rows(a, shifts, n_out), b)
    assert forward == pytest.approx(np.vdot(a, shift_rows(b, -shifts, n_in)), rel=1e-12)
