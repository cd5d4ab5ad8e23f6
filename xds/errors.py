"""Errors that go through all layers, for the command line to tell: importing it needs none of them."""


class BindError(Exception):
    """The address cannot be listened on."""
