"""The report in a real browser: no error, every chart drawn, nothing asked of the network, nothing too wide.

The pictures are kept in .cache/report, to be looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sbpgmon.present.report.page import page_of
from tests.integration import chromium
from tests.integration.chromium import Page
from tests.integration.support import Site
from tests.unit.report_panels import frames, report

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / ".cache" / "report"
SIZES = {"desktop": (1400, 900), "phone": (390, 844)}
_STATES = "[...document.querySelectorAll('figure.panel')].map((figure) => [figure.id, figure.dataset.drawn ?? ''])"
_BLANK = """[...document.querySelectorAll('figure.panel')].filter((figure) => figure.dataset.drawn === 'yes' &&
  !figure.querySelector('.body svg path, .body svg rect, .body table, .body .tile')).map((figure) => figure.id)"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    program = chromium.find()
    if program is None:
        pytest.skip("there is no Chromium here: put one on PATH, or name it in SBPGMON_CHROMIUM")
    with chromium.browse(program, tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with a panel of each kind."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page_of(report()), encoding="utf-8")
    return path


def is_sound(page: Page) -> dict[str, str]:
    """What became of each figure, once it is sure that nothing went wrong."""
    page.run("window.__drawAll().then(() => new Promise((after) => setTimeout(after, 300)))")
    assert page.complaints() == []
    assert page.requests() == []
    assert page.run(_BLANK) == []
    return dict(page.run(_STATES))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_chart_is_drawn_on_any_screen(page: Page, file: Path, size: str, scheme: str) -> None:
    width, height = SIZES[size]
    page.open(file.as_uri(), width, height, scheme=scheme)
    states = is_sound(page)
    assert len(states) == 2 * len(frames())
    for name, state in states.items():
        expected = {"nothing": "empty", "broken": "error"}.get(name.partition(".")[2], "yes")
        assert state == expected, name
    assert page.run("document.documentElement.scrollWidth") == width
    assert page.run("document.getElementById('without-charts').hidden")
    page.screenshot(PICTURES / f"kinds-{size}-{scheme}.png")


def test_charts_wait_until_they_are_looked_at(page: Page, file: Path) -> None:
    page.open(file.as_uri(), 1400, 700)
    page.run("new Promise((after) => setTimeout(after, 500))")
    states = list(dict(page.run(_STATES)).values())
    assert states[0] == "yes"
    assert "" in states
    page.run("document.querySelector('figure:last-of-type').scrollIntoView()")
    page.open(f"{file.as_uri()}?draw=all", 1400, 700)
    page.run("window.__drawAll()")
    assert "" not in dict(page.run(_STATES)).values()


def test_the_table_behind_a_chart_holds_what_is_drawn(page: Page, file: Path) -> None:
    page.open(file.as_uri(), 1400, 900)
    is_sound(page)
    figure = "document.getElementById('overview.timeseries')"
    assert page.run(f"{figure}.querySelectorAll('.behind table').length") == 0
    page.run(f"{figure}.querySelector('.behind > summary').click(); new Promise((after) => setTimeout(after, 100))")
    assert page.run(f"{figure}.querySelectorAll('.behind table').length") == 2
    assert page.run(f"{figure}.querySelectorAll('.behind table:last-of-type caption').length") >= 1
    assert page.run(f"[...{figure}.querySelectorAll('.behind th[scope=col]')].length") > 5
    assert page.run(f"{figure}.querySelectorAll('.behind .scroll:last-of-type tbody tr').length") == 96


def test_tables_can_be_sorted_and_long_texts_opened(page: Page, file: Path) -> None:
    page.open(file.as_uri(), 1400, 900)
    is_sound(page)
    table = "document.getElementById('overview.table')"
    first = f"{table}.querySelector('tbody tr td:nth-child(2)').textContent"
    assert page.run(first) == "0%"
    page.run(f"{table}.querySelector('th:nth-child(2) button').click()")
    assert page.run(first) == "96.7%"
    assert page.run(f"{table}.querySelector('th:nth-child(2)').getAttribute('aria-sort')") == "descending"
    page.run(f"{table}.querySelector('th:nth-child(2) button').click()")
    assert page.run(first) == "0%"
    assert page.run(f"{table}.querySelectorAll('.badge[data-state]').length") == 30
    assert page.run(f"{table}.querySelector('td a').getAttribute('href')") == "#detail"
    assert "</script>" in page.run(f"{table}.querySelector('td pre').textContent")


def test_dragging_zooms_and_the_button_resets(page: Page, file: Path) -> None:
    page.open(file.as_uri(), 1400, 900)
    is_sound(page)
    where = page.run("(() => { const place = document.querySelector(\"[id='overview.timeseries'] .body\");"
                     " place.scrollIntoView({ block: 'center' }); const box = place.getBoundingClientRect();"
                     " return [box.x, box.y, box.width, box.height]; })()")  # fmt: skip
    x, y, width, height = where
    for kind, share in (("mousePressed", 0.4), ("mouseMoved", 0.5), ("mouseMoved", 0.7), ("mouseReleased", 0.7)):
        page.send("Input.dispatchMouseEvent", type=kind, x=x + width * share, y=y + height * 0.4, button="left",
                  buttons=1, clickCount=1)  # fmt: skip
    page.run("new Promise((after) => setTimeout(after, 200))")
    reset = "document.querySelector(\"[id='overview.timeseries'] .reset\")"
    assert page.run(f"{reset}.hidden") is False
    page.run(f"{reset}.click()")
    assert page.run(f"{reset}.hidden") is True
    assert page.complaints() == []


def test_the_theme_can_be_switched_and_paper_is_white(page: Page, file: Path, tmp_path: Path) -> None:
    page.open(file.as_uri(), 1400, 900, scheme="dark")
    is_sound(page)
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.run(ground) == "rgb(15, 18, 22)"
    page.run("document.getElementById('theme').click()")
    assert page.run(ground) == "rgb(244, 245, 247)"
    page.open(file.as_uri(), 1400, 900, scheme="dark")
    assert page.pdf(PICTURES / "kinds.pdf").stat().st_size > 50_000
    assert page.complaints() == []


def test_a_browser_that_cannot_unpack_shows_the_tables(page: Page, file: Path, tmp_path: Path) -> None:
    old = "Object.defineProperty(window, 'DecompressionStream', { value: undefined });"
    script = page.send("Page.addScriptToEvaluateOnNewDocument", source=old)["identifier"]
    try:
        page.open(file.as_uri(), 1400, 900)
        page.run("new Promise((after) => setTimeout(after, 500))")
        assert page.run("document.getElementById('without-charts').hidden") is False
        assert page.run("document.querySelectorAll('details.behind table').length") > 5
        assert not [each for each in page.complaints() if "TypeError" in each]
    finally:
        page.send("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


def test_the_shipped_dashboards_of_a_real_store(page: Page, monitored: Site) -> None:
    for _ in range(3):
        monitored.run("collect")
    file = monitored.folder / "report.html"
    done = monitored.run("report", "--since", "15m", "-o", str(file))
    assert done.stdout.startswith(f"Wrote {file} (")
    for size, (width, height) in SIZES.items():
        page.open(file.as_uri(), width, height)
        states = is_sound(page)
        assert set(states.values()) <= {"yes", "empty"}
        assert page.run("document.documentElement.scrollWidth") == width
        page.screenshot(PICTURES / f"store-{size}.png")
