"""From `--sweep` texts to a plan: axes, factorial design, interleaving."""

from reprokit.sweep.design import make_plan

__all__ = ["make_plan"]
