"""Pages without a script: they exist offline, and what is put in stays text."""

from __future__ import annotations

import re
from pathlib import Path

from critwin.plain_page import escaped, picture, plain_page

HOSTILE = "</style></title><script>alert(1)</script>\"'&"


def test_a_page_holds_its_style_and_asks_for_nothing() -> None:
    page = plain_page(HOSTILE, f"<p>{escaped(HOSTILE)}</p>")
    assert "<script" not in page
    assert page.count("</style>") == 1
    assert "light-dark(" in page, "dark where the reader's machine asks for it"
    assert "default-src 'none'" in page
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)


def test_a_picture_is_in_the_page(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"bytes")
    shown = picture(tmp_path / "x.png", HOSTILE)
    assert 'src="data:image/png;base64,Ynl0ZXM="' in shown
    assert "<script" not in shown
