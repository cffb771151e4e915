"""An interrupt is heeded wherever it comes."""

from __future__ import annotations

import pytest
import warm_start

CODE = """
import ctypes, signal, time
signal.signal(signal.SIGINT, signal.{handler})
from tomokit.commands import app
from tomokit.errors import InputError

@app.app.command("try")
def attempt() -> None:
    {body}

app.main(["try"])
"""
# As LLVM calls when it has compiled something: the exception is reported, and Python goes on.
IN_A_CALLBACK = "ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(signal.SIGINT))(); time.sleep(30)"
# The same, and the program ends before it could be heeded; so does whatever comes after.
IN_A_CALLBACK_AT_THE_END = """
    import atexit
    ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(signal.SIGINT))()
    atexit.register(time.sleep, 0.3)
    raise InputError("something else")
"""
# As a library does whose import fails.
AS_ANOTHER_ERROR = """
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise {error}("something else")
"""


def call(body: str, *, ignoring: bool = False) -> tuple[int, str]:
    """Run a command of this body; exit status and what it says."""
    code = CODE.format(body=body, handler="SIG_IGN" if ignoring else "default_int_handler")
    done = warm_start.run(["-c", code])
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "body",
    [
        "signal.raise_signal(signal.SIGINT)",
        IN_A_CALLBACK,
        IN_A_CALLBACK_AT_THE_END,
        AS_ANOTHER_ERROR.format(error="ImportError"),
        AS_ANOTHER_ERROR.format(error="InputError"),
    ],
    ids=["raised", "in a callback", "in a callback at the end", "as an error", "as an error of ours"],
)
def test_it_ends_the_program_with_a_line(body: str) -> None:
    assert call(body) == (130, "tomokit: interrupted\n")


def test_what_else_a_callback_raises_is_reported_as_before() -> None:
    status, said = call("ctypes.CFUNCTYPE(None)(lambda: 1 / 0)()")
    assert status == 0
    assert "ZeroDivisionError" in said


def test_where_it_is_ignored_it_stays_so() -> None:
    assert call("signal.raise_signal(signal.SIGINT)", ignoring=True) == (0, "")


def test_an_error_without_an_interrupt_is_told() -> None:
    status, said = call('raise InputError("something else")')
    assert status == 2
    assert "something else" in said
