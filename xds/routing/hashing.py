"""The hash that chooses users, bit for bit as Envoy computes it (xxHash64)."""

from collections.abc import Sequence
from functools import lru_cache

import xxhash

from xds.routing.splits import TOTAL


def bucket(values: Sequence[bytes], salt: str = "") -> int:
    """Return the place of an identity among ``TOTAL`` places.

    ``values`` is one text, or the lines of a header that was sent on several: Envoy hashes them in order,
    each with the hash of the one before as seed.
    """
    seed = seed_of(salt)
    for value in values:
        seed = xxhash.xxh64_intdigest(value, seed)
    return seed % TOTAL


@lru_cache(maxsize=1 << 10)
def seed_of(salt: str) -> int:
    """Return the seed of a salt; no salt is seed 0, which is what splits have."""
    return xxhash.xxh64_intdigest(salt.encode()) if salt else 0
