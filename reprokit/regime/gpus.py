"""GPUs by name, and the memory bandwidth that their maker publishes for them."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Words in a device's name that make it another product than the name without them.
_VARIANTS = frozenset({
    "ti", "super", "laptop", "mobile", "max", "q", "d", "mig", "ada", "pro", "grid",
})  # fmt: skip
_SLICE = re.compile(r"\d+[abcq]")
"""End of the name of a virtual GPU ("A40-24Q"): a part of one, with that many GB."""
_IMPLIED = (
    ({"h100", "hbm3"}, "", {"sxm5"}),
    ({"h200"}, "nvl", {"sxm5"}),
    ({"h200"}, "", {"141gb"}),
)
"""Words of a driver's name, one that it must not have, and what it leaves out and people write."""
_POWER_SLACK = 1.01


@dataclass(frozen=True)
class Published:
    """A product as its datasheet has it.

    Attributes:
        gbps: peak bandwidth of the memory in 10^9 bytes per second.
        most_w: the highest power limit that it can have.
    """

    name: str
    gbps: float
    most_w: float


PUBLISHED = (
    Published("A10", 600, 150),
    Published("A100-PCIE-40GB", 1555, 250),
    Published("A100-SXM4-40GB", 1555, 400),
    Published("A100 80GB PCIe", 1935, 300),
    Published("A100-SXM4-80GB", 2039, 400),
    Published("A30", 933, 165),
    Published("A40", 696, 300),
    Published("B200", 8000, 1000),
    Published("H100 80GB HBM3", 3350, 700),
    Published("H100 PCIe 80GB", 2000, 350),
    Published("H100 NVL 94GB", 3900, 400),
    Published("H200", 4800, 700),
    Published("H200 NVL", 4800, 600),
    Published("L4", 300, 72),
    Published("L40", 864, 300),
    Published("L40S", 864, 350),
    Published("RTX 3090", 936, 350),
    Published("RTX 3090 Ti", 1008, 450),
    Published("RTX 4080", 717, 320),
    Published("RTX 4080 Laptop GPU", 432, 150),
    Published("RTX 4090", 1008, 450),
    Published("RTX 4090 Laptop GPU", 576, 150),
    Published("RTX 5090", 1792, 575),
    Published("RTX 6000 Ada Generation", 960, 300),
    Published("RTX A6000", 768, 300),
    Published("T4", 300, 70),
    Published("V100-PCIE-16GB", 900, 250),
    Published("V100-PCIE-32GB", 900, 250),
    Published("V100-SXM2-16GB", 900, 300),
    Published("V100-SXM2-32GB", 900, 300),
)
"""From the datasheets of NVIDIA; a product that is not here has no published ceiling."""


def names_gpu(claimed: str, measured: str) -> bool:
    """Compare names by their words: "A100-SXM4-80GB" names "NVIDIA A100-SXM4-80GB".

    A name that leaves something open ("A100") names every product that it may mean, but none that
    is a variant of it, nor a part of a GPU.
    """
    want, have = _words(claimed), _words(measured)
    more = have - want
    if more & _VARIANTS or any(map(_SLICE.fullmatch, more)):
        return False
    return bool(want) and want <= have | _implied(have)


def published_gbps(name: str | None, power_limit_w: float | None) -> float | str:
    """Return the published bandwidth of a GPU, or why there is none that can be told.

    A name may leave the form of the board open ("A100-80GB"); a power limit that only one of them
    can have decides then.
    """
    if name is None:
        return "the GPU is not named"
    found = [each for each in PUBLISHED if names_gpu(name, each.name)]
    if power_limit_w is not None:
        able = [each for each in found if power_limit_w <= each.most_w * _POWER_SLACK]
        found = able or found
    rates = {each.gbps for each in found}
    if len(rates) == 1:
        return rates.pop()
    if not rates:
        return f"no published bandwidth of {name} is known here"
    return f"{name} may be any of {', '.join(each.name for each in found)}"


def _implied(words: set[str]) -> set[str]:
    """Return the words that a product's name could have too."""
    found = {
        each
        for named, other, also in _IMPLIED
        if named <= words and other not in words
        for each in also
    }
    return found | {"sxm" for each in words | found if each.startswith("sxm")}


def _words(name: str) -> set[str]:
    # "80 GB" and "80GB" are one word; the maker's name says nothing.
    joined = re.sub(r"(\d+)\s+(gb|gib)\b", r"\1\2", name.lower())
    return set(re.findall(r"[a-z0-9]+", joined)) - {"nvidia", "amd", "intel", "tesla", "geforce"}
