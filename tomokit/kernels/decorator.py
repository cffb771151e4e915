"""The decorator of every compiled function of the CPU."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

import numba

from tomokit.kernels.cache import MachineCodeCache


def compiled(
    *,
    parallel: bool = False,
    inlined: bool = False,
    nogil: bool = False,
    fastmath: Set[str] = frozenset(),
    kept_as: Callable[..., Any] | None = None,
) -> Callable[[Callable[..., Any]], Any]:
    """Let Numba compile a function when it is first called, and keep its machine code.

    Division by zero gives infinity or NaN, as in NumPy.

    Parameters
    ----------
    parallel : bool, optional
        Whether loops over :func:`numba.prange` are shared out among threads.
    inlined : bool, optional
        Whether its code becomes part of the compiled functions that call it. All that are called by others have to be
        (``docs/decisions/0015``): otherwise bits would depend on whether the caller came from the cache.
    nogil : bool, optional
        Whether other Python threads run meanwhile.
    fastmath : set of str, optional
        Licences of LLVM's, such as ``"contract"`` and ``"nsz"``; none by default.
    kept_as : callable, optional
        Function under whose name and sources machine code is kept, by default the function that is compiled.

    Returns
    -------
    callable
        The decorator; it returns Numba's dispatcher.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        # Numba's annotations leave out an option that its documentation has.
        dispatcher: Any = numba.njit(  # type: ignore[call-overload]
            error_model="numpy",
            parallel=parallel,
            forceinline=inlined,
            nogil=nogil,
            fastmath=set(fastmath) or False,
            # Nothing calls through C pointers, and the wrapper for it would have to be compiled.
            no_cfunc_wrapper=True,
        )(function)
        cache = dispatcher._cache = MachineCodeCache(kept_as or function)
        if dispatcher is not function:
            dispatcher.compile = _in_turn(dispatcher.compile, cache)
        return dispatcher

    return decorate


def _in_turn(compile_it: Callable[..., Any], cache: MachineCodeCache) -> Callable[..., Any]:
    """A dispatcher's method ``compile``, after which no other process waits, also where it fails."""

    def compile_in_turn(signature: Any) -> Any:
        try:
            return compile_it(signature)
        finally:
            cache.give_up()

    return compile_in_turn
