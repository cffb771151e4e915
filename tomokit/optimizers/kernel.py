"""One compiled step for every built-in optimizer, on one contiguous block.

`kind` chooses the rule outside the loop over values, so that a fused pass compiles once for all of them. Each value
depends on nothing but its own gradient and state: the result is the same however the field is cut into blocks.

With gradient g, learning rate l and the hyper-parameters ``[l, m or b1, alpha or b2, eps]``:

- SGD with momentum m:  ``u <- m u + g``, ``x <- x - l u``
- RMSprop:  ``q <- alpha q + (1 - alpha) g^2``, ``x <- x - l g / (sqrt(q) + eps)``
- Adam at step t:  ``u <- b1 u + (1 - b1) g``, ``q <- b2 q + (1 - b2) g^2``,
  ``x <- x - l / (1 - b1^t) u / (sqrt(q / (1 - b2^t)) + eps)``

These are PyTorch's formulas (``torch.optim``), without weight decay; its RMSprop adds eps outside the root.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.kernels.decorator import compiled
from tomokit.kernels.shared import Share, items_of, shared_out
from tomokit.optimizers.codes import RMSPROP, SGD

# Kinds, also in tomokit.optimizers.rules and optimizer.cuh.


@compiled(inlined=True, fastmath={"contract", "nsz"})
def optimizer_block(
    kind: int, hyper: NDArray[np.float64], count: int, values: NDArray[np.floating], gradient: NDArray[np.floating],
    first: NDArray[np.floating], second: NDArray[np.floating],
) -> None:  # fmt: skip
    """Take one optimizer step on one contiguous block of values, in place.

    Parameters
    ----------
    kind : int
        ``SGD``, ``RMSPROP`` or ``ADAM``.
    hyper : ndarray of float64, shape (4,)
        ``[learning rate, momentum or beta 1, alpha or beta 2, eps]``; the learning rate in units of the values, for SGD
        of values over gradient.
    count : int
        Number of the step since the state was zero, 1 at the first; only Adam asks.
    values : ndarray of float32 or float64, shape (size,), changed
    gradient : ndarray like `values`
        Gradient of the loss by the values.
    first : ndarray like `values`, changed
        Momentum of SGD and Adam; of size 0 for RMSprop, and for SGD if its momentum is 0.
    second : ndarray like `values`, changed
        Mean square of RMSprop and Adam; of size 0 for SGD.
    """
    real = values.dtype.type
    # Everything in the values' type, so that the loops are vectorized in it.
    one = real(1)
    lr, eps = real(hyper[0]), real(hyper[3])
    keep_first, keep_second = real(hyper[1]), real(hyper[2])
    # Taken in double precision: in single, 1 - 0.99 is off by a millionth.
    take_first, take_second = real(1.0 - hyper[1]), real(1.0 - hyper[2])
    if kind == SGD and first.size == 0:
        for i in range(values.size):
            values[i] -= lr * gradient[i]
    elif kind == SGD:
        for i in range(values.size):
            momentum = keep_first * first[i] + gradient[i]
            first[i] = momentum
            values[i] -= lr * momentum
    elif kind == RMSPROP:
        for i in range(values.size):
            g = gradient[i]
            square = keep_second * second[i] + take_second * g * g
            second[i] = square
            values[i] -= lr * g / (np.sqrt(square) + eps)
    else:
        # Corrections of the bias from the zeros that momentum and mean square began with (Kingma and Ba, 2015).
        lr = real(hyper[0] / (1.0 - hyper[1] ** count))
        unbias = real(1.0 / (1.0 - hyper[2] ** count))
        for i in range(values.size):
            g = gradient[i]
            momentum = keep_first * first[i] + take_first * g
            square = keep_second * second[i] + take_second * g * g
            first[i] = momentum
            second[i] = square
            values[i] -= lr * momentum * (one / (np.sqrt(square * unbias) + eps))


@shared_out()
def optimizer_step(
    share: Share, kind: int, hyper: NDArray[np.float64], count: int, values: NDArray[np.floating],
    gradient: NDArray[np.floating], first: NDArray[np.floating], second: NDArray[np.floating],
) -> None:  # fmt: skip
    """Take one optimizer step on all values, in place, cut into blocks that fit a cache and go to all threads.

    Parameters
    ----------
    share : Share
        Which blocks are this thread's.
    kind, hyper, count : int, ndarray of float64, int
        As for :func:`optimizer_block`.
    values : ndarray of float32 or float64, shape (size,), changed
    gradient : ndarray like `values`
        Gradient of the loss by the values.
    first, second : ndarrays like `values`, changed
        Momentum and mean square, of size 0 where the rule has none.
    """
    # With gradient and two arrays of state half a megabyte in single precision, which a core's second cache holds.
    block = 1 << 15
    for i in items_of(share, (values.size + block - 1) // block):
        low, high = i * block, min((i + 1) * block, values.size)
        # Slices of a state of size 0 have size 0 too.
        optimizer_block(
            kind,
            hyper,
            count,
            values[low:high],
            gradient[low:high],
            first[low : min(high, first.size)],
            second[low : min(high, second.size)],
        )
