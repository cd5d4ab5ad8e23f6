"""What can go wrong with Nacos, said to the operator."""


class NacosError(Exception):
    """Nacos did not do what it was asked to; the text says what, where and what would help."""


class UnreachableError(NacosError):
    """No server could be reached, or none answered."""


class RefusedError(NacosError):
    """A server refused for lack of identity or permission."""
