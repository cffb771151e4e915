"""Sessions for developers. They run in the environment that nox was started from, so that nothing is installed twice:

pip install -e '.[dev]' && nox -s lint tests
"""

import importlib.util
import os
import random
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
def long(session: nox.Session) -> None:
    """The tests that the suite leaves out because they take long, alone or with their kind."""
    session.run(sys.executable, "-m", "pytest", "-m", "long", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types, docstrings, and the floors: what may import what."""
    session.run(sys.executable, "-m", "ruff", "check", ".")
    session.run(sys.executable, "-m", "ruff", "format", "--check", ".")
    session.run(sys.executable, "-m", "mypy")
    session.run(sys.executable, "tests/house/docstrings.py")
    # The sources are read, not imported: PyTorch need not be there.
    sources = os.pathsep.join([str(Path.cwd()), *(str(path.resolve()) for path in Path("plugins").glob("*/src"))])
    session.run(
        str(Path(sys.executable).with_name("lint-imports")),
        "--no-cache",
        "--no-logo",
        "pyproject.toml",
        "tests/house/imports_of_plugins.toml",
        external=True,
        env={"PYTHONPATH": sources},
    )


@nox.session
def plugins(session: nox.Session) -> None:
    """The tests of the plugins in plugins/; those on PyTorch only where it is installed."""
    for folder in sorted(Path("plugins").glob("tomokit-*")):
        if folder.name in ("tomokit-neural", "tomokit-denoise") and importlib.util.find_spec("torch") is None:
            session.warn(f"{folder.name} is left out: PyTorch is not installed")
            continue
        path = os.pathsep.join([str(folder.resolve() / "src"), str(Path.cwd())])
        session.run(sys.executable, "-m", "pytest", str(folder), *session.posargs, env={"PYTHONPATH": path})


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Timings, as ratios to a yardstick in the same run."""
    session.run(sys.executable, "tests/benchmarks/bench_projector.py", *session.posargs)


@nox.session
def pinned(session: nox.Session) -> None:
    """Small runs compared bit for bit with recorded digests; arguments after -- go to the script."""
    session.run(sys.executable, "tests/pinned/digests.py", *session.posargs)


@nox.session
def packages(session: nox.Session) -> None:
    """Wheel and sdist, installed and used on each supported Python that is found; needs the network, and minutes."""
    session.run(sys.executable, "tests/packaging/build_and_install.py", *session.posargs)


@nox.session
def sanitize(session: nox.Session) -> None:
    """The CUDA kernels on the CPU under AddressSanitizer and UndefinedBehaviorSanitizer."""
    runtime = session.run("g++", "-print-file-name=libasan.so", external=True, silent=True)
    environment = {
        "TOMOKIT_SANITIZE": "1",
        "LD_PRELOAD": str(runtime).strip(),
        # Python keeps what it allocates; and the kernels' threads have stacks of their own.
        "ASAN_OPTIONS": "detect_leaks=0,detect_stack_use_after_return=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    chosen = session.posargs or ["tests/cuda", "-k", "not nvrtc and not numba_kernels and not imports"]
    session.run(sys.executable, "-m", "pytest", *chosen, env=environment)


@nox.session
def gpu(session: nox.Session) -> None:
    """Results and times on a GPU, as one table."""
    session.run(sys.executable, "tests/benchmarks/gpu.py", *session.posargs)


@nox.session
def quality(session: nox.Session) -> None:
    """Quality of the reconstructions on data with a truth; takes long."""
    session.run(sys.executable, "tests/benchmarks/quality.py", *session.posargs)


@nox.session
def crowded(session: nox.Session) -> None:
    """Reconstructions of a crowded slab with offsets and noise against its truth; takes minutes."""
    session.run(sys.executable, "tests/benchmarks/crowded.py", *session.posargs)


@nox.session
def denoise(session: nox.Session) -> None:
    """Denoising by networks trained on halves against methods with priors; needs tomokit-denoise, and half an hour."""
    session.run(sys.executable, "tests/benchmarks/denoise.py", *session.posargs)


@nox.session
def ctf(session: nox.Session) -> None:
    """A crowded slab through a known contrast transfer function, by each correction, against its truth; minutes."""
    session.run(sys.executable, "tests/benchmarks/ctf.py", *session.posargs)


@nox.session
def contrast(session: nox.Session) -> None:
    """What series of known contrast are taken for; -- --seed N for other ones, --write docs/results/contrast.md."""
    session.run(sys.executable, "tests/benchmarks/contrast.py", *session.posargs)


@nox.session
def beads(session: nox.Session) -> None:
    """How sharp the beads of EMPIAR-10499 are by either alignment; takes minutes."""
    environment = {"PYTHONPATH": str(Path.cwd())}
    session.run(sys.executable, "tests/benchmarks/bead_sharpness.py", *session.posargs, env=environment)


@nox.session
def doctor(session: nox.Session) -> None:
    """Faults put into series, and what the geometry doctor tells of each; takes minutes; -- --seeds N for more."""
    environment = {"PYTHONPATH": str(Path.cwd())}
    session.run(sys.executable, "tests/benchmarks/doctor.py", *session.posargs, env=environment)


@nox.session
def kills(session: nox.Session) -> None:
    """SIGKILL at 200 random moments of short runs, each brought to its end; takes ten minutes."""
    environment = {"TOMOKIT_KILLS": "200"}
    session.run(
        sys.executable, "-m", "pytest", "-s", "-m", "", "tests/state/test_killed.py", *session.posargs, env=environment
    )


@nox.session
def faults(session: nox.Session) -> None:
    """An error of the disk, an interrupt or an end at every file operation of short runs; takes minutes."""
    session.run(
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "",
        "tests/pipeline/test_faults.py",
        *session.posargs,
        env={"TOMOKIT_FAULTS": "all"},
    )


@nox.session
def browser(session: nox.Session) -> None:
    """The pages of reports in headless Chromium: clicks, keys, pictures; needs '.[browser]' and chromium-driver."""
    session.run(sys.executable, "-m", "pytest", "-m", "", "tests/report/test_browser.py", *session.posargs)


@nox.session
def cold(session: nox.Session) -> None:
    """A run whose kernels are compiled in its own process against the next ones, and one that is resumed; minutes."""
    chosen = session.posargs or ["tests/methods/octree/test_cold_cache.py"]
    session.run(sys.executable, "-m", "pytest", *chosen, env={"TOMOKIT_COLD": "1"})


@nox.session
def fuzz(session: nox.Session) -> None:
    """Made-up and mangled inputs against the readers: -- EXAMPLES [SEED], else 2000 for each test and a new seed."""
    examples = session.posargs[0] if session.posargs else "2000"
    seed = session.posargs[1] if len(session.posargs) > 1 else str(random.SystemRandom().randrange(2**32))
    session.log(f"{examples} examples for each test, seed {seed}; again: nox -s fuzz -- {examples} {seed}")
    files = sorted(str(path) for path in Path("tests").rglob("test_fuzz_*.py"))
    words = ["-s", "-v", "-n", "0", f"--hypothesis-seed={seed}", *files]
    session.run(sys.executable, "-m", "pytest", *words, env={"TOMOKIT_FUZZ": examples})
