"""How often Python looks for reference cycles, in a process that holds much and makes few of them.

By default it looks after every 700 new objects. One push to a thousand streams makes tens of thousands, all
of which go without that: looking costs a quarter of the push and finds nothing.
"""

import gc

_YOUNG = 20_000
"""New objects between two looks at them; cycles hold on to that many at most, some megabytes."""
_MIDDLE = 20
_OLD = 100


def look_rarely() -> None:
    """Set how often this process looks for cycles; for a process of our own, not for a library's user."""
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
