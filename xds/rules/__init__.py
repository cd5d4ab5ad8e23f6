"""The gray-rule language: its model, what is wrong with a document, and which version of it is in force.

Knows no Envoy and no Nacos, does no I/O.
"""

from xds.rules.instance import Instance, ServiceId

__all__ = ["Instance", "ServiceId"]
