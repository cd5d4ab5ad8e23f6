"""A decryption plug-in for configurations of Nacos: ``nacos.decryption: example_decryption:decrypt``.

Envelope encryption: each document is encrypted with a data key of its own (AES-GCM), and the data key with a
master key, which is in the file that MASTER_KEY_FILE names, in base64. Nonces of 12 bytes stand before what
they belong to, and everything is in base64. The author's side is ``encrypt``.
"""

import base64
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12


def decrypt(algorithm: str, encrypted_data_key: str, content: str) -> str:
    """Return the text of `cipher-aesgcm-<name>`. What it raises is shown to the author."""
    if algorithm != "aesgcm":
        raise ValueError(f"no such algorithm: {algorithm}; aesgcm is known")
    try:
        data_key = _opened(_master_key(), encrypted_data_key)
        return _opened(data_key, content).decode()
    except InvalidTag:
        raise ValueError("it was encrypted with another key, or changed since") from None


def encrypt(text: str) -> tuple[str, str]:
    """Return the encryptedDataKey and the content to publish."""
    data_key = AESGCM.generate_key(128)
    return _sealed(_master_key(), data_key), _sealed(data_key, text.encode())


def _master_key() -> bytes:
    return base64.b64decode(Path(os.environ["MASTER_KEY_FILE"]).read_bytes())


def _sealed(key: bytes, plain: bytes) -> str:
    nonce = os.urandom(_NONCE)
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, plain, None)).decode()


def _opened(key: bytes, sealed: str) -> bytes:
    raw = base64.b64decode(sealed)
    return AESGCM(key).decrypt(raw[:_NONCE], raw[_NONCE:], None)
