"""What is said of an error: options as they are typed, one JSON object where one is asked for, the way out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Cli = Callable[..., tuple[int, str, str]]


def only_object(out: str) -> dict[str, object]:
    """The one JSON object that stdout has."""
    assert out.count("\n") == 1
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("reconstruct", "tilts.mrc", "-o", "o.mrc", "--thickness", "8", "--method", "srt"), "PluginError"),
        (("reconstruct", "tilts.mrc", "-o", "o.mrc", "--thickness", "8", "--bin", "0"), "OptionError"),
        (("reconstruct", "lost.mrc", "-o", "o.mrc", "--thickness", "8"), "InputError"),
        (("reconstruct", "tilts.mrc", "-o", "truth.mrc", "--thickness", "8"), "OutputError"),
        (("reconstruct", "tilts.mrc", "-o", "o.mrc", "--thickness", "1000000000"), "ResourceError"),
        (("reconstruct", "tilts.mrc", "-o", "o.mrc", "--wrong"), "UsageError"),
        (("reconstruct", "tilts.mrc", "-o", "o.mrc", "--bin", "two"), "UsageError"),
        (("resume", "lost.h5"), "InputError"),
        (("resume", "lost.h5", "--epochs", "0"), "OptionError"),
        (("export", "lost.h5", "o.mrc"), "InputError"),
        (("project", "lost.mrc", "--angles", "tilts.tlt", "-o", "o.mrc"), "InputError"),
        (("compare", "truth.mrc", "tilts.mrc"), "InputError"),
        (("compare", "truth.mrc", "truth.mrc", "--scale", "1e308"), "OptionError"),
        (("simulate", "out", "--noise", "nan"), "OptionError"),
        (("plugins", "check", "nothing"), "PluginError"),
        (("plugins", "new", "tomokit"), "PluginError"),
    ],
)
def test_with_json_an_error_is_one_object_on_stdout(
    cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], kind: str
) -> None:
    monkeypatch.chdir(data)
    before = sorted(data.iterdir())
    status, out, err = cli(*words, "--json")
    error = only_object(out)["error"]
    assert status == 2
    assert isinstance(error, dict)
    assert (error["kind"], error["exit_status"]) == (kind, 2)
    # The same line is on stderr, for a person and for a log.
    assert err == f"tomokit: {error['message']}\n"
    assert set(error) == {"kind", "message", "exit_status", "problem", "file", "field", "remedy"}
    assert sorted(data.iterdir()) == before


def test_the_parts_of_an_error_are_told_apart(cli: Cli, data: Path) -> None:
    out = cli("reconstruct", data / "tilts.mrc", "-o", data / "o.mrc", "--thickness", "0", "--json")[1]
    assert only_object(out)["error"] == {
        "kind": "OptionError",
        "message": "--thickness: 0 is out of bounds; give at least 1",
        "exit_status": 2,
        "problem": "0 is out of bounds",
        "file": None,
        "field": "--thickness",
        "remedy": "give at least 1",
    }


def test_inspect_has_good_and_bad_files_in_one_object(cli: Cli, data: Path) -> None:
    status, out, err = cli("inspect", data / "lost.mrc", data / "tilts.tlt", "--json")
    found = only_object(out)
    assert status == 2
    assert [one["file"] for one in found["files"]] == ["tilts.tlt"]  # type: ignore[attr-defined]
    assert found["error"]["file"] == str(data / "lost.mrc")  # type: ignore[index]
    assert err.count("\n") == 1
    assert "error" not in only_object(cli("inspect", data / "tilts.tlt", "--json")[1])


def test_an_interrupt_is_told_in_json_too(cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tomokit.metrics.compare_arrays", interrupt)
    truth = data / "truth.mrc"
    status, out, err = cli("compare", truth, truth, "--json")
    assert (status, err) == (130, "tomokit: interrupted\n")
    assert only_object(out)["error"]["kind"] == "Interrupted"  # type: ignore[index]
    assert cli("compare", truth, truth) == (130, "", "tomokit: interrupted\n")


def test_a_fault_of_tomokit_is_told_in_json_and_raised(
    cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tomokit.metrics.compare_arrays", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli("compare", data / "truth.mrc", data / "truth.mrc", "--json")
    error = only_object(capfd.readouterr()[0])["error"]
    assert (error["kind"], error["exit_status"]) == ("ZeroDivisionError", 1)  # type: ignore[index]


@pytest.mark.parametrize("value", ["0", "-2", "many", "1e3", ""])
def test_a_wrong_number_of_threads_in_the_environment(
    cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("NUMBA_NUM_THREADS", value)
    status, out, err = cli("compare", data / "truth.mrc", data / "truth.mrc")
    assert (status, out) == (2, "")
    assert err.startswith(f"tomokit: NUMBA_NUM_THREADS: {value!r} is no number of threads; unset this variable")
    assert cli("compare", "--help")[0] == 0


@pytest.mark.parametrize("scale", ["1e308", "-1e308", "1e200", "1e40"])
def test_a_scale_beyond_all_numbers_is_refused(cli: Cli, data: Path, scale: str) -> None:
    status, out, err = cli("compare", data / "truth.mrc", data / "truth.mrc", f"--scale={scale}")
    assert (status, out) == (2, "")
    assert err.startswith("tomokit: --scale: a factor of ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("hold-out = 4\nhold_out = 8\n", "'hold-out' and 'hold_out' are the same setting; give one of them"),
        ("[options]\nlarge-leaves = 0\nlarge_leaves = 0.5\n", "'large-leaves' and 'large_leaves' are the same setting"),
        ("pixel-size = 0\n", "pixel-size: 0.0 is out of bounds; give at least 1e-06"),
        ("epochs = 5\n", "no option 'epochs'; did you mean options.epochs?"),
        ("holdout = 5\n", "no option 'holdout'; did you mean hold_out?"),
        (f"a = {'[' * 5000}{']' * 5000}\n", "is nested too deeply"),
        (f"{'a.' * 5000}a = 1\n", "has tables 20 levels deep"),
        (f"[options]\nx = {{{'a={' * 3000}{'}' * 3000}}}\n", "is n"),
        (f"seed = {'9' * 5000}\n", "has a number of too many digits"),
        (f"seed = 0x{'f' * 5000}\n", "seed: an integer of 6021 digits is too large"),
        (f"pixel-size = 0x{'f' * 400}\n", "pixel-size: an integer of 482 digits is not a finite number"),
        (f"exclude = [0x{'f' * 5000}]\n", "exclude: an index of a view is too large"),
        ("x" * (1 << 20) + "y", "has more than 1 MiB, which no settings have"),
    ],
    ids=range(13),
)  # fmt: skip
def test_a_configuration_that_makes_no_sense(cli: Cli, data: Path, content: str, said: str) -> None:
    (data / "c.toml").write_text(content)
    status, out, err = cli("reconstruct", data / "tilts.mrc", "-o", data / "o.mrc", "--config", data / "c.toml")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"tomokit: {data / 'c.toml'}: {said}")


def test_a_configuration_that_never_ends_is_not_read(cli: Cli, data: Path) -> None:
    os.mkfifo(data / "pipe")
    for path in (Path("/dev/zero"), data / "pipe"):
        status, _, err = cli("reconstruct", data / "tilts.mrc", "-o", data / "o.mrc", "--config", path)
        assert status == 2
        assert err.startswith(f"tomokit: {path}: cannot be read: it is a ")


def test_a_tilde_in_a_configuration_is_the_home(cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tomokit.io import write_stack

    home = data / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    write_stack(home / "mask.mrc", np.ones((1, 32, 32), np.float32))
    (data / "c.toml").write_text("mask = '~/mask.mrc'\nmethod = 'wbp'\nthickness = 8\npreview = false\n")
    words = ("reconstruct", data / "tilts.mrc", "-o", "~/o.mrc", "--config", data / "c.toml", "--json")
    status, out, _ = cli(*words)
    assert status == 0
    assert json.loads(out)["parameters"]["mask"] == str(home / "mask.mrc")
    assert (home / "o.mrc").exists()


def test_one_thread_is_not_offered_as_a_range(monkeypatch: pytest.MonkeyPatch) -> None:
    from tomokit.errors import OptionError
    from tomokit.pipeline import backend

    monkeypatch.setattr(backend, "most_threads", lambda: 1)
    with pytest.raises(OptionError, match=r"2 threads, but this process can have one thread; leave it out$"):
        backend.use_threads(2)
