"""What glibc keeps of freed memory, kept small: snapshots are large and short-lived, threads many.

Without it a daemon that once read ten targets at a time stays as large as it was then (measured: `make bench`).
Does nothing where there is no glibc. Numbers of the parameters: malloc.h.
"""

from __future__ import annotations

import ctypes
import functools

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_THRESHOLD_BYTES = 128 * 1024


@functools.cache
def _libc() -> ctypes.CDLL | None:
    try:
        libc = ctypes.CDLL(None)
        return libc if hasattr(libc, "malloc_trim") and hasattr(libc, "mallopt") else None
    except OSError:
        return None


def keep_small() -> None:
    """Large blocks go back to the system when they are freed, and threads share one pool for small ones."""
    if (libc := _libc()) is not None:
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _THRESHOLD_BYTES)


def give_back() -> None:
    """Gives what is free to the system."""
    if (libc := _libc()) is not None:
        libc.malloc_trim(0)
