"""Gets the example rules to where the demo's rules are."""

import shutil

from xds.demo.errors import DemoError
from xds.demo.plan import DemoPlan
from xds.package_data import package_data

_RULES = "config/rules"
_SCHEMA = "config/rule.schema.json"


async def provide_rules(plan: DemoPlan) -> str:
    """Provide the example rules where there are none, and say what was done.

    What is there already is the user's, and stays as it is.
    """
    if plan.settings.source == "nacos":
        return await _publish(plan)
    rules = plan.directory.rules
    rules.parent.mkdir(parents=True, exist_ok=True)
    # Where the rules' first line tells editors to look for it.
    shutil.copy(package_data(_SCHEMA), rules.parent)
    if rules.exists():
        return f"Rules are in {rules}, as they were."
    shutil.copytree(package_data(_RULES), rules)
    return f"The example rules are now in {rules}."


async def _publish(plan: DemoPlan) -> str:
    from xds.sources.nacos import NacosError, publish_missing  # noqa: PLC0415  # slow to load

    nacos = plan.settings.nacos
    documents = {file.name: file.read_text(encoding="utf-8") for file in package_data(_RULES).glob("*.yaml")}
    try:
        published = await publish_missing(nacos.client_settings()[0], documents)
    except NacosError as error:
        raise DemoError(f"the example rules cannot be published: {error}") from None
    kept = sorted(documents.keys() - set(published))
    return " ".join(
        [
            *([f"Published to {nacos.rules_group}: {', '.join(published)}."] if published else []),
            *([f"In {nacos.rules_group} already, and left as they are: {', '.join(kept)}."] if kept else []),
        ]
    )
