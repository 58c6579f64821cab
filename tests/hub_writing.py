"""The half of a test's Hub that takes what clients send: repositories, large files, commits, tags."""

import base64
import json
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from hub_state import Fault, Hub, Repository, User, git_hash, is_large, sha256_of

_GIT_ATTRIBUTES = b"*.parquet filter=lfs diff=lfs merge=lfs -text\n*.tar filter=lfs diff=lfs merge=lfs -text\n"
_CHUNK_BYTES = 4096


class Writing(BaseHTTPRequestHandler):
    """Requests that change something, and what both halves share."""

    served: Hub
    _body: bytes | None = None
    _is_lost = False

    # ---- what both halves share ----

    def send(self, status: int, headers: dict[str, str] | None = None, data: bytes = b"") -> None:
        self.body()  # of a request that is refused too: the next one begins behind it
        if self._is_lost:
            self._is_lost, self.close_connection = False, True
            self.connection.close()
            return
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self._body = None
        if self.command != "HEAD":
            self.wfile.write(data)

    def send_json(self, values: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(values).encode())

    def refuse(self, status: int, message: str, code: str = "", headers: dict[str, str] | None = None) -> None:
        """As the Hub refuses: the reason in the headers and in the body."""
        named = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self.send_json({"error": message}, status, {**named, **(headers or {})})

    def body(self) -> bytes:
        if self._body is None:
            if self.headers.get("Transfer-Encoding", "") == "chunked":
                self._body = b"".join(iter(self._chunk, b""))
            else:
                self._body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return self._body

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().strip() or b"0", 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data

    def form(self, key: str) -> list[str]:
        """The values of a field of a form, or of JSON."""
        if "json" in self.headers.get("Content-Type", ""):
            values = json.loads(self.body())[key]
            return [values] if isinstance(values, str) else values
        return parse_qs(self.body().decode()).get(key, [])

    @property
    def user(self) -> User | None:
        return self.served.users.get(self.headers.get("Authorization", "").removeprefix("Bearer "))

    def may_see(self, repository: Repository, name: str) -> bool:
        return not repository.is_private or self._may_write(name)

    def _may_write(self, name: str) -> bool:
        owner = name.removeprefix("datasets/").split("/")[0]
        return self.user is not None and owner in (self.user.name, *self.user.organizations)

    def fails(self, fault: Fault) -> bool:
        """Does what shall go wrong; True where the request is answered all the same."""
        if fault.then is not None:
            fault.then()
        if fault.is_answered:
            return True
        if fault.loses_answer:
            self._is_lost = True
            return True
        if fault.after_bytes is not None:
            taken = self.rfile.read(fault.after_bytes)
            with self.served.lock:
                self.served.received.append(len(taken))
            self.close_connection = True
            self.connection.close()
            return False
        self.refuse(fault.status, fault.message, fault.code, fault.headers)
        return False

    # ---- what changes something ----

    def writes(self, parts: list[str]) -> bool:
        """Answers a request that changes something or leads up to it; False for any other."""
        line = f"{self.command} /{'/'.join(parts)}"
        if line == "GET /api/whoami-v2":
            self._who()
        elif line == "POST /api/validate-yaml":
            self._validate()
        elif line == "POST /api/repos/create":
            self._create()
        elif self.command == "PUT" and parts[0] == "large":
            self._take_large(parts[1])
        elif self.command == "POST" and parts[0] == "verify":
            values = json.loads(self.body())
            held = self.served.objects.get(values["oid"], b"")
            self.send(200) if len(held) == values["size"] else self.refuse(404, "Object not found")
        elif self.command == "POST" and parts[-4:] == ["info", "lfs", "objects", "batch"]:
            self._batch("/".join(parts[:3]).removesuffix(".git"))
        elif parts[:2] == ["api", "datasets"] and self.command != "GET" and len(parts) >= 5:
            return self._change("/".join(parts[1:4]), parts[4], "/".join(parts[5:]))
        else:
            return False
        return True

    def _who(self) -> None:
        user = self.user
        if user is None:
            return self.refuse(401, "Invalid credentials in Authorization header")
        token = {"displayName": "mine", "role": user.role}
        orgs = [{"name": name, "roleInOrg": "write"} for name in user.organizations]
        return self.send_json({"type": "user", "name": user.name, "orgs": orgs, "auth": {"accessToken": token}})

    def _validate(self) -> None:
        text = json.loads(self.body())["content"]
        try:
            yaml.safe_load(text.split("---\n")[1])
        except (IndexError, yaml.YAMLError) as error:
            return self.send_json({"errors": [{"message": f"Invalid YAML: {error}"}], "warnings": []}, 400)
        return self.send_json({"errors": [], "warnings": []})

    def _create(self) -> None:
        values = json.loads(self.body())
        if self.user is None:
            return self.refuse(401, "Invalid username or password.")
        owner = values["organization"] or self.user.name
        name = f"datasets/{owner}/{values['name']}"
        if not self._may_write(name):
            return self.refuse(403, f'You don\'t have the rights to create a dataset under the namespace "{owner}"')
        url = f"{self.served.address}/{name}"
        if name in self.served.repositories:
            return self.send_json({"error": "You already created this dataset repo", "url": url}, 409)
        repository = Repository(owner=owner, is_private=values.get("visibility") == "private")
        repository.push({".gitattributes": _GIT_ATTRIBUTES}, message="initial commit")
        self.served.repositories[name] = repository
        return self.send_json({"url": url, "name": name.removeprefix("datasets/"), "id": "1"})

    def _allowed(self, name: str) -> Repository | None:
        """The repository, where the user may write to it; otherwise the request is refused."""
        repository = self.served.repositories.get(name)
        if repository is None or not self.may_see(repository, name):
            self.refuse(401 if self.user is None else 404, "Repository not found", "RepoNotFound")
        elif self.user is None:
            self.refuse(401, "Invalid username or password.")
        elif not self._may_write(name) or self.user.role == "read":
            self.refuse(403, "Forbidden: you must use a write token to upload to a repository.")
        else:
            return repository
        return None

    def _batch(self, name: str) -> None:
        """Where large files go; one that is held already gets no `actions`."""
        if self._allowed(name) is None:
            return
        found = []
        for one in json.loads(self.body())["objects"]:
            entry: dict[str, Any] = {"oid": one["oid"], "size": one["size"]}
            if one["oid"] not in self.served.objects:
                entry["actions"] = {
                    "upload": {"href": f"{self.served.storage}/large/{one['oid']}"},
                    "verify": {"href": f"{self.served.address}/verify/{one['oid']}"},
                }
            found.append(entry)
        self.send_json({"transfer": "basic", "objects": found})

    def _take_large(self, sha: str) -> None:
        data = self.body()
        with self.served.lock:
            self.served.received.append(len(data))
        if sha256_of(data) != sha:
            return self.refuse(400, "BadDigest")
        self.served.objects[sha] = data
        return self.send(200, {"ETag": f'"{sha}"'})

    def _change(self, name: str, what: str, below: str) -> bool:
        if what not in ("preupload", "commit", "tag", "super-squash"):
            return False
        repository = self._allowed(name)
        if repository is None:
            return True
        if what == "preupload":
            files = [self._mode(repository, one) for one in json.loads(self.body())["files"]]
            self.send_json({"files": files})
        elif what == "commit":
            self._commit(name, repository, [json.loads(line) for line in self.body().splitlines()])
        elif what == "tag":
            self._tag(repository, below)
        else:
            repository.squash(json.loads(self.body())["message"])
            self.send(200)
        return True

    def _mode(self, repository: Repository, one: dict[str, Any]) -> dict[str, Any]:
        held = repository.head.get(one["path"])
        ignored = one["path"] in repository.head.get(".gitignore", b"").decode().splitlines()
        mode = {"path": one["path"], "uploadMode": "lfs" if is_large(one["path"]) else "regular",
                "shouldIgnore": ignored}  # fmt: skip
        if held is not None:
            mode["oid"] = sha256_of(held) if is_large(one["path"]) else git_hash(held)
        return mode

    def _commit(self, name: str, repository: Repository, lines: list[dict[str, Any]]) -> None:
        header, files = lines[0]["value"], dict(repository.head)
        if header.get("parentCommit") not in (None, repository.refs["main"]):
            return self.refuse(412, "A commit has happened since. Please refresh and try again.")
        for line in lines[1:]:
            key, value = line["key"], line["value"]
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                if value["oid"] not in self.served.objects:
                    return self.refuse(400, f"LFS pointer pointed to a file that does not exist: {value['path']}")
                files[value["path"]] = self.served.objects[value["oid"]]
            elif value["path"] not in files:
                return self.refuse(404, "A file with this name doesn't exist", "EntryNotFound")
            else:
                del files[value["path"]]
        sha = repository.push(files, message=header["summary"])
        url = f"{self.served.address}/{name}/commit/{sha}"
        return self.send_json({"success": True, "commitUrl": url, "commitOid": sha, "hookOutput": ""})

    def _tag(self, repository: Repository, below: str) -> None:
        below = unquote(urlsplit(below).path)
        if self.command == "DELETE":
            if repository.tags.pop(below, None) is None:
                return self.refuse(404, "Tag not found")
            repository.forget()
            return self.send(200)
        tag = json.loads(self.body())["tag"]
        if tag in repository.tags:
            return self.refuse(409, "Tag reference exists already")
        commit = repository.refs.get(below, below)
        if commit not in repository.commits:
            return self.refuse(404, f"Invalid rev id: {below}", "RevisionNotFound")
        repository.tags[tag] = commit
        return self.send(200)
