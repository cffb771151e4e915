"""The codes by which kernels know the optimizers' rules.

They are also in ``optimizer.cuh``. Nothing compiled is imported here: options need them before any kernel is loaded.
"""

from __future__ import annotations

SGD, RMSPROP, ADAM = 0, 1, 2
