"""Runs a command that cannot open a network socket: `python no_network.py COMMAND...`.

The kernel refuses (EACCES) every socket that is not local to the machine's own processes, for the
command and all its children; no privilege is needed. Linux on x86_64 and aarch64.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

_SOCKET = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 13
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER_AT, _ARCH_AT, _FAMILY_AT = 0, 4, 16
_INET, _INET6 = 2, 10


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def supported() -> bool:
    """Tell whether this machine can do it."""
    return sys.platform == "linux" and platform.machine() in _SOCKET


def forbid() -> None:
    """Forbid network sockets to this process and all that it will start."""
    arch, number = _SOCKET[platform.machine()]
    steps = [
        (_LOAD, 0, 0, _ARCH_AT), (_EQUAL, 0, 6, arch),
        (_LOAD, 0, 0, _NUMBER_AT), (_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _FAMILY_AT), (_EQUAL, 1, 0, _INET), (_EQUAL, 0, 1, _INET6),
        (_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW),
    ]  # fmt: skip
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    program = _Program(len(steps), code)
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_NO_NEW_PRIVS, 1, 0, 0, 0), (_SET_SECCOMP, _FILTER, ctypes.byref(program))):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "the kernel has no seccomp filters")


if __name__ == "__main__":
    forbid()
    os.execvp(sys.argv[1], sys.argv[1:])
