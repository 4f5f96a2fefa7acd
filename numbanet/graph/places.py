"""Where an op comes from: the user's line, and the module whose forward it belongs to."""

from __future__ import annotations

import sys
from pathlib import Path
from types import CodeType, FrameType

import numbanet
from numbanet.autograd.walk import Walk

_ROOT = Path(numbanet.__file__).parent
_USERS = (_ROOT / "models", _ROOT / "training")  # written as a user would write them
_cache: dict[CodeType, bool] = {}


def _is_users(code: CodeType) -> bool:
    """Whether a function is none of the library's own machinery."""
    found = _cache.get(code)
    if found is None:
        path = Path(code.co_filename)
        inside = path.is_relative_to(_ROOT) and not any(path.is_relative_to(folder) for folder in _USERS)
        found = _cache[code] = not inside
    return found


def here(names: dict[int, str], forwards: dict[object, tuple[str, str]]) -> tuple[str, str, bool]:
    """(file:line of the user, dotted name of the module, whether this is the backward pass).

    ``names`` has the modules' names by id; ``forwards`` what was found for the nodes of the tape, from which an op of
    the backward pass has its place."""
    frame: FrameType | None = sys._getframe(2)
    line = path = ""
    while frame is not None:
        code = frame.f_code
        if code is Walk.run.__code__:
            return (*forwards.get(id(frame.f_locals.get("node")), ("", "")), True)
        if not path and code.co_name == "forward":
            path = names.get(id(frame.f_locals.get("self")), "")
        if not line and _is_users(code):
            line = f"{code.co_filename}:{frame.f_lineno}"
        if line and path:
            break
        frame = frame.f_back
    return line, path, False


def users_line() -> str:
    """file:line of the innermost function that is not the library's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not _is_users(frame.f_code):
        frame = frame.f_back
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
