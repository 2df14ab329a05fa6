"""Work over many rows, which the collector of cycles would look through again and again."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

_Asked = ParamSpec("_Asked")
_Given = TypeVar("_Given")


def without_collecting(function: Callable[_Asked, _Given]) -> Callable[_Asked, _Given]:
    """Make a function that leaves cycles alone while it works; records and numbers have none."""

    @wraps(function)
    def worked(*args: _Asked.args, **kwargs: _Asked.kwargs) -> _Given:
        if not gc.isenabled():
            return function(*args, **kwargs)
        gc.disable()
        try:
            return function(*args, **kwargs)
        finally:
            gc.enable()

    return worked
