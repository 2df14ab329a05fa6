"""Options that several commands share, and the records they fill."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import click

from reprokit.claim.requirement import torch_backend_complaint
from reprokit.envs.host import host_interpreter
from reprokit.errors import UsageError
from reprokit.machine import Machine
from reprokit.pipeline import Request
from reprokit.plan import Design

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_RUNS = Path("runs")


def _apply(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def _torch_backend(
    ctx: click.Context,
    param: click.Parameter,
    value: str | None,
) -> str | None:
    """Hold the option to what a claim may write."""
    if value is not None and (complaint := torch_backend_complaint(value)):
        raise click.BadParameter(f"{complaint.message}. {complaint.hint}", ctx=ctx, param=param)
    return value


def _host(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Path | None:
    """Find the interpreter; it is started only when something is prepared."""
    if value is None:
        return None
    # A virtual environment that was made for reprokit has no torch; one that has it is the user's.
    own = sys.prefix != sys.base_prefix and find_spec("torch") is None
    return host_interpreter(
        value, environ=os.environ, passed_over=Path(sys.prefix) if own else None
    )


stack_option = click.option(
    "--stack",
    "host",
    metavar="host[:PYTHON]",
    callback=_host,
    help="Measure on an existing interpreter, without a lock: the python3 of the PATH, or "
    "PYTHON. Swept packages that it has in another version are put before its own. The report "
    "says so.",
)

plan_options = _apply(
    click.option(
        "--sweep",
        "sweeps",
        multiple=True,
        metavar="AXES",
        help="Axes to vary: 'sha,triton' takes the claim's values, 'triton=3.3.1,3.6.0' sets them. "
        "Repeatable.",
    ),
    click.option(
        "--design",
        type=click.Choice(["full", "one-at-a-time"]),
        default="full",
        show_default=True,
        help="Every combination, or the claim's own point and each single departure from it.",
    ),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="PATH=VALUE",
        help="Change one value of the claim, as 'protocol.invocations=3'. The report says so.",
    ),
    click.option(
        "--weights",
        type=click.Choice(["hub", "synthetic"]),
        help="Short for --set model.weights=...; synthetic weights are random and labelled.",
    ),
    click.option("--device", type=click.Choice(["cpu", "cuda"]), help="Measure on this device."),
    stack_option,
    click.option(
        "--phase-probe",
        is_flag=True,
        help="Launch every arm once more with prefill and decode timed apart; never counted.",
    ),
    click.option("--seed", type=click.IntRange(min=0), help="Seed of the order of invocations."),
    click.option(
        "--allow-local-repos",
        is_flag=True,
        help="Accept claims whose repository is a path of this machine.",
    ),
)
"""What decides the plan."""

network_options = _apply(
    click.option(
        "--find-links",
        multiple=True,
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="FOLDER",
        help="Folder of wheels beside the configured indexes, for environments and overlays. "
        "Repeatable.",
    ),
    click.option(
        "--offline",
        is_flag=True,
        help="Use no network: only what is on this machine, and the wheels of --find-links.",
    ),
)
"""Where distributions come from."""

environment_options = _apply(
    click.option(
        "--relock", is_flag=True, help="Resolve anew instead of using the claim's committed lock."
    ),
    click.option(
        "--torch-backend",
        metavar="NAME",
        callback=_torch_backend,
        help="PyTorch build to prefer: auto, cpu, cu126, ... (default: the claim's).",
    ),
    click.option(
        "--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="Parallel builds."
    ),
    network_options,
)
"""What decides how environments are made."""

runs_option = click.option(
    "--runs",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_RUNS,
    show_default=True,
    help="Folder that run directories are kept in.",
)
quiet_option = click.option("--quiet", is_flag=True, help="No progress display.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
run_argument = click.argument(
    "run_path", metavar="RUN", type=click.Path(file_okay=False, path_type=Path)
)
claim_argument = click.argument("claim_path", metavar="CLAIM", type=click.Path(path_type=Path))


class PlanOptions(TypedDict):
    """Values of `plan_options`, as click hands them over."""

    sweeps: tuple[str, ...]
    design: Design
    overrides: tuple[str, ...]
    weights: str | None
    device: str | None
    host: Path | None
    seed: int | None
    phase_probe: bool
    allow_local_repos: bool


class RunOptions(PlanOptions):
    """Values of `plan_options`, `environment_options`, `runs_option` and `quiet_option`."""

    relock: bool
    torch_backend: str | None
    jobs: int
    find_links: tuple[Path, ...]
    offline: bool
    runs: Path
    quiet: bool


def request_of(claim_path: Path, given: PlanOptions) -> Request:
    """Turn the options of a command into what the pipeline is asked for."""
    weights = (f"model.weights={given['weights']}",) if given["weights"] else ()
    return Request(
        claim=claim_path,
        sweeps=given["sweeps"],
        design=given["design"],
        overrides=(*given["overrides"], *weights),
        device=given["device"],
        seed=given["seed"],
        allow_local=given["allow_local_repos"],
        host=given["host"],
        phase_probe=given["phase_probe"],
    )


def machine_of(given: RunOptions) -> Machine:
    """Describe this machine by its defaults and the options of a command.

    Raises:
        UsageError: an option about locks is given for an interpreter that has none.
    """
    if given["host"] is not None and given["relock"]:
        raise UsageError(
            "--relock is about locked stacks, and --stack host has no lock",
            hint="Leave out one or the other.",
        )
    if given["offline"] and given["torch_backend"]:
        raise UsageError(
            "--torch-backend chooses an index, and --offline asks none",
            hint="Leave out one or the other; --find-links names a folder of wheels.",
        )
    return Machine.here(
        runs=given["runs"],
        relock=given["relock"],
        torch_backend=given["torch_backend"],
        jobs=given["jobs"],
        find_links=given["find_links"],
        offline=given["offline"],
    )
