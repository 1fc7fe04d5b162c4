"""Pictures of a run, as its page shows them: what came of each noise level.

They come from the table `pictures.parquet` (columns: `critwin.picture_records.PICTURES`). Rows
without a position give what an original is; rows with a replicate a resample from a position, rows
with a position alone what was left there. Not every resample needs a picture: a few per level are
enough. Everything else that a page shows of pictures comes from the tables that every run has:
`originals` with no tokens, `curves` with positions in reverse steps, `windows`; of several features
the first is shown.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import pandas as pd

from critwin.errors import RecordsError

SHOWN_PICTURES = 6
"""Resampled pictures per original and level on the page, at most; labels take turns."""

SIDES = ((500, 128), (2000, 96), (8000, 64))
"""Up to so many pictures on a page, each has so many pixels a side at most; of more, LEAST_SIDE."""

LEAST_SIDE = 48

PAGE_BYTES = 24_000_000
"""Bytes of all pictures on a page; originals for which there is no room have none."""


def shown_pictures(pictures: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Choose the pictures of each original, small enough for a page.

    Args:
        pictures: The table `pictures.parquet`.

    Returns:
        By original: `whole`, its picture (None: it has none), and `levels`, by position:
        `position`, `observed` (None: it has none), `drawn`, a list of label and picture. Pictures
        are data URIs.

    Raises:
        RecordsError: One is no PNG.
    """
    chosen = _chosen(pictures)
    side = next((side for count, side in SIDES if len(chosen) <= count), LEAST_SIDE)
    made: dict[str, dict[str, Any]] = {}
    room = PAGE_BYTES
    for original_id, rows in chosen.groupby("original_id", sort=False):
        uris = [_uri(png, str(original_id), side) for png in rows["png"]]
        room -= sum(map(len, uris))
        if room < 0:
            break
        made[str(original_id)] = _arranged(rows.assign(uri=uris))
    return made


def _chosen(pictures: pd.DataFrame) -> pd.DataFrame:
    """Take every whole and observed picture, and a few resamples per level, labels in turns."""
    drawn = pictures[pictures["replicate"].notna()].sort_values("replicate")
    level = ["original_id", "position"]
    drawn = drawn.assign(turn=drawn.groupby([*level, "label"]).cumcount())
    in_turns = drawn.sort_values(["turn", "label"], kind="stable").groupby(level)
    rest = pictures[pictures["replicate"].isna()]
    return pd.concat([rest, in_turns.head(SHOWN_PICTURES)]).sort_values(level, kind="stable")


def _arranged(rows: pd.DataFrame) -> dict[str, Any]:
    whole: str | None = None
    levels: dict[int, dict[str, Any]] = {}
    told = (rows[name] for name in ("position", "replicate", "label", "uri"))
    for position, replicate, label, uri in zip(*told, strict=True):
        if pd.isna(position):
            whole = whole or uri
            continue
        place = int(position)
        level = levels.setdefault(place, {"position": place, "observed": None, "drawn": []})
        if pd.isna(replicate):
            level["observed"] = level["observed"] or uri
        else:
            level["drawn"].append([label, uri])
    return {"whole": whole, "levels": [levels[place] for place in sorted(levels)]}


def _uri(data: bytes, original_id: str, side: int) -> str:
    """Give a PNG as a data URI, made smaller where it is larger than `side`."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if max(image.size) > side:
                image.thumbnail((side, side))
                smaller = io.BytesIO()
                image.save(smaller, "PNG", optimize=True)
                data = smaller.getvalue()
    except (OSError, UnidentifiedImageError, TypeError) as error:
        raise RecordsError(
            f"pictures.parquet holds no picture for {original_id} ({error}); allowed: PNG files"
        ) from None
    return f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}"
