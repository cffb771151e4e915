"""The program, as ``tomokit`` and as ``python -m tomokit``: quiet about interrupts from its first import to its end."""

import os
import signal
from types import FrameType

_INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit the process (see :func:`tomokit.commands.app.main`)."""
    _open_standard_streams()
    heeds = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeds:
        # While modules are imported there is nothing to clean up, and an exception would be told with a traceback.
        signal.signal(signal.SIGINT, _leave)
    from tomokit.commands.app import main as run_command_line

    if heeds:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run_command_line()
    finally:
        if heeds:
            signal.signal(signal.SIGINT, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(_INTERRUPTED)


def _open_standard_streams() -> None:
    """Open what the caller has closed, or the next file would take its number and get what is printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


if __name__ == "__main__":
    main()
