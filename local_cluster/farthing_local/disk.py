"""A full or closed disk as one line, instead of an exception out of the middle of something."""

from __future__ import annotations

import contextlib
import errno
import pathlib
from collections.abc import Iterator

from farthing_local import errors

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


@contextlib.contextmanager
def explained(
    title: str, where: pathlib.Path, kind: type[errors.LocalClusterError], variable: str
) -> Iterator[None]:
    """Turn such an error within the block into one that names the folder and the way out."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            problem = f"The disk of the {title} {where} is full."
        elif error.errno in _CLOSED:
            problem = f"The {title} {where} cannot be written ({error.strerror})."
        else:
            raise
        raise kind(
            problem, next_step=f"Name a folder that can be written in {variable}."
        ) from error
