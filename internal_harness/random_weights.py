"""Random weights from a seed: fast on every device, and the same in every release of torch.

Neither torch nor transformers promises that its own initialisation stays the same, and drawing
billions of numbers on a CPU takes minutes. Here one block of `PERIOD` integers is drawn from
torch's Mersenne Twister, and every matrix is filled from it, over and over: the parameters are laid
end to end in the order of their names, and element `n` of that line is element `n mod PERIOD` of
the block.

No two rows of a matrix are equal: rows `i` and `j` of width `w` begin (i - j) w elements apart,
PERIOD is prime and larger than w, so it divides that only where it divides i - j, and no matrix has
that many rows. Layers are not copies of each other for the same reason.

Weights are uniform with mean 0 and deviation 1/sqrt(fan in), so that every layer keeps the size of
what it is given and logits are well apart; norms are 1 and biases 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

PERIOD = 4_194_301
"""The largest prime below 2**22; 16 MiB of float32, which stay in a GPU's cache."""

_STEPS = 1 << 24
_DRAWING = frozenset({
    "normal_", "uniform_", "trunc_normal_", "kaiming_normal_", "kaiming_uniform_",
    "xavier_normal_", "xavier_uniform_",
})  # fmt: skip


class WithoutDrawing(TorchFunctionMode):  # type: ignore[misc]
    """While a model is built: its own initialisation draws nothing.

    Values that are to be overwritten are not worth the minutes that drawing them takes. Buffers
    are computed as always, for they are drawn from nothing.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Return the tensor as it is in place of drawing its values."""
        named = dict(kwargs or {})
        if getattr(func, "__name__", "") in _DRAWING:
            return args[0] if args else named["tensor"]
        return func(*args, **named)


def fill(model: torch.nn.Module, seed: int) -> None:
    """Give every parameter its value, where it lies and in its own type; shared ones once."""
    block = _draw(seed)
    scaled: dict[tuple[int, torch.dtype, torch.device], torch.Tensor] = {}
    transposed = set(_transposed(model))
    begin = 0
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.ndim < 2:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
                continue
            fan_in = parameter.shape[0] if name in transposed else parameter.shape[-1]
            key = (fan_in, parameter.dtype, parameter.device)
            if key not in scaled:
                scaled[key] = _scaled(block, *key)
            begin = _copy_from(scaled[key], parameter.view(-1), begin)


def _draw(seed: int) -> torch.Tensor:
    """Draw the block: whole numbers around 0, exact in float32, on the CPU."""
    drawn = torch.empty(PERIOD, dtype=torch.int32, device="cpu")
    drawn.random_(0, _STEPS, generator=torch.Generator().manual_seed(seed))
    return (drawn - _STEPS // 2).to(torch.float32)


def _scaled(
    block: torch.Tensor, fan_in: int, dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """Scale on the CPU, so that every device gets the same bits."""
    scale = (12.0 / fan_in) ** 0.5 / _STEPS
    return (block * scale).to(dtype).to(device)


def _copy_from(source: torch.Tensor, target: torch.Tensor, begin: int) -> int:
    """Fill a flat tensor from the endless repetition of `source`; return where the next begins."""
    done = 0
    while done < target.numel():
        count = min(PERIOD - begin, target.numel() - done)
        target[done : done + count].copy_(source[begin : begin + count])
        done += count
        begin = (begin + count) % PERIOD
    return begin


def _transposed(model: torch.nn.Module) -> Iterator[str]:
    """Name the weights whose fan-in is the first axis: those of GPT-2's Conv1D."""
    for name, module in model.named_modules():
        if type(module).__name__ == "Conv1D":
            yield f"{name}.weight"
