"""From a request to a tomogram, with a method that is known."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tomokit.data import TiltSeries, Volume
from tomokit.errors import InputError, OptionError, OutputError, ResourceError
from tomokit.geometry import TiltGeometry
from tomokit.io import read_volume, write_stack, write_text
from tomokit.pipeline.driver import reconstruct
from tomokit.pipeline.progress import Silent
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.plugin.manager import get_registry
from tomokit.plugin.registry import Entry
from tomokit.projector import DenseProjector

TILTS = np.arange(-60.0, 61.0, 10.0)
SHAPE = (8, 12, 16)


def truth() -> np.ndarray:
    """A box off every centre, ``[z, y, x]``: a flip of any axis, or a swap, is seen."""
    values = np.zeros(SHAPE, dtype=np.float32)
    values[4:6, 1:5, 3:7] = 1
    return values


def write_series(folder: Path, images: np.ndarray, tilts: np.ndarray = TILTS, pixel: float = 5.0) -> Path:
    stack = folder / "tilts.mrc"
    write_stack(stack, images.astype(np.float32), pixel_size_angstrom=pixel)
    write_text(folder / "tilts.tlt", "".join(f"{tilt}\n" for tilt in tilts))
    return stack


@pytest.fixture(scope="module")
def line_integrals() -> np.ndarray:
    geometry = TiltGeometry(TILTS, n_u=SHAPE[2], n_v=SHAPE[1])
    views = DenseProjector(geometry, SHAPE[0], backend="reference")(truth().transpose(2, 0, 1).astype(np.float64))
    return views.transpose(0, 2, 1)


@pytest.fixture
def request_(tmp_path: Path, line_integrals: np.ndarray) -> ReconstructionRequest:
    stack = write_series(tmp_path, line_integrals)
    return ReconstructionRequest(stack, tmp_path / "out.mrc", method="blur", thickness=SHAPE[0])


def changed(request: ReconstructionRequest, **fields: object) -> ReconstructionRequest:
    return dataclasses.replace(request, **fields)  # type: ignore[arg-type]


def listing(request: ReconstructionRequest) -> list[str]:
    return sorted(path.name for path in request.output.parent.iterdir())


def test_the_volume_lies_as_the_specimen_and_in_the_units_of_the_input(request_: ReconstructionRequest) -> None:
    reconstruct(changed(request_, options={"epochs": 200}))
    written = read_volume(request_.output)
    assert written.density.shape == SHAPE
    assert written.voxel_size_angstrom == pytest.approx(5.0)
    assert np.corrcoef(written.density.ravel(), truth().ravel())[0, 1] > 0.85
    geometry = TiltGeometry(TILTS, n_u=SHAPE[2], n_v=SHAPE[1])
    again = DenseProjector(geometry, SHAPE[0], backend="reference")(written.density.transpose(2, 0, 1).astype(float))
    stack = read_volume(request_.stack).density
    assert np.linalg.norm(again.transpose(0, 2, 1) - stack) < 0.05 * np.linalg.norm(stack)


def test_the_summary_has_what_is_promised_and_is_json(request_: ReconstructionRequest) -> None:
    summary = json.loads(json.dumps(reconstruct(changed(request_, hold_out=5, seed=3)), allow_nan=False))
    promised = (
        "method backend output shape voxel_size_angstrom parameters epochs loss seconds peak_memory_bytes held_out"
    )
    assert set(promised.split()) <= summary.keys()
    assert summary["state"] is None
    assert summary["shape"] == list(SHAPE)
    assert (summary["method"], summary["backend"], summary["epochs"], summary["seed"]) == ("blur", "cpu", 3, 3)
    assert summary["held_out"]["views"] == [2, 7, 12]
    assert summary["parameters"]["options"]["epochs"] == 3
    assert summary["parameters"]["thickness"] == 8
    assert summary["linearization"]["kind"] == "linear"
    assert set(summary["inputs"]) == {"stack", "angles"}
    assert [entry["epoch"] for entry in summary["history"]] == [1, 2, 3]
    assert summary["loss"] == summary["history"][-1]["loss"]
    scores = [entry["held_out"]["correlation"] for entry in summary["history"]]
    assert summary["best_epoch"] == 1 + int(np.argmax(scores))
    assert summary["held_out"]["correlation"] == scores[-1]
    rings = summary["history"][-1]["held_out"]["ring_correlation"]
    assert summary["held_out"]["ring_correlation"] == rings
    assert len(rings) == len(summary["held_out"]["ceiling"]) == 10
    assert summary["held_out"]["mean_ring_correlation"] == pytest.approx(np.mean([r for r in rings if r is not None]))
    assert Path(summary["preview"]).read_bytes().startswith(b"\x89PNG")


def test_held_out_views_are_not_fitted(request_: ReconstructionRequest, blur: type) -> None:
    reconstruct(changed(request_, hold_out=5, exclude="0"))
    fitted = [i for i in range(13) if i not in (0, 2, 7, 12)]
    np.testing.assert_allclose(blur.started.geometry.tilt_deg, TILTS[fitted])
    stack = read_volume(request_.stack).density[fitted]
    np.testing.assert_allclose(blur.started.projections, stack.transpose(0, 2, 1) / stack.max(), rtol=1e-5, atol=1e-6)


def test_a_held_out_view_that_is_spoilt_changes_the_score_and_not_the_volume(
    tmp_path: Path, line_integrals: np.ndarray
) -> None:
    results = []
    for name, factor in (("a", 0.0), ("b", 1.0)):
        folder = tmp_path / name
        folder.mkdir()
        images = line_integrals.copy()
        images[7] += factor * np.random.default_rng(1).normal(size=images[7].shape)
        stack = write_series(folder, images)
        request = ReconstructionRequest(stack, folder / "o.mrc", method="blur", thickness=8, hold_out=5)
        results.append((reconstruct(request)["held_out"]["correlation"], read_volume(request.output).density.copy()))
    np.testing.assert_array_equal(results[0][1], results[1][1])
    assert results[0][0] > results[1][0]


def test_masked_pixels_have_no_say(request_: ReconstructionRequest, line_integrals: np.ndarray, blur: type) -> None:
    images, mask = line_integrals.copy(), np.ones(line_integrals.shape, dtype=np.float32)
    mask[:, 2:5, 6:9] = 0
    images[:, 2:5, 6:9] = 1e5
    write_stack(request_.stack, images.astype(np.float32), overwrite=True)
    path = request_.stack.with_name("mask.mrc")
    write_stack(path, mask)
    reconstruct(changed(request_, mask=path))
    problem = blur.started
    np.testing.assert_array_equal(problem.mask, mask.transpose(0, 2, 1))
    assert problem.projections.max() == pytest.approx(1)
    assert problem.projections.flags.c_contiguous


@pytest.mark.parametrize(
    ("linearization", "offsets", "film", "expected"),
    [
        ("linear", "auto", 0, False),
        ("linear", "auto", 10, True),
        ("linear", "zero", 10, False),
        ("linear", "fit", 0, True),
        ("log", "auto", 10, True),
        ("log", "zero", 10, False),
    ],
)
def test_offsets_are_fitted_where_the_specimen_fills_the_field_unless_told(
    request_: ReconstructionRequest, blur: type, linearization: str, offsets: str, film: int, expected: bool
) -> None:
    path = 1 / np.cos(np.radians(TILTS)).astype(np.float32)
    images = film * path[:, None, None] + read_volume(request_.stack).density
    write_stack(request_.stack, images, overwrite=True)
    reconstruct(changed(request_, linearization=linearization, offsets=offsets))
    assert blur.started.fit_offsets is expected


def test_a_pedestal_is_subtracted_from_line_integrals(request_: ReconstructionRequest, blur: type) -> None:
    plain = reconstruct(changed(request_, overwrite=True))
    images = 10 + read_volume(request_.stack).density
    write_stack(request_.stack, images, overwrite=True)
    summary = reconstruct(changed(request_, linearization="linear", overwrite=True))
    assert summary["linearization"]["offset"] == pytest.approx(10)
    assert summary["linearization"]["scale"] == pytest.approx(plain["linearization"]["scale"])
    assert not blur.started.fit_offsets
    # By themselves these images could as well be of a hole, for they show one box.
    with pytest.raises(InputError, match=r"tilts\.mrc: images: .*--linearization log .*--linearization linear"):
        reconstruct(changed(request_, overwrite=True))


def test_a_doubt_is_said_before_the_work(request_: ReconstructionRequest, line_integrals: np.ndarray) -> None:
    heard: list[str] = []

    class Listener(Silent):
        def warning(self, text: str) -> None:
            heard.append(text)

        def epoch(self, done: int, total: int, terms: Mapping[str, float], correlation: float | None) -> None:
            heard.append("epoch")

    views = line_integrals.mean() - line_integrals
    write_stack(request_.stack, (views / views.std()).astype(np.float32), overwrite=True)
    summary = reconstruct(request_, Listener())
    assert summary["linearization"]["kind"] == "invert"
    assert "give --linearization linear if bright is dense" in heard[0]
    assert heard[1] == "epoch"
    assert heard[0] in summary["warnings"]


def test_a_run_that_goes_on_takes_the_linearization_from_its_state(
    request_: ReconstructionRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tomokit.pipeline import prepare
    from tomokit.pipeline.resume import resume

    state = request_.output.with_name("run.h5")
    begun = reconstruct(changed(request_, state=state))["linearization"]
    monkeypatch.setattr(prepare, "interpret", None)
    assert resume(state, epochs=5, overwrite=True)["linearization"] == begun


def test_binning_halves_the_sizes_and_rounds_the_thickness_up(request_: ReconstructionRequest) -> None:
    summary = reconstruct(changed(request_, bin=2, thickness=7))
    assert summary["shape"] == [4, 6, 8]
    assert summary["voxel_size_angstrom"] == pytest.approx(10.0)


def test_the_header_records_method_and_transform(request_: ReconstructionRequest) -> None:
    import mrcfile

    scale = reconstruct(request_)["linearization"]["scale"]
    with mrcfile.open(request_.output) as mrc:
        labels = " ".join(label.decode() for label in mrc.header.label)
    assert "method: blur" in labels
    assert "linear" in labels
    assert f"scale={scale:.6g}" in labels


def test_progress_is_told_of_every_epoch(request_: ReconstructionRequest) -> None:
    heard: list[tuple[int, int, bool, bool]] = []

    class Listener(Silent):
        def epoch(self, done: int, total: int, terms: Mapping[str, float], correlation: float | None) -> None:
            heard.append((done, total, {"loss", "data"} <= terms.keys(), correlation is not None))

    reconstruct(changed(request_, hold_out=5), Listener())
    assert heard == [(1, 3, True, True), (2, 3, True, True), (3, 3, True, True)]


def test_a_term_that_is_no_number_is_named(request_: ReconstructionRequest) -> None:
    with pytest.raises(
        OptionError, match="loss term 'data' is not finite in epoch 2; lower the learning rate or its weight"
    ):
        reconstruct(changed(request_, options={"fail_at": 2}))


@pytest.mark.parametrize("options", [{"fail_at": 2}, {"interrupt_at": 2}])
def test_a_job_that_breaks_off_leaves_nothing(request_: ReconstructionRequest, options: dict[str, int]) -> None:
    before = listing(request_)
    with pytest.raises((OptionError, KeyboardInterrupt)):
        reconstruct(changed(request_, options=options))
    assert listing(request_) == before


def test_a_job_that_breaks_off_keeps_what_it_would_have_replaced(request_: ReconstructionRequest) -> None:
    reconstruct(request_)
    before = {name: (request_.output.parent / name).read_bytes() for name in listing(request_)}
    with pytest.raises(KeyboardInterrupt):
        reconstruct(changed(request_, overwrite=True, options={"interrupt_at": 1}))
    assert {name: (request_.output.parent / name).read_bytes() for name in listing(request_)} == before


@pytest.mark.parametrize("name", ["out.mrc", "out.png"])
def test_an_output_that_exists_is_refused_before_any_work(
    request_: ReconstructionRequest, blur: type, name: str
) -> None:
    path = request_.output.with_name(name)
    path.write_text("mine")
    with pytest.raises(OutputError, match=name):
        reconstruct(request_)
    assert path.read_text() == "mine"
    assert blur.started is None
    reconstruct(changed(request_, overwrite=True))
    assert read_volume(request_.output).density.shape == SHAPE


def test_an_input_is_never_overwritten(request_: ReconstructionRequest) -> None:
    before = request_.stack.read_bytes()
    with pytest.raises(OutputError, match="input of this job"):
        reconstruct(changed(request_, output=request_.stack, overwrite=True))
    assert request_.stack.read_bytes() == before


def test_memory_is_refused_before_reading(request_: ReconstructionRequest, blur: type) -> None:
    with pytest.raises(ResourceError, match=r"about 4\.0 PiB of memory"):
        reconstruct(changed(request_, options={"claim_bytes": 4 << 50}))
    with pytest.raises(ResourceError, match="16 x 12 x 10000000000 voxels"):
        reconstruct(changed(request_, thickness=10**10))
    assert blur.started is None


def test_memory_is_refused_before_fitting_when_the_images_turn_out_to_need_more(
    request_: ReconstructionRequest, blur: type
) -> None:
    write_stack(request_.stack, 50 - read_volume(request_.stack).density, overwrite=True)
    before = listing(request_)
    claim = {"claim_bytes_with_exposure": 4 << 50}
    with pytest.raises(ResourceError, match=r"about 4\.0 PiB of memory"):
        reconstruct(changed(request_, options=claim))
    assert listing(request_) == before
    assert blur.started is None
    assert reconstruct(changed(request_, options=claim, offsets="zero"))["linearization"]["kind"] == "log"


@pytest.mark.parametrize("fields", [{"thickness": None}, {"bin": 13}, {"exclude": "0-12"}, {"options": {"epoch": 1}}])
def test_requests_that_make_no_sense_are_refused(request_: ReconstructionRequest, fields: dict) -> None:
    with pytest.raises((OptionError, OutputError)):
        reconstruct(changed(request_, **fields))


def test_unsorted_angles_are_taken_only_when_allowed(
    request_: ReconstructionRequest, line_integrals: np.ndarray, tmp_path: Path
) -> None:
    order = np.argsort(np.abs(TILTS), kind="stable")
    folder = tmp_path / "acquired"
    folder.mkdir()
    stack = write_series(folder, line_integrals[order], TILTS[order])
    unsorted = changed(request_, stack=stack, output=folder / "out.mrc")
    with pytest.raises(InputError, match="--allow-unsorted"):
        reconstruct(unsorted)
    reconstruct(request_)
    summary = reconstruct(changed(unsorted, allow_unsorted=True))
    assert any("not sorted" in warning for warning in summary["warnings"])
    sorted_values, unsorted_values = (read_volume(path).density for path in (request_.output, unsorted.output))
    np.testing.assert_allclose(unsorted_values, sorted_values, atol=1e-5)


def test_a_view_masked_only_after_binning_is_named_by_its_index_in_the_stack(
    request_: ReconstructionRequest, line_integrals: np.ndarray
) -> None:
    mask = np.ones(line_integrals.shape, dtype=np.float32)
    mask[4] = 0
    mask[4, ::4, ::4] = 1
    path = request_.stack.with_name("mask.mrc")
    write_stack(path, mask)
    with pytest.raises(InputError, match=r"view 4 is masked after binning by 4; leave (it )?out with --exclude 4"):
        reconstruct(changed(request_, mask=path, bin=4, exclude="0"))


def test_zero_padding_is_warned_of(request_: ReconstructionRequest) -> None:
    images = 10 + np.random.default_rng(1).random((13, *SHAPE[1:])).astype(np.float32)
    images[:, 0] = 0
    write_stack(request_.stack, images, overwrite=True)
    assert any(
        "--percentiles" in warning for warning in reconstruct(changed(request_, linearization="log"))["warnings"]
    )


def test_a_reader_of_a_plugin_is_chosen_by_the_suffix(request_: ReconstructionRequest, blur: type) -> None:
    seen: dict[str, object] = {}

    class Ones:
        name, summary, suffixes = "ones", "a series of nothing much", (".ones",)

        def shape(self, path: Path) -> tuple[int, int, int]:
            return 3, 6, 7

        def read(self, path: Path, **options: object) -> TiltSeries:
            seen.update(options)
            images = np.arange(2 * 6 * 7, dtype=np.float32).reshape(2, 6, 7)
            return TiltSeries(images, TiltGeometry(np.array([-5.0, 5.0]), n_u=7, n_v=6), 2.0)

    get_registry().add(Entry.of("reader", Ones, "tests", "0"))
    path = request_.stack.with_name("x.ones")
    path.write_text("")
    summary = reconstruct(changed(request_, stack=path, exclude="1", linearization="linear"))
    assert seen["exclude"] == [1]
    assert summary["shape"] == [8, 6, 7]
    assert set(summary["inputs"]) == {"x.ones"}


def test_what_a_volume_is_written_as_can_be_read_back(request_: ReconstructionRequest) -> None:
    reconstruct(request_)
    assert isinstance(read_volume(request_.output), Volume)
