"""Rule documents from what other systems call routes. What cannot be carried over is told by name.

Pure: manifests come in as plain values, and documents go out so.
"""

from xds.rules.imports.gateway_api import import_gateway_api
from xds.rules.imports.istio import import_istio
from xds.rules.imports.manifest import Imported

__all__ = ["Imported", "import_gateway_api", "import_istio"]
