"""One panel as a picture."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from sbpgmon.errors import ConfigError
from sbpgmon.present.report import picture
from sbpgmon.present.report.frames import Frame
from sbpgmon.present.report.svg import cut, text_svg, width_of
from tests.unit.report_panels import frames, panel, report, value


def size_of(png: bytes) -> tuple[int, int]:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@pytest.mark.parametrize("frame", frames(), ids=lambda frame: frame.panel.name)
def test_every_kind_can_be_drawn(frame: Frame, tmp_path: Path) -> None:
    png = picture.picture_of(report(["overview"], [frame]))
    width, height = size_of(png)
    assert width == max(960, frame.panel.width * 100)
    assert height > 200
    # A white sheet of that size would be a tenth of it.
    assert len(png) > 5_000


def test_the_size_can_be_said() -> None:
    assert size_of(picture.picture_of(report(["overview"], frames()[:1]), 1000, 500)) == (1000, 500)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError) as raised:
        picture.require()
    assert "mini-racer and resvg-py" in raised.value.what
    assert "sbpgmon[png]" in raised.value.way_out


def test_without_a_font_it_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        picture.find_font([str(tmp_path), str(tmp_path / "missing")])
    assert "fonts-dejavu-core" in raised.value.way_out
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "LiberationSans-Regular.ttf").touch()
    assert picture.find_font([str(tmp_path)])[1] == "Liberation Sans"


def test_texts_fit_and_stay_texts() -> None:
    assert width_of(cut("W" * 500, 200, 12), 12) <= 200
    assert cut("short", 200, 12) == "short"
    assert "<b>" not in text_svg("a <b> & \x00\ud800", 0, 0, 12, "#000")


def test_a_panel_of_nasty_text_can_be_drawn() -> None:
    nasty = "<script>&\"'\x00\x07\ufffe\ud800 ]]> " * 3
    found = panel("table", [value("a", nasty)], title=nasty)
    assert size_of(picture.picture_of(report(["overview"], [Frame(found, ((nasty,), (1,)))])))
