"""A third-party adapter whose benchmark does what a test scripts; its numbers are deterministic.

A claim uses it with

    source: {builtin: scripted}
    adapter: {name: scripted, baseline: eager, subject: compiled, options: {...}}

Options, all optional; keys of mappings are shell patterns on invocation ids
(`<point>__<cell>__<arm>__<index>`), and the last pattern that fits counts:

    latency_ms: {eager: 4.0, compiled: 2.0}   by what the arm is set to; the process really waits
    noise: 0.01            relative standard deviation between invocations; iterations get half
    scale: {"*triton-3.6.0*": 1.5}            multiplies the latency
    scenarios: {"*__subject__01": hang}       see scripted_bench.py; also `nonexistent` (no such
                                              program), `refuse` (no command can be made)
    tokens: 8              tokens of one iteration
    sleep_s: 0.0           extra time before the first iteration
    model: null            name of files that only who has SCRIPTED_TOKEN can fetch

With SCRIPTED_REPOSITORY set, claims name a repository that has scripted_bench.py instead.

Metrics: latency_ms and tokps. `eager` counts as `not_asked`, everything else as compiled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random
from typing import Any

from pydantic import JsonValue

from reprokit.adapter import (
    AssetStep,
    Command,
    Invocation,
    Launch,
    OptionError,
    PointContext,
    Reading,
    Sample,
    Setup,
)
from reprokit.records import Arm, CompileDecision, CompileEvidence, Evidence, Scalar

_BENCHMARK = Path(__file__).parent / "benchmark"
_DEFAULTS: dict[str, JsonValue] = {
    "latency_ms": {"eager": 4.0, "compiled": 2.0},
    "noise": 0.01,
    "scale": {},
    "scenarios": {},
    "tokens": 8,
    "sleep_s": 0.0,
    "model": None,
}


class ScriptedAdapter:
    """See the module."""

    name = "scripted"
    title = "scripted benchmark for tests"

    def arms(self) -> tuple[str, ...]:
        return ("eager", "compiled")

    def cell_axes(self) -> Mapping[str, tuple[Scalar, ...] | None]:
        return {"token_len": None, "phase": ("prefill", "kv_decode")}

    def check_options(self, options: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        for name in options:
            if name not in _DEFAULTS:
                raise OptionError((name,), "unknown option", known=tuple(_DEFAULTS))
        return {**_DEFAULTS, **options}

    def builtin_source(self) -> Path | None:
        return None if os.environ.get("SCRIPTED_REPOSITORY") else _BENCHMARK

    def assets(self, setup: Setup, point: PointContext) -> tuple[AssetStep, ...]:
        model = setup.options["model"]
        if model is None:
            return ()
        script = (
            "import os, sys\n"
            "if not os.environ.get('SCRIPTED_TOKEN'): sys.exit('the hub wants a token')\n"
            f"open(os.environ['REPROKIT_ASSET_DIR'] + '/model.bin', 'w').write({model!r})\n"
        )
        command = Command(argv=(point.python, "-c", script), cwd=point.source)
        fetch = AssetStep(
            name="weights", key={"model": model}, command=command, title=f"files of {model}",
            about_bytes=len(str(model)), inherits=("SCRIPTED_TOKEN",),
        )  # fmt: skip
        return (fetch,)

    def command(self, setup: Setup, point: PointContext, invocation: Invocation) -> Command:
        options = self.check_options(setup.options)
        scenario = _matching(options["scenarios"], invocation.id, "ok")
        if scenario == "refuse":
            raise OptionError(("scenarios",), "this cannot be asked")
        order = {
            "scenario": scenario,
            "latencies_ms": _latencies(setup, options, invocation),
            "tokens": options["tokens"],
            "sleep_s": options["sleep_s"],
            "device": setup.device,
            "compile": _decision(setup, invocation).value,
        }
        program = "/nonexistent/python" if scenario == "nonexistent" else point.python
        return Command(
            argv=(program, str(Path(point.source) / "scripted_bench.py"), json.dumps(order)),
            cwd=invocation.directory,
            unsupported="the source has no such option" if scenario == "unsupported" else None,
        )

    def process_key(self, setup: Setup, arm: Arm, cell: Mapping[str, Scalar]) -> str:
        return str(cell.get("phase", "all"))

    def shared_command(self, setup: Setup, point: PointContext, launch: Launch) -> Command:
        """See scripted_bench.py: an order per invocation, and where its files go."""
        orders = [
            {
                **json.loads(self.command(setup, point, each).argv[2]),
                "directory": each.directory,
            }
            for each in launch.invocations
        ]
        script = str(Path(point.source) / "scripted_bench.py")
        return Command(argv=(point.python, script, json.dumps(orders)), cwd=launch.directory)

    def read(self, setup: Setup, point: PointContext, invocation: Invocation) -> Reading:
        samples: list[Sample] = []
        problem = None
        log = Path(invocation.directory) / "stdout.log"
        size = 0
        for number, text in enumerate(log.read_text(errors="replace").splitlines(), start=1):
            size += len(text) + 1
            try:
                facts = json.loads(text)
            except ValueError:
                problem = f"damaged_output: stdout.log:{number} is no whole line"
                break
            samples.append(_sample(facts, size))
        return Reading(samples=tuple(samples), problem=problem)


def _matching(patterns: Any, name: str, default: Any) -> Any:
    found = [value for pattern, value in patterns.items() if fnmatchcase(name, pattern)]
    return found[-1] if found else default


def _decision(setup: Setup, invocation: Invocation) -> CompileDecision:
    eager = setup.arms[invocation.arm] == "eager"
    return CompileDecision.NOT_ASKED if eager else CompileDecision.COMPILED


def _latencies(setup: Setup, options: Mapping[str, Any], invocation: Invocation) -> list[float]:
    """Return latencies in ms that depend on nothing but the seed and the invocation's id."""
    random = Random(f"{setup.seed}/{invocation.id}")
    base = options["latency_ms"][setup.arms[invocation.arm]]
    base *= _matching(options["scale"], invocation.id, 1.0)
    process = base * (1 + random.gauss(0, options["noise"]))
    return [
        abs(process * (1 + random.gauss(0, options["noise"] / 2))) for _ in range(setup.samples)
    ]


def _sample(facts: dict[str, Any], log_end: int) -> Sample:
    proof = facts["compile"]
    output = facts["output_tokens"]
    return Sample(
        iteration=facts["iteration"],
        values={"latency_ms": facts["latency_ms"], "tokps": facts["tokps"]},
        evidence=Evidence(
            device=facts["device"],
            tokens=facts["tokens"],
            tokens_asked=facts["tokens_asked"],
            output_tokens=None if output is None else tuple(output),
            log_end=log_end,
            compile=proof
            and CompileEvidence(decision=CompileDecision(proof), reason="as scripted"),
        ),
    )


ADAPTER = ScriptedAdapter()
