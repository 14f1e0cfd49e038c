"""COPY and ADD: files from the context, stages, images, URLs, repositories and documents."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from boxship.build import ops
from boxship.build.dockerfile import gitref, lint, names, paths
from boxship.build.dockerfile import instructions as ins
from boxship.build.dockerfile.converter import Converter
from boxship.build.dockerfile.drafts import Draft, DraftRef, Inputs
from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.gitref import GitRef
from boxship.build.dockerfile.owners import owner_of
from boxship.build.dockerfile.shell import quoted
from boxship.errors import InvalidRequest
from boxship.lib.ignore import clean
from boxship.lib.urls import without_login
from boxship.spec.digest import Digest

OCTAL: Final = re.compile(r"[0-7]+", re.ASCII)
SYMBOLIC: Final = re.compile(
    r"[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+(?:,[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+)*", re.ASCII
)
UNNAMED: Final = "__unnamed__"
ALL_IGNORED: Final = frozenset({"*", "**", "**/*"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A COPY or an ADD with its variables expanded."""

    sources: tuple[str, ...]
    target: str
    where: str  # the target from the root
    owner: str
    mode: str
    exclude: tuple[str, ...]
    link: bool
    parents: bool = False
    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None
    is_add: bool = False


def copy(to: Converter, it: ins.Copy) -> None:
    """Add the vertex of a COPY."""
    asked = _expanded(to, it.files, parents=it.parents)
    source = to.command.sources[0] if to.command.sources else None
    if source is not None and not source.done:
        raise DockerfileError(
            f"cannot copy from stage {quoted(it.origin)}, it needs to be defined before current "
            f"stage {quoted(to.state.shown)}"
        )
    _Transfer(to, asked, it.files).add(
        None if source is None else source.root, is_context=source is None
    )


def add(to: Converter, it: ins.Add) -> None:
    """Add the vertices of an ADD."""
    asked = _expanded(
        to,
        it.files,
        checksum=to.expand(it.checksum),
        keep_git_dir=it.keep_git_dir,
        unpack=it.unpack,
        is_add=True,
    )
    _Transfer(to, asked, it.files).add(None, is_context=True)


def _expanded(to: Converter, files: ins.Transfer, **more: object) -> Asked:
    target = to.expand(files.target)
    to.check_path(target)
    mode = to.expand(files.mode)
    _check_mode(mode)
    return Asked(
        tuple(to.expand(source) for source in files.sources),
        target,
        paths.absolute(to.state.cwd, target),
        to.expand(files.owner),
        mode,
        tuple(to.expand(pattern) for pattern in files.exclude),
        files.link,
        **more,  # type: ignore[arg-type]
    )


def _check_mode(mode: str) -> None:
    if not mode or SYMBOLIC.fullmatch(mode):
        return
    if OCTAL.fullmatch(mode) and len(mode) < 12 and int(mode, 8) <= 0o7777:
        return
    raise DockerfileError(
        f"invalid chmod parameter: '{mode}'. it should be octal string and between 0 and 07777"
        if mode[:1].isdigit()
        else f"invalid chmod parameter: {quoted(mode)}"
    )


class _Transfer:
    """The actions of one instruction, in order."""

    def __init__(self, to: Converter, asked: Asked, files: ins.Transfer) -> None:
        self._to = to
        self._asked = asked
        self._files = files
        self._linked = asked.link and not asked.mode
        self._inputs = Inputs()
        self._base = self._inputs.number(None if self._linked else to.state.root)
        self._copies: list[tuple[ops.Copy, DraftRef | None]] = []
        self._drafts: list[Draft] = []
        self._name = to.named(self._shown())

    def _shown(self) -> str:
        try:
            text = self._to.lexer.word(self._to.line.code, self._to.state.env)
        except DockerfileError:
            text = self._to.line.code
        return without_login(text)

    def add(self, root: DraftRef | None, *, is_context: bool) -> None:
        """Add a vertex for all that is asked, and those that fetch what it needs."""
        self._check_checksum()
        for source in self._asked.sources:
            repository = gitref.parse(source)
            if repository is not None and not repository.looks_local:
                self._repository(repository)
            elif source.startswith(("http://", "https://")):
                self._url(source)
            elif is_context:
                self._check_ignored(source)
                self._to.context_paths.add(paths.rooted(source))
                self._files_of(self._to.build_context(), source)
            else:
                self._files_of(root, source)
        for document in self._files.documents:
            text = document.text
            if document.expand:
                text = self._to.expand_document(text)
            self._document(document.name, text.encode("utf-8", "surrogateescape"))
        self._finish()

    def _check_checksum(self) -> None:
        asked = self._asked
        if not asked.checksum:
            return
        if len(asked.sources) != 1:
            raise DockerfileError("checksum can't be specified for multiple sources")
        source = asked.sources[0]
        if not source.startswith(("http://", "https://")) and gitref.parse(source) is None:
            raise DockerfileError("checksum requires HTTP(S) or Git sources")

    def _repository(self, found: GitRef) -> None:
        asked = self._asked
        if not asked.is_add:
            raise DockerfileError("source can't be a git ref for COPY")
        keep = asked.keep_git_dir
        if keep is not None and found.keep_git_dir not in (None, keep):
            raise DockerfileError("inconsistent keep-git-dir configuration")
        if asked.checksum and found.checksum not in ("", asked.checksum):
            raise DockerfileError(
                f"checksum mismatch {quoted(asked.checksum)} != {quoted(found.checksum)}"
            )
        op = found.source(
            keep_git_dir=bool(found.keep_git_dir if keep is None else keep),
            checksum=found.checksum or asked.checksum,
        )
        self._copy(self._fetched(op), "/", unpack=False, wildcard=False)

    def _url(self, url: str) -> None:
        asked = self._asked
        if not asked.is_add:
            raise DockerfileError("source can't be a URL for COPY")
        try:
            name = paths.base_name(unquote(urlsplit(url).path))
        except ValueError:
            raise DockerfileError(f"invalid URL: {quoted(url)}") from None
        if name in (".", "/", "..") or "/" in name or "\x00" in name:
            name = UNNAMED
        attrs = {"http.filename": name}
        if asked.checksum:
            try:
                attrs["http.checksum"] = str(Digest.parse(asked.checksum))
            except InvalidRequest:
                raise DockerfileError("invalid checksum digest format") from None
        op = ops.Source(url, tuple(sorted(attrs.items())))
        self._copy(self._fetched(op), "/" + name, unpack=bool(asked.unpack), wildcard=False)

    def _fetched(self, op: ops.Source) -> DraftRef:
        draft = Draft(op, (), self._to.state.platform, self._to.about(self._name))
        self._drafts.append(draft)
        return DraftRef(draft)

    def _files_of(self, root: DraftRef | None, source: str) -> None:
        asked = self._asked
        include: tuple[str, ...] = ()
        required: tuple[str, ...] = ()
        if asked.parents:
            parent, pivot, rest = source.partition("/./")
            pattern = paths.rooted(rest if pivot else source)
            source = parent if pivot else "/"
            include = (pattern.removeprefix("/"),)
            if not paths.has_wildcards(source) and not paths.has_wildcards(pattern):
                required = (paths.rooted(f"{source}/{pattern}"),)
        unpack = asked.is_add if asked.unpack is None else asked.unpack
        self._copy(
            root,
            paths.rooted(source),
            unpack=unpack,
            wildcard=True,
            include=include,
            required=required,
        )

    def _document(self, name: str, data: bytes) -> None:
        made = ops.MakeFile(clean("/" + name), data, 0o644, timestamp=self._to.timestamp)
        op = ops.Files((ops.Action(made, ops.SCRATCH, output=0),))
        about = ops.About(name="[internal] preparing inline document")
        draft = Draft(op, (), self._to.state.platform, about)
        self._copy(DraftRef(draft), clean("/" + name), unpack=False, wildcard=False)

    def _copy(
        self,
        root: DraftRef | None,
        source: str,
        *,
        unpack: bool,
        wildcard: bool,
        include: tuple[str, ...] = (),
        required: tuple[str, ...] = (),
    ) -> None:
        to, asked = self._to, self._asked
        does = ops.Copy(
            source,
            asked.where,
            owner=owner_of(asked.owner, self._base, required=self._to.options.classic),
            mode=asked.mode,
            follow_links=wildcard,
            contents_only=wildcard,
            unpack=unpack,
            make_parents=True,
            wildcard=wildcard,
            allow_no_match=wildcard and not (to.options.classic and len(asked.sources) == 1),
            include=include,
            exclude=asked.exclude,
            required=required,
            timestamp=to.timestamp,
        )
        self._copies.append((does, root))

    def _finish(self) -> None:
        to, asked = self._to, self._asked
        numbers = [self._inputs.number(root) for _, root in self._copies]
        first = len(self._inputs.refs)
        actions = [
            ops.Action(
                does,
                self._base if at == 0 else first + at - 1,
                number,
                0 if at == len(self._copies) - 1 else ops.NO_OUTPUT,
            )
            for at, ((does, _), number) in enumerate(zip(self._copies, numbers, strict=True))
        ]
        group = self._name if self._linked else ""
        about = to.about(self._name, group=group)
        draft = Draft(ops.Files(tuple(actions)), self._inputs.refs, to.state.platform, about)
        to.made(*self._drafts, draft)
        result = DraftRef(draft)
        if self._linked and to.state.root is not None:
            name = names.again(
                to.state,
                "LINK " + names.upper_first(self._shown()),
                multi_platform=to.options.multi_platform,
                env=to.state.env,
                on_build=to.command.on_build,
            )
            merged = Draft(
                ops.Merge(),
                (to.state.root, result),
                to.state.platform,
                to.about(name, group=group),
            )
            to.made(merged)
            result = DraftRef(merged)
        to.state.root = result
        to.commit(self._told(asked), layer=True, built=True)

    def _told(self, asked: Asked) -> str:
        said = ["ADD" if asked.is_add else "COPY"]
        if asked.parents:
            said.append("--parents")
        if asked.owner:
            said.append(f"--chown={asked.owner}")
        if asked.mode:
            said.append(f"--chmod={asked.mode}")
        said += map(without_login, asked.sources)
        said += (f"<<{document.name}" for document in self._files.documents)
        if self._to.options.classic:
            said.append("in")
        return " ".join((*said, asked.target))

    def _check_ignored(self, source: str) -> None:
        """Note a source that `.dockerignore` leaves out, where that can be told from its name."""
        ignore = self._to.options.ignore
        if ignore is None or not ignore or ignore.has_negations:
            return
        path = clean(source)
        if path in (".", "/") and not any(p.text in ALL_IGNORED for p in ignore.patterns):
            return
        if ignore.ignores(path.removeprefix("/") if path != "/" else path):
            kind = "Add" if self._asked.is_add else "Copy"
            self._to.find(
                lint.COPY_IGNORED_FILE,
                f"Attempting to {kind} file {quoted(path)} that is excluded by .dockerignore",
            )
