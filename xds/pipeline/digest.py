"""A digest of what a service is compiled from: tells whether what an earlier run compiled is current."""

import hashlib

import msgspec

from xds.code_digest import code_digest

_ENCODER = msgspec.json.Encoder(order="deterministic")


def inputs_digest(*inputs: object) -> str:
    """Return a digest of what a service is compiled from, in types that msgspec knows, and of the code."""
    return hashlib.blake2b(_ENCODER.encode(inputs), key=code_digest(), digest_size=16).hexdigest()
