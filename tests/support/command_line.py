"""The command line as a process of its own, on a machine with nothing but tiny wheels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from dummy_wheels import write_wheel
from processes import MARK

from reprokit.cli.main import invoke
from reprokit.records import Row
from reprokit.rows import read_rows
from reprokit.verdict.records import Verdict

_SUPPORT = Path(__file__).parent

CLAIM = """\
schema: reprokit/claim/v1
id: scripted
title: The scripted benchmark is faster compiled
source: {{builtin: scripted}}
expect: {expect}
regime: {{device: cpu}}
adapter:
  name: scripted
  baseline: eager
  subject: compiled
  options: {options}
protocol: {{invocations: {invocations}, samples: 3, warmup: 0, timeout_s: 60}}
stack: {{requirements: [dummy==1.0]}}
sweep: {{dummy: ["1.0", "2.0"]}}
"""


@dataclass(frozen=True)
class Machine:
    """A folder that holds everything a run touches."""

    root: Path
    mark: str
    extra: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Return the environment of a user whose only index is a folder of wheels."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_"))}
        paths = os.pathsep.join([str(_SUPPORT), str(_SUPPORT / "scripted_adapter")])
        return {
            **kept,
            "PYTHONPATH": paths,
            "PIP_CONFIG_FILE": str(self.root / "pip.conf"),
            "UV_CACHE_DIR": str(self.root / "uv-cache"),
            "XDG_CONFIG_HOME": str(self.root / "no-config"),
            "REPROKIT_CACHE": str(self.root / "cache"),
            MARK: self.mark,
            **self.extra,
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start reprokit in a session of its own, as a shell would."""
        return subprocess.Popen(
            [sys.executable, "-m", "reprokit", *arguments],
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> Result:
        """Run reprokit to its end."""
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=240)
            return Result(self, process.returncode, out, err)

    def call(self, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
        """Call reprokit in this process, which spares its start; return the exit code."""
        for name in set(os.environ) - set(self.environment()):
            monkeypatch.delenv(name)
        for name, value in self.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(self.root)
        return invoke(list(arguments))

    def write_claim(
        self,
        *,
        expect: str = "{kind: gain, metric: latency_ms, at_least: 0}",
        options: Mapping[str, Any] | None = None,
        invocations: int = 3,
    ) -> Path:
        """Write the claim that the tests verify."""
        path = self.root / "claim.yaml"
        path.write_text(
            CLAIM.format(
                expect=expect, options=json.dumps(dict(options or {})), invocations=invocations
            )
        )
        return path

    def runs(self) -> list[Path]:
        """Return the run directories, oldest first."""
        return sorted(path.parent for path in self.root.glob("runs/*/*/run.json"))


@dataclass(frozen=True)
class Result:
    """How one call of reprokit ended."""

    machine: Machine
    code: int
    out: str
    err: str

    def verdict(self) -> Verdict:
        """Read the verdict of a call with --json."""
        return Verdict.model_validate_json(json.dumps(json.loads(self.out)["verdict"]))

    def path(self) -> Path:
        """Return the run directory of a call with --json."""
        return Path(json.loads(self.out)["run"])

    def rows(self) -> tuple[Row, ...]:
        """Read the rows of the run."""
        return tuple(read_rows(self.path() / "rows.jsonl"))


def make_machine(root: Path, mark: str) -> Machine:
    """Make a machine with two versions of one small distribution."""
    wheels = root / "wheels"
    for version in ("1.0", "2.0"):
        write_wheel(wheels, "dummy", version)
    (root / "pip.conf").write_text(f"[global]\nno-index = true\nfind-links = {wheels}\n")
    return Machine(root, mark)
