"""A plugin of pytest for mutation testing: each test begins with empty caches.

mutmut runs all tests once and forks for each mutant. What is cached by then would not run again, and a change
of it would be found by no test.
"""

import functools
import gc

import pytest

_OURS = ("xds.", "tests.")


_CACHES = pytest.StashKey[list["functools._lru_cache_wrapper[object]"]]()


def pytest_collection_finish(session: pytest.Session) -> None:
    session.config.stash[_CACHES] = [
        each
        for each in gc.get_objects()
        if isinstance(each, functools._lru_cache_wrapper)
        and str(getattr(each, "__module__", "")).startswith(_OURS)
    ]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for each in item.config.stash[_CACHES]:
        each.cache_clear()
