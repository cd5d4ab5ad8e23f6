"""Asks an Envoy on this machine whether it takes what services are compiled to, before a proxy is sent it."""

from xds.validation.envoy import EnvoyValidator, EnvoyVerdict

__all__ = ["EnvoyValidator", "EnvoyVerdict"]
