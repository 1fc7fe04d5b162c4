"""Forward-reverse and clone experiments on pictures, in parts: a kill loses one part at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from critwin.claimed_parts import undone_parts
from critwin.feature import UNSCORED
from critwin.forward_reverse import resample_seeds
from critwin.image_feature import ImageFeature
from critwin.levels import Levels
from critwin.picture import Image, NoisedPicture, Picture, PictureSampler
from critwin.picture_records import PICTURE_ORIGINALS, PICTURE_RESAMPLES, PICTURES, png_of
from critwin.records import RunDirectory
from critwin.sampler import Level
from critwin.seeds import fold_in
from experiments.tracker import Progress, Tracker

ROWS_PER_PART = 512
"""Resamples drawn and written together, about: full batches, and little lost by a kill; fixed, so
that a restart meets the same parts."""

Kind = Literal["grid", "clone"]


@dataclass(frozen=True)
class Original:
    """What is noised and denoised.

    Attributes:
        name: original_id.
        group: problem_id: its condition, or the set of pictures that it is from.
        replicate: Number of it within the group.
        picture: The picture.
        truth: Its class where that is known, else None.
        seed: Of the original, and of all that is drawn from it.
    """

    name: str
    group: str
    replicate: int
    picture: Picture
    truth: str | None
    seed: int


@dataclass(frozen=True, kw_only=True)
class PictureMeasuring:
    """Draws resamples of originals, and labels them.

    Attributes:
        sampler: The sampler.
        features: What is decided, by name; the first is the label of the records.
        protocol: Levels visited and draws at each.
        kind: grid noises originals; clone branches off their own paths.
        pictures_kept: Resampled pictures that are kept per original and level.
    """

    sampler: PictureSampler
    features: Mapping[str, ImageFeature]
    protocol: Levels
    kind: Kind
    pictures_kept: int

    def draw(
        self, conditions: Sequence[str], chosen: range, *, per_condition: int, seed: int
    ) -> list[Original]:
        """Draw originals from the sampler itself.

        Args:
            conditions: What they are drawn for.
            chosen: Which of them, by number: those of the first condition come first.
            per_condition: How many there are of each condition.
            seed: Folded over condition and number.
        """
        identities = [(conditions[i // per_condition], i % per_condition) for i in chosen]
        seeds = [fold_in(seed, c, "original", r) for c, r in identities]
        drawn = self.sampler.resample(
            [NoisedPicture(c) for c, _ in identities], seeds=[[s] for s in seeds]
        )
        return [
            Original(f"{_short(conditions, c)}/{r:04d}", c or "unconditional", r, own[0], None, s)
            for (c, r), own, s in zip(identities, drawn, seeds, strict=True)
        ]

    def carry_out(
        self,
        directory: RunDirectory,
        make: Callable[[range], list[Original]],
        count: int,
        *,
        tracker: Tracker,
        progress: Progress,
    ) -> dict[str, float]:
        """Write originals, resamples and pictures, drawing what is not drawn yet.

        Args:
            directory: The run directory, locked.
            make: Gives originals by their numbers.
            count: How many there are.
            tracker: Told after each part.
            progress: Shown after each part.

        Returns:
            What it took: seconds, pictures drawn and reverse steps taken, over all starts.
        """
        levels = self.protocol.levels(self.sampler.last_level)
        each = len(levels) * self.protocol.n * self.protocol.draws
        size = max(1, ROWS_PER_PART // each)
        blocks = [range(i, min(i + size, count)) for i in range(0, count, size)]
        done = sum(len(b) for i, b in enumerate(blocks) if directory.has_part("resamples", i))
        progress.begin("resamples", count, unit="originals", done=done)
        for i in undone_parts(directory, ["originals", "pictures", "resamples"], len(blocks)):
            began = time.perf_counter()
            tables = self._tables(make(blocks[i]), levels)
            seconds = time.perf_counter() - began
            notes = {"seconds": seconds, "halvings": self.sampler.halvings}
            for name in ("originals", "pictures", "resamples"):
                directory.write_part(name, i, tables[name], notes=notes)
            done += len(blocks[i])
            rate = tables["resamples"].num_rows / seconds
            told = {"originals_done": float(done), "images_per_second": rate}
            tracker.log(told | self._agreement(tables["resamples"]))
            progress.advance(len(blocks[i]), **{"images/s": rate})
        progress.end()
        orders = {
            "originals": ["original_id"],
            "pictures": ["original_id", "position", "replicate"],
            "resamples": ["original_id", "kind", "position", "replicate"],
        }
        for name, order in orders.items():
            directory.assemble(name, len(blocks), sort_by=order)
        noted = [directory.notes("resamples", i) for i in range(len(blocks))]
        steps = sum(self.sampler.last_level - level for level in levels)
        return {
            "seconds": sum(note["seconds"] for note in noted),
            "images": float(each * count),
            "steps": float(steps * self.protocol.n * self.protocol.draws * count),
            "halvings": sum(note["halvings"] for note in noted),
        }

    def _tables(self, block: Sequence[Original], levels: Sequence[Level]) -> dict[str, pa.Table]:
        seen = self.sampler.images([original.picture for original in block])
        names = self._labels(seen)
        cuts = self._clones(block, levels) if self.kind == "clone" else self._noised(block, levels)
        draws = self.protocol.draws
        seeds = [
            own[observation * draws : (observation + 1) * draws]
            for original in block
            for level in levels
            for own in [resample_seeds(original.seed, level, self.protocol.n * draws)]
            for observation in range(self.protocol.n)
        ]
        drawn = self.sampler.resample(cuts, seeds=seeds)
        images = self.sampler.images([picture for own in drawn for picture in own])
        labels = self._labels(images)
        rows = _Rows(self, block, levels, names)
        return {
            "originals": rows.originals(),
            "resamples": rows.resamples(labels),
            "pictures": rows.pictures(seen, images, labels),
        }

    def _noised(self, block: Sequence[Original], levels: Sequence[Level]) -> list[NoisedPicture]:
        """Noise each original at each level, as often as the protocol says, freshly each time."""
        asked = [
            (original.picture, level, fold_in(original.seed, "observe", level, observation))
            for original in block
            for level in levels
            for observation in range(self.protocol.n)
        ]
        pictures, kept, seeds = zip(*asked, strict=True)
        return self.sampler.observe(pictures, kept, seeds=seeds)

    def _clones(self, block: Sequence[Original], levels: Sequence[Level]) -> list[NoisedPicture]:
        """Take what each original's own path looked like at each level, once per observation."""
        starts = [NoisedPicture(original.picture.condition) for original in block]
        above = [level for level in levels if level > 0]
        paths = self.sampler.trajectories(starts, above, seeds=[o.seed for o in block])
        found = []
        for start, (states, _) in zip(starts, paths, strict=True):
            at = dict(zip(above, states, strict=True)) | {0: start}
            found += [at[level] for level in levels for _ in range(self.protocol.n)]
        return found

    def _labels(self, images: Sequence[Image]) -> list[dict[str, str]]:
        found = [feature.labels(images) for feature in self.features.values()]
        return [dict(zip(self.features, own, strict=True)) for own in zip(*found, strict=True)]

    def _agreement(self, resamples: pa.Table) -> dict[str, float]:
        """Give the share that agrees at each level, for those who follow the run."""
        frame = resamples.select(["position", "agrees"]).to_pandas()
        scored = frame.assign(agrees=frame["agrees"].eq(True))
        means = scored.groupby("position")["agrees"].mean()
        return {f"agreement/position_{position}": float(v) for position, v in means.items()}


@dataclass(frozen=True)
class _Rows:
    """Rows of the tables of one block of originals."""

    measuring: PictureMeasuring
    block: Sequence[Original]
    levels: Sequence[Level]
    names: Sequence[dict[str, str]]

    def originals(self) -> pa.Table:
        rows = []
        for original, labels in zip(self.block, self.names, strict=True):
            label = next(iter(labels.values()))
            unscored = label == UNSCORED
            unknown = unscored or original.truth is None
            rows.append(
                {
                    "original_id": original.name,
                    "problem_id": original.group,
                    "replicate": original.replicate,
                    "prompt": original.picture.condition,
                    "prompt_ids": [],
                    "text": "",
                    "token_ids": [],
                    "tokens": [],
                    "surprisal": [],
                    "label": label,
                    "truth": original.truth,
                    "correct": None if unknown else label == original.truth,
                    "unscored": unscored,
                    "finish_reason": "end",
                    "seed": original.seed,
                    "labels": list(labels.items()),
                }
            )
        return pa.Table.from_pylist(rows, schema=PICTURE_ORIGINALS)

    def resamples(self, labels: Sequence[dict[str, str]]) -> pa.Table:
        sampler, protocol = self.measuring.sampler, self.measuring.protocol
        last, noisy = sampler.last_level, sampler.draws_noise
        row_labels = iter(labels)
        rows = []
        for original, own in zip(self.block, self.names, strict=True):
            mine = next(iter(own.values()))
            for level in self.levels:
                at = sampler.time(level)
                count = protocol.n * protocol.draws
                seeds = resample_seeds(original.seed, level, count)
                for replicate, seed in enumerate(seeds):
                    found = next(row_labels)
                    label = next(iter(found.values()))
                    unread = UNSCORED in (label, mine)
                    rows.append(
                        {
                            "original_id": original.name,
                            "position": level,
                            "t": 1 - level / last,
                            "replicate": replicate,
                            "kind": self.measuring.kind,
                            "text_start": 0,
                            "text": "",
                            "label": label,
                            "agrees": None if unread else label == mine,
                            "unscored": label == UNSCORED,
                            "finish_reason": "end",
                            "tokens_generated": last - level,
                            "seed": seed,
                            "step": sampler.timestep(level),
                            "time": at if np.isfinite(at) else None,
                            "observation": replicate // protocol.draws,
                            "draws_noise": noisy,
                            "labels": list(found.items()),
                        }
                    )
        return pa.Table.from_pylist(rows, schema=PICTURE_RESAMPLES)

    def pictures(
        self, seen: Sequence[Image], images: Sequence[Image], labels: Sequence[dict[str, str]]
    ) -> pa.Table:
        protocol = self.measuring.protocol
        count = protocol.n * protocol.draws
        drawn = iter(zip(images, labels, strict=True))
        rows: list[dict[str, Any]] = []
        for original, image, own in zip(self.block, seen, self.names, strict=True):
            label = next(iter(own.values()))
            rows.append({"original_id": original.name, "label": label, "png": png_of(image)})
            for level in self.levels:
                for replicate in range(count):
                    shown, found = next(drawn)
                    if replicate < self.measuring.pictures_kept:
                        rows.append(
                            {
                                "original_id": original.name,
                                "position": level,
                                "observation": replicate // protocol.draws,
                                "replicate": replicate,
                                "label": next(iter(found.values())),
                                "png": png_of(shown),
                            }
                        )
        return pa.Table.from_pylist(rows, schema=PICTURES)


def _short(conditions: Sequence[str], condition: str) -> str:
    """Name a condition in an original_id: by its number, as prompts are long."""
    return f"c{list(conditions).index(condition)}" if any(conditions) else "x"
