"""Checks that an author of a plugin runs, whose failures say in words what is wrong.

::

    from tomokit.testing import check_regularizer

    def test_my_regularizer():
        check_regularizer(MyRegularizer)

The fixtures of :mod:`tomokit.pytest_plugin` are there in every pytest run where tomokit is installed.
"""

from tomokit.testing.checks import CheckError, Outcome
from tomokit.testing.methods import check_method
from tomokit.testing.optimizers import check_optimizer
from tomokit.testing.regularizers import check_regularizer

__all__ = ["CheckError", "Outcome", "check_method", "check_optimizer", "check_regularizer"]
