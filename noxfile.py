"""Sessions for developers. They run in the environment that nox was started from, so that nothing is installed twice:

pip install -e '.[dev]' && nox -s lint tests
"""

import importlib.util
import os
import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "tests"]


@nox.session
def tests(session: nox.Session) -> None:
    """The tests; arguments after -- go to pytest."""
    session.run(sys.executable, "-m", "pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and types."""
    session.run(sys.executable, "-m", "ruff", "check", ".")
    session.run(sys.executable, "-m", "ruff", "format", "--check", ".")
    session.run(sys.executable, "-m", "mypy")


@nox.session
def plugins(session: nox.Session) -> None:
    """The tests of the plugins in plugins/; tomokit-neural's only where PyTorch is installed."""
    for folder in sorted(Path("plugins").glob("tomokit-*")):
        if folder.name == "tomokit-neural" and importlib.util.find_spec("torch") is None:
            session.warn(f"{folder.name} is left out: PyTorch is not installed")
            continue
        path = os.pathsep.join([str(folder.resolve() / "src"), str(Path.cwd())])
        session.run(sys.executable, "-m", "pytest", str(folder), *session.posargs, env={"PYTHONPATH": path})


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Timings, as ratios to a yardstick in the same run."""
    session.run(sys.executable, "tests/benchmarks/bench_projector.py", *session.posargs)


@nox.session
def quality(session: nox.Session) -> None:
    """Quality of the reconstructions on data with a truth; takes long."""
    session.run(sys.executable, "tests/benchmarks/quality.py", *session.posargs)


@nox.session
def kills(session: nox.Session) -> None:
    """SIGKILL at 200 random moments of short runs, each brought to its end; takes ten minutes."""
    environment = {"TOMOKIT_KILLS": "200"}
    session.run(sys.executable, "-m", "pytest", "-s", "tests/state/test_killed.py", *session.posargs, env=environment)
