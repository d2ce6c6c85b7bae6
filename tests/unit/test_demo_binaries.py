"""The programs of npm's packages: links are made by whoever starts a server first, or by several at once."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sbpgmon.demo.binaries import _restore_links


def test_several_at_once_make_the_links(tmp_path: Path) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for attempt in range(5):
            install = tmp_path / str(attempt) / "native"
            (install / "bin").mkdir(parents=True)
            (install / "lib").mkdir()
            names = [f"lib{number}.so" for number in range(40)]
            links = []
            for name in names:
                (install / "lib" / f"{name}.1").write_text(name)
                links.append({"source": f"native/lib/{name}.1", "target": f"native/lib/{name}"})
            (install / "pg-symlinks.json").write_text(json.dumps(links))
            with ThreadPoolExecutor(4) as pool:
                assert list(pool.map(_restore_links, [install / "bin"] * 4)) == [None] * 4
            assert [(install / "lib" / name).read_text() for name in names] == names
            assert len(list((install / "lib").iterdir())) == 2 * len(names)
    finally:
        sys.setswitchinterval(interval)
