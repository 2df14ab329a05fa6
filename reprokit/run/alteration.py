"""Rows of points whose benchmark changed what it was measured in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from reprokit.records import Row, RowStatus
from reprokit.stack import Alteration

FILES_ADDED = "files_added"
"""Label: the benchmark left files in its checkout that nothing executes."""

_SHOWN = 3


def with_alterations(rows: Iterable[Row], altered: Mapping[str, Alteration]) -> Iterator[Row]:
    """Lower rows that were ok where source or environment are not what was verified.

    Nobody can tell which invocation changed a file, so every row of the point is concerned.
    """
    for row in rows:
        found = altered.get(row.point)
        if found is None:
            yield row
            continue
        labels = (*row.labels, FILES_ADDED) if found.added else row.labels
        reason = _reason(found)
        if reason is None or row.status is not RowStatus.OK:
            yield row.model_copy(update={"labels": labels})
            continue
        yield row.model_copy(
            update={"labels": labels, "status": RowStatus.CONTAMINATED, "reason": reason}
        )


def _reason(found: Alteration) -> str | None:
    names = (*found.source, *found.environment)
    if not names:
        return None
    code = "source_altered" if found.source else "environment_altered"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{code}: changed while measuring: {', '.join(names[:_SHOWN])}{more}"
