"""NVIDIA's management library through ctypes: what reprokit asks of a GPU, and no more.

Standard library only, because the sampler runs without site-packages: it starts in some
milliseconds and needs nothing installed. The library belongs to the driver and is what nvidia-smi
and nvidia-ml-py ask too. Signatures and constants: nvml.h.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any

LIBRARY_VARIABLE = "REPROKIT_NVML"
"""Names the library where it is in no folder that the loader searches (NixOS, some clusters)."""

NO_LIBRARY = "no_nvml: the driver's library libnvidia-ml cannot be loaded"

GPU_IS_LOST, RESET_REQUIRED = 15, 16
_NOT_SUPPORTED, _INSUFFICIENT_SIZE, _FUNCTION_NOT_FOUND = 3, 7, 13
_ERRORS = {
    1: "not initialised", 2: "invalid argument", 3: "not supported", 4: "no permission",
    6: "not found", 7: "insufficient size", 8: "insufficient external power",
    9: "the driver is not loaded", 10: "timeout", 13: "unknown to this driver",
    15: "the GPU is lost", 16: "the GPU must be reset", 17: "blocked by the operating system",
    18: "driver and library have different versions", 20: "out of memory", 21: "no data",
    28: "no such GPU", 999: "unknown error",
}  # fmt: skip

_TEXT = 96
_MOST_PROCESSES = 4096
_GPU_SENSOR = 0
_SM_CLOCK, _MEMORY_CLOCK = 1, 2
_NOT_AVAILABLE = 0xFFFFFFFFFFFFFFFF
"""What the library writes for a number that it does not know (a process's memory)."""


class NvmlError(Exception):
    """The library refused a call; `code` is its own number."""

    def __init__(self, call: str, code: int) -> None:
        super().__init__(f"{call}: {_ERRORS.get(code, f'error {code}')}")
        self.code = code

    @property
    def lost(self) -> bool:
        """Whether the GPU itself is gone."""
        return self.code in {GPU_IS_LOST, RESET_REQUIRED}


class _Memory(ctypes.Structure):
    _fields_ = (
        ("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)
    )  # fmt: skip


class _Utilization(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class _Process(ctypes.Structure):
    """nvmlProcessInfo_t of the functions with the ending _v2 or _v3."""

    _fields_ = (
        ("pid", ctypes.c_uint), ("used", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint), ("compute_instance", ctypes.c_uint),
    )  # fmt: skip


class _OldProcess(ctypes.Structure):
    """nvmlProcessInfo_t of the functions without an ending."""

    _fields_ = (("pid", ctypes.c_uint), ("used", ctypes.c_ulonglong))


class Nvml:
    """The library, initialised; `library` needs its functions as attributes."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self.call("nvmlInit_v2")

    @classmethod
    def open(cls) -> Nvml:
        """Load the driver's library.

        Raises:
            OSError: there is none here.
            NvmlError: it does not come up (no driver, no permission).
        """
        named = os.environ.get(LIBRARY_VARIABLE)
        usual = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
        return cls(ctypes.CDLL(named or usual))

    def call(self, names: str, *arguments: Any) -> None:
        """Call the first of some functions ("new old") that this driver has.

        Raises:
            NvmlError: it refuses, or there is none of them.
        """
        code = _FUNCTION_NOT_FOUND
        for name in names.split():
            function = getattr(self._library, name, None)
            if function is None:
                continue
            code = int(function(*arguments))
            if code != _FUNCTION_NOT_FOUND:
                break
        if code:
            raise NvmlError(names.partition(" ")[0], code)

    def text(self, names: str, *arguments: Any) -> str:
        """Call a function that fills a text."""
        buffer = ctypes.create_string_buffer(_TEXT)
        self.call(names, *arguments, buffer, ctypes.c_uint(_TEXT))
        return buffer.value.decode(errors="replace")

    def number(self, names: str, *arguments: Any, kind: Any = ctypes.c_uint) -> int:
        """Call a function that fills a number."""
        found = kind()
        self.call(names, *arguments, ctypes.byref(found))
        return int(found.value)

    def driver(self) -> str:
        """Return the version of the driver."""
        return self.text("nvmlSystemGetDriverVersion")

    def cuda(self) -> str:
        """Return the newest CUDA that the driver serves, as "12.8"."""
        found = self.number(
            "nvmlSystemGetCudaDriverVersion_v2 nvmlSystemGetCudaDriverVersion", kind=ctypes.c_int
        )
        return f"{found // 1000}.{found % 1000 // 10}"

    def gpus(self) -> list[Gpu]:
        """Return the GPUs in the order of the bus, those that are shown to this container."""
        count = self.number("nvmlDeviceGetCount_v2 nvmlDeviceGetCount")
        return [self._gpu("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(i)) for i in range(count)]

    def gpu(self, uuid: str) -> Gpu:
        """Return one GPU."""
        return self._gpu("nvmlDeviceGetHandleByUUID", ctypes.c_char_p(uuid.encode()))

    def _gpu(self, name: str, argument: Any) -> Gpu:
        handle = ctypes.c_void_p()
        self.call(name, argument, ctypes.byref(handle))
        return Gpu(self, handle)


class Gpu:
    """One GPU. Every method raises `NvmlError` for what this one does not tell."""

    def __init__(self, nvml: Nvml, handle: ctypes.c_void_p) -> None:
        self._nvml, self._handle = nvml, handle

    def uuid(self) -> str:
        """Return its UUID ("GPU-..."), which CUDA_VISIBLE_DEVICES understands."""
        return self._nvml.text("nvmlDeviceGetUUID", self._handle)

    def name(self) -> str:
        """Return the product's name."""
        return self._nvml.text("nvmlDeviceGetName", self._handle)

    def vbios(self) -> str:
        """Return the version of its firmware."""
        return self._nvml.text("nvmlDeviceGetVbiosVersion", self._handle)

    def sm(self) -> str:
        """Return its compute capability as "sm_90"."""
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._nvml.call(
            "nvmlDeviceGetCudaComputeCapability", self._handle,
            ctypes.byref(major), ctypes.byref(minor),
        )  # fmt: skip
        return f"sm_{major.value}{minor.value}"

    def memory_mib(self) -> int:
        """Return the size of its memory."""
        return int(self._memory().total) >> 20

    def used_mib(self) -> int:
        """Return how much of its memory is in use, by whomever."""
        return int(self._memory().used) >> 20

    def ecc(self) -> bool:
        """Tell whether its memory corrects errors at this time."""
        current, pending = ctypes.c_uint(), ctypes.c_uint()
        self._pair("nvmlDeviceGetEccMode", current, pending)
        return bool(current.value)

    def mig(self) -> bool:
        """Tell whether it is divided into instances; False where it cannot be."""
        current, pending = ctypes.c_uint(), ctypes.c_uint()
        try:
            self._pair("nvmlDeviceGetMigMode", current, pending)
        except NvmlError as error:
            if error.code in {_NOT_SUPPORTED, _FUNCTION_NOT_FOUND}:
                return False
            raise
        return bool(current.value)

    def persistence(self) -> bool:
        """Tell whether the driver keeps it awake."""
        return bool(self._number("nvmlDeviceGetPersistenceMode"))

    def power_limit_w(self) -> float:
        """Return the power limit that is enforced."""
        return self._number("nvmlDeviceGetEnforcedPowerLimit") / 1000

    def power_default_w(self) -> float:
        """Return the power limit that it has without anybody's choice."""
        return self._number("nvmlDeviceGetPowerManagementDefaultLimit") / 1000

    def power_w(self) -> float:
        """Return the power that it draws."""
        return self._number("nvmlDeviceGetPowerUsage") / 1000

    def energy_mj(self) -> int:
        """Return the energy that it took since the driver was loaded (Volta and later)."""
        return self._number("nvmlDeviceGetTotalEnergyConsumption", kind=ctypes.c_ulonglong)

    def temperature_c(self) -> int:
        """Return the temperature of the chip."""
        return self._number("nvmlDeviceGetTemperature", _GPU_SENSOR)

    def sm_mhz(self) -> int:
        """Return the clock of its multiprocessors."""
        return self._number("nvmlDeviceGetClockInfo", _SM_CLOCK)

    def memory_mhz(self) -> int:
        """Return the clock of its memory."""
        return self._number("nvmlDeviceGetClockInfo", _MEMORY_CLOCK)

    def sm_max_mhz(self) -> int:
        """Return the highest clock of its multiprocessors."""
        return self._number("nvmlDeviceGetMaxClockInfo", _SM_CLOCK)

    def memory_max_mhz(self) -> int:
        """Return the highest clock of its memory."""
        return self._number("nvmlDeviceGetMaxClockInfo", _MEMORY_CLOCK)

    def pcie(self) -> str:
        """Return generation and width of its link as "4x16"."""
        generation = self._number("nvmlDeviceGetCurrPcieLinkGeneration")
        return f"{generation}x{self._number('nvmlDeviceGetCurrPcieLinkWidth')}"

    def events(self) -> int:
        """Return why its clocks are not higher, as bits."""
        return self._number(
            "nvmlDeviceGetCurrentClocksEventReasons nvmlDeviceGetCurrentClocksThrottleReasons",
            kind=ctypes.c_ulonglong,
        )

    def busy_percent(self) -> int:
        """Return the share of the last moment (up to 1 s) in which some kernel ran."""
        found = _Utilization()
        self._nvml.call("nvmlDeviceGetUtilizationRates", self._handle, ctypes.byref(found))
        return int(found.gpu)

    def processes(self) -> list[tuple[int, int | None]]:
        """Return process id and memory in MiB of all that compute on it and that can be seen.

        Asked until the list fits: one may begin between two calls.
        """
        new = "nvmlDeviceGetComputeRunningProcesses_v3 nvmlDeviceGetComputeRunningProcesses_v2"
        try:
            return self._processes(new, _Process)
        except NvmlError as error:
            if error.code != _FUNCTION_NOT_FOUND:
                raise
            return self._processes("nvmlDeviceGetComputeRunningProcesses", _OldProcess)

    def _processes(self, names: str, kind: Any) -> list[tuple[int, int | None]]:
        room = 64
        while True:
            count, found = ctypes.c_uint(room), (kind * room)()
            try:
                self._nvml.call(names, self._handle, ctypes.byref(count), found)
            except NvmlError as error:
                if error.code != _INSUFFICIENT_SIZE or room >= _MOST_PROCESSES:
                    raise
                room *= 4
                continue
            return [_seen(each) for each in found[: count.value]]

    def _memory(self) -> _Memory:
        found = _Memory()
        self._nvml.call("nvmlDeviceGetMemoryInfo", self._handle, ctypes.byref(found))
        return found

    def _number(self, names: str, *which: int, kind: Any = ctypes.c_uint) -> int:
        return self._nvml.number(names, self._handle, *map(ctypes.c_uint, which), kind=kind)

    def _pair(self, name: str, first: ctypes.c_uint, second: ctypes.c_uint) -> None:
        self._nvml.call(name, self._handle, ctypes.byref(first), ctypes.byref(second))


def _seen(each: Any) -> tuple[int, int | None]:
    used = int(each.used)
    return int(each.pid), None if used == _NOT_AVAILABLE else used >> 20


def attempt(question: Callable[[], Any]) -> tuple[Any, str | None]:
    """Return an answer, or None and why there is none.

    Raises:
        NvmlError: the GPU itself is gone.
    """
    try:
        return question(), None
    except NvmlError as error:
        if error.lost:
            raise
        return None, str(error)
