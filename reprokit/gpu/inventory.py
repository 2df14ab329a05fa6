"""Which GPUs there are, and which of them a benchmark may use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field, JsonValue, ValidationError

from reprokit.errors import ReprokitError
from reprokit.gpu.lock import unknown_gpu
from reprokit.gpu.script import sampler_command, sampler_environment
from reprokit.process.tool import run_tool
from reprokit.records import Record

VISIBLE = "CUDA_VISIBLE_DEVICES"
_ORDER = "CUDA_DEVICE_ORDER"
_SURVEY_S = 60.0


class FoundGpu(Record):
    """A GPU as the driver describes it; None is what it does not tell, `unknown` says why."""

    uuid: str | None
    name: str | None
    sm: str | None
    memory_mib: int | None
    vbios: str | None
    ecc: bool | None
    mig: bool | None
    persistence: bool | None
    power_limit_w: float | None
    power_default_w: float | None
    sm_max_mhz: int | None
    memory_max_mhz: int | None
    pcie: str | None
    driver: str | None
    cuda: str | None
    unknown: dict[str, str] = Field(default_factory=dict)


class Inventory(Record):
    """The GPUs in the order of the bus; `why` says why there are none."""

    gpus: tuple[FoundGpu, ...] = ()
    why: str | None = None


class Choice(Record):
    """GPUs of one kind that may be measured on, or why none can be told from the others.

    Without one a benchmark runs all the same, where its environment sends it, unwatched.
    """

    uuids: tuple[str, ...] = ()
    why: str | None = None


def survey() -> Inventory:
    """Ask the driver, in a process of its own: its library may hang or crash."""
    try:
        found = run_tool(sampler_command("survey"), env=sampler_environment(), timeout_s=_SURVEY_S)
    except ReprokitError as error:
        return Inventory(why=f"nvml_failed: {error.what}")
    if not found.ok:
        how = "did not answer" if found.timed_out else f"exit {found.returncode}"
        return Inventory(why=f"nvml_failed: the survey of the GPUs failed ({how})")
    try:
        return Inventory.model_validate_json(found.stdout)
    except ValidationError as error:
        return Inventory(why=f"nvml_failed: {error.errors()[0]['msg']}")


def choose(
    inventory: Inventory, device: Mapping[str, JsonValue], environ: Mapping[str, str]
) -> Choice:
    """Name the GPUs that a point's benchmark may be pinned to. Pure.

    They are of the kind that its environment would compute on, so that nothing but the pinning
    changes, and of those that the user lets it see.

    Args:
        inventory: what there is.
        device: what the probe of the point said of its device.
        environ: reprokit's own environment.
    """
    if not inventory.gpus:
        return Choice(why=inventory.why or "no_gpu: none was found")
    if any(gpu.mig for gpu in inventory.gpus):
        return Choice(why="mig: a GPU of this machine is divided")
    visible = _visible(inventory.gpus, environ)
    if isinstance(visible, str):
        return Choice(why=visible)
    name = device.get("name")
    alike = [gpu for gpu in visible if name in {None, gpu.name}]
    if not alike:
        return Choice(why=f"other_gpu: none that can be seen is the {name} of the probe")
    first = alike[0]
    same = [gpu for gpu in alike if (gpu.name, gpu.memory_mib) == (first.name, first.memory_mib)]
    return Choice(uuids=tuple(gpu.uuid for gpu in same if gpu.uuid is not None))


def could_be(
    inventory: Inventory, device: Mapping[str, JsonValue], environ: Mapping[str, str]
) -> tuple[str, ...]:
    """Name all that a benchmark may compute on where `choose` chose nothing, to be held.

    A named instance of a divided GPU is held alone. Where no driver tells of a GPU, and the probe
    does not deny one (another maker's, a container without the library), it is whatever there is.
    """
    instance = environ.get(VISIBLE, "").partition(",")[0].strip()
    if instance.startswith("MIG-"):
        return (instance,)
    if not inventory.gpus:
        return () if device.get("type") == "cpu" else (unknown_gpu(),)
    visible = _visible(inventory.gpus, environ)
    if isinstance(visible, str) and visible.startswith("no_gpu"):
        return ()
    return tuple(gpu.uuid or unknown_gpu() for gpu in inventory.gpus)


def _visible(gpus: Sequence[FoundGpu], environ: Mapping[str, str]) -> tuple[FoundGpu, ...] | str:
    """Return what CUDA_VISIBLE_DEVICES shows, or why that cannot be told.

    CUDA reads it up to the first entry that is none. Numbers count in the order of the bus only
    where the user says so or all GPUs are alike; by default CUDA begins with the fastest.
    """
    named = environ.get(VISIBLE)
    if named is None:
        return tuple(gpus)
    ordered = environ.get(_ORDER) == "PCI_BUS_ID" or len({gpu.name for gpu in gpus}) == 1
    found: list[FoundGpu] = []
    for entry in (part.strip() for part in named.split(",")):
        if entry.startswith("MIG-"):
            return f"mig: {VISIBLE} names an instance"
        if entry.isdecimal() and not ordered:
            return f"order_unknown: {VISIBLE} counts unlike GPUs; name them by UUID"
        gpu = _named(gpus, entry)
        if gpu is None or gpu in found:
            break
        found.append(gpu)
    return tuple(found) or f"no_gpu: {VISIBLE}={named!r} shows none"


def _named(gpus: Sequence[FoundGpu], entry: str) -> FoundGpu | None:
    if entry.isdecimal():
        return gpus[int(entry)] if int(entry) < len(gpus) else None
    if not entry.startswith("GPU-"):
        return None
    alike = [gpu for gpu in gpus if gpu.uuid is not None and gpu.uuid.startswith(entry)]
    return alike[0] if len(alike) == 1 else None
