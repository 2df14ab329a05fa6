"""Watches compilation from inside: torch's counters, and a profile of one untimed run."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable
from typing import Any

import compile_counters
import torch
from compile_counters import loaded
from compile_profile import profile
from compile_proof import LEAST_SHARE, Observation
from profile_reading import is_generated, looked_at

_VARIABLES = ("TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE", "TORCHDYNAMO_SUPPRESS_ERRORS")
_TOLD = ("skipping cudagraph", "recompile_limit", "cache_size_limit", "recompile limit")
_MOST_TOLD = 64


class CompileWatch:
    """Keeps the counters at the borders of the timed window.

    Make it before anything is compiled: some releases only log why they skip CUDA graphs, and a
    watch hears what is logged from its making on.
    """

    def __init__(self) -> None:
        compile_counters.keep_all_compilations()
        _Ear.listen()
        self._before = compile_counters.counters_now()
        self._after = self._before
        self._switches: dict[str, None] = {}

    def window_opens(self) -> None:
        """Remember counters and switches just before the first timed iteration."""
        compile_counters.keep_all_compilations()
        self._before = self._after = compile_counters.counters_now()
        self._switches.update(dict.fromkeys(_switches()))

    def window_closes(self) -> None:
        """Remember counters and switches just after the last timed iteration."""
        self._after = compile_counters.counters_now()
        self._switches.update(dict.fromkeys(_switches()))

    def observe(
        self,
        prepared: Callable[[], Callable[[], object]],
        *,
        steps: int,
        device: str,
        graphs_asked: bool = False,
    ) -> Observation:
        """Profile a run that nobody times and put all that was seen together.

        Args:
            prepared: prepares what an iteration times, and returns it; each is called once.
            steps: calls of the compiled model in it.
            device: "cpu" or "cuda".
            graphs_asked: the mode asks for CUDA graphs.
        """
        counted, entries, logged = self._after[0], compile_counters.compilations(), _Ear.heard()
        breaks, skips = compile_counters.graph_breaks(), "inductor.cudagraph_skips"
        seen, problem = looked_at(lambda: profile(prepared(), device), least_share=LEAST_SHARE)
        return Observation(
            steps=steps,
            device=device,
            graphs_asked=graphs_asked,
            problem=problem,
            graph_calls=sum(seen.graphs.values()),
            graphs=seen.graphs,
            generated={k: count for k, count in seen.kernels.items() if is_generated(k)},
            other_kernels={k: count for k, count in seen.kernels.items() if not is_generated(k)},
            graph_launches=seen.launches,
            share=seen.share,
            outside_us=seen.outside_us,
            products=seen.products,
            unique_graphs=counted.get("stats.unique_graphs", 0),
            frames=(counted.get("frames.total", 0), counted.get("frames.ok", 0)),
            graph_breaks=sum(breaks.values()),
            break_reasons=breaks,
            recompiles=compile_counters.recompiles(entries),
            limits_hit=compile_counters.limits_hit(entries, logged=logged),
            recordings=counted.get("cudagraph_recordings"),
            skips=counted.get(skips, 0),
            skip_reasons=compile_counters.skip_reasons(entries, logged=logged),
            failures=compile_counters.failures(entries),
            switches=tuple(dict.fromkeys((*self._switches, *_switches()))),
            compiled_in_window=compile_counters.moved(self._before, self._after),
            compilations=tuple(entries),
        )


def forget() -> None:
    """Drop everything compiled in this process, and all that was counted of it.

    The next compilation is as the first one of a process, but for the cache on the disk. What no
    module is loaded for was never used, and is left alone: nothing is imported here.
    """
    reset = loaded("torch._dynamo", "reset")
    if reset is not None:
        reset()
    for module, name in (
        ("torch._inductor.cudagraph_trees", "reset_cudagraph_trees"),
        ("torch._inductor.utils", "clear_caches"),
        ("torch._inductor.utils", "clear_inductor_caches"),  # its older name
        ("torch._inductor.metrics", "reset"),
        ("torch._dynamo.utils", "clear_compilation_metrics"),
    ):
        function = loaded(module, name)
        if function is not None:
            function()
    for name in ("counters", "guard_failures", "compilation_time_metrics", "graph_break_reasons"):
        table = loaded("torch._dynamo.utils", name)
        if table is not None:
            table.clear()
    _Ear.listen().clear()
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def end_compile_workers() -> None:
    """End the processes in which Inductor compiles; idle or starting, they take time from others.

    They start with the first compilation, even when all of it comes from the cache. Should anything
    be compiled later, new ones are started. Releases that keep none, or hide them, are left alone.
    """
    shutdown = loaded("torch._inductor.async_compile", "shutdown_compile_workers")
    if shutdown is not None:
        shutdown()


def all_counters() -> dict[str, int]:
    """Return the counters as they stand, for the record."""
    return compile_counters.counters()


class _Ear(logging.Handler):
    """Keeps the warnings of torch in which a skip or a limit is told; one per process."""

    _one: _Ear | None = None

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._texts: list[str] = []

    @classmethod
    def listen(cls) -> _Ear:
        """Return the one that listens; start it when there is none."""
        if cls._one is None:
            cls._one = cls()
        logger = logging.getLogger("torch")
        if cls._one not in logger.handlers:
            logger.addHandler(cls._one)
        return cls._one

    @classmethod
    def heard(cls) -> tuple[str, ...]:
        """Return the texts that were told."""
        return tuple(cls.listen()._texts)  # noqa: SLF001

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a text that tells of a skip or of a limit."""
        text = record.getMessage()
        if len(self._texts) < _MOST_TOLD and any(word in text for word in _TOLD):
            self._texts.append(text)

    def clear(self) -> None:
        """Forget what was told."""
        self._texts.clear()


def _switches() -> tuple[str, ...]:
    """Name the settings that keep torch from compiling, or from saying that it did not."""
    found = [
        f"{name}={os.environ[name]}"
        for name in _VARIABLES
        if os.environ.get(name) not in {None, "", "0"}
    ]
    config: Any = loaded("torch._dynamo", "config")
    found += [
        f"torch._dynamo.config.{name} is set"
        for name in ("disable", "suppress_errors")
        if getattr(config, name, False) is True
    ]
    stance = getattr(loaded("torch._dynamo.eval_frame", "_stance"), "stance", "default")
    if stance != "default":
        found.append(f"the stance of torch.compiler is {stance}")
    return tuple(found)
