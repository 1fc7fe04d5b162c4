"""Mirrors runs to Weights & Biases, without ever raising into a run or holding one up.

All calls into wandb are made by one daemon thread that takes work from a bounded queue: when W&B is
slow, rows are dropped and counted; when it fails, the run is told once and goes on; when it hangs,
`finish` gives up after a while.
"""

from __future__ import annotations

import logging
import netrc
import os
import queue
import shlex
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from critwin.errors import ParameterError, RecordsError
from critwin.files import write_text
from experiments.tracker import Silent, Tracker
from launch import wandb_media

log = logging.getLogger(__name__)

WAITING_ROWS = 256
"""Rows that may wait for W&B; more are dropped."""

STEP_FILE = ".tracked"
"""Holds the last step that was told, in the run directory."""

INIT_SECONDS = 10.0
FINISH_SECONDS = 120.0

DEFAULT_HOST = "https://api.wandb.ai"

CHOSEN = "chosen"
"""Key of a W&B run's config under which the names of its components stand: model, dataset, ..."""


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What a tracking service is told of a run when it starts.

    Attributes:
        run_id: Identity of the run, the same at every restart.
        name: Name for people.
        group: Name of the sweep, or of the experiment.
        job_type: Stage of the experiment.
        axis: The scalar over which the others are drawn.
        tags: Words by which the run can be found.
        config: The resolved config.
        directory: The run directory.
    """

    run_id: str
    name: str
    group: str
    job_type: str
    axis: str
    tags: tuple[str, ...]
    config: Mapping[str, object]
    directory: Path


class OpenTracker(Tracker, ABC):
    """A tracker of one run that has begun."""

    @abstractmethod
    def finish(self, status: Literal["complete", "failed"]) -> str | None:
        """End the run; give a line for the user, if there is something to do or to know."""


class Tracking(ABC):
    """The `tracker` group: who mirrors runs."""

    @abstractmethod
    def open(self, info: RunInfo) -> OpenTracker:
        """Begin to mirror a run."""


@dataclass(frozen=True)
class NoTracking(Tracking):
    """Nobody."""

    def open(self, info: RunInfo) -> OpenTracker:
        """Give a tracker that does nothing."""
        return _Nobody()


class _Nobody(Silent, OpenTracker):
    def finish(self, status: Literal["complete", "failed"]) -> str | None:
        return None


@dataclass(frozen=True, kw_only=True)
class WandbTracking(Tracking):
    """Weights & Biases.

    Attributes:
        project: Name of the project.
        entity: User or team; None for the account's default.
        mode: `online`, `offline` or `disabled`; None for what WANDB_MODE or W&B's settings say, and
            offline where there is no key.
        records: Whether the records go to W&B too, as an artifact of the finished run.
    """

    project: str = "critwin"
    entity: str | None = None
    mode: str | None = None
    records: bool = True

    def __post_init__(self) -> None:
        if self.mode not in (None, "online", "offline", "disabled"):
            raise ParameterError("mode", self.mode, "null, online, offline or disabled")
        check_project(self.project)

    def open(self, info: RunInfo) -> OpenTracker:
        """Begin a W&B run in the background."""
        return WandbTracker(self, info)

    def wandb_mode(self) -> Any:
        """Give the mode to ask W&B for; None leaves it to W&B's own settings.

        W&B would ask on the terminal for a missing key, so without one it is never asked online.
        """
        asked = self.mode or os.environ.get("WANDB_MODE") or None
        if asked in (None, "online") and not has_key():
            if asked == "online":
                log.warning("W&B has no key (WANDB_API_KEY or ~/.netrc); it works offline")
            return "offline"
        return asked


def check_project(project: str) -> None:
    """Refuse the name of a project that W&B does not take.

    Raises:
        ParameterError: It is empty or holds a sign that is not allowed.
    """
    if not project or any(sign in project for sign in "/\\#?%:"):
        raise ParameterError("project", project, "a name without / \\ # ? % :")


def has_key() -> bool:
    """Tell whether W&B finds a key in the environment or in the netrc file."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or DEFAULT_HOST).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC") or None).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


class WandbTracker(OpenTracker):
    """One W&B run, kept by a thread of its own."""

    def __init__(
        self, tracking: WandbTracking, info: RunInfo, *, finish_seconds: float = FINISH_SECONDS
    ) -> None:
        self._tracking = tracking
        self._info = info
        self._finish_seconds = finish_seconds
        self._run: Any = None
        self._failed = False
        self._given_up = False
        self._dropped = 0
        self._work: queue.Queue[Callable[[], None] | None] = queue.Queue(WAITING_ROWS)
        self._thread = threading.Thread(target=self._serve, name="wandb", daemon=True)
        try:
            import wandb  # noqa: F401  (in this thread: two threads importing at once can deadlock)
        except Exception as error:  # noqa: BLE001  (W&B must not stop a run, whatever it raises)
            self._fail(error)
            return
        self._put(self._begin)
        self._thread.start()

    def log(self, row: Mapping[str, float]) -> None:
        """Record scalars; dropped and counted when W&B does not keep up."""
        values = dict(row)
        self._put(lambda: self._run.log(values, step=self._next_step()))

    def publish(self, run: Path) -> None:
        """Mirror tables, page, figures, headline numbers and records of a finished run."""

        def work() -> None:
            wandb_media.publish(self._run, run, step=self._next_step())
            if self._tracking.records:
                wandb_media.publish_records(self._run, run)

        self._put(work, wait=self._finish_seconds / 2)

    def _next_step(self) -> int:
        """Count steps over all starts of the run: W&B drops what it believes to be the past."""
        file = self._info.directory / STEP_FILE
        try:
            step = int(file.read_text(encoding="ascii")) + 1
        except (OSError, ValueError):
            step = 0
        try:
            write_text(file, str(step))
        except RecordsError:
            log.debug("the step is not kept: %s", file)
        return step

    def finish(self, status: Literal["complete", "failed"]) -> str | None:
        """End the W&B run; give up after a while."""
        if not self._thread.is_alive():
            return None
        deadline = time.monotonic() + self._finish_seconds
        self._put(lambda: self._run.finish(exit_code=0 if status == "complete" else 1), wait=1.0)
        self._put(None, wait=1.0)
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            log.warning(
                "W&B did not answer within %.0f s; the run is complete without it",
                self._finish_seconds,
            )
            self._given_up = True
            _let_go()
        if self._dropped:
            log.warning("W&B was slow: %d rows of scalars were not sent to it", self._dropped)
        return self._advice()

    def _advice(self) -> str | None:
        if self._run is None or self._run.disabled:
            return None
        if self._run.offline:
            # one part for each start of the run; they share the id, and `sync` joins them
            last = Path(self._run.settings.sync_dir)
            parts = {*last.parent.glob(f"offline-run-*-{self._info.run_id}*"), last}
            return f"wandb sync {shlex.join(map(str, sorted(parts)))}"
        return str(self._run.url) if self._run.url else None

    def _put(self, work: Callable[[], None] | None, *, wait: float = 0.0) -> None:
        if self._failed:
            return
        try:
            self._work.put(work, block=wait > 0, timeout=wait or None)
        except queue.Full:
            self._dropped += 1

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception as error:  # noqa: BLE001  (W&B must not stop a run)
                self._fail(error)
                break

    def _fail(self, error: Exception) -> None:
        if self._given_up:
            return
        self._failed = True
        first = str(error).strip().partition("\n")[0]
        log.warning("W&B failed (%s: %s); the run goes on without it", type(error).__name__, first)

    def _begin(self) -> None:
        import wandb

        info = self._info
        folder = Path(os.environ.get("WANDB_DIR") or info.directory)
        folder.mkdir(parents=True, exist_ok=True)
        mode = self._tracking.wandb_mode()
        self._run = wandb.init(
            project=self._tracking.project,
            entity=self._tracking.entity,
            mode=mode,
            id=info.run_id,
            # offline runs cannot be resumed; their parts merge at sync because they share the id
            resume=None if mode == "offline" else "allow",
            name=info.name,
            group=info.group,
            job_type=info.job_type,
            tags=[tag[:64] for tag in info.tags],  # W&B refuses longer ones
            config=dict(info.config),
            dir=str(folder.resolve()),
            save_code=False,
            settings=_settings(),
        )
        self._run.define_metric(info.axis)
        self._run.define_metric("*", step_metric=info.axis)


def _settings() -> Any:
    """Ask W&B to be quiet and quick; settings that its version does not know are left out."""
    import wandb

    wanted: dict[str, Any] = {
        "silent": True,
        "console": "off",
        "init_timeout": INIT_SECONDS,
        "finish_timeout": FINISH_SECONDS / 2,
        "disable_git": True,
        "disable_code": True,
        "allow_val_change": True,
        "x_disable_stats": True,
        "x_disable_machine_info": True,
        "x_save_requirements": False,
    }
    known = set(wandb.Settings.model_fields)
    return wandb.Settings(**{name: value for name, value in wanted.items() if name in known})


def _let_go() -> None:
    """Keep W&B's own clean-up at exit from waiting for a service that hangs.

    `wandb.teardown` takes that clean-up off the list before it begins to wait (wandb 0.31).
    """
    import wandb

    def tear_down() -> None:
        with suppress(Exception):  # whatever it raises, nobody waits for it
            wandb.teardown(exit_code=1)

    threading.Thread(target=tear_down, daemon=True).start()
    time.sleep(0.2)
