"""What ends a stream."""


class LimitExceededError(Exception):
    """A client wants more than one stream may; the text says what and how much, for its author."""
