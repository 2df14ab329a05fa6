"""Points on a grid of axes: the space of each term, and the noise that falls into it.

A term is a main effect or the interaction of two axes. Every point has one value and its own noise,
so a grid without gaps is balanced: its terms are orthogonal, and their sums of squares add up. With
points missing they are not, and a term's sum of squares depends on what it is compared with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Final

import numpy as np
from scipy import linalg

from reprokit.records import Scalar
from reprokit.stats.point_noise import IntArray, NoiseSample, PointNoise
from reprokit.stats.sample import FloatArray

Term = tuple[str, ...]
"""Names of one axis (main effect) or of two (their interaction)."""

MOST_COLUMNS: Final = 160
"""Of an incomplete grid's model; beyond it interactions are left to the rest."""
# Relative square of a column's length below which it, or a part of it, is rounding.
_RANK: Final = 1e-10


@dataclass(frozen=True)
class PointValue:
    """One point: its labels on the axes, its log ratio, and where the noise of that comes from."""

    at: Mapping[str, Scalar]
    value: float
    noise: tuple[NoiseSample, ...]


@dataclass(frozen=True)
class Space:
    """A term's space among the points: `projected` is the values' part that lies in it.

    Attributes:
        noise: expected noise in the sum of squares, by independent source.
    """

    df: int
    projected: FloatArray
    noise: FloatArray

    @property
    def squares(self) -> float:
        """Sum of squares, noise included."""
        return float(self.projected @ self.projected)

    def without(self, part: Space) -> Space:
        """Return what is left beside a part of it."""
        return Space(self.df - part.df, self.projected - part.projected, self.noise - part.noise)


class Grid:
    """The points on those axes along which they differ.

    Attributes:
        axes: names, in the order given.
        complete: every combination of the labels that occur has its point.
        sizes: number of labels by axis.
    """

    def __init__(self, points: Sequence[PointValue], axes: Sequence[str]) -> None:
        self._codes: dict[str, IntArray] = {}
        self.sizes: dict[str, int] = {}
        for axis in axes:
            labels = {label: code for code, label in enumerate(dict.fromkeys(
                point.at.get(axis) for point in points
            ))}  # fmt: skip
            if len(labels) > 1:
                self.sizes[axis] = len(labels)
                self._codes[axis] = np.array(
                    [labels[point.at.get(axis)] for point in points], dtype=np.int64
                )
        self.axes = tuple(self.sizes)
        self.values = np.array([point.value for point in points], dtype=np.float64)
        self.size = len(points)
        self.complete = self.size == math.prod(self.sizes.values())
        self._noise = PointNoise([point.noise for point in points])

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """Main effects, then interactions of two axes."""
        return (*((axis,) for axis in self.axes), *combinations(self.axes, 2))

    def degrees(self, term: Term) -> int:
        """Degrees of freedom of a term in a grid without gaps."""
        return math.prod(self.sizes[axis] - 1 for axis in term)

    def total(self) -> Space:
        """Everything but the mean."""
        noise = self._noise.through(
            np.full(self.size, 1.0 - 1.0 / self.size),
            lambda at: np.eye(at.size) - 1.0 / self.size,
        )
        return Space(self.size - 1, self.values - self.values.mean(), noise)

    def balanced(self, term: Term) -> Space:
        """Return a term's space in a grid without gaps."""
        df = self.degrees(term)
        noise = self._noise.through(
            np.full(self.size, df / self.size), lambda at: self._balanced_block(term, at)
        )
        projected = np.zeros(self.size)
        for kept in range(len(term) + 1):
            for axes in combinations(term, kept):
                projected += (-1.0) ** (len(term) - kept) * self._means(axes)
        return Space(df, projected, noise)

    def spanned(self, term: Term, given: Sequence[Term]) -> Space:
        """Return what a modelled term adds to the mean and some others, gaps or not."""
        model = self._model
        own, base = model.columns[:, model.places[term]], model.at([(), *given])
        products = model.products[np.ix_(base, model.places[term])]
        shared = _solve(model.products[np.ix_(base, base)], products)
        q = _orthonormal(own - model.columns[:, base] @ shared, float((own**2).sum()))
        noise = self._noise.through(
            np.einsum("ij,ij->i", q, q), lambda at: np.asarray(q[at] @ q[at].T)
        )
        return Space(q.shape[1], q @ (q.T @ self.values), noise)

    def left(self) -> Space:
        """Return what no modelled term holds, gaps or not."""
        q = _orthonormal(self._model.columns)
        noise = self._noise.through(
            1.0 - np.einsum("ij,ij->i", q, q),
            lambda at: np.asarray(np.eye(at.size) - q[at] @ q[at].T),
        )
        return Space(self.size - q.shape[1], self.values - q @ (q.T @ self.values), noise)

    def modelled(self) -> tuple[Term, ...]:
        """Terms that a model of an incomplete grid holds: the main effects, and what else fits."""
        mains = tuple((axis,) for axis in self.axes)
        every = sum(map(self.degrees, self.terms))
        return self.terms if every <= MOST_COLUMNS else mains

    def degrees_of_noise(self, noise: FloatArray) -> float:
        """Degrees of freedom of an estimate of noise (Satterthwaite 1946)."""
        return self._noise.degrees(noise)

    def variance_along(self, direction: FloatArray) -> float:
        """Variance of the values' noise along a direction of any length above 0."""
        return self._noise.along(direction) / float(direction @ direction)

    def _means(self, axes: Sequence[str]) -> FloatArray:
        """Return the mean over all other axes, at every point."""
        code: IntArray = np.zeros(self.size, dtype=np.int64)
        for axis in axes:
            code = code * self.sizes[axis] + self._codes[axis]
        sums = np.bincount(code, self.values)
        return np.asarray((sums / np.maximum(np.bincount(code), 1))[code], dtype=np.float64)

    def _balanced_block(self, term: Term, at: IntArray) -> FloatArray:
        """Entries of the projection among some points: a product over the axes."""
        block = np.ones((at.size, at.size))
        for axis in self.axes:
            share = 1.0 / self.sizes[axis]
            if axis in term:
                code = self._codes[axis][at]
                block *= (code[:, np.newaxis] == code) - share
            else:
                block *= share
        return block

    @cached_property
    def _model(self) -> _Model:
        """Columns of a model: indicators of all labels but the first, and their products."""
        found: list[FloatArray] = []
        places: dict[Term, IntArray] = {}
        width = 0
        for term in ((), *self.modelled()):
            columns = np.ones((self.size, 1))
            for axis in term:
                labels = np.arange(1, self.sizes[axis])
                indicators = (self._codes[axis][:, np.newaxis] == labels).astype(np.float64)
                columns = (columns[:, :, np.newaxis] * indicators[:, np.newaxis, :]).reshape(
                    self.size, -1
                )
            found.append(columns)
            places[term] = np.arange(width, width + columns.shape[1])
            width += columns.shape[1]
        every = np.concatenate(found, axis=1)
        return _Model(every, every.T @ every, places)


@dataclass(frozen=True)
class _Model:
    """Columns of all terms of a model, and their products with each other."""

    columns: FloatArray
    products: FloatArray
    places: dict[Term, IntArray]

    def at(self, terms: Sequence[Term]) -> IntArray:
        """Return the columns of some terms."""
        return np.concatenate([self.places[term] for term in terms])


def _solve(products: FloatArray, right: FloatArray) -> FloatArray:
    """Solve the normal equations; where columns say the same, by the shortest solution."""
    try:
        factor, lower = linalg.cho_factor(products)
    except linalg.LinAlgError:
        return np.asarray(np.linalg.pinv(products, rcond=_RANK, hermitian=True) @ right)
    if float((np.diag(factor) ** 2).min()) <= _RANK * float(np.diag(products).max()):
        return np.asarray(np.linalg.pinv(products, rcond=_RANK, hermitian=True) @ right)
    return np.asarray(linalg.cho_solve((factor, lower), right))


def _orthonormal(columns: FloatArray, scale: float | None = None) -> FloatArray:
    """Return an orthonormal basis of the columns; what is rounding beside `scale` is none.

    By their products: columns of indicators are far from the limits of a double.
    """
    if columns.shape[1] == 0:
        return columns
    squares, turned = np.linalg.eigh(columns.T @ columns)
    kept = squares > _RANK * (scale or float(squares[-1]) or 1.0)
    return np.asarray(columns @ (turned[:, kept] / np.sqrt(squares[kept])))
