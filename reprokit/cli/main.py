"""The entry point: commands are imported only when they are called, so that `--help` is quick."""

from __future__ import annotations

import importlib
import sys
import traceback

import click

from reprokit import __version__
from reprokit.errors import ExitCode, ReprokitError

# Command name to (module, attribute, one line for the overview). The lines stand here so that the
# overview needs no import of pydantic, GitPython or SciPy.
_COMMANDS = {
    "verify": ("reprokit.cli.verify", "verify", "Verify a claim: prepare, run, score, report."),
    "prepare": ("reprokit.cli.stages", "prepare", "Do all that needs a network; start a run."),
    "run": ("reprokit.cli.stages", "run", "Run what was prepared, or continue an interrupted run."),
    "score": ("reprokit.cli.stages", "score", "Draw rows and verdict from the files of a run."),
    "report": ("reprokit.cli.stages", "report", "Write the report of a scored run."),
    "show": ("reprokit.cli.stages", "show", "Show the verdict of a run on the terminal."),
    "merge": ("reprokit.cli.merge", "merge", "Put runs of one claim together over machines."),
    "sensitivity": (
        "reprokit.cli.sensitivity",
        "sensitivity",
        "Vary what should not matter: seed, warm-up, token length, the run itself.",
    ),
    "summary": ("reprokit.cli.summary", "summary", "Sum up the runs of several claims."),
    "check": ("reprokit.cli.check", "check", "Judge the gates of a kept run from its files."),
    "matrix": ("reprokit.cli.matrix", "matrix", "Write the claims of a published study."),
    "doctor": ("reprokit.cli.doctor", "doctor", "Say what this machine can and cannot do."),
    "env": ("reprokit.cli.env", "env", "List, show and prune environments."),
    "schema": ("reprokit.cli.schema", "schema", "Print a JSON Schema."),
}


class _LazyGroup(click.Group):
    """A group whose commands live in modules that are imported on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in _COMMANDS.items()])


_EPILOG = """\
Exit codes: 0 reproduced, 1 not reproduced, 2 usage or claim error, 3 inconclusive or invalid,
4 infrastructure failure, 130 interrupted.
"""


@click.group(
    cls=_LazyGroup,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="reprokit")
def cli() -> None:
    """Tell whether a published benchmark number is true here, now, on this stack.

    And if it is not, which axis broke it.
    """


def main(argv: list[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    sys.exit(invoke(argv))


def invoke(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code; no exception leaves but SystemExit."""
    try:
        result = cli.main(args=argv, prog_name="reprokit", standalone_mode=False)
    except Exception as error:  # noqa: BLE001 - a bug must not end with 1, "not reproduced"
        return int(_failed(error))
    except KeyboardInterrupt:
        click.echo("interrupted: what was finished is kept; continue with --resume", err=True)
        return int(ExitCode.INTERRUPTED)
    return result if isinstance(result, int) else int(ExitCode.REPRODUCED)


def _failed(error: Exception) -> ExitCode:
    """Say what failed on standard error and choose the exit code."""
    match error:
        case click.exceptions.Abort():
            click.echo("aborted", err=True)
            return ExitCode.INTERRUPTED
        case click.ClickException():
            error.show()
            return ExitCode.USAGE
        case ReprokitError():
            _complain(error)
            return error.exit_code
        case BrokenPipeError():
            # The reader of our output went away (`| head`). Nothing was decided for it.
            return ExitCode.INFRASTRUCTURE
        case OSError():
            _complain(_refused(error))
            return ExitCode.INFRASTRUCTURE
        case _:
            traceback.print_exception(error)
            click.echo(
                "error: this is a bug in reprokit, not a verdict. Please report the lines above.",
                err=True,
            )
            return ExitCode.INFRASTRUCTURE


def _refused(error: OSError) -> ReprokitError:
    """Say which file or connection this machine refused; that is no bug, and no verdict."""
    paths = [str(path) for path in (error.filename, error.filename2) if path is not None]
    reason = error.strerror or str(error) or type(error).__name__
    return ReprokitError(
        f"{' and '.join(paths)}: {reason}" if paths else reason,
        hint="This machine refused it. Nothing was decided; what was finished before is kept.",
    )


def _complain(error: ReprokitError) -> None:
    """Say what failed and what to do next, on standard error."""
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(error.what, err=True)
    if error.hint:
        for line in error.hint.splitlines():
            click.echo(f"  {line}", err=True)
