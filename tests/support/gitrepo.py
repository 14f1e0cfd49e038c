"""Repositories made by git itself, on no configuration but the tests'."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

WHO = ("user.name=n", "user.email=e@example.com", "init.defaultBranch=main", "gc.auto=0")
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_DATE": "1600000000 +0000",
    "GIT_COMMITTER_DATE": "1600000000 +0000",
    "HOME": "/nonexistent",
}


@dataclass(frozen=True)
class Repository:
    """A repository with a working tree, which a server may hand out as it is."""

    path: Path

    @classmethod
    def new(cls, path: Path) -> Repository:
        path.mkdir(parents=True)
        made = cls(path)
        made.git("init", "-q")
        return made

    def git(self, *words: str, data: bytes | None = None) -> str:
        """Run git there; return what it printed."""
        settings = [word for one in WHO for word in ("-c", one)]
        given = {"input": data} if data is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run(  # type: ignore[call-overload]
            ["git", *settings, *words],
            cwd=self.path, env=ENVIRONMENT, capture_output=True, check=False, **given,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return str(done.stdout.decode().strip())

    def commit(self, message: str = "more", **files: str) -> str:
        """Write files, whose names have `__` for a dot, and commit them; return the commit."""
        for name, text in files.items():
            path = self.path / name.replace("__", ".").replace("___", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return self.commit_all(message)

    def commit_all(self, message: str = "more") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def blob(self, data: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", data=data)

    def tree(self, *entries: tuple[str, str, str]) -> str:
        """Write a tree of modes, names and objects, without git's own checks."""
        data = b"".join(
            f"{mode} {name}".encode() + b"\0" + bytes.fromhex(found)
            for mode, name, found in entries
        )
        return self.git("hash-object", "-w", "-t", "tree", "--stdin", "--literally", data=data)

    def commit_tree(self, tree: str, branch: str) -> str:
        made = self.git("commit-tree", tree, "-m", "odd")
        self.git("update-ref", f"refs/heads/{branch}", made)
        return made
