"""A stand-in of the Hugging Face hub's HTTP interface, as far as models need it."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

#: What the stand-in is sent; it must appear in nothing that dlmone writes.
TOKEN = "hf_a-secret-of-the-tests"
MODEL = r"(?P<repo>[\w.-]+/[\w.-]+)"


@dataclass
class Hub:
    """Its state: files by commit, commits by repository and branch; and every authorization it was sent."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    url: str = ""

    def commit_of(self, repo: str, revision: str) -> str | None:
        return self.branches[repo].get(revision, revision if revision in self.commits else None)

    def add(self, repo: str, branch: str, files: dict[str, bytes]) -> str:
        before = self.branches[repo].get(branch, "")
        merged = {**self.commits.get(before, {}), **files}
        commit = hashlib.sha1(before.encode() + repr(sorted(merged.items())).encode()).hexdigest()
        self.commits[commit] = merged
        self.branches[repo][branch] = commit
        return commit


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, status: int, body: Any = b"", **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.hub.tokens.append(self.headers.get("Authorization", ""))
        if not self.headers.get("Authorization"):
            return self.answer(401, {"error": "Invalid credentials"})
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked.get('organization')}/{asked['name']}"
            if repo in self.hub.branches:
                return self.answer(409, {"error": "exists", "url": f"{self.hub.url}/{repo}"})
            self.hub.branches[repo] = {}
            self.hub.add(repo, "main", {".gitattributes": b""})
            return self.answer(200, {"url": f"{self.hub.url}/{repo}"})
        if found := re.fullmatch(rf"/api/models/{MODEL}/branch/(?P<branch>\w+)", self.path):
            branches = self.hub.branches[found["repo"]]
            branches.setdefault(found["branch"], branches["main"])
            return self.answer(200, {})
        if found := re.fullmatch(rf"/api/models/{MODEL}/preupload/(?P<branch>\w+)", self.path):
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": files})
        if found := re.fullmatch(rf"/api/models/{MODEL}/commit/(?P<branch>\w+)", self.path):
            lines = [json.loads(line) for line in body.splitlines() if line]
            files = {
                line["value"]["path"]: base64.b64decode(line["value"]["content"])
                for line in lines
                if line["key"] == "file"
            }
            commit = self.hub.add(found["repo"], found["branch"], files)
            url = f"{self.hub.url}/{found['repo']}/commit/{commit}"
            return self.answer(200, {"success": True, "commitOid": commit, "commitUrl": url})
        if self.path == "/api/validate-yaml":
            return self.answer(200, {"warnings": [], "errors": []})
        return self.answer(404, {"error": f"the stand-in has no {self.path}"})

    def do_GET(self) -> None:
        self.hub.tokens.append(self.headers.get("Authorization", ""))
        path = self.path.partition("?")[0].replace("%2F", "/")
        for pattern, respond in (
            (rf"/api/models/{MODEL}(/revision/(?P<revision>[^/]+))?", self._info),
            (rf"/api/models/{MODEL}/tree/(?P<revision>[^/]+)", self._tree),
            (rf"/{MODEL}/resolve/(?P<revision>[^/]+)/(?P<name>.+)", self._file),
        ):
            if found := re.fullmatch(pattern, path):
                parts = found.groupdict()
                if parts["repo"] not in self.hub.branches:
                    return self.answer(401, {"error": "no"}, X_Error_Code="RepoNotFound")
                commit = self.hub.commit_of(parts["repo"], parts["revision"] or "main")
                if commit is None:
                    return self.answer(404, {"error": "no"}, X_Error_Code="RevisionNotFound")
                return respond(parts["repo"], commit, parts.get("name") or "")
        return self.answer(404, {"error": f"the stand-in has no {path}"})

    do_HEAD = do_GET

    def _info(self, repo: str, commit: str, _: str) -> None:
        siblings = [{"rfilename": name} for name in self.hub.commits[commit]]
        self.answer(200, {"id": repo, "sha": commit, "siblings": siblings, "tags": [], "downloads": 0})

    def _tree(self, _: str, commit: str, __: str) -> None:
        files = self.hub.commits[commit].items()
        entries = [
            {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            for name, content in files
        ]
        self.answer(200, entries)

    def _file(self, _: str, commit: str, name: str) -> None:
        content = self.hub.commits[commit].get(name)
        if content is None:
            return self.answer(404, {"error": "no"}, X_Error_Code="EntryNotFound")
        etag = f'"{hashlib.sha1(content).hexdigest()}"'
        return self.answer(200, content, ETag=etag, X_Repo_Commit=commit)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Run the stand-in on a free port; huggingface-hub speaks to it, with a token and an empty cache."""
    constants = pytest.importorskip("huggingface_hub.constants")
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    resolve = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", resolve)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield hub
    server.shutdown()
    server.server_close()
