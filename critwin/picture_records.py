"""What a run on pictures writes beyond what every run writes, and how pictures are kept."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa

from critwin.picture import Image
from critwin.records import CURVES, ORIGINALS, RESAMPLES, WINDOWS

LABELS = ("labels", pa.map_(pa.string(), pa.string()))
"""Label by each feature; the column `label` is by the first one."""

PICTURE_ORIGINALS = pa.schema([*ORIGINALS, LABELS])

PICTURE_RESAMPLES = pa.schema(
    [
        *RESAMPLES,  # kind: grid, or clone: branched off the original's own path
        ("step", pa.float64()),  # the scheduler's own timestep at the position
        ("time", pa.float64()),  # -ln of the share of the signal there; null where none is left
        ("observation", pa.int32()),  # resamples of one observation share its noise
        ("draws_noise", pa.bool_()),  # whether the reverse steps drew noise, as DDPM's do
        LABELS,
    ]
)

PICTURE_CURVES = pa.schema([*CURVES, ("feature", pa.string())])

PICTURE_WINDOWS = pa.schema([*WINDOWS, ("feature", pa.string())])

PICTURES = pa.schema(
    [
        ("original_id", pa.string()),
        ("position", pa.int32()),  # null: the original itself
        ("observation", pa.int32()),  # null: the original itself
        ("replicate", pa.int32()),  # that of the resamples table; null: the original itself
        ("label", pa.string()),
        ("png", pa.binary()),  # the picture, as a PNG file
    ]
)


def png_of(image: Image) -> bytes:
    """Give a picture as a PNG file; the same picture gives the same bytes."""
    from PIL import Image as Pillow

    stream = io.BytesIO()
    shown = image[..., 0] if image.shape[2] == 1 else image
    Pillow.fromarray(shown).save(stream, format="PNG")
    return stream.getvalue()


def image_of(png: bytes) -> Image:
    """Give the picture that a PNG file holds."""
    from PIL import Image as Pillow

    with Pillow.open(io.BytesIO(png)) as opened:
        found = np.asarray(opened, np.uint8)
    return found[..., None] if found.ndim == 2 else found
