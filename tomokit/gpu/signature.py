"""What a kernel takes, read from its source, and the check of what it is given.

A driver copies arguments by their size and believes every pointer: a double where the kernel has a float, or an array
of the wrong type, gives wrong numbers without a word. So each launch is compared with the declaration in the source.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

_TYPES: dict[str, type[np.number]] = {
    "float": np.float32,
    "double": np.float64,
    "int": np.int32,
    "long long": np.int64,
    "float4": np.float32,
}
_KERNEL = re.compile(r'extern "C" __global__ void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\(([^)]*)\)')
_PARAMETER = re.compile(r"^(const )?(float4|float|double|int|long long)\s*(\*)?\s*(?:__restrict__ )?(\w+)$")
_COMMENT = re.compile(r"//[^\n]*")
_NULL = np.uintp(0)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel, as its declaration in the source has it.

    Attributes
    ----------
    name : str
        As in the source, for messages.
    kind : str
        Its type as in the source, without ``const`` and ``*``: ``float``, ``double``, ``int``, ``long long`` or
        ``float4``.
    is_array : bool
        Whether it is a pointer.
    is_written : bool
        Whether it is an array that is not ``const``.
    """

    name: str
    kind: str
    is_array: bool
    is_written: bool

    @cached_property
    def dtype(self) -> type[np.number]:
        """The NumPy type of the scalar, or of the array's elements."""
        return _TYPES[self.kind]

    @cached_property
    def elements(self) -> np.dtype[Any]:
        """The type of an array's elements; NumPy and CuPy have one object of each, so ``is`` compares them."""
        return np.dtype(self.dtype)

    @cached_property
    def limits(self) -> tuple[int, int] | None:
        """The least and the largest whole number that fits the type; None for floats."""
        if not issubclass(self.dtype, np.integer):
            return None
        found = np.iinfo(self.dtype)
        return int(found.min), int(found.max)

    def takes(self, value: object) -> bool:
        """Whether a value is a ``float`` or ``int`` of Python's own that fits without a question.

        Parameters
        ----------
        value : object
            What a launch was given for a parameter that is no array.

        Returns
        -------
        bool
            False also where it may be right but has to be looked at more closely, such as a NumPy scalar.
        """
        limits = self.limits
        return type(value) is float if limits is None else type(value) is int and limits[0] <= value <= limits[1]


Signature = tuple[Parameter, ...]


def signatures(source: str) -> dict[str, Signature]:
    """The kernels that a source declares, and the parameters of each.

    Parameters
    ----------
    source : str
        CUDA source; kernels are found by ``extern "C" __global__ void``.

    Returns
    -------
    dict
        Parameters in the order of the declaration, by the kernel's name.

    Raises
    ------
    ValueError
        If a parameter is of a kind that launches here do not have.
    """
    found = {}
    for name, inside in _KERNEL.findall(_COMMENT.sub("", source)):
        parameters = []
        for declaration in inside.split(","):
            match = _PARAMETER.match(" ".join(declaration.split()))
            if match is None:
                raise ValueError(f"kernel {name}: cannot read {declaration.strip()!r}")
            const, kind, star, parameter_name = match.groups()
            parameters.append(Parameter(parameter_name, kind, bool(star), bool(star) and not const))
        found[name] = tuple(parameters)
    return found


def check_arguments(kernel: str, signature: Signature, arguments: Sequence[Any]) -> list[object]:
    """Compare a launch's arguments with the kernel's declaration, and convert numbers to the declared types.

    Parameters
    ----------
    kernel : str
        Name, for messages.
    signature : tuple of Parameter
        From :func:`signatures`.
    arguments : sequence
        Arrays, numbers, or None for an array that the kernel can do without.

    Returns
    -------
    list
        Arrays as they are, numbers as NumPy scalars of the declared type, None as a null pointer (``numpy.uintp(0)``).

    Raises
    ------
    TypeError
        If the number of arguments, the type of one, or the layout of an array is not as declared.
    ValueError
        If a whole number does not fit its type.
    """
    if len(arguments) != len(signature):
        raise TypeError(f"kernel {kernel} takes {len(signature)} arguments, not {len(arguments)}")
    checked: list[object] = []
    for parameter, value in zip(signature, arguments, strict=True):
        # A step of a fit has more than a hundred launches' arguments, nearly all of them plainly right: the quick tests
        # here let those pass, and only the rest is asked all the questions of _check_argument, which take far longer.
        if parameter.is_array:
            if value is None:
                checked.append(_NULL)
            elif (
                getattr(value, "dtype", None) is parameter.elements
                and value.flags.c_contiguous
                and not isinstance(value, np.ndarray)
            ):
                checked.append(value)
            else:
                checked.append(_check_argument(kernel, parameter, value))
        elif parameter.takes(value):
            checked.append(parameter.dtype(value))
        else:
            checked.append(_check_argument(kernel, parameter, value))
    return checked


def _check_argument(kernel: str, parameter: Parameter, value: Any) -> Any:
    """One argument as the launch takes it, or the error that says what is wrong with it."""
    where = f"kernel {kernel}, {parameter.name}"
    if parameter.is_array:
        if isinstance(value, np.ndarray):
            # CuPy passes one of a single element by value, where the kernel reads a pointer.
            raise TypeError(f"{where}: an array of the host")
        if not hasattr(value, "flags") or not hasattr(value, "shape"):
            raise TypeError(f"{where}: {type(value).__name__} instead of an array of {parameter.kind}")
        if value.dtype != parameter.dtype:
            raise TypeError(f"{where}: an array of {value.dtype} instead of {parameter.kind}")
        if not value.flags.c_contiguous:
            raise TypeError(f"{where}: an array that is not C-contiguous")
        return value
    # Python counts bool among int, yet a kernel that is given one for a number is not meant to be.
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{where}: {type(value).__name__} instead of {parameter.kind}")
    if parameter.limits is not None:
        if not isinstance(value, (int, np.integer)):
            raise TypeError(f"{where}: {value!r} instead of {parameter.kind}")
        if not parameter.limits[0] <= value <= parameter.limits[1]:
            raise ValueError(f"{where}: {value} does not fit {parameter.kind}")
    return parameter.dtype(value)
