"""Trainer promises; skipped where torch is not installed."""

import numpy as np
import pytest

from srtrain.colour import EDSR_MEAN_BGR, EDSR_RANGE, FULL_RANGE_BGR
from srtrain.resize import resize_bicubic

torch = pytest.importorskip("torch")

from srtrain.architectures import build  # noqa: E402
from srtrain.patches import PatchSource  # noqa: E402
from srtrain.reference import run_plan  # noqa: E402
from srtrain.settings import Settings  # noqa: E402
from srtrain.soap import Soap  # noqa: E402
from srtrain.train import Run, learning_rate, loss_of, pyramid_loss  # noqa: E402
from srtrain.transfer import first_level_of, fitting, rescale_subpixels  # noqa: E402

SMALL = {
    "fsrcnn": {"d": 8, "s": 4, "m": 1},
    "espcn": {"first": 8, "second": 6},
    "lapsrn": {"levels": [[1, 8], [1, 6]]},
    "edsr": {"blocks": 1, "width": 8},
}
CASES = [
    *((name, scale, SMALL[name]) for name in ("fsrcnn", "espcn", "edsr") for scale in (2, 3, 4)),
    *(("lapsrn", 2 << more, {"levels": [[1, 8]] * (more + 1)}) for more in range(3)),
]


@pytest.fixture
def data(tmp_path):
    """Two tiny prepared pictures at two scales."""
    random = np.random.default_rng(0)
    for scale in (3, 4):
        arrays = {}
        for number in range(2):
            high = resize_bicubic(random.integers(0, 256, (24, 30, 3), dtype=np.uint8), scale)
            arrays[f"hr_{number:04d}"] = high
            arrays[f"lr_{number:04d}"] = resize_bicubic(high, 1 / scale)
        for role in ("train", "validate"):
            np.savez(tmp_path / f"{role}_x{scale}.npz", **arrays)
    return tmp_path


def _settings(architecture="fsrcnn", **changes):
    values = {
        "name": "small",
        "architecture": architecture,
        "scale": 4 if architecture == "lapsrn" else 3,
        "arguments": SMALL[architecture],
        "steps": 6,
        "batch": 4,
        "patch": 12,
        "half_precision": False,
    }
    return Settings(**(values | changes))


@pytest.mark.parametrize(("architecture", "scale", "arguments"), CASES)
def test_the_plan_is_the_network(architecture, scale, arguments):
    """Folding training-time paths into the shipped graph changes no number."""
    torch.manual_seed(1)
    network = build(architecture, scale, arguments)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    picture = np.random.default_rng(2).random((3 if architecture == "edsr" else 1, 9, 7))
    gain = 127.5 if architecture == "edsr" else 1.0
    with torch.inference_mode():
        expected = network(torch.from_numpy(picture[None]).float())[0].numpy() * gain
    bound = (1e-4 if architecture == "espcn" else 2e-5) * gain
    np.testing.assert_allclose(run_plan(network.plan(), picture * gain), expected, atol=bound)


@pytest.mark.parametrize("architecture", SMALL)
def test_a_resumed_run_ends_like_an_uninterrupted_one(architecture, data, tmp_path):
    """Stopping after a checkpoint loses nothing: same weights, bit for bit."""
    torch.set_num_threads(1)
    whole = Run(_settings(architecture), data, tmp_path / "whole", None)
    whole.train(checkpoint_every=1e9, compiled=False)
    first = Run(_settings(architecture), data, tmp_path / "parts", None)
    for _ in range(3):
        first.advance(first.forward())
    first.checkpoint()
    second = Run(_settings(architecture), data, tmp_path / "parts", None)
    second.train(checkpoint_every=1e9, compiled=False)
    for name, value in whole.averaged.state_dict().items():
        assert torch.equal(value, second.averaged.state_dict()[name]), name


def test_every_stage_of_a_pyramid_is_trained():
    """The loss falls when only the smaller stage comes closer to the shrunk target."""
    target = torch.rand(2, 1, 16, 16)
    shrunk = torch.nn.functional.avg_pool2d(target, 2)
    settings = _settings("lapsrn")
    far = pyramid_loss(settings, 0, [shrunk + 0.5, target], target)
    near = pyramid_loss(settings, 0, [shrunk, target], target)
    assert float(near) < float(far)


def test_subpixels_move_to_another_scale():
    """Weights that change linearly over the output pixel are met exactly at the new places."""
    places = {s: (np.arange(s) + 0.5) / s - 0.5 for s in (2, 3, 4)}

    def tail(scale):
        y, x = np.meshgrid(places[scale], places[scale], indexing="ij")
        plane = (1.0 + 2.0 * y - 3.0 * x).reshape(-1, 1)
        return np.concatenate([plane, -plane, 2.0 * plane]).astype(np.float32)

    for scale in (2, 4):
        moved = rescale_subpixels(tail(3), channels=3, scale=scale)
        np.testing.assert_allclose(moved, tail(scale), atol=1e-6)


def test_only_what_fits_is_taken_over():
    """A layer of another width begins afresh; a tail of another scale is moved."""
    old = build("edsr", 3, {"blocks": 1, "width": 8}).state_dict()
    new = build("edsr", 2, {"blocks": 2, "width": 8}).state_dict()
    taken = fitting(old, new, channels=3, scale=2)
    assert set(taken) == {name for name in new if not name.startswith("blocks.1")}
    assert all(value.shape == new[name].shape for name, value in taken.items())
    wider = build("edsr", 2, {"blocks": 1, "width": 9}).state_dict()
    assert set(fitting(old, wider, channels=3, scale=2)) == {"tail.bias"}


def test_further_levels_begin_as_the_first():
    """LapSRN x4 from x2 does at once what x2 does twice; a narrower level begins afresh."""
    small = build("lapsrn", 2, {"levels": [[1, 8]]})
    torch.nn.init.normal_(small.levels[0].detail.weight, std=0.1)
    large = build("lapsrn", 4, {"levels": [[1, 8], [1, 8]]})
    large.load_state_dict(fitting(small.state_dict(), large.state_dict(), channels=1, scale=4))
    picture = torch.rand(1, 1, 5, 7)
    assert torch.equal(large(picture), small(small(picture)))
    other = build("lapsrn", 4, {"levels": [[1, 8], [1, 6]]}).state_dict()
    taken = fitting(small.state_dict(), other, channels=1, scale=4)
    assert taken
    assert not any(name.startswith("levels.1.") for name in taken)


def test_a_level_of_lapsrn_begins_as_edsr():
    """What EDSR makes of a grey picture, the level makes of its luma, away from the borders."""
    torch.manual_seed(3)
    edsr = build("edsr", 2, SMALL["edsr"])
    with torch.no_grad():
        for parameter in edsr.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    level = build("lapsrn", 2, {"levels": [[1, 8]]})
    level.load_state_dict(first_level_of(edsr.state_dict()), strict=False)
    luma = torch.rand(1, 1, 20, 20)
    mean = torch.tensor(EDSR_MEAN_BGR).view(1, 3, 1, 1)
    with torch.inference_mode():
        colours = edsr((luma * 255.0 - mean) / EDSR_RANGE) * EDSR_RANGE + mean
        expected = torch.einsum("nchw,c->nhw", colours, torch.tensor(FULL_RANGE_BGR)) / 255.0
        result = level(luma)[:, 0]
    inner = slice(12, -12)
    assert torch.allclose(result[:, inner, inner], expected[:, inner, inner], atol=1e-5)


def test_patches_belong_together_and_repeat(data):
    """Both halves of a pair show the same place; a step always gives the same batch."""
    source = PatchSource(data / "train_x3.npz", channels=1, scale=3, patch=8, seed=4)
    low, high = source.batch(11, 16)
    shrunk = torch.nn.functional.avg_pool2d(high, 3)
    assert float((shrunk - low).abs().mean()) < float((shrunk - low.flip(3)).abs().mean())
    assert torch.equal(low, source.batch(11, 16)[0])
    assert not torch.equal(low, source.batch(12, 16)[0])


def test_soap_solves_a_badly_scaled_problem():
    """A quadratic whose curvatures differ a thousandfold is solved in few steps."""
    torch.manual_seed(0)
    weight = torch.zeros(3, 8, requires_grad=True)
    target = torch.randn(3, 8)
    mix = torch.linalg.qr(torch.randn(8, 8))[0] @ torch.diag(torch.logspace(-1.5, 1.5, 8))
    optimiser = Soap([weight], 0.05)
    for step in range(400):
        optimiser.param_groups[0]["lr"] = 0.05 * (1 - step / 400)
        optimiser.zero_grad()
        (((weight - target) @ mix) ** 2).mean().backward()
        optimiser.step()
    assert float((weight - target).detach().abs().max()) < 0.05


def test_the_psnr_loss_counts_decibels_per_patch():
    """Halving the error of any one patch gains the same, however large the error was."""
    settings = _settings(loss="l1", psnr_from=10)
    zero = torch.zeros(2, 1, 4, 4)
    error = torch.stack([torch.full((1, 4, 4), 0.5), torch.full((1, 4, 4), 0.1)])
    before = loss_of(settings, 10, error, zero)
    for row in (0, 1):
        less = error.clone()
        less[row] /= 2
        gain = float(before - loss_of(settings, 10, less, zero))
        assert gain == pytest.approx(np.log(4) / 2, rel=0.01)
    assert float(loss_of(settings, 9, error, zero)) == pytest.approx(0.3)


def test_the_learning_rate_rises_and_falls():
    """Warm-up to the given rate, cosine down to its final share."""
    settings = _settings(steps=1000, warm_up=100, rate=0.01, final_rate=0.1)
    assert learning_rate(settings, 99) == pytest.approx(0.01)
    assert learning_rate(settings, 1000) == pytest.approx(0.001)
    assert learning_rate(settings, 550) == pytest.approx(0.0055)
