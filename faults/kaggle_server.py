"""A stand-in for Kaggle on 127.0.0.1, for the official client as it is: what a competitor needs, and its failures.

    python -m faults.kaggle_server pixel-play-26.zip --truth truth.csv

prints the environment in which the client talks to it, and serves until it is interrupted. It stands as the client's
proxy, so that no name is looked up and nothing leaves the machine: other hosts and tunnels (CONNECT) are refused.
"""

import argparse
import hashlib
import json
import re
import shlex
import threading
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from faults.kaggle_site import SIGNATURE, TOKEN, USER, Site, average_precision

HOME = "http://localhost"
_BLOCK = 1 << 16


class Server(ThreadingHTTPServer):
    """Serves a Site on a free port of 127.0.0.1 while it is entered."""

    daemon_threads = True

    def __init__(self, site: Site) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.site = site
        self.lock = threading.Lock()

    def __enter__(self) -> "Server":
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def environment(self, home: Path, token: str | None = TOKEN) -> dict[str, str]:
        """Variable -> value with which a client talks to this server and to nothing else; its files are in `home`."""
        proxy = f"http://127.0.0.1:{self.server_address[1]}"
        variables = {
            "HOME": str(home), "KAGGLE_CONFIG_DIR": str(home / ".kaggle"), "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "http_proxy": proxy, "https_proxy": proxy, "no_proxy": "", "NO_PROXY": "",
        }  # fmt: skip
        return variables | ({"KAGGLE_API_TOKEN": token} if token else {})


class Handler(BaseHTTPRequestHandler):
    """Answers as Kaggle does; methods are POST /api/v1/{Service}/{Method}."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_CONNECT(self) -> None:
        self.server.site.requests.append(f"CONNECT {self.path}")
        self._send(403, {}, b"")

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        site, url = self.server.site, urlsplit(self.path)
        method = url.path.rpartition("/")[2]
        with self.server.lock:
            site.requests.append(method)
            if url.netloc != "localhost":
                return self._send(403, {}, b"no such host here")
            if site.answers.get(method):
                status, headers, body = site.answers[method].pop(0)
                return self._send(status, headers, body)
            if not self._signed_in(site, method):
                return self._send(401, {}, {"code": 401, "message": "Unauthenticated"})
            answer = getattr(self, f"_{method}", None)
            if answer is None:
                return self._send(404, {}, {"code": 404, "message": f"no method {method}"})
            answer(site, json.loads(content or b"{}"))

    def do_PUT(self) -> None:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            content = b"".join(iter(self._chunk, b""))
        else:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        site = self.server.site
        site.requests.append("PUT")
        if site.upload_status == 200:
            site.uploads[urlsplit(self.path).path.rpartition("/")[2]] = content
        self._send(site.upload_status, {}, b"")

    def do_GET(self) -> None:
        site, url = self.server.site, urlsplit(self.path)
        site.requests.append("GET")
        if url.netloc != "localhost":
            return self._send(403, {}, b"no such host here")
        name = url.path.rpartition("/")[2]
        if "/output/" in url.path:
            return self._send(200, {}, site.output[name])
        self._serve_archive(site)

    def _signed_in(self, site: Site, method: str) -> bool:
        if method == "IntrospectToken":
            return True
        return self.headers.get("Authorization", "").startswith("Basic ") or (
            self.headers.get("Authorization") == f"Bearer {site.token}"
        )

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        content = self.rfile.read(size)
        self.rfile.readline()
        return content

    def _send(self, status: int, headers: dict[str, str], body: Any) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        if urlsplit(self.path).path.rpartition("/")[2] in self.server.site.drops:
            self.close_connection = True
            return
        self.send_response(status)
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _serve_archive(self, site: Site) -> None:
        whole, first = len(site.archive), 0
        etag = f'"{hashlib.md5(site.archive).hexdigest()}"'
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and self.headers.get("If-Range", etag) == etag:
            first = int(asked[1])
        site.first_bytes.append(first)
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(whole - first))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", etag)
        self.send_header("Last-Modified", formatdate(1.7e9, usegmt=True))
        self.end_headers()
        end = site.cuts.pop(0) if site.cuts else whole
        for start in range(first, max(first, end), _BLOCK):
            self.wfile.write(site.archive[start : min(start + _BLOCK, end)])
        self.close_connection = True

    def _IntrospectToken(self, site: Site, request: dict[str, Any]) -> None:
        active = request.get("token") == site.token
        self._send(200, {}, {"active": active, "username": USER} if active else {"active": False})

    def _DownloadDataFiles(self, site: Site, request: dict[str, Any]) -> None:
        self._send(302, {"Location": f"{HOME}/storage/{request['competitionName']}.zip?X-Signature={SIGNATURE}"}, b"")

    def _StartSubmissionUpload(self, site: Site, request: dict[str, Any]) -> None:
        token = f"upload-{len(site.names)}"
        site.names[token] = request.get("name") or request["fileName"]
        self._send(200, {}, {"token": token, "createUrl": f"{HOME}/upload/{token}?X-Signature={SIGNATURE}"})

    _StartBlobUpload = _StartSubmissionUpload

    def _CreateSubmission(self, site: Site, request: dict[str, Any]) -> None:
        ref = 1000 + len(site.submissions)
        date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        found = site.score(site.uploads[request["blobFileTokens"]])
        entry = {"ref": ref, "date": date, "description": request.get("submissionDescription", ""), "status": "PENDING"}
        site.submissions.insert(0, entry | {"listed": 0, "found": found, "fileName": "submission.csv"})
        self._send(200, {}, {"message": "Successfully submitted to PixelPlay", "ref": ref})

    def _ListSubmissions(self, site: Site, request: dict[str, Any]) -> None:
        size, page = request.get("pageSize", 20), request.get("page", 1)
        for entry in site.submissions:
            entry["listed"] += 1
            if entry["listed"] > site.patience:
                if isinstance(entry["found"], str):
                    entry |= {"status": "ERROR", "errorDescription": entry["found"]}
                else:
                    public, private = entry["found"]
                    entry |= {"status": "COMPLETE", "publicScore": public, "privateScore": private}
        hidden = ("listed", "found")
        shown = [{k: v for k, v in entry.items() if k not in hidden} for entry in site.submissions]
        self._send(200, {}, {"submissions": shown[(page - 1) * size : page * size]})

    def _GetSubmissionLimits(self, site: Site, request: dict[str, Any]) -> None:
        self._send(200, {}, {"numToday": len(site.submissions), "numAllowedNow": max(0, 5 - len(site.submissions))})

    def _GetDatasetStatus(self, site: Site, request: dict[str, Any]) -> None:
        known = request["datasetSlug"] in site.datasets
        self._send(*((200, {}, {"status": "READY"}) if known else (404, {}, {"code": 404, "message": "Not found"})))

    def _ListDatasetFiles(self, site: Site, request: dict[str, Any]) -> None:
        tokens = [part["token"] for part in site.datasets[request["datasetSlug"]][-1].get("files", [])]
        self._send(200, {}, {"datasetFiles": [{"name": site.names[token]} for token in tokens]})

    def _CreateDataset(self, site: Site, request: dict[str, Any]) -> None:
        site.datasets[request["slug"]] = [request]
        self._send(200, {}, {"status": "ok", "url": f"{HOME}/datasets/{USER}/{request['slug']}"})

    def _CreateDatasetVersion(self, site: Site, request: dict[str, Any]) -> None:
        site.datasets[request["datasetSlug"]].append(request["body"])
        self._send(200, {}, {"status": "ok", "url": f"{HOME}/datasets/{USER}/{request['datasetSlug']}"})

    def _SaveKernel(self, site: Site, request: dict[str, Any]) -> None:
        site.kernels.append(request)
        made = {"ref": request["slug"], "url": f"{HOME}/code/{request['slug']}", "versionNumber": len(site.kernels)}
        self._send(200, {}, made | {"invalidCompetitionSources": site.refused})

    def _GetKernelSessionStatus(self, site: Site, request: dict[str, Any]) -> None:
        first = site.kernel_status.pop(0) if site.kernel_status else {"status": "COMPLETE"}
        self._send(200, {}, first)

    def _ListKernelSessionOutput(self, site: Site, request: dict[str, Any]) -> None:
        listed = [{"fileName": name, "url": f"{HOME}/output/{name}"} for name in site.output]
        self._send(200, {}, {"files": listed, "log": ""})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="what the competition hands out")
    parser.add_argument("--truth", type=Path, help="labels Id,label to score submissions by")
    parser.add_argument("--home", type=Path, default=Path(".dvc/tmp/kaggle_home"), help="the client's files go here")
    arguments = parser.parse_args()
    site = Site(archive=arguments.archive.read_bytes())
    if arguments.truth:
        site.score = average_precision(arguments.truth)
    with Server(site) as server:
        for name, value in server.environment(arguments.home.absolute()).items():
            print(f"export {name}={shlex.quote(value)}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
