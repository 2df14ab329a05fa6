"""The prompts: one of its own for every iteration, all of one shape.

A call that hands back what an earlier one computed is found out by its output, for the input was
another. Both arms draw the same prompts: they depend on the seed and the iteration alone.
"""

from __future__ import annotations

import torch
from outputs import digest_of
from spec import Spec


class Prompts:
    """Draws the prompts of one cell; iterations count from 0, untimed ones first."""

    def __init__(self, spec: Spec, vocabulary: int) -> None:
        length = spec.token_len if spec.phase == "prefill" else spec.prompt_len
        self._shape = (spec.batch, length)
        self._seed, self._vocabulary, self._device = spec.seed, vocabulary, spec.device
        self._drawn = 0

    def next(self) -> tuple[torch.Tensor, str]:
        """Return the next prompt on the device, (batch, length) token ids, and its digest."""
        # Drawn as integers on the CPU: the same on every device and in every release of torch.
        generator = torch.Generator().manual_seed(self._seed + self._drawn)
        self._drawn += 1
        drawn = torch.empty(self._shape, dtype=torch.int64)
        drawn.random_(0, self._vocabulary, generator=generator)
        return drawn.to(self._device), digest_of(drawn)
