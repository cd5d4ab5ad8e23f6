"""A real Chromium on the dashboard of a real HTTP server; what the server says is made up."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.harness.api_backend import SampleBackend
from tests.harness.api_site import Site
from xds.http.access import Token

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
def site() -> Iterator[Callable[..., Site]]:
    """Make servers that run until the test ends."""
    with ExitStack() as stack:

        def start(services: int = 3, proxies: int = 3, tokens: tuple[Token, ...] = ()) -> Site:
            return stack.enter_context(Site(SampleBackend(services, proxies), tokens).running())

        yield start


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chrome]:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        why = "no Chromium with its driver here (Debian: apt install chromium chromium-driver)"
        if "CI" in os.environ:
            pytest.fail(why)
        pytest.skip(why)
    options = ChromeOptions()
    options.binary_location = browser
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--lang=en-US",
        "--disable-gpu",
        "--force-prefers-reduced-motion",  # no colour is looked at while it changes
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = Chrome(options=options, service=Service(driver))
    yield chrome
    chrome.quit()
