"""The programs of docs/openfeature.md, with OpenFeature's own SDKs, against a running Grayplane."""

import asyncio
from pathlib import Path

import pytest

from tests.clients.build import Language, open_feature
from tests.harness.grayplane import Grayplane

_RULES = {
    "subsets": {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}},
    "baseline": "stable",
    "http": [
        {
            "name": "testers",
            "match": [{"headers": {"x-release": {"exact": "canary"}}, "uri": {"prefix": "/checkout"}}],
            "route": [{"subset": "gray"}],
        }
    ],
}


@pytest.mark.parametrize("sdk", [Language.GO, Language.PYTHON], ids=str)
async def test_an_application_decides_as_the_rules_say(tmp_path: Path, sdk: Language) -> None:
    async with Grayplane(tmp_path) as grayplane:
        grayplane.rule("reviews.yaml", _RULES)
        await grayplane.until_logged(lambda entry: entry["event"] == "rule document applied")
        url = f"http://127.0.0.1:{grayplane.http_port}"
        assert await _run(sdk, url, "reviews") == "gray TARGETING_MATCH testers"
        assert (await _run(sdk, url, "nobody")).startswith("stable ERROR")


async def _run(sdk: Language, url: str, flag: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *open_feature(sdk), url, flag, "user-42", stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    return said.decode().strip()
