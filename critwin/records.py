"""What a run writes: the schema of each table, and a directory in which nothing is half-written.

Users and tables rely on the columns; columns may be added, these keep their names and meaning.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from critwin.errors import RecordsError
from critwin.files import replacing, write_text
from critwin.lease import Lease, is_abandoned

SCHEMA_VERSION = 4
"""Part of every run id: runs of different schemas are different runs."""

PROBLEMS = pa.schema(
    [
        ("problem_id", pa.string()),
        ("question", pa.string()),
        ("truth", pa.string()),  # the reference answer as the problem set has it; null: none
        ("system", pa.string()),  # system message of this problem alone; null: none
        (
            "branches",  # planted by a generator; else empty
            pa.list_(
                pa.struct(
                    [
                        ("kind", pa.string()),
                        ("options", pa.list_(pa.string())),
                        ("probabilities", pa.list_(pa.float64())),
                    ]
                )
            ),
        ),
        ("options", pa.list_(pa.string())),  # what may be chosen from; empty: free answer
        ("category", pa.string()),
    ]
)

ADDED = {
    "problems": frozenset({"options", "category", "system"}),
    "originals": frozenset({"reply", "reply_tokens"}),
    "resamples": frozenset({"reply", "reply_tokens"}),
}
"""Columns that runs of earlier versions lack."""

ORIGINALS = pa.schema(
    [
        ("original_id", pa.string()),
        ("problem_id", pa.string()),
        ("replicate", pa.int32()),  # number of the original within its problem
        ("prompt", pa.string()),
        ("prompt_ids", pa.list_(pa.int32())),
        ("text", pa.string()),
        ("token_ids", pa.list_(pa.int32())),
        ("tokens", pa.list_(pa.string())),
        ("surprisal", pa.list_(pa.float64())),  # nats
        ("label", pa.string()),
        ("truth", pa.string()),
        ("correct", pa.bool_()),  # null without a truth or when unscored
        ("unscored", pa.bool_()),
        ("finish_reason", pa.string()),
        ("seed", pa.int64()),
        ("reply", pa.string()),  # what was said when the answer was asked for; null: not asked
        ("reply_tokens", pa.int32()),  # drawn for it; alike texts are asked once
    ]
)

RESAMPLES = pa.schema(
    [
        ("original_id", pa.string()),
        ("position", pa.int32()),  # tokens kept
        ("t", pa.float64()),  # share forgotten
        ("replicate", pa.int32()),
        ("kind", pa.string()),  # grid; fork: leaves its original at token position + 1; pilot: a
        # fork that steered the others and is never counted with them; direct: the reply of a
        # model that was asked for its answer right there, never counted with resamples
        ("first_token", pa.int32()),  # first token drawn; null when nothing was left to draw
        ("first_token_text", pa.string()),
        ("text_start", pa.int32()),  # the whole text is original.text[:text_start] + text
        ("text", pa.string()),
        ("label", pa.string()),
        ("agrees", pa.bool_()),  # null when the resample or the original is unscored
        ("unscored", pa.bool_()),
        ("finish_reason", pa.string()),
        ("tokens_generated", pa.int32()),
        ("seed", pa.int64()),
        ("reply", pa.string()),  # as in the originals table
        ("reply_tokens", pa.int32()),
    ]
)

PLANS = pa.schema(
    [
        ("original_id", pa.string()),
        ("label", pa.string()),  # whose curve was planned for: the original's own at that time
        ("leave_mass", pa.float64()),  # H, the sum of 1 - probability over the tokens
        ("probability", pa.list_(pa.float64())),  # of each token, as the sampler draws
        ("blocks", pa.list_(pa.int32())),  # block b owns tokens blocks[b] + 1 .. blocks[b + 1]
        ("over", pa.string()),  # mean, maximum: what the half-widths are over positions 0..n-1
        ("joint", pa.bool_()),  # whether they are of joint or of pointwise 95 % intervals
        ("half_width_wanted", pa.float64()),  # null where budgets alone decide
        ("half_width_expected", pa.float64()),  # when the forks were planned
        ("half_width", pa.float64()),  # reached, of the label that the original has
        ("met", pa.bool_()),  # whether the wanted one was expected to be reached; true without one
        ("left_out", pa.float64()),  # mean weight of blocks with a choice that were not forked
        ("forks", pa.list_(pa.int32())),  # of each block: planned, and all of them drawn
        (  # pairs at which the forks were aimed; null where the whole curve was the aim
            "aimed",
            pa.list_(
                pa.struct(
                    [
                        ("position_start", pa.int32()),
                        ("position_end", pa.int32()),
                        ("direction", pa.string()),  # of the own label: rise, fall
                    ]
                )
            ),
        ),
        ("windows_expected", pa.float64()),  # to be certified, when it was planned; null likewise
        ("pilot_forks", pa.int32()),
        ("pilot_tokens", pa.int64()),  # generated
        ("main_forks", pa.int32()),
        ("main_tokens", pa.int64()),
        ("cheaper", pa.string()),  # forks, grid: which needs fewer tokens for compared_half_width
        ("compared_half_width", pa.float64()),  # pointwise mean; null, as all below: no choice
        ("fork_tokens", pa.float64()),  # expected, the pilot left out
        ("grid_tokens", pa.float64()),  # expected of the paper's fractions and nothing kept
        ("grid_draws", pa.int64()),  # at each of these
    ]
)

CURVES = pa.schema(
    [
        ("original_id", pa.string()),
        ("estimator", pa.string()),  # grid, forks
        ("label", pa.string()),
        ("own", pa.bool_()),  # is it the original's label
        ("position", pa.int32()),
        ("t", pa.float64()),
        ("kept", pa.float64()),
        ("agreement", pa.float64()),  # probability of `label`, unscored resamples counting against
        ("lower", pa.float64()),  # 95 %, pointwise
        ("upper", pa.float64()),
        ("trials", pa.int32()),  # resamples there, or forks at later tokens; 0: no draw bears on it
        ("unscored", pa.float64()),  # P(UNSCORED) at the position
    ]
)

WINDOWS = pa.schema(
    [
        ("original_id", pa.string()),
        ("label", pa.string()),
        ("rule", pa.string()),
        ("direction", pa.string()),  # rise, fall
        ("position_start", pa.int32()),
        ("position_end", pa.int32()),
        ("place_lower", pa.int32()),
        ("place_upper", pa.int32()),
        ("t_start", pa.float64()),
        ("t_end", pa.float64()),
        ("jump", pa.float64()),
        ("jump_lower", pa.float64()),  # 95 %, jointly over all jumps that the rule compared
        ("jump_upper", pa.float64()),
        ("tokens", pa.int32()),
        ("text", pa.string()),
        ("time_before", pa.float64()),
        ("time_after", pa.float64()),
        ("plateau", pa.bool_()),
        ("alive_before", pa.list_(pa.string())),  # labels alive on the plateau before it, most
        ("alive_after", pa.list_(pa.string())),  # probable first, and after; null of most rules
    ]
)

SCALE_UNITS, SCALE_ENDS = ("tokens", "fraction", "nats"), ("", "_lower", "_upper")

VERDICTS = pa.schema(
    [
        ("original_id", pa.string()),
        ("label", pa.string()),
        ("rule", pa.string()),
        ("direction", pa.string()),  # rise, fall
        ("threshold", pa.float64()),  # changes strictly above it are asked for
        ("max_width", pa.float64()),  # over at most this; null: any
        ("unit", pa.string()),  # tokens, nats, fraction
        ("verdict", pa.string()),  # window, none, undecided; 95 %, jointly with all of the row
        ("windows", pa.int32()),  # that were certified
        ("change", pa.float64()),  # largest change of the estimated curve within the width
        ("change_lower", pa.float64()),  # the largest change is at least this
        ("change_upper", pa.float64()),  # and at most this, over what was looked at
        ("pairs", pa.int64()),  # changes that the intervals are joint over
        ("left_out", pa.int64()),  # pairs whose surprisal proves that they cannot change enough
        ("everywhere", pa.bool_()),  # every position was looked at: else nothing is ruled out
        # l*(threshold) of the rule `scale`, where null is infinite; null of other rules
        *((f"scale_{unit}{end}", pa.float64()) for unit in SCALE_UNITS for end in SCALE_ENDS),
        ("paper_25", pa.float64()),  # chance that the paper's rule fires at 25 resamples per cut
        ("paper_100", pa.float64()),
        ("paper_shifted_25", pa.float64()),  # the same, mean over shifts of its fractions
        ("paper_shifted_100", pa.float64()),
    ]
)


ATTRIBUTION = pa.schema(
    [
        ("original_id", pa.string()),
        ("label", pa.string()),  # the original's own
        ("position", pa.int32()),  # tokens kept before the token
        ("token_id", pa.int32()),
        ("token", pa.string()),
        ("probability", pa.float64()),
        ("jump", pa.float64()),  # by how much the token changes the probability of the label
        ("jump_lower", pa.float64()),  # 95 %, jointly over the tokens of the original
        ("jump_upper", pa.float64()),
        ("value", pa.float64()),  # probability of the label with the token kept
        ("elsewhere", pa.float64()),  # with another token in its place
        ("elsewhere_lower", pa.float64()),  # 95 %, pointwise
        ("elsewhere_upper", pa.float64()),
        ("forks", pa.int32()),
        ("window", pa.bool_()),  # whether a window in which the label rises owns the token
        (
            "alternatives",  # the first tokens of its forks, most frequent first
            pa.list_(
                pa.struct(
                    [
                        ("token_id", pa.int32()),
                        ("token", pa.string()),
                        ("forks", pa.int32()),
                        (
                            "labels",  # that they lead to, most frequent first
                            pa.list_(pa.struct([("label", pa.string()), ("forks", pa.int32())])),
                        ),
                    ]
                )
            ),
        ),
    ]
)


class RunDirectory:
    """The directory of one run.

    Tables are written whole under another name and then renamed: a reader never sees half of one.
    While a run works its parts lie in `.parts/`; at completion they become sorted files.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts = path / ".parts"
        self.lease = Lease(path, ".lease")
        self._held = False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for one process; one that dies lets go of it.

        What dead processes left half-written is removed.

        Raises:
            LeaseTaken: Another process holds it.
            RecordsError: It cannot be written.
        """
        with self.lease:
            for left in self.path.rglob(".*"):
                if is_abandoned(left):
                    left.unlink(missing_ok=True)
            self._held = True
            try:
                yield
            finally:
                self._held = False

    def is_held(self) -> bool:
        """Tell whether a process holds the directory."""
        return self.lease.holder() is not None

    def has_part(self, table: str, index: int) -> bool:
        """Tell whether a part is there; a damaged one is removed, so that it is made again."""
        path = self._part(table, index)
        if not path.exists():
            return False
        try:
            pq.read_table(path)
        except (pa.ArrowInvalid, OSError):
            path.unlink()
            return False
        return True

    def write_part(
        self, table: str, index: int, rows: pa.Table, *, notes: Mapping[str, float]
    ) -> None:
        """Write a part whole; `notes` (seconds and the like) travel with it, outside the rows."""
        if self._held:
            self.lease.check()
        noted = rows.replace_schema_metadata({"notes": json.dumps(dict(notes))})
        write_table(noted, self._part(table, index))

    def read_part(self, table: str, index: int) -> pa.Table:
        """Read a part that `has_part` found."""
        return pq.read_table(self._part(table, index)).replace_schema_metadata(None)

    def notes(self, table: str, index: int) -> dict[str, float]:
        """Read the notes of a part."""
        metadata = pq.read_schema(self._part(table, index)).metadata
        notes: dict[str, float] = json.loads(metadata[b"notes"])
        return notes

    def assemble(self, table: str, count: int, *, sort_by: Sequence[str]) -> pa.Table:
        """Make one sorted table of the first `count` parts and write it."""
        rows = pa.concat_tables([self.read_part(table, index) for index in range(count)])
        rows = rows.sort_by([(column, "ascending") for column in sort_by])
        self.write(table, rows)
        return rows

    def write(self, table: str, rows: pa.Table) -> None:
        """Write `<table>.parquet`."""
        if self._held:
            self.lease.check()
        write_table(rows, self.path / f"{table}.parquet")

    def read(self, table: str) -> pa.Table:
        """Read `<table>.parquet`.

        Raises:
            RecordsError: The run has no such table (yet), or it is damaged.
        """
        path = self.path / f"{table}.parquet"
        try:
            return pq.read_table(path)
        except FileNotFoundError:
            raise RecordsError(f"{path} is missing: the run is not finished") from None
        except (pa.ArrowInvalid, OSError) as error:
            raise RecordsError(f"{path} cannot be read: {error}") from None

    def has(self, table: str) -> bool:
        """Tell whether a table stands and no parts are left that it is still to be made of."""
        return (self.path / f"{table}.parquet").exists() and not self.parts.exists()

    def write_json(self, name: str, value: object) -> None:
        """Write `<name>.json`, keys in the order given, numbers as they are."""
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        write_text(self.path / f"{name}.json", text + "\n")

    def read_json(self, name: str) -> dict[str, object] | None:
        """Read `<name>.json`; None when it is not there.

        Raises:
            RecordsError: It is damaged.
        """
        path = self.path / f"{name}.json"
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise RecordsError(_damaged(path, str(error))) from None
        if not isinstance(value, dict):
            raise RecordsError(_damaged(path, f"it holds {value!r:.40}"))
        return value

    def drop_parts(self) -> None:
        """Remove the parts, once the whole tables stand."""
        shutil.rmtree(self.parts, ignore_errors=True)

    def _part(self, table: str, index: int) -> Path:
        return self.parts / f"{table}-{index:06d}.parquet"


def write_table(rows: pa.Table, path: Path) -> None:
    """Write a table whole: the same rows give the same bytes."""
    with replacing(path) as temporary:
        pq.write_table(rows, temporary, compression="zstd")


def _damaged(path: Path, why: str) -> str:
    return (
        f"{path} is damaged ({why}); allowed: an object in JSON, as a run writes it; "
        "remove the file, and the same command writes it again"
    )
