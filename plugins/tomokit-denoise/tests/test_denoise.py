"""The command as users see it: less error, the same bits, what is written, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from tomokit.commands.app import run
from tomokit.io import read_volume


def density(path: Path) -> np.ndarray:
    return np.array(read_volume(path).density)


def error(path: Path, truth: np.ndarray) -> float:
    """Root mean square, in units of the truth's density."""
    return float(np.sqrt(np.mean(((density(path) - 7) / 3 - truth) ** 2)))


def test_training_removes_most_of_the_noise(tomogram, truth, denoise) -> None:
    status, told, _ = denoise(tomogram, "--steps", "250")
    assert status == 0
    out = tomogram.with_name("cell_denoised.mrc")
    assert told["output"] == str(out)
    before = error(tomogram, truth)
    assert before == pytest.approx(np.sqrt(0.5), rel=0.05)
    # The signal is as strong as a third of the noise that is left by averaging.
    assert error(out, truth) < 0.4 * before
    # A network that gave the mean everywhere would do worse.
    assert error(out, truth) < 0.7 * truth.std()
    curve = told["training"]["curve"]
    assert curve[-1]["held_out"] < 0.97 * curve[0]["held_out"]


def test_the_same_seed_gives_the_same_bits_and_another_one_others(tomogram, denoise) -> None:
    found = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        out = tomogram.with_name(f"{name}.mrc")
        assert denoise(tomogram, "-o", out, "--seed", seed, "--threads", 2)[0] == 0
        found.append(density(out))
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_a_saved_network_gives_the_same_tomogram_in_any_blocks(tomogram, denoise) -> None:
    model = tomogram.with_name("cell.pt")
    assert denoise(tomogram, "--save-model", model, "--steps", "60", "--lr", "0.01")[0] == 0
    trained = density(tomogram.with_name("cell_denoised.mrc"))
    scale = trained.std()
    assert scale > 0.1
    for block in (20, 32):
        out = tomogram.with_name(f"block{block}.mrc")
        status, told, _ = denoise(tomogram, "-o", out, "--model", model, "--block", block)
        assert (status, told["training"]) == (0, None)
        assert np.abs(density(out) - trained).max() < 1e-4 * scale


def test_the_output_says_what_made_it(tomogram, denoise, write_half, other_halves) -> None:
    model = tomogram.with_name("cell.pt")
    denoise(tomogram, "--save-model", model)
    out = tomogram.with_name("cell_denoised.mrc")
    with mrcfile.open(out) as mrc:
        labels = " ".join(text.decode() for text in mrc.header.label)
        assert "denoised by: a network trained on its halves" in labels
        assert float(mrc.voxel_size.x) == pytest.approx(10)
        assert mrc.header.ispg == 1
    record = json.loads(tomogram.with_name("cell_denoised.provenance.json").read_text())
    assert record["output"] == "cell_denoised.mrc"
    assert "may be wrong" in record["made_by"]
    assert record["halves"]["even"]["file"] == "cell_even.mrc"
    assert len(record["halves"]["odd"]["sha256"]) == 64
    assert record["halves"]["odd"]["method"] == "wbp"
    assert (record["training"]["steps"], record["training"]["seed"]) == (3, 0)
    assert record["network"] == {"width": 8, "parameters": record["network"]["parameters"]}
    # Applied to another tomogram, the network says that too.
    for name, other in zip(("even", "odd"), other_halves, strict=True):
        write_half(tomogram.with_name(f"other_{name}.mrc"), other)
    denoise(tomogram.with_name("other.mrc"), "--model", model)
    with mrcfile.open(tomogram.with_name("other_denoised.mrc")) as mrc:
        assert "a network trained on other halves" in " ".join(text.decode() for text in mrc.header.label)
    record = json.loads(tomogram.with_name("other_denoised.provenance.json").read_text())
    assert record["model"]["halves"]["even"]["file"] == "cell_even.mrc"
    assert len(record["model"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("tomogram_name", "first", "second"),
    [
        ("t.mrc", "t_EVN.mrc", "t_ODD.mrc"),
        ("t_Vol.mrc", "t_EVN_Vol.mrc", "t_ODD_Vol.mrc"),
        ("rec_t.mrc", "rec_t_half1.mrc", "rec_t_half2.mrc"),
        ("t_rec.mrc", "t_even_rec.mrc", "t_odd_rec.mrc"),
        ("t_10.00Apx.mrc", "even/t_10.00Apx.mrc", "odd/t_10.00Apx.mrc"),
    ],
)
def test_halves_of_other_programs_are_found(tmp_path, tomogram, denoise, tomogram_name, first, second) -> None:
    folder = tmp_path / "other"
    for source, name in (("cell", tomogram_name), ("cell_even", first), ("cell_odd", second)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{source}.mrc").rename(folder / name)
    status, told, _ = denoise(folder / tomogram_name, "--steps", "1")
    assert status == 0
    assert told["halves"] == [str(folder / first), str(folder / second)]


def test_rows_along_sections_are_denoised_as_rows(tomogram, denoise, write_half) -> None:
    """A file with sections along y, as of IMOD's tilt, gives the same densities, its axes exchanged."""
    for name in ("even", "odd"):
        half = density(tomogram.with_name(f"cell_{name}.mrc"))
        write_half(tomogram.with_name(f"cell_{name}.rec"), half.transpose(1, 0, 2))
    model = tomogram.with_name("cell.pt")
    _, told, _ = denoise(
        tomogram.with_name("cell_even.rec"), tomogram.with_name("cell_odd.rec"), "-o", tomogram.with_name("y.mrc"),
        "--save-model", model,
    )  # fmt: skip
    assert told["shape"] == [48, 24, 32]
    assert json.loads(tomogram.with_name("y.provenance.json").read_text())["tilt_axis"] == 0
    with mrcfile.open(tomogram.with_name("y.mrc")) as mrc:
        assert "sections along y" in " ".join(text.decode() for text in mrc.header.label)


def test_doubts_are_told_before_the_work(tomogram, truth, denoise, write_half) -> None:
    even, odd = (tomogram.with_name(f"cell_{name}.mrc") for name in ("even", "odd"))
    status, told, err = denoise(tomogram)
    assert (status, told["warnings"]) == (0, [])
    shared = np.random.default_rng(9).normal(0, 1, truth.shape)
    for path in (even, odd):
        write_half(path, density(path) + 3 * shared, method="tv")
    status, told, err = denoise(tomogram, "--overwrite")
    assert status == 0
    assert sum("not linear" in text for text in told["warnings"]) == 2
    assert any("finest detail" in text for text in told["warnings"])
    assert err.index("finest detail") < err.index("training the network")


@pytest.mark.parametrize(
    ("spoil", "words", "kind", "said"),
    [
        ("missing", [], "InputError", "reconstruct --halves"),
        ("lone", [], "InputError", "has no other half"),
        ("shape", [], "InputError", "one box and sampling"),
        ("same", [], "InputError", "are the same"),
        ("constant", [], "InputError", "is constant"),
        ("nan", [], "InputError", "NaN"),
        ("small", [], "InputError", "at least 16"),
        ("there", [], "OutputError", "--overwrite"),
        ("record", [], "OutputError", "--overwrite"),
        ("", ["-o", "cell_even.mrc", "--overwrite"], "OutputError", "is an input"),
        ("", ["--patch", "18"], "OptionError", "give 16"),
        ("", ["--block", "18"], "OptionError", "multiple of 4"),
        ("", ["--steps", "0"], "OptionError", "steps"),
        ("", ["--box", "0:8,0:48,0:32"], "OptionError", "at least 16"),
        ("", ["--box", "0:24,0:48,0:33"], "OptionError", "beyond the volume"),
        ("", ["--minutes", "-1"], "OptionError", "more than 0"),
        ("", ["--save-model", "x.mrc"], "OutputError", "name it .pt"),
        ("", ["--model", "x.pt", "--save-model", "y.pt"], "OptionError", "leave it out"),
        ("", ["--model", "x.pt"], "InputError", "No such file"),
        ("", ["-o", "x.pdb"], "OutputError", "name it"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    tomogram, denoise, write_half, monkeypatch, spoil, words, kind, said
) -> None:
    monkeypatch.chdir(tomogram.parent)
    even, odd, out = Path("cell_even.mrc"), Path("cell_odd.mrc"), Path("cell_denoised.mrc")
    half = density(even)
    if spoil == "missing":
        even.unlink()
        odd.unlink()
    elif spoil == "lone":
        odd.unlink()
    elif spoil == "shape":
        write_half(odd, half[:, :-2])
    elif spoil == "same":
        odd.write_bytes(even.read_bytes())
    elif spoil == "constant":
        write_half(odd, np.full_like(half, 2))
    elif spoil == "nan":
        with mrcfile.open(odd, "r+") as mrc:
            mrc.data[3, 4, 5] = np.nan
    elif spoil == "small":
        for number, path in enumerate((even, odd)):
            write_half(path, half[number : number + 12])
    elif spoil == "there":
        out.write_text("mine")
    elif spoil == "record":
        Path("cell_denoised.provenance.json").write_text("mine")
    before = {path: path.read_bytes() for path in Path().iterdir()}
    status, told, err = denoise("cell.mrc", *words)
    assert status == 2
    assert told["error"]["kind"] == kind
    assert said in told["error"]["message"]
    assert told["error"]["remedy"] or "No such file" in said
    assert said in err
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


def test_two_halves_need_a_name_for_the_output(tomogram, denoise) -> None:
    even, odd = (tomogram.with_name(f"cell_{name}.mrc") for name in ("even", "odd"))
    status, told, _ = denoise(even, odd)
    assert (status, told["error"]["field"]) == (2, "--output")
    assert denoise(even, odd, "-o", tomogram.with_name("x.mrc.gz"))[0] == 0
    assert tomogram.with_name("x.mrc.gz.provenance.json").exists()


def test_minutes_set_the_steps_which_the_record_repeats(tomogram, denoise) -> None:
    timed, again = tomogram.with_name("timed.mrc"), tomogram.with_name("again.mrc")
    _, told, _ = denoise(tomogram, "-o", timed, "--minutes", "0.005")
    steps = told["training"]["steps"]
    assert steps >= 10
    denoise(tomogram, "-o", again, "--steps", steps)
    assert np.array_equal(density(timed), density(again))


def test_halves_that_reconstruct_wrote_are_found_and_denoised(tmp_path, denoise) -> None:
    series = ["--shape", "16,32,32", "--tilts=-60:60:6", "--noise", "0.05", "--seed", "1"]
    assert run(["simulate", str(tmp_path), *series]) == 0
    words = ["--method", "wbp", "--thickness", "16", "--halves", "--no-preview", "--progress", "none"]
    assert run(["reconstruct", str(tmp_path / "tilts.mrc"), "-o", str(tmp_path / "t.mrc"), *words]) == 0
    status, told, _ = denoise(tmp_path / "t.mrc", "--steps", "40")
    assert status == 0
    assert told["warnings"] == []
    record = json.loads((tmp_path / "t_denoised.provenance.json").read_text())
    assert record["halves"]["even"]["method"] == "wbp"
    assert run(["inspect", str(tmp_path / "t_denoised.mrc")]) == 0


def test_the_text_says_that_a_network_made_it(tomogram, capsys) -> None:
    words = ["--steps", "2", "--width", "4", "--patch", "16", "--threads", "1", "--progress", "lines"]
    assert run(["denoise", str(tomogram), *words]) == 0
    out, err = capsys.readouterr()
    assert "denoised by a network" in out
    assert "not trained on" in out
    assert "training the network" in err


def test_a_network_is_held_to_the_halves_of_another_tomogram(tomogram, truth, denoise, write_half) -> None:
    """Smooth halves in, sharp ones as the target: sharp densities in the target's units come out, by the model too."""
    for name in ("even", "odd"):
        half = density(tomogram.with_name(f"cell_{name}.mrc"))
        write_half(tomogram.with_name(f"smooth_{name}.mrc"), gaussian_filter(half, 1.5) * 0.1 - 3.0, method="sirt")
    write_half(tomogram.with_name("smooth.mrc"), truth, method="sirt")
    out, model = tomogram.with_name("sharp.mrc"), tomogram.with_name("sharp.pt")
    words = ["--target", tomogram, "--steps", "150"]
    status, told, _ = denoise(tomogram.with_name("smooth.mrc"), "-o", out, *words, "--save-model", model)
    assert (status, told["warnings"]) == (0, [])
    assert error(out, truth) < 0.5 * error(tomogram, truth)
    record = json.loads(tomogram.with_name("sharp.provenance.json").read_text())
    assert (record["halves"]["odd"]["method"], record["targets"]["odd"]["method"]) == ("sirt", "wbp")
    again = tomogram.with_name("again.mrc")
    assert denoise(tomogram.with_name("smooth.mrc"), "-o", again, "--model", model)[0] == 0
    assert np.abs(density(again) - density(out)).max() < 1e-4
    for name, other in (("even", "odd"), ("odd", "even")):
        tomogram.with_name(f"swapped_{name}.mrc").write_bytes(tomogram.with_name(f"cell_{other}.mrc").read_bytes())
    status, told, _ = denoise(tomogram, "--target", tomogram.with_name("swapped.mrc"))
    assert (status, told["error"]["field"]) == (2, "--target")
