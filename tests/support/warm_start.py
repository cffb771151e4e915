"""The program started from a process that has imported it already: a second or two less for each start.

:class:`Started` is a :class:`subprocess.Popen` whose process is forked from a server, one for each process of tests,
that has imported tomokit and its libraries and has run nothing of it: no kernel, no thread of its own. The process has
the folder, environment and streams that it was given and signals as a program that was just started, runs the same
entry point, ends as the interpreter ends, and is a child of the tests. What is read when modules are imported, such as
``NUMBA_NUM_THREADS``, cannot be given: for that, and for the start itself, programs are started by `subprocess`.
"""

from __future__ import annotations

import array
import atexit
import ctypes
import gc
import inspect
import io
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

_READ_LATER = ("NUMBA_CACHE_DIR",)
READ_BY_IMPORTS = ("NUMBA_", "PYTHON", "OMP_", "MKL_", "OPENBLAS_", "MPLCONFIGDIR", "XDG_", "HOME")
_LEFT_OUT = ("cuda", "testing", "pytest_plugin", "__main__")
_LIBRARIES = ("mrcfile", "pydantic", "matplotlib.figure", "matplotlib.backends.backend_agg", "scipy.ndimage", "tomllib")
"""What commands import when they get to it, beside the modules of tomokit."""
_SUBREAPER = 36
_LARGEST_REQUEST = 1 << 17


class Started(subprocess.Popen):
    """A program, or code, in a process of its own.

    Parameters
    ----------
    words : sequence of str
        What follows ``python``: ``["-m", MODULE, WORD...]``, ``["-c", CODE, WORD...]`` or ``[SCRIPT, WORD...]``.
    closed : sequence of int
        Standard streams that are closed.
    file_bytes : int, optional
        A limit on the size of files.
    path : sequence of str
        Folders in which modules and packages are looked for first, as by ``PYTHONPATH``.
    **options
        Those of :class:`subprocess.Popen` for streams, text, folder and environment.
    """

    def __init__(
        self,
        words: Sequence[object],
        *,
        closed: Sequence[int] = (),
        file_bytes: int | None = None,
        path: Sequence[str] = (),
        **options: Any,
    ) -> None:
        self._request: dict[str, Any] = {"closed": list(closed), "file_bytes": file_bytes, "path": list(path)}
        super().__init__([os.fspath(word) if isinstance(word, Path) else str(word) for word in words], **options)

    def _execute_child(self, *given: Any) -> None:
        """Ask the server in place of starting an executable, as ``subprocess`` does by this method."""
        asked = inspect.signature(super()._execute_child).bind(*given).arguments  # type: ignore[misc]
        assert asked["preexec_fn"] is None
        assert not asked["shell"]
        environment = dict(os.environ if asked["env"] is None else asked["env"])
        ends = [asked[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        streams = [number if end == -1 else end for number, end in enumerate(ends)]
        cwd = os.fspath(asked["cwd"] or os.getcwd())
        self.pid = _server().start({**self._request, "words": list(asked["args"]), "cwd": cwd}, environment, streams)
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(asked[name] for name in pipes))  # type: ignore[attr-defined]


def run(words: Sequence[object], *, timeout: float | None = 300, **options: Any) -> subprocess.CompletedProcess[str]:
    """Start a program and wait for it, as :func:`subprocess.run` with ``capture_output`` and ``text``."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with Started(words, **{**streams, **options}) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


class _Server:
    """The server of this process, as its client."""

    def __init__(self) -> None:
        # What the server forks is to be a child of this process, which waits for it.
        assert ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0) == 0
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket, self._environment = ours, dict(os.environ)
        path = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            env={**os.environ, "PYTHONPATH": path},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        atexit.register(self.end)

    def start(self, request: dict[str, Any], environment: Mapping[str, str], streams: Sequence[int]) -> int:
        for name in {*environment, *self._environment}:
            if name in _READ_LATER or not name.startswith(READ_BY_IMPORTS):
                continue
            if environment.get(name) != self._environment.get(name):
                raise ValueError(f"{name} is read when modules are imported: start the program by subprocess")
        message = json.dumps({**request, "environment": dict(environment)}).encode()
        assert len(message) < _LARGEST_REQUEST
        socket.send_fds(self._socket, [message], list(streams))
        answer = self._socket.recv(64)
        assert answer, "the server has ended"
        return int(answer)

    def end(self) -> None:
        self._socket.close()
        self._process.wait()


_servers: dict[int, _Server] = {}


def _server() -> _Server:
    # By process: what a test forks must not talk to the server of its parent.
    if os.getpid() not in _servers:
        _servers[os.getpid()] = _Server()
    return _servers[os.getpid()]


def serve(requests: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Fork a process for each request; returns in each of these, with the request and its streams."""
    while True:
        size = array.array("i").itemsize * 3
        message, rest, _, _ = requests.recvmsg(_LARGEST_REQUEST, socket.CMSG_SPACE(size))
        if not message:
            os._exit(0)
        streams = array.array("i", rest[0][2][:size]).tolist()
        reader, writer = os.pipe()
        between = os.fork()
        if between == 0:
            child = os.fork()
            if child == 0:
                for number in (reader, writer):
                    os.close(number)
                requests.close()
                return json.loads(message), streams
            os.write(writer, str(child).encode())
            os._exit(0)
        os.close(writer)
        # Once this one is gone the other is a child of the process that asked.
        os.waitpid(between, 0)
        for stream in streams:
            os.close(stream)
        requests.send(os.read(reader, 64))
        os.close(reader)


def become(request: dict[str, Any], streams: list[int]) -> None:
    """Be a process that was just started: its streams, folder, environment, signals, limits and words."""
    # First out of the way of the standard ones, which they may be.
    moved = [os.dup(stream) for stream in streams]
    for number, stream in enumerate(moved):
        os.dup2(stream, number)
    for stream in {*streams, *moved} - {0, 1, 2}:
        os.close(stream)
    for number in request["closed"]:
        os.close(number)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = None if number in request["closed"] else _text_stream(number)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(one, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request["file_bytes"] is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_bytes"],) * 2)
    sys.path[:0] = request["path"]


def _text_stream(number: int) -> io.TextIOWrapper:
    """As the interpreter makes them: stderr by the line and for any character, stdout by the line on a terminal."""
    buffered = os.fdopen(number, "rb" if number == 0 else "wb", closefd=False)
    errors = "backslashreplace" if number == 2 else "strict"
    by_line = number == 2 or (number == 1 and os.isatty(number))
    return io.TextIOWrapper(buffered, encoding="utf-8", errors=errors, newline="\n", line_buffering=by_line)


def main() -> None:
    """Serve, and in each process that is forked run what it is asked for, until the interpreter ends."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    sys.path.pop(0)
    import tomokit

    for module in pkgutil.walk_packages(tomokit.__path__, "tomokit."):
        if not set(module.name.split(".")).intersection(_LEFT_OUT):
            import_module(module.name)
    for name in _LIBRARIES:
        import_module(name)
    # Numba's own declarations of what it can compile, without which it loads no kernel.
    from numba.core.registry import cpu_target

    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()
    gc.collect()
    gc.freeze()
    request, streams = serve(requests)
    become(request, streams)
    first, *rest = request["words"]
    if first == "-m":
        sys.argv = [rest[0], *rest[1:]]
        sys.path.insert(0, request["cwd"])
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv = ["-c", *rest[1:]]
        sys.path.insert(0, "")
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = [first, *rest]
        sys.path.insert(0, str(Path(first).parent))
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    main()
