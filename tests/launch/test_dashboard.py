"""The dashboard: what would be sent, what is sent to a server on loopback, and what is refused."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from critwin.errors import CritwinError, ParameterError
from launch.dashboard import Dashboard
from launch.dashboard_panels import SHELVES
from launch.preflight import preflight

pytestmark = [
    # wandb-workspaces (0.4.13) declares validators in a way that pydantic calls old
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")
]

PLANTED = hashlib.sha1(b"a key that is none").hexdigest()


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, and an empty folder."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.chdir(tmp_path)


def written(path: str = "dashboard.json") -> dict[str, Any]:
    told: dict[str, Any] = json.loads(Path(path).read_text())
    return told


def test_a_dry_run_writes_what_would_be_sent(flags) -> None:
    plan = preflight(flags("+exp=dashboard", "project=p", "sweep=s-1", "dry_run=true"))
    assert plan.rehearsing
    assert plan.inquiry is not None
    assert plan.inquiry.rehearse(Console(file=StringIO())) == 0
    told = written()
    (runs,) = told["spec"]["section"]["runSets"]
    assert runs["filters"]["filters"] == [
        {"key": {"section": "run", "name": "group"}, "op": "=", "value": "s-1", "disabled": False}
    ]
    sections = told["spec"]["section"]["panelBankConfig"]["sections"]
    assert [section["name"] for section in sections] == [shelf.name for shelf in SHELVES]
    assert [len(section["panels"]) for section in sections] == [len(s.panels) for s in SHELVES]
    first = Path("dashboard.json").read_bytes()
    plan.inquiry.rehearse(Console(file=StringIO()))
    assert Path("dashboard.json").read_bytes() == first


def test_all_runs_of_a_project_have_a_dashboard_of_their_own() -> None:
    for sweep in ("s-1", None):
        Dashboard(sweep=sweep, specification=f"{sweep}.json").rehearse(Console(file=StringIO()))
    one, all_of_them = written("s-1.json"), written("None.json")
    assert all_of_them["spec"]["section"]["runSets"][0]["filters"]["filters"] == []
    assert one["name"] != all_of_them["name"]


def test_without_a_key_it_says_what_to_do(flags) -> None:
    plan = preflight(flags("+exp=dashboard"))
    assert plan.inquiry is not None
    with pytest.raises(CritwinError, match=r"no key; allowed: WANDB_API_KEY .* dry_run=true"):
        plan.inquiry.answer(Console(file=StringIO()))


def test_without_the_library_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(CritwinError, match=r"needs wandb-workspaces.*pip install 'critwin\["):
        Dashboard().rehearse(Console(file=StringIO()))


@pytest.mark.parametrize(
    ("key", "value"),
    [("project", "a/b"), ("entity", "a/b"), ("sweep", ""), ("sweep", "multirun/x")],
)
def test_a_bad_name_is_refused(key: str, value: str) -> None:
    with pytest.raises(ParameterError, match=key):
        Dashboard(**{key: value}).check()


class _Wandb(BaseHTTPRequestHandler):
    """As much of W&B as a dashboard needs: it keeps one view."""

    sent: list[dict[str, Any]]
    entity: str | None

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        data = json.dumps({"data": self._answer(body["query"], body.get("variables") or {})})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(data.encode())

    def _answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "upsertView" in query:
            self.sent.append(variables)
            return {"upsertView": {"view": {"id": "V1", "name": variables["name"]}}}
        if "allViews" in query:
            kept = [sent for sent in self.sent if sent["name"] == variables["viewName"]]
            nodes = [
                {"id": "V1", "displayName": one["displayName"], "spec": one["spec"]}
                for one in kept[-1:]
            ]
            return {"project": {"allViews": {"edges": [{"node": node} for node in nodes]}}}
        return {
            "viewer": {
                "id": "U",
                "entity": self.entity,
                "username": "me",
                "flags": "{}",
                "teams": {"edges": []},
                "apiKeys": {"edges": []},
            },
            "serverInfo": None,
        }

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Wandb]]:
    handler = type("Handler", (_Wandb,), {"sent": [], "entity": "me"})
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{listening.server_port}")
    monkeypatch.setenv("WANDB_API_KEY", PLANTED)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield handler
    listening.shutdown()
    listening.server_close()


def test_it_is_made_once_and_then_brought_up_to_date(server: type[_Wandb]) -> None:
    told = []
    for _ in range(2):
        out = StringIO()
        assert Dashboard(project="p", sweep="s-1").answer(Console(file=out, width=200)) == 0
        told.append(out.getvalue())
    assert "dashboard is made" in told[0]
    assert "brought up to date" in told[1]
    first, second = server.sent
    assert "id" not in first
    assert second["id"] == "V1"
    assert first["spec"] == second["spec"]
    assert (first["entityName"], first["projectName"]) == ("me", "p")
    Dashboard(project="p", sweep="s-1").rehearse(Console(file=StringIO()))
    assert json.loads(first["spec"]) == written()["spec"]  # a dry run writes what is sent
    assert first["name"] == written()["name"]
