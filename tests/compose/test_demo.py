"""The compose demo as a visitor of the README walks through it."""

import time
from collections import Counter
from collections.abc import Callable

import httpx
import pytest

from tests.compose.project import Project

_PATIENCE = 90.0

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]


def _eventually(check: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            if check():
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.2)


def _versions(project: Project, users: int = 200) -> Counter[str]:
    answers = (project.get(x_user_id=f"user-{number}") for number in range(users))
    return Counter(answer.json()["version"] for answer in answers)


def _chain(answer: httpx.Response) -> list[str]:
    chain, hop = [], answer.json()
    while hop:
        chain.append(f"{hop['service']} {hop['version']}")
        hop = hop.get("upstream")
    return chain


def _all_there(project: Project) -> bool:
    answer = project.get()
    return answer.status_code == 200 and len(_chain(answer)) == 3


def test_a_request_goes_through_the_whole_chain(project: Project) -> None:
    _eventually(lambda: _all_there(project))
    _eventually(
        lambda: _chain(project.get(x_release="canary")) == ["storefront v2", "reviews v1", "ratings v2"]
    )


def test_an_edit_in_nacos_moves_the_split(project: Project) -> None:
    _eventually(lambda: _all_there(project))
    assert 0 < _versions(project)["v2"] < 40
    rule = project.document("storefront.yaml")
    half = rule.replace("weight: 95", "weight: 50").replace("weight: 5}", "weight: 50}")
    assert half != rule
    project.publish("storefront.yaml", half)
    _eventually(lambda: 60 < _versions(project)["v2"] < 140)


def test_a_broken_rule_changes_nothing_and_its_author_reads_why_in_nacos(project: Project) -> None:
    _eventually(lambda: _all_there(project))
    rule = project.document("ratings.yaml")
    project.publish("ratings.yaml", rule.replace("subset: gray", "subset: gry"))
    _eventually(lambda: "Rejected" in project.document("ratings.yaml", "GRAY_STATUS"))
    assert 'there is no subset "gry"' in project.document("ratings.yaml", "GRAY_STATUS")
    assert _chain(project.get(x_release="canary"))[-1] == "ratings v2"
    project.publish("ratings.yaml", rule)
    _eventually(lambda: "Programmed" in project.document("ratings.yaml", "GRAY_STATUS"))


@pytest.mark.parametrize("service", ["grayplane", "nacos", "edge"])
def test_what_is_killed_comes_back(project: Project, service: str) -> None:
    _eventually(lambda: _all_there(project))
    project.container(service).kill()
    if service != "edge":
        assert project.get().status_code == 200
    project.container(service).start()
    _eventually(lambda: _all_there(project) and project.ready()["ready"])


def test_a_version_that_dies_hands_its_share_to_the_baseline(project: Project) -> None:
    _eventually(lambda: _all_there(project))
    project.container("ratings-v2").stop(timeout=5)
    _eventually(lambda: _chain(project.get(x_release="canary"))[-1] == "ratings v1")
    project.container("ratings-v2").start()
    project.container("ratings-v2-sidecar").restart(timeout=1)
    _eventually(lambda: _chain(project.get(x_release="canary"))[-1] == "ratings v2")


def test_containers_run_without_privileges(project: Project) -> None:
    for service in ("grayplane", "edge", "storefront-v1", "ratings-v1-sidecar"):
        container = project.container(service)
        host = container.attrs["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert container.attrs["Config"]["User"].split(":")[0] not in {"", "0", "root"}, service
