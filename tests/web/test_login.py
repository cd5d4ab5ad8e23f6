"""Login by an OpenID Connect provider, as a person does it in a real browser."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from selenium.webdriver import Chrome

from tests.harness.api_backend import SampleBackend
from tests.harness.api_site import Site
from tests.harness.oidc_provider import OidcProvider
from tests.harness.oidc_world import settings
from tests.harness.ports import free_ports
from tests.web.test_dashboard import CONTRAST, NAMELESS, Page
from xds.composition.oidc import oidc_of


@pytest.fixture
def page(chromium: Chrome) -> Iterator[Page]:
    provider_port, port = free_ports(2)
    provider = OidcProvider(provider_port)
    provider.redirect_uris.add(f"http://127.0.0.1:{port}/auth/callback")
    with ExitStack() as stack:
        stack.enter_context(provider.running())
        oidc = oidc_of(settings(provider.issuer, f"http://127.0.0.1:{port}"))
        page = Page(chromium, stack.enter_context(Site(SampleBackend(), port=port, oidc=oidc).running()))
        yield page
        chromium.delete_all_cookies()
        chromium.get("about:blank")


def log_in(page: Page, user: str) -> None:
    page.open("rollout/reviews")
    page.until_shown("Sign in with your organisation's account")
    page.click("Sign in")
    page.until(lambda: page.chromium.title == "Provider")
    page.fill("user", user)
    page.chromium.find_element("id", "allow").click()


def test_an_operator_logs_in_acts_and_logs_out(page: Page) -> None:
    log_in(page, "alice")
    page.until_shown("success rate 99.9 %", "live", "alice")
    assert page.chromium.current_url == f"{page.site.url}dashboard/#/rollout/reviews"
    assert page.chromium.execute_script("return document.cookie") == ""
    page.click("Pause")
    page.fill("answer", "lunch")
    page.chromium.find_element("css selector", "dialog .main").click()
    page.until(lambda: page.site.backend.acted)
    assert page.site.backend.acted == [("pause", "alice", "lunch")]
    page.click("Sign out")
    page.until(lambda: page.chromium.title == "Logged out")
    page.open("services")
    page.until_shown("Sign in with your organisation's account")
    assert page.complaints_but("401") == []


def test_a_viewer_has_no_buttons(page: Page) -> None:
    log_in(page, "bob")
    page.until_shown("success rate 99.9 %", "live", "bob")
    assert "Abort" not in page.text


@pytest.mark.parametrize(("width", "theme", "language"), [(1280, "light", "en"), (390, "dark", "zh")])
def test_the_pages_of_a_login_can_be_read(page: Page, width: int, theme: str, language: str) -> None:
    page.open("", width=width, theme=theme, language=language)
    page.until(lambda: page.chromium.find_elements("css selector", "a.button"))
    assert "reconnecting" not in page.text
    assert page.chromium.execute_script(CONTRAST) == []
    assert page.chromium.execute_script(NAMELESS) == []
    log_in_name = "<script>alert(1)</script>\\nforged=yes"
    page.chromium.get(f"{page.site.url}auth/login")
    page.fill("user", log_in_name)
    page.chromium.find_element("id", "allow").click()
    page.until_shown("<script>alert(1)</script>")
    overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.chromium.execute_script(overflow) <= 0
    assert page.chromium.execute_script(CONTRAST) == []


def test_who_has_no_role_is_told_so(page: Page) -> None:
    log_in(page, "eve")
    page.until_shown("eve has no role here")
    page.click("Log in again")
    page.until(lambda: page.chromium.title == "Provider")
    page.chromium.find_element("id", "deny").click()
    page.until_shown("access_denied")
    assert page.chromium.execute_script(CONTRAST) == []
