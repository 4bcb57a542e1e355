"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner.

N. Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam", 2024 (arXiv 2409.11321).
Networks this small are badly conditioned and their layers tiny, so the rotation costs little and
saves many steps. Biases and slopes get plain Adam.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class Soap(Optimizer):
    """SOAP for weights, seen as ``(out, in * k * k)`` matrices; Adam for vectors."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 3e-3,
        *,
        betas: tuple[float, float] = (0.95, 0.95),
        shampoo_beta: float = 0.95,
        refresh: int = 10,
        largest_side: int = 600,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "shampoo_beta": shampoo_beta,
            "refresh": refresh,
            "largest_side": largest_side,
        }
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Apply one update; ``closure`` is not supported."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        assert parameter.grad is not None
        gradient = parameter.grad.reshape(parameter.shape[0], -1).float()
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["mean"] = torch.zeros_like(gradient)
            state["square"] = torch.zeros_like(gradient)
            if parameter.ndim > 1:
                for side, length in zip("lr", gradient.shape, strict=True):
                    if length <= group["largest_side"]:
                        state[f"{side}_moment"] = torch.zeros(length, length)
        self._observe(gradient, state, group)
        first = state["step"] == 0
        state["step"] += 1
        if first:
            return
        beta1, beta2 = group["betas"]
        count = state["step"] - 1
        state["mean"].lerp_(gradient, 1 - beta1)
        rotated = self._rotate(gradient, state)
        state["square"].lerp_(rotated * rotated, 1 - beta2)
        mean = self._rotate(state["mean"], state) / (1 - beta1**count)
        square = state["square"] / (1 - beta2**count)
        move = self._rotate(mean / (square.sqrt() + 1e-8), state, back=True)
        parameter.sub_(move.reshape(parameter.shape), alpha=group["lr"])

    @staticmethod
    def _observe(gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Update both Kronecker factors and, now and then, their eigenbases."""
        for side, product in (("l", gradient @ gradient.T), ("r", gradient.T @ gradient)):
            moment = state.get(f"{side}_moment")
            if moment is None:
                continue
            moment.lerp_(product, 1 - group["shampoo_beta"])
            if state["step"] == 0:
                state[f"{side}_basis"] = torch.linalg.eigh(moment)[1].flip(1)
            elif state["step"] % group["refresh"] == 0:
                basis = state[f"{side}_basis"]
                turned = moment @ basis
                order = torch.argsort((basis * turned).sum(0), descending=True)
                state["square"] = (
                    state["square"][order] if side == "l" else state["square"][:, order]
                )
                state[f"{side}_basis"] = torch.linalg.qr(turned[:, order])[0]

    @staticmethod
    def _rotate(matrix: Tensor, state: dict[str, Any], *, back: bool = False) -> Tensor:
        left, right = state.get("l_basis"), state.get("r_basis")
        if left is not None:
            matrix = (left if back else left.T) @ matrix
        if right is not None:
            matrix = matrix @ (right.T if back else right)
        return matrix
