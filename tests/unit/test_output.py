"""Figures for people."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from sbpgmon.cli.output import brief, print_table, short_size


@pytest.mark.parametrize(("value", "text"), [
    (None, "–"), (0, "0 B"), (8192, "8 KiB"), (1000, "0.98 KiB"), (1024**2 * 1.234, "1.23 MiB"), (999.4, "999 B"),
    (1024**3 * 12.34, "12.3 GiB"), (1024**3 * 170.6, "171 GiB"), (1024**4 * 5000, "5000 TiB"),
])  # fmt: skip
def test_sizes_of_three_digits(value: float | None, text: str) -> None:
    assert short_size(value) == text


@pytest.mark.parametrize(("value", "text"), [
    (None, "–"), (0, "0"), (0.4, "0"), (999, "999"), (999.6, "1.00k"), (1000, "1k"), (86400, "86.4k"),
    (123456, "123k"), (1e8, "100M"), (1.234e9, "1.23G"), (5e12, "5T"),
])  # fmt: skip
def test_counts_of_three_digits(value: float | None, text: str) -> None:
    assert brief(value) == text


@pytest.mark.parametrize("text", ["select tags[i] from t", "What [tenancy] names", "x [/b] y", "[bold]"])
def test_cells_are_no_markup(text: str) -> None:
    out = Console(file=io.StringIO(), width=80)
    print_table("", [("what", "what", False)], [{"what": text}], out=out)
    assert isinstance(out.file, io.StringIO)
    assert text in out.file.getvalue()
