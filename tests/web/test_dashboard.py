"""The dashboard as a person uses it: in a real browser, by mouse and keyboard, in both languages."""

import time
from collections.abc import Callable, Iterator

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests.harness.api_site import Site
from xds.http.access import Role, Token, new_token
from xds.http.events import Topic

PAGES = [
    "",
    "services",
    "service/reviews",
    "documents",
    "document/service-4.yaml",
    "proxies",
    "proxy/edge-1",
    "rollouts",
    "rollout/reviews",
]
CONTRAST = """
const parse = (text) => (text.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
const light = (part) => (part /= 255) <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
const backOf = (element) => {
  for (let each = element; each; each = each.parentElement) {
    const colour = parse(getComputedStyle(each).backgroundColor);
    if (colour.length < 4 || colour[3] > 0) return colour;
  }
  return [255, 255, 255];
};
return [...document.querySelectorAll("body *")]
  .filter((each) => [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
  .filter((each) => each.checkVisibility() && !each.closest(".hidden, noscript, .skip, svg"))
  .map((each) => {
    const both = [luminance(parse(getComputedStyle(each).color)), luminance(backOf(each))];
    return [each.textContent.slice(0, 40), (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05)];
  })
  .filter(([, ratio]) => ratio < 4.5);
"""
"""Texts whose contrast is less than WCAG's AA asks for."""

WEIGHT = """
const loaded = performance.getEntriesByType("resource");
return [document.querySelectorAll("*").length, loaded.reduce((sum, each) => sum + each.encodedBodySize, 0)];
"""
"""How many elements the page has, and the bytes of all that it loaded."""

ARROW = """
const find = (element, text) => {
  for (const node of element.childNodes) {
    const at = node.nodeType === 3 ? node.data.indexOf(text) : -1;
    if (at < 0) continue;
    const range = document.createRange();
    range.setStart(node, at);
    range.setEnd(node, at + 1);
    return range.getBoundingClientRect().left;
  }
};
const row = (kind) => document.querySelector(`pre .${kind}`);
return [find(row("wrong"), arguments[0]), find(row("says"), "↑")];
"""
"""Where a word of the wrong line begins, and where the arrow below it is."""

NAMELESS = """
return [...document.querySelectorAll("button, a, input, select, textarea")]
  .filter((each) => !(each.textContent.trim() || each.labels?.length || each.ariaLabel))
  .map((each) => each.outerHTML);
"""
"""Controls that a screen reader has no name for."""


class Page:
    """The dashboard in a browser."""

    def __init__(self, chromium: Chrome, site: Site) -> None:
        self.chromium = chromium
        self.site = site

    def open(self, path: str = "", *, width: int = 1280, theme: str = "light", language: str = "en") -> None:
        self.chromium.set_window_size(width, 900)
        self.chromium.get(f"{self.site.url}dashboard/icon.svg")
        self.chromium.execute_script("localStorage.clear(); sessionStorage.clear()")
        for key, value in (("theme", theme), ("language", language)):
            self.chromium.execute_script(f"localStorage.setItem('grayplane-{key}', '{value}')")
        self.complaints()
        self.chromium.get(f"{self.site.url}#/{path}")

    def until(self, holds: Callable[[], object]) -> None:
        WebDriverWait(self.chromium, 30, poll_frequency=0.05).until(lambda _: holds())

    def until_shown(self, *texts: str) -> None:
        self.until(lambda: all(text in self.text for text in texts))

    @property
    def text(self) -> str:
        return str(self.chromium.execute_script("return document.body.innerText"))

    def click(self, text: str) -> None:
        label = f"//*[self::button or self::a][normalize-space()='{text}']"
        self.chromium.find_element(By.XPATH, label).click()

    def fill(self, element_id: str, text: str) -> None:
        element = self.chromium.find_element(By.ID, element_id)
        element.clear()
        element.send_keys(text)

    def complaints_but(self, words: str) -> list[str]:
        """The same but for those that say some words."""
        return [each for each in self.complaints() if words not in each]

    def complaints(self) -> list[str]:
        """What the browser wrote to its console: a blocked script, a missing file, an exception."""
        return [str(entry["message"]) for entry in self.chromium.get_log("browser")]  # type: ignore[no-untyped-call]


@pytest.fixture
def page(chromium: Chrome, site: Callable[..., Site]) -> Iterator[Page]:
    shown = Page(chromium, site(services=9, proxies=9))
    yield shown
    chromium.get("about:blank")


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    ("width", "theme", "language"), [(1280, "light", "en"), (360, "dark", "zh"), (360, "light", "en")]
)
def test_every_page_can_be_read(page: Page, path: str, width: int, theme: str, language: str) -> None:
    page.open(path, width=width, theme=theme, language=language)
    page.until(lambda: page.chromium.find_elements(By.TAG_NAME, "h1"))
    overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.chromium.execute_script(overflow) <= 0
    assert page.chromium.execute_script(CONTRAST) == []
    assert page.complaints() == []
    assert page.chromium.execute_script(NAMELESS) == []


def test_nothing_comes_from_elsewhere(page: Page) -> None:
    page.open("service/reviews")
    page.until_shown("Split now")
    loaded = page.chromium.execute_script(
        "return performance.getEntriesByType('resource').map((each) => each.name)"
    )
    assert loaded
    assert all(name.startswith(page.site.url) for name in loaded)


def test_an_edit_is_seen_without_a_reload(page: Page) -> None:
    page.open("service/reviews")
    page.until_shown("gray 5 %", "live")
    page.site.backend.gray = 25
    page.site.tell(Topic.SERVICES)
    page.until_shown("gray 25 %")


def test_what_was_typed_stays_while_the_page_follows_the_server(page: Page) -> None:
    page.open("service/reviews")
    page.until_shown("Who gets what", "live")
    page.fill("explain-uri", "/checkout?gray=1")
    page.site.backend.gray = 50
    page.site.tell(Topic.SERVICES)
    page.until_shown("gray 50 %")
    field = page.chromium.find_element(By.ID, "explain-uri")
    assert field.get_attribute("value") == "/checkout?gray=1"
    assert page.chromium.switch_to.active_element == field
    field.send_keys(Keys.ENTER)
    page.until_shown("header x-release is absent", "stable 95 %")


def test_a_wrong_line_is_shown_with_what_would_be_right(page: Page) -> None:
    page.open("document/service-4.yaml")
    page.until_shown("Rejected", 'there is no subset "gry"', "did you mean gray?")
    [line] = page.chromium.find_elements(By.CSS_SELECTOR, "pre .wrong")
    assert "{subset: gry, weight: 5}" in line.text
    at, arrow = page.chromium.execute_script(ARROW, "gry")
    assert abs(at - arrow) < 3, "the arrow points at the wrong place"


def test_the_overview_says_what_is_wrong_and_what_is_under_way(page: Page) -> None:
    page.open()
    page.until_shown('10:18: there is no subset "gry"', "line 9: edge-0:", "success rate 99.9 %")
    page.chromium.find_element(By.CSS_SELECTOR, "a.count[href='#/documents?state=Rejected']").click()
    page.until_shown("1 of 1", "service-4.yaml")


def test_the_line_that_a_proxy_rejected_is_shown(page: Page) -> None:
    page.open("document/service-3.yaml")
    page.until_shown("edge-0: <script>alert(1)</script> is no listener")
    [line] = page.chromium.find_elements(By.CSS_SELECTOR, "pre .wrong")
    assert "{subset: stable, weight: 95}" in line.text
    assert "Nothing is wrong with it" not in page.text


def test_a_proxy_shows_what_it_runs_and_what_it_lacks(page: Page) -> None:
    page.open("proxy/edge-1")
    page.until_shown("Does not run yet", "reviews.yaml", "Runs", "service-1.yaml", "290e19b340df9087")


def test_what_a_proxy_says_is_text_and_never_markup(page: Page) -> None:
    page.open("document/service-3.yaml")
    page.until_shown("<script>alert(1)</script> is no listener")
    assert page.complaints() == []


def test_a_document_is_checked_compared_and_published(page: Page) -> None:
    page.open("document/reviews.yaml")
    page.until_shown("Edit")
    page.click("Edit")
    page.click("Check")
    page.until_shown("did you mean gray?")
    area = page.chromium.find_element(By.ID, "text")
    good = str(area.get_attribute("value")).replace("gry", "gray")
    page.fill("text", good)
    page.click("What would change")
    page.until_shown("20 % of the users move")
    page.click("Publish")
    page.fill("answer", "ticket 42")
    page.chromium.find_element(By.CSS_SELECTOR, "dialog .main").click()
    page.until_shown("Published as revision")
    assert list(page.site.backend.published.values()) == [good]


def test_a_rollout_is_stopped_by_keyboard_alone(page: Page) -> None:
    page.open("rollout/reviews")
    page.until_shown("Abort")
    for _ in range(60):
        page.chromium.switch_to.active_element.send_keys(Keys.TAB)
        if page.chromium.switch_to.active_element.text == "Abort":
            break
    page.chromium.switch_to.active_element.send_keys(Keys.ENTER)
    page.until_shown("Take all traffic back to the baseline?")
    page.chromium.switch_to.active_element.send_keys("errors", Keys.ENTER)
    page.until(lambda: page.site.backend.acted)
    assert page.site.backend.acted == [("abort", "local", "errors")]


def test_a_refusal_is_said(page: Page) -> None:
    page.open("rollout/reviews")
    page.until_shown("Pause")
    page.site.backend.refuses = "it is over"
    page.click("Pause")
    page.chromium.find_element(By.CSS_SELECTOR, "dialog .main").click()
    page.until_shown("This did not work: it is over")


def test_a_token_is_asked_for_and_a_viewer_has_no_buttons(
    chromium: Chrome, site: Callable[..., Site]
) -> None:
    text, hashed = new_token()
    page = Page(chromium, site(tokens=(Token("watcher", Role.VIEWER, hashed),)))
    page.open("rollout/reviews")
    page.until_shown("This server wants a token")
    page.fill("answer", text)
    page.chromium.switch_to.active_element.send_keys(Keys.ENTER)
    page.until_shown("success rate 99.9 %", "live")
    assert "Abort" not in page.text
    assert page.chromium.execute_script("return document.cookie") == ""


def test_language_and_theme_are_kept(page: Page) -> None:
    page.open("services")
    page.until_shown("Split now")
    page.click("中文")
    page.until_shown("当前流量比例")
    page.click("深色")
    page.chromium.refresh()
    page.until_shown("当前流量比例", "浅色")
    assert page.chromium.execute_script("return document.documentElement.lang") == "zh-CN"


def test_a_thousand_services_and_proxies(chromium: Chrome, site: Callable[..., Site]) -> None:
    page = Page(chromium, site(services=1000, proxies=1000))
    page.open("services")
    page.until_shown("100 of 1000")
    page.fill("search", "service-0999")
    page.until_shown("1 of 1")
    page.open("proxies")
    page.until_shown("100 of 1000")
    rows = chromium.find_elements(By.CSS_SELECTOR, "tbody tr")
    assert len(rows) == 100
    page.click("Show 100 more")
    page.until_shown("200 of 1000")
    started = time.monotonic()
    page.open("")
    page.until_shown("1,000")
    print(f"overview of 1,000 services and proxies: {time.monotonic() - started:.2f} s")  # noqa: T201
    for path in ("", "services", "documents", "proxies"):
        page.open(path)
        page.until(lambda: page.chromium.find_elements(By.TAG_NAME, "h1"))
        elements, transferred = page.chromium.execute_script(WEIGHT)
        assert elements < 3000
        assert transferred < 300_000


def test_the_server_going_away_is_seen(page: Page) -> None:
    page.open("services")
    page.until_shown("live")
    page.site.stop()
    page.until_shown("reconnecting")
