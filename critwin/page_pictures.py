"""Pictures of a run, as its page shows them: what was left at each noise level, what came of it.

The contract for a run of images: its directory holds the table `pictures.parquet` (columns:
`critwin.records.PICTURES`) and the folder `images/` with the PNG files that the table names. Rows
of kind `original` give what an original ends in, `observed` what is left of it at a position, and
`resample` a resample from there, `replicate` being that of the resamples table. Not every resample
needs a picture: a few per level and label are enough, the page shows at most `SHOWN_PICTURES`.
Everything else a page shows of images comes from the tables that every run has: `originals` with no
tokens, `curves` with positions in reverse steps, `windows`.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
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


def shown_pictures(run: Path, pictures: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Choose the pictures of each original, small enough for a page.

    Args:
        run: The run directory, with `images/`.
        pictures: The table `pictures.parquet`.

    Returns:
        By original: `whole`, the finished picture (None: it has none), and `levels`, by position:
        `position`, `t`, `observed` (None: it has none), `drawn`, a list of label and picture.
        Pictures are data URIs.

    Raises:
        RecordsError: A picture is named that is not there, or is no PNG.
    """
    chosen = _chosen(pictures)
    side = next((side for count, side in SIDES if len(chosen) <= count), LEAST_SIDE)
    made: dict[str, dict[str, Any]] = {}
    room = PAGE_BYTES
    for original_id, rows in chosen.groupby("original_id", sort=False):
        uris = [_uri(run / "images", str(name), side) for name in rows["file"]]
        room -= sum(map(len, uris))
        if room < 0:
            break
        made[str(original_id)] = _arranged(rows.assign(uri=uris))
    return made


def _chosen(pictures: pd.DataFrame) -> pd.DataFrame:
    """Take every whole and observed picture, and a few resamples per level, labels in turns."""
    drawn = pictures[pictures["kind"] == "resample"].sort_values("replicate")
    level = ["original_id", "position"]
    drawn = drawn.assign(turn=drawn.groupby([*level, "label"]).cumcount())
    drawn = drawn.sort_values(["turn", "label"], kind="stable").groupby(level)
    rest = pictures[pictures["kind"].isin(["original", "observed"])]
    return pd.concat([rest, drawn.head(SHOWN_PICTURES)]).sort_values(level, kind="stable")


def _arranged(rows: pd.DataFrame) -> dict[str, Any]:
    whole = rows.loc[rows["kind"] == "original", "uri"]
    levels = []
    for position, at in rows[rows["kind"] != "original"].groupby("position"):
        observed = at.loc[at["kind"] == "observed", "uri"]
        drawn = at[at["kind"] == "resample"]
        levels.append(
            {
                "position": int(str(position)),
                "t": round(float(at["t"].iloc[0]), 4),
                "observed": observed.iloc[0] if len(observed) else None,
                "drawn": drawn[["label", "uri"]].to_numpy().tolist(),
            }
        )
    return {"whole": whole.iloc[0] if len(whole) else None, "levels": levels}


def _uri(folder: Path, name: str, side: int) -> str:
    """Give a PNG as a data URI, made smaller where it is larger than `side`."""
    from PIL import Image, UnidentifiedImageError

    path = folder / name
    if Path(name).name != name:
        raise RecordsError(f"pictures.parquet names {name!r}; allowed: names of files in images/")
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if max(image.size) > side:
                image.thumbnail((side, side))
                smaller = io.BytesIO()
                image.save(smaller, "PNG", optimize=True)
                data = smaller.getvalue()
    except (OSError, UnidentifiedImageError) as error:
        raise RecordsError(f"{path} is no picture ({error}); allowed: a PNG file") from None
    return f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}"
