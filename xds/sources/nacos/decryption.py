"""Encrypted configurations: ``cipher-<algorithm>-<name>``, as Nacos's encryption plug-ins name them.

Nacos stores what the author's client encrypted, and the key beside it, itself encrypted
(``encryptedDataKey``). What undoes both is the operator's: a function that ``nacos.decryption`` names.
"""

import asyncio
import importlib
from collections.abc import Callable

from xds.documents.text import Undecrypted

Decrypt = Callable[[str, str, str], str]
"""Takes the algorithm, the ``encryptedDataKey`` ('' if there is none) and the content; returns the text.

It is called in a thread, so it may ask a key service. What it raises is told to the author, so its messages
must hold no secrets.
"""

_PREFIX = "cipher-"
_PATIENCE = 10.0
"""Seconds that a plug-in may take for one document."""


def load(name: str) -> Decrypt:
    """Return the function that ``module:function`` names. Raise ``ValueError``."""
    module, _, function = name.partition(":")
    if not module or not function:
        raise ValueError(f"{name!r} is not module:function")
    try:
        decrypt: Decrypt = getattr(importlib.import_module(module), function)
    except ImportError as error:
        raise ValueError(f"{module} cannot be imported: {error}") from None
    except AttributeError:
        raise ValueError(f"module {module} has no function {function}") from None
    return decrypt


async def decrypted(decrypt: Decrypt, data_id: str, key: str, content: str) -> bytes:
    """Return the text of an encrypted configuration; ``Undecrypted`` with the reason if there is none."""
    algorithm = data_id.removeprefix(_PREFIX).partition("-")[0]
    try:
        text = await asyncio.wait_for(asyncio.to_thread(decrypt, algorithm, key, content), _PATIENCE)
    except TimeoutError:
        reason = f"the plug-in did not answer within {_PATIENCE:.0f} s"
    except Exception as error:  # noqa: BLE001  # a plug-in raises what it likes
        reason = str(error) or type(error).__name__
    else:
        if isinstance(text, str):
            return text.encode()
        reason = f"the plug-in returned {type(text).__name__}, not text"
    return Undecrypted(content, f"it cannot be decrypted: {reason}")
