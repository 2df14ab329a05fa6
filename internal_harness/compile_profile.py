"""Profiles one run with torch and hands its events on as plain records."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from profile_reading import Event, Profile, read_profile


def profile(run: Callable[[], object], device: str) -> tuple[Profile, str | None]:
    """Profile one run; return what executed, and why that cannot be told where it cannot.

    An exception of the run itself is the caller's; one of the profiler is an answer: a container
    may forbid the accelerator's tracing.
    """
    problem = None
    profiler = _profiler(device)
    try:
        profiler.__enter__()
    except Exception as error:
        return Profile(), f"the profiler did not start: {_short(error)}"
    try:
        run()
        if device == "cuda":
            torch.cuda.synchronize()
    except BaseException as error:
        profiler.__exit__(type(error), error, error.__traceback__)
        raise
    try:
        profiler.__exit__(None, None, None)
        with _without_collections():
            found = read_profile(_events(profiler))
    except Exception as error:
        return Profile(), f"the profiler failed: {_short(error)}"
    if device == "cuda" and not found.kernels:
        problem = "the profiler saw no kernel on the device: tracing it may not be permitted here"
    return found, problem


@contextmanager
def _without_collections() -> Iterator[None]:
    """Keep the collector of cycles out: a million new records would call it again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _profiler(device: str) -> Any:  # noqa: ANN401
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    return torch.profiler.profile(activities=activities)


def _events(profiler: Any) -> Iterator[Event]:  # noqa: ANN401
    events = list(profiler.events())
    places = {id(event): place for place, event in enumerate(events)}
    for event in events:
        parent = getattr(event, "cpu_parent", None)
        yield Event(
            name=str(event.name),
            parent=places.get(id(parent)) if parent is not None else None,
            on_device=not str(event.device_type).endswith(".CPU"),
            annotation=bool(getattr(event, "is_user_annotation", False)),
            total_us=float(event.time_range.elapsed_us()),
            self_us=float(event.self_cpu_time_total),
            kernels=tuple((str(k.name), float(k.duration)) for k in event.kernels),
        )


def _short(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]
