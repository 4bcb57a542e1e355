"""Train one network; run again to resume.

    python -m srtrain.train configs/fsrcnn_x3.yaml --data $SCRATCH/data --runs $SCRATCH/runs

Leaves in ``RUNS/NAME``: ``state.pt`` (resume), ``best.pt`` (best validation so far), ``log.jsonl``.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format

from srtrain.architectures import build
from srtrain.colour import FULL_RANGE_BGR
from srtrain.laplacian import LapSrn
from srtrain.patches import PatchSource
from srtrain.settings import Settings, read_settings
from srtrain.soap import Soap
from srtrain.transfer import first_level_of, fitting
from srtrain.validate import Validation

LOG_EVERY = 100
PAUSE_CHECK_EVERY = 5
PSNR_FLOOR = 2e-5
"""About the square of one 8-bit level; keeps flat patches from ruling the loss."""
STAGE_WEIGHT = 0.3
"""Weight of the loss of a pyramid's smaller stages."""
Forward = Callable[[Tensor], Tensor | list[Tensor]]


def learning_rate(settings: Settings, step: int) -> float:
    """Linear warm-up, then cosine from ``rate`` to ``rate * final_rate``."""
    if step < settings.warm_up:
        return settings.rate * (step + 1) / settings.warm_up
    done = (step - settings.warm_up) / max(1, settings.steps - settings.warm_up)
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
    return settings.rate * (settings.final_rate + (1.0 - settings.final_rate) * cosine)


def loss_of(settings: Settings, step: int, output: Tensor, target: Tensor) -> Tensor:
    """Return the training loss of a batch at a step.

    ``l1``: mean absolute error. ``psnr``: mean over patches of the logarithm of the patch's mean
    square error, which is what the scores measure up to a factor; ``PSNR_FLOOR`` is added to it.
    """
    error = output - target
    planes = [(error, 1.0)]
    if settings.luma_weight and error.shape[1] == 3:
        luma = torch.einsum("nchw,c->nhw", error, torch.tensor(FULL_RANGE_BGR))
        planes.append((luma, settings.luma_weight))
    late = settings.psnr_from is not None and step >= settings.psnr_from
    if late or settings.loss == "psnr":
        return sum_of(
            w * (e.square().flatten(1).mean(1) + PSNR_FLOOR).log().mean() for e, w in planes
        )
    return sum_of(w * e.abs().mean() for e, w in planes)


def pyramid_loss(settings: Settings, step: int, stages: list[Tensor], target: Tensor) -> Tensor:
    """Return the loss of the last stage, and a share of those of the smaller ones before it.

    Their targets are the target shrunk by antialiased bicubic, as LapSRN's are.
    """
    terms = [loss_of(settings, step, stages[-1].float(), target)]
    for stage in stages[:-1]:
        size = (stage.shape[-2], stage.shape[-1])
        shrunk = functional.interpolate(target, size, mode="bicubic", antialias=True)
        terms.append(STAGE_WEIGHT * loss_of(settings, step, stage.float(), shrunk))
    return sum_of(terms)


def sum_of(terms: Iterable[Tensor]) -> Tensor:
    """Return the sum of at least one tensor."""
    return torch.stack(list(terms)).sum()


class Run:
    """A resumable training run in its folder."""

    def __init__(self, settings: Settings, data: Path, runs: Path, pause_file: Path | None) -> None:
        self.settings, self.folder, self.pause_file = settings, runs / settings.name, pause_file
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(settings.seed)
        self.network = build(settings.architecture, settings.scale, settings.arguments)
        if settings.start_from:
            self._take_over(runs / settings.start_from / "best.pt")
        convert_conv2d_weight_memory_format(self.network, torch.channels_last)
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        self.optimiser = self._make_optimiser(self.network.parameters())
        self.step, self.seconds, self.best = 0, 0.0, -math.inf
        if (self.folder / "state.pt").exists():
            self._resume()
        scale, channels = settings.scale, settings.channels
        self.source = PatchSource(
            data / f"train_{settings.data}.npz",
            channels=channels,
            scale=scale,
            patch=settings.patch,
            seed=settings.seed,
        )
        held_out = data / f"validate_{settings.data}.npz"
        self.validation = Validation(held_out, channels=channels, scale=scale)

    def _make_optimiser(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        if self.settings.optimiser == "soap":
            return Soap(parameters, self.settings.rate)
        return torch.optim.Adam(parameters, self.settings.rate, betas=(0.9, 0.99))

    def _take_over(self, path: Path) -> None:
        """Begin with the best weights of another run, as far as they fit."""
        old = torch.load(path, weights_only=True)["weights"]
        new = self.network.state_dict()
        if self.settings.architecture == "lapsrn" and "head.weight" in old:
            old = first_level_of(old)
        channels, scale = self.settings.channels, self.settings.scale
        self.network.load_state_dict(new | fitting(old, new, channels=channels, scale=scale))

    def _resume(self) -> None:
        state: dict[str, Any] = torch.load(self.folder / "state.pt", weights_only=True)
        self.network.load_state_dict(state["weights"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds, self.best = state["step"], state["seconds"], state["best"]

    def _save(self, name: str, content: dict[str, Any]) -> None:
        staged = self.folder / f"{name}.new"
        torch.save(content, staged)
        staged.replace(self.folder / name)

    def _log(self, **record: Any) -> None:
        line = json.dumps({"step": self.step, "seconds": round(self.seconds, 1), **record})
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")
        print(line, flush=True)

    def checkpoint(self) -> None:
        """Validate the averaged weights, keep them if best, and save the state."""
        scores = self.validation.score(self.averaged)
        self._log(validation=scores)
        if scores["mean"] > self.best:
            self.best = scores["mean"]
            weights = self.averaged.state_dict()
            self._save("best.pt", {"weights": weights, "step": self.step, "scores": scores})
        self._save(
            "state.pt",
            {
                "weights": self.network.state_dict(),
                "averaged": self.averaged.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "step": self.step,
                "seconds": self.seconds,
                "best": self.best,
            },
        )

    def _pause(self) -> None:
        while self.pause_file and self.pause_file.exists():
            time.sleep(2.0)

    def forward(self) -> Forward:
        """Return what is trained: the network, or all stages of a pyramid."""
        return self.network.pyramid if isinstance(self.network, LapSrn) else self.network

    def advance(self, forward: Forward) -> Tensor:
        """Make one optimiser step and return its loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.settings, self.step)
        low, high = self.source.batch(self.step, self.settings.batch)
        low = low.contiguous(memory_format=torch.channels_last)
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.settings.half_precision):
            output = forward(low)
        stages = output if isinstance(output, list) else [output]
        loss = pyramid_loss(self.settings, self.step, stages, high)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.step += 1
        decay = min(self.settings.average, self.step / (self.step + 10.0))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.averaged.parameters()), list(self.network.parameters()), 1.0 - decay
            )
        return loss.detach()

    def train(self, *, checkpoint_every: float, compiled: bool) -> None:
        """Run to the last step, logging and checkpointing on the way."""
        forward = self.forward()
        if compiled:
            forward = torch.compile(forward)
        losses: list[Tensor] = []
        saved = self.seconds
        while self.step < self.settings.steps:
            if self.step % PAUSE_CHECK_EVERY == 0:
                self._pause()
            started = time.monotonic()
            losses.append(self.advance(forward))
            self.seconds += time.monotonic() - started
            if self.step % LOG_EVERY == 0:
                mean = float(torch.stack(losses).mean())
                losses.clear()
                rate = learning_rate(self.settings, self.step)
                self._log(loss=round(mean, 7), rate=round(rate, 8))
            if self.seconds - saved >= checkpoint_every:
                saved = self.seconds
                self.checkpoint()
        self.checkpoint()


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--checkpoint-every", type=float, default=240.0, help="seconds")
    parser.add_argument("--pause-file", type=Path, help="sleep for as long as this file exists")
    parser.add_argument("--compile", action="store_true", help="use torch.compile (needs g++)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    run = Run(read_settings(options.settings), options.data, options.runs, options.pause_file)
    run.train(checkpoint_every=options.checkpoint_every, compiled=options.compile)


if __name__ == "__main__":
    main()
