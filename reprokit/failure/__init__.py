"""From a log to a `Failure`: exception class, message, terminal frame, chained causes, kind.

The log is never held in memory: it is searched backwards in pieces for its last traceback, and a
window around that is parsed. A log may hold anything, so nothing in it raises.

The form of tracebacks is that of CPython's `traceback` module and `faulthandler`; ranks are
prefixed as torch.distributed does.
"""

from reprokit.failure.fingerprint import fingerprint
from reprokit.failure.read import is_out_of_memory, make_failure, read_failure
from reprokit.failure.taxonomy import classify
from reprokit.failure.traceback import shortened

__all__ = [
    "classify",
    "fingerprint",
    "is_out_of_memory",
    "make_failure",
    "read_failure",
    "shortened",
]
