"""Resources in protobuf's JSON mapping, kept from one request to the next."""

import json
from collections import OrderedDict
from collections.abc import Iterable

from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool

from xds.cache import Resource
from xds.wire.descriptors import message_class, new_pool

_Key = tuple[str, str, str]


class JsonDocuments:
    """Writes each version of a resource once, as long as all together are not too large.

    Not safe for two threads at once.
    """

    def __init__(self, max_bytes: int = 64 << 20) -> None:
        self._max_bytes = max_bytes
        self._pool = new_pool()
        # The bytes of all documents, and these, the last used at the end. Written by ``_document``.
        self._bytes = 0
        self._documents: OrderedDict[_Key, bytes] = OrderedDict()

    def response(self, type_url: str, version: str, resources: Iterable[Resource]) -> bytes:
        """Write a ``DiscoveryResponse``. Raise ``ValueError`` if a resource is not what its type says."""
        head = json.dumps({"version_info": version, "type_url": type_url})[:-1].encode()
        return head + b', "resources": [' + b",".join(map(self._document, resources)) + b"]}"

    def _document(self, resource: Resource) -> bytes:
        key = (resource.type_url, resource.name, resource.version)
        document = self._documents.get(key)
        if document is None:
            document = self._documents[key] = _write(resource, self._pool)
            self._bytes += len(document)
            while self._bytes > self._max_bytes and len(self._documents) > 1:
                self._bytes -= len(self._documents.popitem(last=False)[1])
        self._documents.move_to_end(key)
        return document


def _write(resource: Resource, pool: DescriptorPool) -> bytes:
    """Write an ``Any`` of the resource: its own fields, and ``@type`` beside them."""
    try:
        message = message_class(resource.type_url.rpartition("/")[2], pool).FromString(resource.body)
        fields = json_format.MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=pool)
    except Exception as error:
        raise ValueError(f"{resource.type_url} {resource.name!r} has no JSON form: {error}") from error
    return json.dumps({"@type": resource.type_url, **fields}, separators=(",", ":")).encode()
