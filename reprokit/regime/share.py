"""What share of the memory's ceiling a decoding model uses (MBU), claimed and measured.

MBU = bytes per token x tokens per second / ceiling. Two ceilings: the copy that this very GPU was
measured to do, and the bandwidth that its maker publishes. A claim's GPU is not here to be
measured, so that claim and measurement are compared by the published ones, like with like. What is
read beside the weights (the KV cache) is not counted, in both alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from pydantic import Field

from reprokit.records import Record, Row
from reprokit.regime.gpus import names_gpu, published_gbps

LEAST_KEPT = 0.5
"""Below this part of the claimed share the code does not do on this hardware what it did there."""


class BandwidthShare(Record):
    """Shares of the memory's ceiling at one point; None has its reason in `unknown`.

    Attributes:
        bytes_per_token: that must be read for one token.
        tokps, claimed_tokps: tokens per second; medians of ok subject rows, and the claim's.
        copy_gbps: measured ceiling of this GPU, in 10^9 bytes per second read and written.
        peak_gbps, claimed_peak_gbps: published ceilings of this GPU and the claim's.
        mbu: measured rate over the measured ceiling.
        mbu_of_peak: measured rate over the published ceiling of this GPU.
        claimed_mbu_of_peak: claimed rate over the published ceiling of the claim's GPU.
        kept: the part of the claimed share that is kept here, by the published ceilings.
    """

    bytes_per_token: float | None = None
    tokps: float | None = None
    claimed_tokps: float | None = None
    copy_gbps: float | None = None
    peak_gbps: float | None = None
    claimed_peak_gbps: float | None = None
    mbu: float | None = None
    mbu_of_peak: float | None = None
    claimed_mbu_of_peak: float | None = None
    kept: float | None = None
    unknown: dict[str, str] = Field(default_factory=dict)


def bandwidth_share(
    rows: Sequence[Row],
    *,
    batch: int,
    claimed_tokps: float | None,
    claimed_gpu: str | None,
    claimed_power_w: float | None,
) -> BandwidthShare | None:
    """Put the shares together; None where the rows are of no GPU.

    Args:
        rows: ok rows of the subject that decode.
        batch: sequences that one step reads the weights for.
        claimed_tokps: None where the claim states no rate of tokens.
        claimed_gpu: the GPU that the claim names.
        claimed_power_w: the power limit that it names.
    """
    seen = [row.gpu for row in rows if row.gpu is not None]
    if not seen:
        return None
    rates = [row.values["tokps"] for row in rows if "tokps" in row.values]
    tokps = median(rates) if rates else None
    size = bytes_per_token(rows, batch)
    copies = [each.copy_gbps for each in seen if each.copy_gbps is not None]
    copied = median(copies) if copies else None
    here = published_gbps(seen[0].name, seen[0].power_limit_w)
    there = published_gbps(claimed_gpu, claimed_power_w)
    if claimed_gpu and seen[0].name and names_gpu(claimed_gpu, seen[0].name):
        there = here
    told = (
        ("tokps", tokps is None, "no row has a rate of tokens"),
        ("bytes_per_token", size is None, "the benchmark does not say what a token reads"),
        ("copy_gbps", copied is None, "the copy was not measured in this run"),
        ("claimed_tokps", claimed_tokps is None, "the claim states no rate of tokens"),
        ("peak_gbps", isinstance(here, str), str(here)),
        ("claimed_peak_gbps", isinstance(there, str), str(there)),
    )
    here_gbps = None if isinstance(here, str) else here
    there_gbps = None if isinstance(there, str) else there
    mbu_of_peak = _share(size, tokps, here_gbps)
    claimed = _share(size, claimed_tokps, there_gbps)
    return BandwidthShare(
        bytes_per_token=size, tokps=tokps, claimed_tokps=claimed_tokps, copy_gbps=copied,
        peak_gbps=here_gbps, claimed_peak_gbps=there_gbps,
        mbu=_share(size, tokps, copied), mbu_of_peak=mbu_of_peak, claimed_mbu_of_peak=claimed,
        kept=mbu_of_peak / claimed if mbu_of_peak is not None and claimed else None,
        unknown={name: why for name, missing, why in told if missing},
    )  # fmt: skip


def bytes_per_token(rows: Sequence[Row], batch: int) -> float | None:
    """Return what must be read for one token: by the benchmark's own figures, else by its floor.

    A benchmark that prints a bandwidth has divided it by its tokens per second; the internal
    harness counts the weights that one step reads.
    """
    printed = [
        1e9 * row.values["bandwidth_gbps"] / row.values["tokps"]
        for row in rows
        if row.values.get("tokps") and "bandwidth_gbps" in row.values
    ]
    if printed:
        return median(printed)
    floors = [row.evidence.extra.get("floor") for row in rows]
    steps = [each.get("bytes") for each in floors if isinstance(each, dict)]
    sizes = [float(each) for each in steps if isinstance(each, int | float) and each > 0]
    return median(sizes) / batch if sizes else None


def _share(size: float | None, tokps: float | None, gbps: float | None) -> float | None:
    if size is None or tokps is None or not gbps:
        return None
    return size * tokps / (gbps * 1e9)
