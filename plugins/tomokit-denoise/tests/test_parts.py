"""The parts: folding, the reach of a voxel, patches that keep the wedge, and models from strangers."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from tomokit_denoise.blocks import block_edge
from tomokit_denoise.halves import finest_agreement, open_halves
from tomokit_denoise.model_file import FORMAT, model_bytes, read_model
from tomokit_denoise.network import REACH, NetworkOptions, fold, make_network, unfold
from tomokit_denoise.patches import Patches

from tomokit.errors import InputError


def test_unfolding_undoes_folding() -> None:
    volume = torch.arange(2 * 4 * 6 * 8.0).reshape(2, 1, 4, 6, 8)
    folded = fold(volume)
    assert folded.shape == (2, 8, 2, 3, 4)
    assert torch.equal(folded[0, :, 0, 0, 0], volume[0, 0, :2, :2, :2].reshape(8))
    assert torch.equal(unfold(folded), volume)


@torch.no_grad()
def test_nothing_beyond_the_reach_has_a_say() -> None:
    network = make_network(NetworkOptions(width=4), 0)
    n = 2 * REACH + 24
    volume = torch.randn(1, 1, 8, 8, n)
    plain = network(volume)
    farthest = 0
    for place in range(REACH, REACH + 8):
        other = volume.clone()
        other[..., place] += 100.0
        changed = (network(other) != plain).any(dim=1).any(dim=1).any(dim=1)[0].nonzero().flatten()
        assert changed.numel()
        farthest = max(farthest, int((changed - place).abs().max()))
    assert REACH - 4 <= farthest <= REACH


def test_patches_are_the_same_place_in_both_halves_turned_as_the_wedge_allows(tomogram) -> None:
    halves = open_halves(tomogram.with_name("cell_even.mrc"), tomogram.with_name("cell_odd.mrc"))
    patches = Patches(halves, halves, 16, (slice(0, 24), slice(0, 48), slice(0, 32)))
    every = [halves.read(half, (slice(0, 24), slice(0, 48), slice(0, 32))) for half in (0, 1)]
    assert patches.held_out_rows == (42, 48)
    turns = {"as it is": (), "mirrored": (1,), "turned": (0, 2), "both": (0, 1, 2)}
    seen = set()
    for pair in patches.batches(40, 1, 0):
        given, wanted = pair.given[0, 0], pair.wanted[0, 0]
        found = [
            (name, half, tuple(int(at) for at in corner))
            for name, axes in turns.items()
            for half in (0, 1)
            for corner in np.argwhere(
                np.isclose(every[half][: 24 - 15, : 48 - 15, : 32 - 15], np.flip(given, axes)[0, 0, 0])
            )
            if np.allclose(every[half][tuple(slice(at, at + 16) for at in corner)], np.flip(given, axes))
        ]
        assert len(found) == 1
        name, half, corner = found[0]
        box = tuple(slice(at, at + 16) for at in corner)
        assert np.allclose(every[1 - half][box], np.flip(wanted, turns[name]))
        assert corner[1] + 16 <= 42
        seen.add((name, half))
    assert len(seen) == 8
    assert patches.held_out(3).given.shape == (3, 1, 16, 4, 16)


def test_halves_have_one_scale(tomogram) -> None:
    halves = open_halves(tomogram.with_name("cell_even.mrc"), tomogram.with_name("cell_odd.mrc"))
    values = [halves.read(half, (slice(0, 24), slice(0, 48), slice(0, 32))) for half in (0, 1)]
    for each in values:
        assert abs(each.mean()) < 1e-3
        assert each.std() == pytest.approx(1, rel=0.05)
    assert abs(finest_agreement(halves, halves)) < 0.1


def test_blocks_fit_into_memory() -> None:
    edges = [block_edge(24, 1 << bits) for bits in (20, 28, 31, 40)]
    assert edges == sorted(edges)
    assert edges[0] == 32
    assert edges[-1] == 256
    assert all(edge % 4 == 0 for edge in edges)


def test_a_model_comes_back_as_it_was(tmp_path) -> None:
    network = make_network(NetworkOptions(width=4), 3)
    path = tmp_path / "m.pt"
    path.write_bytes(model_bytes(network, {"seed": 3}))
    again, record = read_model(path)
    assert record["seed"] == 3
    volume = torch.randn(1, 1, 8, 8, 8)
    with torch.no_grad():
        assert torch.equal(again(volume), network(volume))


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.folder,)


def saved(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def good_content() -> dict[str, object]:
    network = make_network(NetworkOptions(width=4), 3)
    return {"format": FORMAT, "network": json.dumps({"width": 4}), "record": "{}", "weights": network.state_dict()}


@pytest.mark.parametrize("legacy", [False, True, "plain"])
def test_a_model_that_would_run_something_is_refused(tmp_path, legacy) -> None:
    folder, path = tmp_path / "made", tmp_path / "m.pt"
    content = {**good_content(), "extra": Hostile(str(folder))}
    stream = io.BytesIO()
    if legacy == "plain":
        pickle.dump(Hostile(str(folder)), stream)
    else:
        torch.save(content, stream, _use_new_zipfile_serialization=not legacy)
    path.write_bytes(stream.getvalue())
    with pytest.raises(InputError) as caught:
        read_model(path)
    assert caught.value.remedy
    assert caught.value.file == str(path)
    assert not folder.exists()
    # The check above can fail: unpickled without care it does make the folder.
    with contextlib.suppress(RuntimeError):
        torch.load(io.BytesIO(stream.getvalue()), weights_only=False)
    assert folder.exists()


def nan_weights() -> dict[str, torch.Tensor]:
    weights = make_network(NetworkOptions(width=4), 3).state_dict()
    next(iter(weights.values()))[0] = np.nan
    return weights


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "another"}, "no model"),
        ({"network": json.dumps({"width": 5})}, "another shape"),
        ({"network": json.dumps({"width": 10**9})}, "out of bounds"),
        ({"network": json.dumps({"depth": 3})}, "depth"),
        ({"network": "["}, "cannot be read"),
        ({"record": 7}, "cannot be read"),
        ({"weights": {}}, "missing"),
        ({"weights": nan_weights()}, "not finite"),
    ],
)
def test_a_model_of_something_else_is_refused(tmp_path, change, said) -> None:
    path = tmp_path / "m.pt"
    path.write_bytes(saved({**good_content(), **change}))
    with pytest.raises(InputError) as caught:
        read_model(path)
    assert said in str(caught.value)


def test_damaged_and_swollen_models_are_refused(tmp_path) -> None:
    path = tmp_path / "m.pt"
    content = saved(good_content())
    for damaged in (content[: len(content) // 2], b"", b"PK\x03\x04" + bytes(100), content[:200] + content[300:]):
        path.write_bytes(damaged)
        with pytest.raises(InputError):
            read_model(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(300 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InputError, match="larger than any"):
        read_model(path)
