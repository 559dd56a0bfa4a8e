"""How the C library keeps memory: what a picture took goes back to the system when it is freed."""

import ctypes

# mallopt(3), malloc.h of glibc
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
# Blocks from here on are mapped on their own. By default glibc raises this to 32 MB after the first large
# picture, and keeps as much for ever in each of its arenas.
_OWN_MAPPING_FROM_BYTES = 1024 * 1024
_ARENAS = 2


def give_back_freed_pictures() -> None:
    """Set the allocator so; nothing happens where the C library is not glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _OWN_MAPPING_FROM_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _OWN_MAPPING_FROM_BYTES)
        mallopt(_M_ARENA_MAX, _ARENAS)
