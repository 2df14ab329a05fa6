"""Both indices per cell, over all stack points or along one axis with the others held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reprokit.records import Scalar
from reprokit.robustness.index import cri
from reprokit.robustness.published import cri_d_of
from reprokit.robustness.records import Bands, CellRobustness
from reprokit.robustness.runs import PointRuns

Setting = tuple[tuple[str, Scalar], ...]


def robustness_of(
    metric: str,
    cells: Mapping[str, Sequence[PointRuns]],
    positions: Mapping[str, Mapping[str, Scalar]],
    axis: str | None = None,
    *,
    bands: Bands | None = None,
    level: float = 0.95,
) -> tuple[CellRobustness, ...]:
    """Compute the indices of every cell, and of every setting of the other axes.

    Args:
        metric: of the rows.
        cells: cell to what was measured at each point; cells are never pooled.
        positions: point to its labels on the stack axes, the code's (`sha`) among them.
        axis: the axis along which points are compared, holding the others; None compares all
            points of a cell. Points without a label on it are left out.
        bands: classes by ratio.
        level: of the simultaneous interval, within one set of points.
    """
    found = []
    for cell, points in cells.items():
        for held, members in _sets(points, positions, axis).items():
            found.append(
                CellRobustness(
                    cell=cell,
                    axis=axis,
                    held=dict(held),
                    points=tuple(each.point for each in members),
                    cri=cri(metric, members, bands=bands, level=level),
                    cri_d=cri_d_of(metric, members),
                )
            )
    return tuple(found)


def _sets(
    points: Sequence[PointRuns],
    positions: Mapping[str, Mapping[str, Scalar]],
    axis: str | None,
) -> dict[Setting, list[PointRuns]]:
    """Put points together that differ in the axis alone."""
    sets: dict[Setting, list[PointRuns]] = {}
    for each in points:
        labels = positions.get(each.point, {})
        if axis is None:
            sets.setdefault((), []).append(each)
        elif axis in labels:
            held = tuple(sorted((name, value) for name, value in labels.items() if name != axis))
            sets.setdefault(held, []).append(each)
    return sets
