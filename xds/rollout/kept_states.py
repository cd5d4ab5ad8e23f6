"""The states of rollouts in the store, and this replica's copy of them."""

from collections.abc import AsyncIterator
from typing import NamedTuple

from xds.rollout.state import State
from xds.rollout.store import FileStore, Store, StoreError
from xds.rules.instance import ServiceId


class KeptState(NamedTuple):
    """A state, and the version that replaces it."""

    state: State
    version: str | None


class KeptStates:
    """Reads and writes states.

    ``store`` is what replicas share, ``local`` the copy that this replica serves from after a restart; the
    two may be one.
    """

    def __init__(self, store: Store, local: FileStore) -> None:
        self._store = store
        self._local = local

    async def copies(self) -> AsyncIterator[tuple[ServiceId, KeptState | StoreError]]:
        """Yield what this replica knew when it ended. Raise ``StoreError`` if nothing can be read."""
        for name in await self._local.names():
            service = _service(name)
            try:
                stored = await self._local.read(name)
                if stored is None:
                    continue
                state = _read(service, stored.text)
            except StoreError as error:
                yield service, error
            else:
                yield service, KeptState(state, stored.version if self._store is self._local else None)

    async def read(self, service: ServiceId, version: str | None) -> KeptState | None:
        """Return what is in the store, None if nothing is or this version. Raise ``StoreError``."""
        stored = await self._store.read(_name(service))
        if stored is None or stored.version == version:
            return None
        state = _read(service, stored.text)
        await self._copy(service, stored.text)
        return KeptState(state, stored.version)

    async def write(self, service: ServiceId, state: State, version: str | None) -> str:
        """Replace this version; return the new one. Raise ``StoreError``."""
        text = state.model_dump_json()
        new = await self._store.write(_name(service), text, version)
        await self._copy(service, text)
        return new

    async def _copy(self, service: ServiceId, text: str) -> None:
        if self._store is not self._local:
            await self._local.copy(_name(service), text)


def _read(service: ServiceId, text: str) -> State:
    try:
        return State.model_validate_json(text)
    except ValueError as error:
        raise StoreError(f"what is kept of the rollout of {service} cannot be read: {error}") from error


def _name(service: ServiceId) -> str:
    return f"rollout:{service}"


def _service(name: str) -> ServiceId:
    namespace, _, service = name.removeprefix("rollout:").rpartition("/")
    return ServiceId(namespace, service)
