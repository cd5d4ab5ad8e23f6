"""Decides by the gray rules of a service: python decide.py http://127.0.0.1:18080 reviews user-42

Needs: pip install openfeature-sdk openfeature-provider-ofrep
"""

import sys

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext


def main(url: str, flag: str, user: str) -> None:
    """Evaluate one flag; print what was decided and why."""
    api.set_provider(OFREPProvider(base_url=url))
    context = EvaluationContext(user, {"uri": "/checkout", "headers": {"x-release": "canary"}})
    # "stable" is what the application does when Grayplane does not answer.
    found = api.get_client().get_string_details(flag, "stable", context)
    print(found.value, found.reason, found.flag_metadata.get("rule"))


main(*sys.argv[1:])
