"""Opening files that a benchmark could have replaced by anything at all.

A symbolic link to a device never ends, and a pipe without a writer never begins; reading either
would hang or fill the memory. Whoever reads a file of an invocation opens it here.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


class NotAFileError(OSError):
    """What is there is no regular file of its own: a link, a pipe, a device, a directory."""


def open_evidence(path: Path) -> BufferedReader:
    """Open a file for reading, if it is a regular file and no link to one.

    Raises:
        NotAFileError: it is something else.
        OSError: it is not there or may not be read.
    """
    # Looked at before it is opened, because opening some devices already does something.
    _check(path, os.lstat(path))
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check(path, os.fstat(handle))
    except OSError:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def read_evidence(path: Path, *, limit: int) -> bytes:
    """Read a whole file of at most `limit` bytes.

    Raises:
        NotAFileError: it is no regular file.
        OSError: it is not there, may not be read, or is larger.
    """
    with open_evidence(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"more than {limit} bytes", str(path))
    return content


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NotAFileError(errno.EINVAL, f"it is {_kind(found.st_mode)}", str(path))


def _kind(mode: int) -> str:
    for is_kind, name in (
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
    ):
        if is_kind(mode):
            return name
    return "a device"
