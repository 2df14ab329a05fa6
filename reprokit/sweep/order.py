"""The order of execution: rounds of processes, each round a new shuffle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from reprokit.plan import PlannedInvocation
from reprokit.records import Arm
from reprokit.stack import slug


@dataclass(frozen=True)
class Block:
    """What one process measures in every round: cells of one arm at one stack point.

    Attributes:
        key: what the cells have in common, in the adapter's words.
        cells: ids, one or more.
    """

    point: str
    arm: Arm
    key: str
    cells: list[str]


def interleaved(blocks: list[Block], rounds: int, seed: int) -> Iterator[PlannedInvocation]:
    """Order the launches in rounds, each a new shuffle, so that drift hits all points alike.

    The cells of one process follow each other, in an order of their own in every round.
    """
    order = Random(seed)  # noqa: S311 - an order, not a secret
    shuffled = list(blocks)
    for index in range(rounds):
        order.shuffle(shuffled)
        for block in shuffled:
            launch = _launch(block, index) if len(block.cells) > 1 else None
            cells = list(block.cells)
            if launch is not None:
                order.shuffle(cells)
            for cell in cells:
                yield PlannedInvocation(
                    id=f"{block.point}__{cell}__{block.arm}__{index:02d}",
                    point=block.point,
                    cell=cell,
                    arm=block.arm,
                    index=index,
                    launch=launch,
                )


def _launch(block: Block, index: int) -> str:
    name = slug({"process": block.key}, empty="process")
    return f"{block.point}__{name}__{block.arm}__{index:02d}"
