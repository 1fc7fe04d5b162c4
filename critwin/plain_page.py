"""A page of tables, figures and links: one file that works offline, dark or light."""

from __future__ import annotations

import base64
import html
from importlib import resources
from pathlib import Path

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>{style}
body {{ max-width: 64rem; margin: 0 auto; padding: 1rem; }}
figure {{ margin: 1rem 0; }} img {{ max-width: 100%; }}
.table {{ overflow-x: auto; }} caption {{ text-align: left; white-space: normal; }}
{more}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def plain_page(title: str, body: str, *, more_style: str = "") -> str:
    """Give a page without any script, in the style of the page of a run.

    Args:
        title: Plain text.
        body: HTML; whatever comes from a model or a file is escaped in it.
        more_style: CSS rules of the page's own.
    """
    style = resources.files("critwin") / "templates" / "page" / "page.css"
    text = style.read_text(encoding="utf-8")
    return PAGE.format(title=escaped(title), style=text, body=body, more=more_style)


def picture(png: Path, alternative: str) -> str:
    """Give a figure element that holds a picture."""
    data = base64.b64encode(png.read_bytes()).decode("ascii")
    return f'<figure><img alt="{escaped(alternative)}" src="data:image/png;base64,{data}"></figure>'


def escaped(value: object) -> str:
    """Give text that stands in HTML, attributes too, as it is."""
    return html.escape(str(value), quote=True)
