"""Loops that are shared out among threads: the body is compiled once, and Numba's threads call it.

Numba's own parallel loops (``parallel=True`` and ``prange``) are typed twice, and optimized and emitted three times:
the body as a function, the same with a wrapper, and the function around both. Here the whole kernel is the body. Each
thread calls it with its share, and it goes through the items of that share alone::

    @shared_out()
    def scale(share: Share, values: NDArray[np.float32], factor: float) -> None:
        for i in items_of(share, values.shape[0]):
            values[i] *= factor

    scale(values, 2.0)

No item may write what another one reads or writes; then the result is the same on any number of threads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence, Set
from typing import Any

import llvmlite.binding  # type: ignore[import-untyped]
import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tomokit.kernels.decorator import compiled

Share = tuple[int, int]
"""Which part of the items is a thread's: the number of the part, and how many parts there are."""

_SHARE = types.UniTuple(types.int64, 2)
_PARALLEL_FOR, _GET_NUM_THREADS = "numba_parallel_for", "get_num_threads"
"""By what machine code calls Numba's threading layers, the same in all of them: ``numba/np/ufunc/workqueue.h``."""


@compiled(inlined=True)
def items_of(share: Share, n: int) -> range:
    """Range of the items in a share, parts being as equal as can be.

    Parameters
    ----------
    share : tuple of two ints
        See :data:`Share`.
    n : int
        Number of items.

    Returns
    -------
    range
    """
    number, count = share
    return range(number * n // count, (number + 1) * n // count)


def shared_out(*, fastmath: Set[str] = frozenset()) -> Callable[[Callable[..., None]], Any]:
    """Let all threads call a function at once, each with its share of the items.

    Parameters
    ----------
    fastmath : set of str, optional
        As for :func:`tomokit.kernels.decorator.compiled`.

    Returns
    -------
    callable
        The decorator. What it returns is called with all arguments but the first, the :data:`Share`.
    """

    def decorate(function: Callable[..., None]) -> Any:
        return SharedOut(function, compiled(inlined=True, fastmath=fastmath)(function))

    return decorate


class SharedOut:
    """What :func:`shared_out` makes of a function.

    Parameters
    ----------
    function : callable
        The Python function.
    body : callable
        The same, compiled.
    """

    def __init__(self, function: Callable[..., None], body: Any) -> None:
        self.__doc__, self.__name__, self.__wrapped__ = function.__doc__, function.__name__, function
        self._body = body
        launch = _launcher(body)

        def entry(*arguments: Any) -> int:
            return launch(arguments)

        # Profilers and debuggers show it by the kernel's name, and its machine code is kept with the kernel's sources.
        entry.__name__, entry.__qualname__ = function.__name__, function.__qualname__
        # As Numba's own loops do: other Python threads run meanwhile, and with tracemalloc an allocation waits for one.
        self._entry = compiled(nogil=True, kept_as=function)(entry)

    def entry_for(self, arguments: Sequence[Any]) -> tuple[Any, tuple[types.Type, ...]]:
        """Find what Numba compiles when the function is called.

        Parameters
        ----------
        arguments : sequence
            As it is called with.

        Returns
        -------
        dispatcher : object
            Numba's.
        signature : tuple of numba types
        """
        return self._entry, (numba.typeof(tuple(arguments)),)

    def __call__(self, *arguments: Any) -> None:
        """Call the function on all threads, and wait for them.

        Parameters
        ----------
        *arguments
            All but the :data:`Share`.

        Raises
        ------
        MemoryError
            If one of them could not allocate what it needs, or failed otherwise.
        """
        if self._body is self.__wrapped__ or not can_launch():
            # Python alone (NUMBA_DISABLE_JIT), or a Numba whose threads are called in another way.
            self._body((0, 1), *arguments)
        elif self._entry(*arguments):
            raise MemoryError(f"{self.__name__}: a thread could not allocate its arrays")


@functools.cache
def can_launch() -> bool:
    """Start Numba's threads, whose functions machine code needs, and look whether they are called as it calls them.

    Returns
    -------
    bool
        False with a Numba whose threads are called in another way than :func:`shared_out` does.
    """
    numba.get_num_threads()
    return None not in map(llvmlite.binding.address_of_symbol, (_PARALLEL_FOR, _GET_NUM_THREADS))


def _launcher(body: Any) -> Any:
    """A function for compiled code, ``launch(arguments)``: how many shares have failed in `body`."""

    @intrinsic
    def launch(typing_context: Any, arguments: Any) -> Any:
        signature = (_SHARE, *arguments.types)
        body.compile(signature)

        def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
            return _generate_launch(context, builder, body.overloads[signature], arguments, *values)

        return types.int64(arguments), generate

    return launch


def _generate_launch(context: Any, builder: Any, compiled_body: Any, packed: Any, arguments: Any) -> Any:
    """Emit LLVM's code that keeps the arguments in memory, and has Numba's threads call the body with them."""
    word, byte_pointer = ir.IntType(64), ir.IntType(8).as_pointer()
    task_type = ir.LiteralStructType([word, word, arguments.type])
    context.add_linking_libs([compiled_body.library])
    threads = builder.call(
        cgutils.get_or_insert_function(builder.module, ir.FunctionType(word, []), _GET_NUM_THREADS), []
    )
    task = cgutils.alloca_once(builder, task_type)
    builder.store(word(0), cgutils.gep_inbounds(builder, task, 0, 0))
    builder.store(threads, cgutils.gep_inbounds(builder, task, 0, 1))
    builder.store(arguments, cgutils.gep_inbounds(builder, task, 0, 2))
    run = _generate_run(context, builder.module, compiled_body, packed, task_type)
    # Numba hands out `threads` items of an array: of bytes from address 0, so that an item's address is its number.
    array = cgutils.alloca_once_value(builder, ir.Constant(byte_pointer, None))
    one = cgutils.alloca_once_value(builder, word(1))
    count = cgutils.alloca_once_value(builder, threads)
    numba_type = ir.FunctionType(
        ir.VoidType(),
        [byte_pointer, byte_pointer.as_pointer(), word.as_pointer(), word.as_pointer(), byte_pointer, word, word,
         ir.IntType(32)],
    )  # fmt: skip
    builder.call(
        cgutils.get_or_insert_function(builder.module, numba_type, _PARALLEL_FOR),
        [builder.bitcast(run, byte_pointer), array, count, one, builder.bitcast(task, byte_pointer), word(0), word(1),
         builder.trunc(threads, ir.IntType(32))],
    )  # fmt: skip
    return builder.load(cgutils.gep_inbounds(builder, task, 0, 0))


def _generate_run(context: Any, module: Any, compiled_body: Any, packed: Any, task_type: Any) -> Any:
    """Emit what a thread calls, by the rules of Numba's layers: the body for one or several shares of a task."""
    word, byte_pointer = ir.IntType(64), ir.IntType(8).as_pointer()
    run_type = ir.FunctionType(
        ir.VoidType(), [byte_pointer.as_pointer(), word.as_pointer(), word.as_pointer(), byte_pointer]
    )
    description = compiled_body.fndesc
    run = ir.Function(module, run_type, name=f"{description.mangled_name}.shared")
    run.linkage = "internal"
    array, count, _, data = run.args
    builder = ir.IRBuilder(run.append_basic_block("entry"))
    task = builder.bitcast(data, task_type.as_pointer())
    first = builder.ptrtoint(builder.load(array), word)
    parts = builder.load(cgutils.gep_inbounds(builder, task, 0, 1))
    arguments = cgutils.unpack_tuple(builder, builder.load(cgutils.gep_inbounds(builder, task, 0, 2)), len(packed))
    borrowed = [_borrow(context, builder, *each) for each in zip(packed, arguments, strict=True)]
    with cgutils.for_range(builder, builder.load(count), intp=word) as loop:
        share = cgutils.pack_array(builder, [builder.add(first, loop.index), parts])
        status, _ = context.call_conv.call_function(
            builder,
            context.declare_function(module, description),
            description.restype,
            description.argtypes,
            [share, *borrowed],
        )
        with cgutils.if_unlikely(builder, status.is_error):
            builder.atomic_rmw("add", cgutils.gep_inbounds(builder, task, 0, 0), word(1), "monotonic")
    builder.ret_void()
    return run


def _borrow(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Emit the argument without the memory's count of references, which threads would change at each use, and wait."""
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value)
        array.meminfo = cgutils.get_null_value(array.meminfo.type)
        array.parent = cgutils.get_null_value(array.parent.type)
        return array._getvalue()
    if isinstance(kind, types.BaseTuple):
        elements: Any = kind
        for i, inner in enumerate(elements):
            element = _borrow(context, builder, inner, builder.extract_value(value, i))
            value = builder.insert_value(value, element, i)
    return value
