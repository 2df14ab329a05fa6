"""Looks at what a timed call made, after the clock was stopped: tokens, near ties, digests.

A greedy choice between two logits that differ by less than rounding is no choice: another order of
the same additions makes the other one. So each token comes with the id that is as good as it is,
where there is one. In prefill the logits of the timed call itself tell. In decoding they are gone,
for a loop keeps only tokens; the model as it is, not compiled, is then given the whole sequence at
once. Both arms are judged by it in the same way, and it sees no compiled code.

The same logits judge the tokens: each must be their greatest or tie with it. A sequence is weighed
with the tokens that were fed, so that one that went on from a tie can be judged to its end.
"""

from __future__ import annotations

import ctypes
import hashlib
from dataclasses import dataclass
from typing import Any

import torch

TIE_ULPS = {"float32": 64, "float16": 8, "bfloat16": 8}
"""Logits closer than this many units of rounding (eps of the dtype times the largest logit of the
position) count as tied.

A half-precision model adds in float32 and rounds what it stores: about 10 times a layer, 280 times
in 28 layers. Each rounding is off by 0.29 eps (uniform, standard deviation), so a logit is off by
0.29 sqrt(280) = 4.9 eps of the logits' deviation, and the difference of two logits, seen by two
programs, by twice that. Three deviations are 29 eps; the largest of 100,000 normal logits is 4.4
deviations, which makes it 6.6 eps of the largest logit: 8, rounded up. float32 also adds up in
float32, so that the order and the fusing of additions count inside each sum: eight times as many.
An id is excused only where it is the one runner-up that is as near; another model, whose choice is
another id out of the whole vocabulary, is not.
"""


def digest_of(tensor: torch.Tensor) -> str:
    """Return the first 32 hex digits of the SHA-256 of a tensor's bytes."""
    held = tensor.detach().cpu().contiguous()
    size = held.numel() * held.element_size()
    # Neither numpy nor a copy is needed for this.
    view = (ctypes.c_char * size).from_address(held.data_ptr()) if size else b""
    return hashlib.sha256(view).hexdigest()[:32]


LOGIT_ULPS = {"float32": 8192, "float16": 32, "bfloat16": 32}
"""Two programs of one model may differ by so many eps in the logits as a whole (root mean square of
the differences over that of the logits).

By the same count as above, rounding alone makes 7 eps in 28 layers and 12 in 80; 32 leaves room.
float32 may also be multiplied with inputs that were shortened (TF32 has fp16's 11 bits), so that
its tolerance is 1e-3. Weights that differ by a few per cent make several per cent in the logits,
even where every greedy token stays the same.
"""

_SAMPLED_LOGITS, _SAMPLED_SEQUENCES = 64, 8


@dataclass(frozen=True)
class Tolerance:
    """How near two logits must be to count as a tie: `relative` to the largest of the position.

    `logits` is how near the logits of two programs must be as a whole, relative to their size.
    """

    ulps: int
    relative: float
    logits: float

    @classmethod
    def of(cls, dtype: str) -> Tolerance:
        """Return the tolerance for a dtype of the model."""
        ulps = TIE_ULPS[dtype]
        eps = float(torch.finfo(getattr(torch, dtype)).eps)
        return cls(ulps, ulps * eps, LOGIT_ULPS[dtype] * eps)

    def facts(self) -> dict[str, object]:
        """Return it as the header states it."""
        statement = (
            f"two logits of one position tie when they differ by no more than {self.ulps} eps of "
            f"the dtype times the largest absolute logit of that position ({self.relative:.3g}); "
            "the logits of two arms agree when the root mean square of their differences is no "
            f"more than {self.logits:.3g} of that of the logits"
        )
        return {
            "ulps": self.ulps, "relative": self.relative, "logits": self.logits,
            "statement": statement,
        }  # fmt: skip


def sampled_logits(logits: torch.Tensor) -> list[list[float]]:
    """Return some logits of each sequence, evenly spaced over its positions and the vocabulary.

    Args:
        logits: of the last call of the model, (batch, positions, vocabulary).
    """
    whole = logits.flatten(1)[:_SAMPLED_SEQUENCES]
    count = min(_SAMPLED_LOGITS, whole.shape[1])
    # In whole numbers: the same places on every device and in every release.
    places = [place * whole.shape[1] // count for place in range(count)]
    chosen = whole[:, torch.tensor(places, device=whole.device)].float()
    return [[float(f"{value:.7g}") for value in sequence] for sequence in chosen.tolist()]


def weigh(
    logits: torch.Tensor, chosen: torch.Tensor, tolerance: Tolerance
) -> tuple[list[int | None], int | None]:
    """Judge tokens by logits: return the ties, and the first token that goes astray.

    A tie is the id that could as well have been chosen, None without one, for each token. A token
    is astray that is neither the greatest nor tied with it; it is counted through all sequences,
    None without one.

    Args:
        logits: of each position, (batch, positions, vocabulary).
        chosen: the greedy tokens, (batch, positions).
        tolerance: how near is near.
    """
    if chosen.numel() == 0:
        return [], None
    best = logits.topk(2, dim=-1).indices
    is_best = best[..., 0] == chosen
    other = torch.where(is_best, best[..., 1], best[..., 0])
    pair = logits.gather(-1, torch.stack((chosen, other), dim=-1)).float()
    gap = (pair[..., 0] - pair[..., 1]).abs()
    largest = torch.maximum(logits.amax(-1), -logits.amin(-1)).float()
    # False for every comparison with nan: what cannot be compared is no tie.
    near = gap <= tolerance.relative * largest
    strays = (~(is_best | near)).flatten().tolist()
    ids = zip(other.flatten().tolist(), near.flatten().tolist(), strict=True)
    ties = [int(token) if tie else None for token, tie in ids]
    return ties, strays.index(True) if any(strays) else None


def all_finite(logits: torch.Tensor) -> bool:
    """Tell whether none of them is inf or nan."""
    return bool(torch.isfinite(logits).all())


def facts_of(
    logits: torch.Tensor | None,
    tokens: torch.Tensor,
    weighed: torch.Tensor | None,
    tolerance: Tolerance,
) -> dict[str, Any]:
    """Put together what one call made, as its line of the result file says it.

    Args:
        logits: of the last call of the model; None where nothing was computed.
        tokens: greedy token ids, (batch, tokens).
        weighed: logits that these tokens and their ties are judged by; None without tokens.
        tolerance: how near two logits must be for a tie.
    """
    finite = logits is not None and all_finite(logits)
    ties, stray = ([], None) if weighed is None else weigh(weighed, tokens, tolerance)
    output = [int(token) for token in tokens.flatten().tolist()]
    return {
        "device": (tokens if logits is None else logits).device.type,
        "finite": finite,
        "tokens_made": len(output),
        "output": output,
        "ties": ties,
        "weighed": None if weighed is None else {"finite": all_finite(weighed), "stray": stray},
        "logits": None if logits is None else digest_of(logits),
        # JSON has neither inf nor nan.
        "sampled_logits": sampled_logits(logits) if logits is not None and finite else None,
    }
