"""What a `--sweep` text asks for: axes, and the values written beside them.

    sha,triton                 both axes, with the claim's values
    triton=3.3.1,3.6.0         one axis with two values
    sha,triton=3.3.1,3.6.0     sha with the claim's values, triton with two

A comma after `=` goes on with the values of that axis; a token with its own `=` begins the next.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from reprokit.claim.axes import same_axis
from reprokit.errors import PlanError


@dataclass(frozen=True)
class AxisRequest:
    """One axis of a sweep; `values` are as typed, None where the claim's are meant."""

    name: str
    values: tuple[str, ...] | None = None


def read_sweeps(texts: tuple[str, ...], known: Collection[str]) -> tuple[AxisRequest, ...]:
    """Read all `--sweep` texts of a command.

    Args:
        texts: as typed.
        known: names of axes; one of them among values is taken for a mistake.

    Raises:
        PlanError: a text says nothing, can be read in two ways, or an axis comes twice.
    """
    requests = [request for text in texts for request in _read(text, known)]
    for index, request in enumerate(requests):
        if any(same_axis(request.name, earlier.name) for earlier in requests[:index]):
            raise PlanError(
                f"the axis {request.name!r} is swept twice",
                hint="Name every axis once, with all its values.",
            )
    return tuple(requests)


def _read(text: str, known: Collection[str]) -> Iterator[AxisRequest]:
    name: str | None = None
    values: list[str] = []
    for token in (part.strip() for part in text.split(",")):
        head, equals, value = (part.strip() for part in token.partition("="))
        if not head or (equals and not value):
            raise _empty(text)
        if not equals and name is not None:
            if any(same_axis(token, axis) for axis in known):
                raise _ambiguous(token, name)
            values.append(token)
            continue
        if name is not None:
            yield AxisRequest(name, tuple(values))
        name, values = (head, [value]) if equals else (None, [])
        if value.startswith("="):
            bare = value.lstrip("=")
            raise PlanError(
                f"--sweep {text}: {token!r} has two '='", hint=f"Write {head}={bare or 'VERSION'}."
            )
        if not equals:
            yield AxisRequest(token)
    if name is not None:
        yield AxisRequest(name, tuple(values))


def _empty(text: str) -> PlanError:
    return PlanError(
        f"--sweep {text!r} has an empty part",
        hint="Write --sweep sha,triton or --sweep triton=3.3.1,3.6.0.",
    )


def _ambiguous(token: str, name: str) -> PlanError:
    return PlanError(
        f"--sweep: {token!r} could be a value of {name!r} or the axis {token!r}",
        hint=f"Write the axis in an option of its own: --sweep {name}=... --sweep {token}.",
    )
