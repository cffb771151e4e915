"""Outputs on the command line: their formats and names, what fails beside them, and two runs at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import warm_start

from tomokit.state.read import read_state
from tomokit.state.record import previous_path

Cli = Callable[..., tuple[int, str, str]]


def words(data: Path, output: str, *more: object) -> list[str]:
    basis = ["reconstruct", data / "tilts.mrc", "-o", data / output, "--method", "sirt", "--thickness", 8]
    return [str(word) for word in (*basis, "--set", "epochs=1", *more)]


def start(data: Path, arguments: list[str], **environment: str) -> subprocess.Popen[bytes]:
    """The command in a process of its own, in the folder of the data."""
    command = ["-m", "tomokit", *arguments]
    return warm_start.Started(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=data, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("name", ["o.rec", "o.mrc.gz", "o.tif", "o.zarr"])
def test_reconstruct_writes_what_the_name_says(cli: Cli, data: Path, name: str) -> None:
    pytest.importorskip("zarr")
    status, out, err = cli(*words(data, name, "--json"))
    assert (status, err) == (0, "")
    summary = json.loads(out)
    assert summary["preview"] == str(data / f"{name}.png")
    record = summary["provenance_file"]
    if name == "o.zarr":
        assert record is None
        attributes = json.loads((data / name / "zarr.json").read_text())["attributes"]
        assert attributes["tomokit"]["method"] == "sirt"
    else:
        assert json.loads(Path(record).read_text())["output"] == name
        assert Path(record).name == f"{name}.provenance.json"
    # The same name in another format shares neither picture nor record.
    assert cli(*words(data, "o.mrc"))[0] == 0


@pytest.mark.parametrize("name", ["o.h5", "o.xyz", "o"])
def test_other_names_are_refused_before_the_work(cli: Cli, data: Path, name: str) -> None:
    before = sorted(data.iterdir())
    for arguments in (
        words(data, name),
        ["project", data / "truth.mrc", "--angles", data / "tilts.tlt", "-o", data / name],
    ):
        status, out, err = cli(*arguments)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert "name it .mrc" in err
    assert sorted(data.iterdir()) == before


def test_a_picture_and_a_state_have_their_own_names(cli: Cli, data: Path) -> None:
    status, _, err = cli("compare", data / "truth.mrc", data / "truth.mrc", "--preview", data / "p.jpg")
    assert (status, "the picture is PNG, not .jpg" in err) == (2, True)
    status, _, err = cli(*words(data, "o.mrc", "--state", data / "s.mrc"))
    assert (status, "--state: a state is written as HDF5" in err) == (2, True)


def test_a_picture_that_fails_is_a_warning(cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tomokit import preview

    def broken(*_: object, **__: object) -> bytes:
        raise ValueError("'nonsense' is not a valid value for backend")

    monkeypatch.setattr(preview, "draw_preview", broken)
    (data / "o.png").write_text("of an earlier tomogram")
    status, out, err = cli(*words(data, "o.mrc", "--overwrite", "--json"))
    assert status == 0
    assert "there is no picture, and the one of an earlier tomogram is removed (ValueError: 'nonsense'" in err
    assert json.loads(out)["preview"] is None
    assert json.loads(out)["warnings"][-1] in err
    assert not (data / "o.png").exists()
    assert (data / "o.provenance.json").exists()


def test_names_and_settings_that_pictures_do_not_survive(data: Path) -> None:
    """A name that is not UTF-8, a backend that matplotlib does not know, and a locale without any."""
    name = os.fsdecode(b"caf\xe9.mrc")
    environment = {**os.environ, "MPLBACKEND": "nonsense", "LANG": "C", "LC_ALL": "C"}
    # A start of its own: an interpreter and matplotlib look at these when they begin.
    command = [sys.executable, "-m", "tomokit", *words(data, name)]
    done = subprocess.run(command, cwd=data, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"caf\\udce9.mrc" in done.stdout
    assert (data / name).exists()


@pytest.mark.parametrize("arguments", ["inspect truth.mrc --json", "inspect truth.mrc", "reconstruct --help"])
def test_a_reader_that_is_gone_is_no_error(data: Path, arguments: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = warm_start.run(["-m", "tomokit", *arguments.split()], cwd=data, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_streams_that_are_closed_get_nothing_of_the_outputs(data: Path) -> None:
    done = warm_start.run(["-m", "tomokit", *words(Path("."), "o.mrc")], cwd=data, closed=[1, 2])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (data / "o.mrc").stat().st_size == 1024 + 4 * 8 * 32 * 32


@pytest.mark.parametrize("option", ["-o", "--state"])
def test_a_folder_that_takes_no_files_is_told_before_the_work(cli: Cli, data: Path, option: str) -> None:
    where = "/proc/o.mrc" if option == "-o" else "/proc/o.h5"
    arguments = words(data, "o.mrc") if option == "--state" else words(data, "../o.mrc")
    status, out, err = cli(*arguments, option, where)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert where in err
    assert not (data / "o.mrc").exists()


def test_a_second_run_on_the_same_files_is_refused(cli: Cli, data: Path) -> None:
    arguments = words(data, "o.mrc", "--state", data / "s.h5", "--state-epochs", 1, "--set", "epochs=100000")
    process = start(data, arguments)
    try:
        while not (data / "s.h5").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        for more in (["-o", data / "other.mrc"], ["--state", data / "other.h5"]):
            status, out, err = cli(*words(data, "o.mrc", "--state", data / "s.h5", "--overwrite", *more))
            assert (status, out, err.count("\n")) == (2, "", 1)
            assert "another run is writing this" in err
            assert f"process {process.pid} on" in err
        assert cli("resume", data / "s.h5")[0] == 2
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
    assert process.returncode == 75
    assert sorted(path.name for path in data.iterdir() if path.name.startswith(".")) == []


def test_what_a_killed_run_left_holds_nobody_up(cli: Cli, data: Path) -> None:
    for name in (".o.mrc.lock", ".o.mrc.01234567.part", ".o.png.01234567.part", ".s.h5.lock"):
        (data / name).write_text("process 1 on nowhere")
    (data / ".o.mrc.gz.01234567.part").write_text("of another output")
    assert cli(*words(data, "o.mrc", "--state", data / "s.h5"))[0] == 0
    assert [path.name for path in data.iterdir() if path.name.startswith(".")] == [".o.mrc.gz.01234567.part"]


class TestStateOfAnEarlierRun:
    """``--overwrite`` keeps the state that is there until the new run has saved steps."""

    @pytest.fixture
    def finished(self, cli: Cli, data: Path) -> dict[str, bytes]:
        assert cli(*words(data, "o.mrc", "--state", data / "s.h5", "--state-epochs", 1))[0] == 0
        assert previous_path(data / "s.h5").exists()
        return {path.name: path.read_bytes() for path in data.iterdir()}

    def test_a_run_that_fails_gives_it_back(
        self, cli: Cli, data: Path, finished: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tomokit.methods.voxels.sirt import SirtRun

        monkeypatch.setattr(SirtRun, "advance", lambda self: {"loss": float("nan")})
        status, _, err = cli(*words(data, "o.mrc", "--state", data / "s.h5", "--overwrite"))
        assert (status, "not finite" in err) == (2, True)
        assert {path.name: path.read_bytes() for path in data.iterdir()} == finished

    def test_one_that_ends_without_a_word_keeps_it_until_it_goes_on(
        self, cli: Cli, data: Path, finished: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from faults import Dead

        from tomokit.methods.voxels.sirt import SirtRun

        def killed(self: object) -> None:
            raise Dead

        with monkeypatch.context() as patch:
            patch.setattr(SirtRun, "advance", killed)
            for _ in range(2):
                with pytest.raises(Dead):
                    cli(*words(data, "o.mrc", "--state", data / "s.h5", "--overwrite", "--seed", 5))
        assert not read_state(data / "s.h5").arrays
        assert (data / ".s.h5.replaced").read_bytes() == finished["s.h5"]
        assert cli("resume", data / "s.h5", "--overwrite")[0] == 0
        assert read_state(data / "s.h5").provenance["seed"] == 5
        assert [path.name for path in data.iterdir() if path.name.startswith(".")] == []


class TestSignalsBeforeTheFirstStep:
    """As while kernels are compiled: nothing is worth finishing."""

    @pytest.fixture
    def waiting(self, data: Path) -> Callable[..., tuple[int, str, str]]:
        """A run that does not get to the end of its first step, and gets a signal there: status, stdout and stderr."""

        def call(name: str, *more: str) -> tuple[int, str, str]:
            code = "import time; from tomokit.methods.voxels.sirt import SirtRun\n"
            code += "SirtRun.advance = lambda self: time.sleep(300)\n"
            code += "from tomokit.__main__ import main; main()"
            arguments = words(data, "o.mrc", "--state", data / "s.h5", *more)
            process = warm_start.Started(
                ["-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            while not (data / "s.h5").exists():
                assert process.poll() is None, process.communicate()
                time.sleep(0.02)
            # The state is there a moment before all that can be told of it.
            time.sleep(0.5)
            process.send_signal(signal.Signals[name])
            out, err = process.communicate(timeout=30)
            return process.returncode, out, err

        return call

    @pytest.mark.parametrize("name", ["SIGINT", pytest.param("SIGTERM", marks=pytest.mark.long)])
    def test_they_end_a_run_at_once(
        self, cli: Cli, data: Path, waiting: Callable[..., tuple[int, str, str]], name: str
    ) -> None:
        status, out, err = waiting(name, "--json")
        assert status == 75
        assert json.loads(out)["stopped_by"] == name
        assert f"stopped by {name} before another step; continue by `tomokit resume {data / 's.h5'}`" in err
        assert [path.name for path in data.iterdir() if path.name.startswith(".")] == []
        assert cli("resume", data / "s.h5")[0] == 0
        assert (data / "o.mrc").exists()
