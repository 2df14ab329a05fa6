"""Noise of the values at several points, by the processes that it comes from.

Points share noise where a process measured two of them, or a baseline serves several. Errors are
therefore kept by process: the covariance of two points is the sum of the products of what each
process adds to either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reprokit.stats.sample import FloatArray

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class NoiseSample:
    """What the processes of one arm add to the error of one point.

    Attributes:
        processes: names; a process that also measured another point, or another arm, has the same
            name there.
        deviations: weight (m_i - mean m) / sqrt(k (k - 1)), signed as the arm enters the value;
            their squares add up to the variance that the arm contributes.
    """

    processes: tuple[str, ...]
    deviations: tuple[float, ...]


class PointNoise:
    """Deviations of all points, put in order by process.

    A source is a set of processes that were averaged together: independent of all other sources,
    with one degree of freedom fewer than it has processes.
    """

    def __init__(self, points: Sequence[Sequence[NoiseSample]]) -> None:
        parents: dict[str, str] = {}
        sizes: dict[str, int] = {}
        by_process: dict[str, dict[int, float]] = {}
        for point, samples in enumerate(points):
            for sample in samples:
                first = _root(parents, sample.processes[0])
                for name, deviation in zip(sample.processes, sample.deviations, strict=True):
                    parents[_root(parents, name)] = first
                    mine = by_process.setdefault(name, {})
                    mine[point] = mine.get(point, 0.0) + deviation
        for samples in points:
            for sample in samples:
                root = _root(parents, sample.processes[0])
                df = len(sample.processes) - 1
                sizes[root] = min(df, sizes.get(root, df))
        sources = {root: source for source, root in enumerate(sizes)}
        self._df = np.array([max(1, df) for df in sizes.values()], dtype=np.float64)
        single: list[tuple[int, int, float]] = []
        self._several: list[tuple[int, IntArray, FloatArray]] = []
        for name, found in by_process.items():
            source = sources[_root(parents, name)]
            if len(found) == 1:
                single += [(source, *item) for item in found.items()]
            else:
                at = np.array(list(found), dtype=np.int64)
                self._several.append((source, at, np.array(list(found.values()))))
        self._source = np.array([each[0] for each in single], dtype=np.int64)
        self._point = np.array([each[1] for each in single], dtype=np.int64)
        self._deviation = np.array([each[2] for each in single], dtype=np.float64)

    def through(self, diagonal: FloatArray, block: Callable[[IntArray], FloatArray]) -> FloatArray:
        """Return the noise that a projection lets through, by source.

        Args:
            diagonal: of the projection, one entry per point.
            block: its entries among some points, by their indices.
        """
        alone = self._deviation**2 * diagonal[self._point]
        found = np.bincount(self._source, alone, self._df.size)
        for source, at, deviations in self._several:
            found[source] += float(deviations @ block(at) @ deviations)
        return np.asarray(found, dtype=np.float64)

    def along(self, direction: FloatArray) -> float:
        """Variance of the values' noise along a direction, times its squared length."""
        return float(sum(self._squares(direction)))

    def _squares(self, direction: FloatArray) -> Iterator[float]:
        yield float(((self._deviation * direction[self._point]) ** 2).sum())
        for _, at, deviations in self._several:
            yield float(deviations @ direction[at]) ** 2

    def degrees(self, noise: FloatArray) -> float:
        """Degrees of freedom of a sum over the sources (Satterthwaite 1946)."""
        total = float(noise.sum())
        if total <= 0.0:
            return float(self._df.sum())
        shares = noise / total
        return float(1.0 / (shares**2 / self._df).sum())


def _root(parents: dict[str, str], name: str) -> str:
    """Find the process that stands for all those which were averaged with this one."""
    while (parent := parents.setdefault(name, name)) != name:
        name = parent
    return name
