"""What stages tell an observer while they work; they never print themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["prepare", "run", "score", "report"]


@dataclass(frozen=True)
class Event:
    """One step of a stage.

    Attributes:
        stage: the stage that reports.
        subject: the point or invocation it concerns.
        text: what is happening, in a few words.
        done: steps finished in this stage, `total` of them planned; None where it is no counter.
        outcome: set when the step ended: "ok", or the status or code it ended with.
    """

    stage: Stage
    subject: str
    text: str
    done: int | None = None
    total: int | None = None
    outcome: str | None = None


Observer = Callable[[Event], None]


def nobody(_event: Event) -> None:
    """Observe nothing."""
