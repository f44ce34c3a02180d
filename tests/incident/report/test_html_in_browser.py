"""HTML report in a real Chromium: renders, requests nothing, runs nothing, fits the screen."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from incident.model import Status
from incident.playbook.plan import with_updated_plan
from incident.report.html import CaseFileContents, render_html
from tests.incident.report.test_html import sample_case, with_hostile_text

_CHROMIUM, _DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
#: Set by CI where it can install a browser: then these tests are not skipped.
_REQUIRED = "BROWSER_REQUIRED" in os.environ
pytestmark = pytest.mark.skipif(
    not (_CHROMIUM and _DRIVER) and not _REQUIRED,
    reason="no browser here: on Debian, apt install chromium chromium-driver",
)
_PHONE, _DESKTOP = 360, 1280
_DESKTOP_HEIGHT, _PHONE_SCREENS = 800, 2 * 844
_MOST_WORDS, _MOST_PAGES = 1500, 6


@dataclass(frozen=True)
class Browser:
    """A browser and its events since the last question."""

    driver: Any

    def show(self, page: Path, width: int, *, dark: bool, media: str = "screen") -> None:
        """Open a page at a width, in a colour scheme, on screen or paper."""
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"media": media, "features": scheme}
        )
        self.driver.get_log("performance")
        self.driver.get(page.as_uri())

    def requests(self) -> list[str]:
        """Addresses requested since."""
        events = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        sent = [event for event in events if event["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def ask(self, script: str) -> Any:
        """Value of an expression in the page."""
        return self.driver.execute_script(f"return {script}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file, stopped by its driver."""
    assert _CHROMIUM, "CI has to install chromium"
    assert _DRIVER, "CI has to install chromium-driver"
    options = Options()
    options.binary_location = str(_CHROMIUM)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(executable_path=str(_DRIVER)))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


@pytest.mark.parametrize("hostile", [False, True])
async def test_the_page_renders_and_does_nothing(
    browser: Browser, tmp_path: Path, *, hostile: bool
) -> None:
    """At phone and desktop width, light and dark, with usual and hostile text."""
    case = await sample_case(tmp_path)
    if hostile:
        outcome = with_hostile_text(case.outcome)
        long = replace(outcome.detected, arguments=(*outcome.detected.arguments, "A" * 100_000))
        case = CaseFileContents(
            replace(outcome, detected=long), with_hostile_text(case.evidence), case.records
        )
    page = tmp_path / "report.html"
    page.write_text(render_html(case))
    backgrounds = set()
    for width in (_PHONE, _DESKTOP):
        for dark in (False, True):
            browser.show(page, width, dark=dark)
            assert browser.requests() == [page.as_uri()]
            assert browser.ask("document.documentElement.scrollWidth") <= width
            assert browser.ask("document.scripts.length") == 0
            assert browser.ask("typeof hacked") == "undefined"
            assert browser.ask("document.querySelectorAll('h1').length") == 1
            assert browser.ask("document.body.innerText.length") > len("a page of some length")
            backgrounds.add(browser.ask("getComputedStyle(document.body).backgroundColor"))
            logged = browser.driver.get_log("browser")
            assert not [entry for entry in logged if entry["level"] == "SEVERE"]
    assert len(backgrounds) == len(("light", "dark"))


async def test_the_page_can_be_read_by_everybody(browser: Browser, tmp_path: Path) -> None:
    """Headings in order, named pictures, header cells, contrast of at least 4.5 to 1."""
    page = tmp_path / "report.html"
    page.write_text(render_html(await sample_case(tmp_path)))
    for dark in (False, True):
        browser.show(page, _DESKTOP, dark=dark)
        levels = browser.ask(
            "[...document.querySelectorAll('h1,h2,h3')].map(h => Number(h.tagName[1]))"
        )
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        assert browser.ask("document.documentElement.lang") == "en"
        assert browser.ask("[...document.querySelectorAll('svg')].every(s => s.ariaHidden)")
        assert browser.ask("[...document.querySelectorAll('th')].every(t => t.scope === 'col')")
        assert browser.ask(_CONTRAST) == []


@pytest.mark.parametrize("wide", ["W", "\u6f22", "\U0001f600", "\u0634", "\u202e", "word "])
async def test_nothing_overruns_the_page(browser: Browser, tmp_path: Path, wide: str) -> None:
    """Wide letters, Chinese, emoji, Arabic and escapes are broken into lines."""
    case = await sample_case(tmp_path)
    assert case.outcome.finding
    assert case.outcome.detected
    outcome = replace(
        case.outcome,
        finding=replace(case.outcome.finding, category=wide * 200),
        detected=replace(case.outcome.detected, arguments=(wide * 200,)),
    )
    audit: Any = case.evidence["audit-log"]
    evidence = {**case.evidence, "audit-log": [{**audit[0], "principal": wide * 200}]}
    page = tmp_path / "report.html"
    page.write_text(render_html(CaseFileContents(outcome, evidence, case.records)))
    for width in (_PHONE, _DESKTOP):
        browser.show(page, width, dark=False)
        assert browser.ask("document.documentElement.scrollWidth") <= width


async def test_the_first_screen_holds_what_an_operator_needs(
    browser: Browser, tmp_path: Path
) -> None:
    """One screen of a desktop, two of a phone; the page is short, tasks are folded."""
    page = tmp_path / "report.html"
    page.write_text(render_html(await sample_case(tmp_path)))
    bottom = "document.querySelector('.first').getBoundingClientRect().bottom"
    browser.show(page, _DESKTOP, dark=False)
    assert browser.ask(bottom) <= _DESKTOP_HEIGHT
    assert browser.ask(_WORDS) <= _MOST_WORDS
    browser.ask("document.querySelectorAll('pre.command').forEach(e => e.remove())")
    browser.ask("document.querySelectorAll('details').forEach(e => { e.open = true; })")
    assert browser.ask(_WORDS) <= _MOST_WORDS
    browser.show(page, _DESKTOP, dark=False)
    assert browser.ask("document.querySelectorAll('details[open]').length") == 0
    browser.show(page, 390, dark=False)
    assert browser.ask(bottom) <= _PHONE_SCREENS


@pytest.mark.parametrize("status", [Status.HELD, Status.AWAITING_APPROVAL, Status.FAILED])
async def test_the_first_screen_holds_all_of_what_needs_a_person(
    browser: Browser, tmp_path: Path, status: Status
) -> None:
    """With a reason and other tasks."""
    case = await sample_case(tmp_path)
    page = tmp_path / "report.html"
    page.write_text(
        render_html(replace(case, outcome=with_updated_plan(replace(case.outcome, status=status))))
    )
    bottom = "document.querySelector('.first').getBoundingClientRect().bottom"
    for width, height in ((_DESKTOP, _DESKTOP_HEIGHT), (390, _PHONE_SCREENS)):
        browser.show(page, width, dark=False)
        assert browser.ask(bottom) <= height


async def test_paper_holds_what_a_screen_folds(browser: Browser, tmp_path: Path) -> None:
    """Tasks, logs, steps: all of it is printed, on white, in any scheme, on six pages at most."""
    page = tmp_path / "report.html"
    page.write_text(render_html(await sample_case(tmp_path)))
    parts = "[...document.querySelectorAll('details :is(td, p, pre, li, dd)')]"
    shown = f"{parts}.filter(e => e.checkVisibility() && e.getClientRects().length).length"
    browser.show(page, _DESKTOP, dark=True)
    assert browser.ask(shown) == 0
    browser.show(page, _DESKTOP, dark=True, media="print")
    assert browser.ask(shown) == browser.ask(f"{parts}.length") > 0
    addresses = browser.ask(_ADDRESSES)
    assert len(addresses) > 1
    assert all(address.startswith('" <https://') for address in addresses), addresses[0]
    assert browser.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.ask(_CONTRAST) == []
    printed = browser.driver.execute_cdp_cmd(
        "Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69}
    )
    pages = len(re.findall(rb"/Type /Page\b", base64.b64decode(printed["data"])))
    assert 1 <= pages <= _MOST_PAGES


#: The words that are to be seen.
_WORDS = r"document.body.innerText.split(/\s+/).length"
#: What paper says after a link that a screen would follow.
_ADDRESSES = """[...document.querySelectorAll('a.there')].map(link =>
  getComputedStyle(link, '::after').content)"""
#: The texts whose colour is too near to what is behind them, by WCAG's formula.
_CONTRAST = """(() => {
  const light = c => { const v = c.match(/[\\d.]+/g).slice(0, 3).map(Number).map(x => x / 255)
    .map(x => x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
    return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
  const behind = e => { while (e) { const c = getComputedStyle(e).backgroundColor;
    if (!/, 0\\)$|transparent/.test(c)) return c; e = e.parentElement; }
    return 'rgb(255,255,255)'; };
  return [...document.querySelectorAll('p,li,dt,dd,td,th,a,code,span,summary,h1,h2,h3')]
    .filter(e => e.innerText && e.innerText.trim())
    .filter(e => { const a = light(getComputedStyle(e).color), b = light(behind(e));
      return (Math.max(a, b) + .05) / (Math.min(a, b) + .05) < 4.5; })
    .map(e => e.className + ': ' + e.innerText.slice(0, 40)); })()"""
