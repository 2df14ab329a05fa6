"""The PyTorch build that is asked for, and whether the index that holds it can be reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reprokit.envs.uv_command import Trouble, Uv, read_complaint
from reprokit.process.tool import ToolResult


@dataclass
class TorchIndex:
    """Runs uv commands with `--torch-backend`, and without it once its index did not answer.

    The index is tried once per `prepare`, not once per point: uv needs seconds to give up on it.

    Attributes:
        backend: what is asked for ("cpu", "auto", "cu126"); None for uv's own choice.
        unreachable: the root cause, once the index could not be reached and doing without worked.
    """

    backend: str | None
    unreachable: str | None = None

    def run(self, uv: Uv, command: Callable[[Uv, tuple[str, ...]], ToolResult]) -> ToolResult:
        """Run a command with the backend's options; where its index is dead, without them.

        A result without the backend counts only if it succeeded: else the machine has no network
        at all, and the first complaint is the true one.
        """
        self.backend = self.backend or uv.torch_backend
        bare = uv.without_torch_backend()
        if self.backend is None or self.unreachable:
            return command(bare, ())
        first = command(bare, ("--torch-backend", self.backend))
        if first.ok:
            return first
        complaint = read_complaint(first)
        if complaint.trouble is not Trouble.NETWORK:
            return first
        second = command(bare, ())
        if second.ok or read_complaint(second).trouble is Trouble.UNSATISFIABLE:
            self.unreachable = complaint.root_cause
            return second
        return first

    def note(self) -> str | None:
        """Say that another build than the one asked for may be installed, where that is so."""
        if self.unreachable is None:
            return None
        return (
            "the index of the PyTorch builds could not be reached, so torch comes from this "
            f"machine's own configuration and not from the backend {self.backend!r} that was "
            f"asked for: {self.unreachable}"
        )
