"""Odd Dockerfiles, each with something that parsers are wrong about; nothing in them is run.

What BuildKit makes of each is recorded in tests/data/recorded/odd-dockerfiles.json.
"""
# ruff: noqa: E501

from __future__ import annotations

import io
import itertools
import json
import re
import tarfile
from typing import Any

from tests.support.corpus import RECORDED, Door, Outcome

SET = "ENV A=a EMPTY= SPACED='x  y' PATHS=/one/two.tar.gz WORDS=foobarfoo STAR=a*b\nENV R="
EXPANSIONS = (
    "$A", "${A}", "$Ab", "${A}b", "$", "$$", "$1", "${1}", "$-", "${", "${}", "${A", "$}", "\\$A",
    "\\${A}", "'$A'", "\"$A\"", "'${A}'", "\"\\$A\"", "\"${A}\"", "a$A$A", "$NONE", "${NONE}x",
    "${A:-b}", "${NONE:-b}", "${EMPTY:-b}", "${EMPTY-b}", "${NONE-b}", "${A:+b}", "${NONE:+b}",
    "${EMPTY:+b}", "${EMPTY+b}", "${A+b}", "${NONE:?said}", "${NONE?said}", "${EMPTY:?said}",
    "${EMPTY?said}", "${A:?said}", "${NONE:?}", "${NONE:-$A}", "${NONE:-${A}}", "${NONE:-'q'}",
    "${NONE:-\"q\"}", "${NONE:-\\}}", "${NONE:-a b}", "${NONE:-}", "${A:b}", "${A:", "${A:-",
    "${A!}", "${#A}", "${A@}", "${PATHS#*/}", "${PATHS##*/}", "${PATHS%.*}", "${PATHS%%.*}",
    "${PATHS#/one}", "${PATHS%gz}", "${WORDS/foo/x}", "${WORDS//foo/x}", "${WORDS/foo}",
    "${WORDS//o/}", "${WORDS/o*/x}", "${WORDS/?/x}", "${WORDS//\\//x}", "${PATHS//\\//-}",
    "${PATHS/\\/one/x}", "${STAR/\\*/x}", "${STAR#a\\*}",
    "${NONE#x}", "${NONE/x/y}", "${WORDS/foo/$A}", "${WORDS/$NONE/x}",
    "${WORDS/$A/x}", "${SPACED}", "$SPACED", "\"$SPACED\"", "'a'b\"c\"", "'a", "\"a", "a'", "a\"b",
    "'a\\'b'", "\"a\\\"b\"", "\"a\\\\b\"", "'a\\\\b'", "a\\ b", "a\\b", "a\\\\b", "a\\'b", "\\n",
    "\"\\n\"", "'\\n'", "\\", "\\\\", "a\\", "é", "$é", "${é}", "日本", "#", "a#b", "'#'", "=", "a=b",
    "a==b", "'a=b'", "''", "\"\"", "'' x", "''''", "a'b'c'd'e",
)  # fmt: skip
LINES = (
    # variables and labels
    "ENV a b", "ENV a  b  c", "ENV a \"b c\"", "ENV a 'b'", "ENV a b=c", "ENV a=b c", "ENV a=b c=d",
    "ENV a=b  c=d ", "ENV a=b\tc=d", "ENV =b", "ENV a", "ENV", "ENV a =b", "ENV a= b", "ENV a=b=c",
    "ENV \"a\"=b", "ENV 'a b'=c", "ENV a\\ b=c", "ENV a$b=c", "ENV A=1\nENV A=2 B=$A\nENV C=$B",
    "ENV A=1 A=2", "ENV A=1\nENV B=$A A=3 C=$A", "env a=b", "EnV a=b", "ENV a=b \\\n c=d",
    "ENV a=b\\\nc", "ENV a='b\\\nc'", "ENV a=b # c", "ENV a=b #c=d", "ENV [\"a\", \"b\"]",
    "ENV --a=b c=d", "ENV é=1", "ENV a.b=c", "ENV a-b=c", "ENV 1=2", "LABEL a", "LABEL a b", "LABEL a=",
    "LABEL \"a b\"=c", "LABEL a=\"b\\nc\"", "LABEL a='b\"c'", "LABEL a=b a=c", "LABEL a=$NONE",
    "LABEL \"\"=x", "LABEL a=\"multi \\\nline\"", "LABEL multi=1 \\\n  more=2 \\\n  \"last one\"='3'",
    "ARG a\nENV b=$a", "ARG a=1\nENV b=$a", "ARG a=1 b=$a\nENV c=$b", "ARG a=1\nENV a=2\nENV b=$a",
    "ENV a=2\nARG a=1\nENV b=$a", "ARG a=\nENV b=${a:-c}", "ARG", "ARG =x", "ARG a b", "ARG a=b c",
    "ARG \"a\"=b", "ARG a=\"b c\"\nENV d=$a", "ARG a=b=c\nENV d=$a", "ARG a 'b'", "ARG a='b c' d=e",
    "ARG HTTP_PROXY\nENV a=$HTTP_PROXY", "ARG TARGETOS\nENV a=$TARGETOS", "ENV a=$TARGETOS",
    "ARG TARGETARCH=x\nENV a=$TARGETARCH", "ARG BUILDKIT_X=1",
    # commands
    "CMD a b", "CMD  a  b ", "CMD [\"a\", \"b\"]", "CMD [\"a\",\"b\",]", "CMD [ \"a\" , \"b c\" ]",
    "CMD ['a', 'b']", "CMD [a, b]", "CMD []", "CMD [ ]", "CMD [\"\"]", "CMD [\"a\"", "CMD \"a\"",
    "CMD {\"a\": 1}", "CMD [\"a\", 1]", "CMD [\"a\", [\"b\"]]", "CMD [\"a\", null]", "CMD [\"\\u00e9\"]",
    "CMD [\"a\\nb\"]", "CMD [\"$A\"]", "CMD [\"a\"] b", "CMD [\"a\"]\\\n", "CMD [\"a\", \\\n \"b\"]",
    "CMD [\"\\x\"]", "CMD [\"a\\\\b\"]", "CMD", "CMD a\nCMD b", "CMD a # b", "CMD echo \"a  b\"",
    "CMD $A '$B'", "CMD a && \\\n b", "CMD [\"a\"] # c", "CMD --x", "CMD --x=y a", "CMD - a",
    "CMD\ta", "cmd [\"a\"]", "CMD \\\n a", "CMD \u00a0a", "ENTRYPOINT a", "ENTRYPOINT [\"a\"]",
    "CMD a\nENTRYPOINT b", "ENTRYPOINT a\nCMD b", "CMD [\"a\"]\nENTRYPOINT [\"b\"]", "ENTRYPOINT []",
    "ENTRYPOINT", "SHELL [\"a\", \"-c\"]\nCMD b", "SHELL [\"a\"]\nENTRYPOINT b\nHEALTHCHECK CMD c",
    "SHELL a", "SHELL []", "SHELL", "SHELL [\"a\"]\nSHELL [\"b\"]\nCMD c", "RUN", "SHELL [\"\"]",
    # settings
    "EXPOSE 80", "EXPOSE 80/tcp 443/udp", "EXPOSE 80-82", "EXPOSE 80/TCP", "EXPOSE", "EXPOSE a",
    "EXPOSE 80/x", "EXPOSE 0", "EXPOSE 65536", "EXPOSE 82-80", "EXPOSE 80:81", "EXPOSE 1.2.3.4:80:81",
    "EXPOSE $NONE", "ENV P=8080\nEXPOSE $P ${P}/udp", "EXPOSE 80 80/tcp", "EXPOSE \"80\"", "EXPOSE 80/",
    "EXPOSE /tcp", "EXPOSE 53/udp 53/tcp", "EXPOSE -1", "EXPOSE 0080",
    "VOLUME /a", "VOLUME /a /b", "VOLUME [\"/a b\"]", "VOLUME", "VOLUME []", "VOLUME [\"\"]", "VOLUME a",
    "VOLUME \"/a\"", "ENV V=/v\nVOLUME $V/x", "VOLUME /a\nVOLUME /a /b", "VOLUME ['/a']", "VOLUME /a/",
    "USER a", "USER a:b", "USER", "USER a b", "USER 0", "USER $NONE", "USER ${NONE:-me}", "USER :",
    "USER \"a\"", "WORKDIR /a", "WORKDIR a", "WORKDIR a/../b", "WORKDIR /a\nWORKDIR b\nWORKDIR ../c",
    "WORKDIR", "WORKDIR /a b", "WORKDIR \"/a b\"", "WORKDIR $NONE", "WORKDIR /", "WORKDIR //a//b/",
    "ENV W=/w\nWORKDIR $W/x", "WORKDIR .", "WORKDIR C:\\a", "WORKDIR \\a", "WORKDIR ''",
    "STOPSIGNAL 9", "STOPSIGNAL SIGKILL", "STOPSIGNAL KILL", "STOPSIGNAL kill", "STOPSIGNAL x",
    "STOPSIGNAL", "STOPSIGNAL 65", "STOPSIGNAL 0", "STOPSIGNAL -1", "STOPSIGNAL SIGRTMIN+1",
    "ENV S=TERM\nSTOPSIGNAL $S", "STOPSIGNAL a b", "STOPSIGNAL SIGRTMAX", "STOPSIGNAL 100",
    "HEALTHCHECK NONE", "HEALTHCHECK none", "HEALTHCHECK NONE x", "HEALTHCHECK CMD a b",
    "HEALTHCHECK CMD [\"a\"]", "HEALTHCHECK cmd a", "HEALTHCHECK CMD", "HEALTHCHECK", "HEALTHCHECK a",
    "HEALTHCHECK --interval=1s CMD a", "HEALTHCHECK --interval=1h2m3s --timeout=1.5s CMD a",
    "HEALTHCHECK --interval=1 CMD a", "HEALTHCHECK --interval=0s CMD a", "HEALTHCHECK --interval=-1s CMD a",
    "HEALTHCHECK --interval=1us CMD a", "HEALTHCHECK --retries=3 CMD a", "HEALTHCHECK --retries=x CMD a",
    "HEALTHCHECK --retries=0 CMD a", "HEALTHCHECK --retries=-1 CMD a", "HEALTHCHECK --x=1 CMD a",
    "HEALTHCHECK --start-period=5s --start-interval=1s CMD a", "HEALTHCHECK --interval CMD a",
    "HEALTHCHECK --interval=1s NONE", "HEALTHCHECK CMD []", "HEALTHCHECK NONE\nHEALTHCHECK CMD x",
    "HEALTHCHECK --interval=1s --interval=2s CMD a", "HEALTHCHECK CMD a # b",
    "ONBUILD RUN a", "ONBUILD ONBUILD RUN a", "ONBUILD FROM a", "ONBUILD MAINTAINER a", "ONBUILD",
    "onbuild env a=b", "ONBUILD ENV", "ONBUILD NOSUCH", "ONBUILD COPY --from=x a b", "ONBUILD  RUN  a  b",
    "ONBUILD CMD [\"a\",  \"b\"]", "ONBUILD RUN a \\\n b", "ONBUILD RUN <<EOF\na\nEOF", "ONBUILD ARG a",
    "ONBUILD COPY <<a /b\nx\na", "ONBUILD WORKDIR $A", "MAINTAINER a b", "MAINTAINER", "MAINTAINER a <b@c>",
    # what is no instruction
    "NOSUCH a", "FORM scratch", "RUNN a", "ENVA=b", "a", "=", "\"ENV\" a=b", "ENV\u00a0a=b", "-", "<<EOF",
    "COPY", "COPY a", "COPY a b c", "COPY --x a b", "COPY --from a b", "COPY --from= a b",
    "COPY --chown a b", "COPY --chmod=x a b", "COPY --link=x a b", "COPY [\"a\"]", "COPY <<a b\nx",
    "ADD", "ADD a", "ADD --x a b", "ADD --checksum=x a b", "ADD --keep-git-dir=x a b", "RUN --x a",
    "RUN --mount a", "RUN --mount=type=x a", "RUN --mount=x=y a", "RUN --mount=type=bind a",
    "RUN --network=x a", "RUN --security=x a", "RUN --mount=type=cache,id=a,sharing=x,target=/a b",
    "RUN --mount=type=tmpfs,target=/a,size=x b", "RUN --mount=type=secret,mode=x a",
    "RUN --mount=type=bind,target=/a,rw=x b", "RUN --mount=type=cache a", "RUN []",
    "COPY --from=9 a b", "COPY --from=later a b\nFROM scratch AS later", "COPY --chown=a:b:c <<x /y\nx",
    # continuations, comments, lines
    "ENV a=b \\\n# comment\n c=d", "ENV a=b \\\n  # comment\n c=d", "ENV a=b \\\n\n c=d",
    "ENV a=b \\\n\n\n\n c=d", "ENV a=b \\", "ENV a=b \\\n", "ENV a=b \\ \n c=d", "ENV a=b \\\t\n c=d",
    "ENV a=b \\\\\n", "ENV \\\na=b", "\\\nENV a=b", "ENV a=b\\\n\\\n\\\nc", "  ENV a=b", "\tENV a=b",
    "ENV a=b\n\n\n  \nENV c=d", "# comment", "  # comment\nENV a=b", "#", "ENV a=b\n#\nENV c=d",
    "ENV a=b \\\n#\\\n c=d", "ENV a=b \\\n # c \\\nENV c=d", "ENV a=\\\n  b", "ENV a=b;c", "ENV a=b\r",
    "CMD a \\\n# c\n b", "CMD a \\\n\n b", "CMD a \\\r\n b", "CMD a\\\nb", "CMD a \\\n  b \\\n    c",
    "CMD [\"a\" \\\n# c\n, \"b\"]", "LABEL a=b \\\n\n# x\n\n c=d", "ENV a=b\x0bENV c=d", "ENV a=b\x0c",
    "CMD a\u2028b", "ENV a=\u200bb", "CMD # a", "CMD \\# a", "CMD \"# a\"",
    # documents
    "COPY <<EOF /f\na\nEOF", "COPY <<EOF /f\nEOF", "COPY <<-EOF /f\n\ta\n\t\tb\n\tEOF", "COPY <<EOF /f\na",
    "COPY <<'EOF' /f\n$A\nEOF", "ENV A=x\nCOPY <<EOF /f\n$A ${A} \\$A '$A' \"$A\"\nEOF",
    "ENV A=x\nCOPY <<\"EOF\" /f\n$A\nEOF", "COPY <<a <<b /d/\n1\na\n2\nb", "COPY <<a /d/\nCOPY <<b\na",
    "COPY <<EOF /f\n# no comment\n\n  EOF\nEOF", "COPY <<EOF /f\na \\\nb\nEOF", "COPY <<EOF /d/\nx\nEOF",
    "COPY <<\"a b\" /f\nx\na b", "COPY <<E'O'F /f\n$x\nEOF", "COPY --chmod=600 <<EOF /f\nx\nEOF",
    "COPY <<EOF /f\r\nx\r\nEOF\r\n", "ADD <<EOF /f\nx\nEOF", "COPY << EOF /f\nx\nEOF", "COPY <<EOF\nx\nEOF",
    "COPY <<EOF <<EOF /d/\n1\nEOF\n2\nEOF", "COPY <<EOF $A/f\nx\nEOF", "COPY <<EOF /f /g\nx\nEOF",
    "ENV A=b\nCOPY <<$A /f\nx\n$A", "COPY <<EOF /f\n${NONE:?said}\nEOF", "COPY <<EOF /f\n\\\\ \\n \\t\nEOF",
    "COPY <<EOF /f\n<<X\nX\nEOF", "COPY <<EOF /f\n`a` $(b)\nEOF", "CMD <<EOF\na\nEOF", "ENV a=<<EOF",
)  # fmt: skip
WHOLE = (
    "\n", "# only\n", "ENV a=b", "FROM", "FROM scratch x", "FROM scratch AS", "FROM scratch AS a b",
    "FROM scratch AS 1", "FROM scratch AS A", "FROM scratch AS a-b.c_d", "FROM scratch AS -", "FROM scratch as a",
    "FROM --platform= scratch", "FROM --platform=x/y/z/w scratch", "FROM --platform=$NONE scratch", "FROM --x scratch",
    "FROM --platform=linux/amd64 scratch\nENV a=b", "from scratch\nenv a=b", "FROM scratch\nFROM scratch\nENV a=b",
    "FROM scratch AS a\nENV x=1\nFROM a\nENV y=$x", "FROM a AS a", "FROM scratch AS a\nFROM scratch AS a\nENV b=c",
    "FROM scratch AS a\nFROM A\nENV b=c", "FROM $NONE", "FROM ${NONE:-scratch}\nENV a=b",
    "ARG B=scratch\nFROM $B\nENV a=$B", "ARG B=scratch\nFROM ${B}\nARG B\nENV a=$B",
    "ARG B=scratch\nFROM $B\nARG B=x\nENV a=$B", "ARG B=a\nARG C=$B\nFROM scratch\nARG C\nENV d=$C",
    "ARG B=scratch\nARG B\nFROM $B\nENV a=b", "ARG B\nARG B=scratch\nFROM $B\nENV a=b", "FROM \"scratch\"\nENV a=b",
    "ARG a=1\nFROM scratch\nARG a=${a:-2}\nENV b=$a", "FROM UPPER", "FROM a:b:c", "FROM a@b", "FROM scratch:tag",
    "FROM scratch # comment", "\ufeffFROM scratch\nENV a=b", "FROM scratch\r\nENV a=b\r\nCMD c \\\r\n d\r\n",
    "FROM scratch\rENV a=b", "# escape=`\nFROM scratch\nENV a=`$x b=c` `\n d=e", "# escape=\\\nFROM scratch\nENV a=b",
    "# escape=x\nFROM scratch", "# escape\nFROM scratch\nENV a=b", "# escape=\nFROM scratch", "#escape=`\nFROM scratch\nCMD a `\n b",
    "# escape=`\n# escape=`\nFROM scratch", "\n# escape=`\nFROM scratch\nCMD a `", "# Escape = ` \nFROM scratch\nCMD a `\n b",
    "# escape=`\nFROM scratch\nWORKDIR C:\\a", "# escape=`\nFROM scratch\nENV a=\\ b", "# escape=`\nFROM scratch\nENV a='`'' b=c",
    "# escape=`\nFROM scratch\nCMD [\"a\\\\b\"]", "# unknown=x\n# escape=`\nFROM scratch\nCMD a `", "# c\n# escape=`\nFROM scratch\nCMD a `",
    "# check=skip=all\nFROM scratch\nENV a b", "# check=error=true\nFROM scratch\nENV a b", "# check=x\nFROM scratch\nENV a=b",
    "# check=skip=nosuch\nFROM scratch\nENV a=b", "FROM scratch\nENV a=b\n# escape=`\nCMD a `", "ENV a=b\nFROM scratch",
    "FROM scratch\nENV a=b\x00c",
)  # fmt: skip


def cases() -> list[str]:
    """Return all of them, each once."""
    expansions = (f"FROM scratch\n{SET}{one}\n" for one in EXPANSIONS)
    lines = (f"FROM scratch\n{one}\n" for one in LINES)
    return list(dict.fromkeys(itertools.chain(expansions, lines, WHOLE)))


def outcome(door: Door, text: str) -> Outcome:
    """Build one; return the image's configuration, history and files, or the error."""
    words = ["--network", "none", "-o", "type=oci,dest=-", "--progress", "quiet", "-"]
    done = door.run(*words, input=text.encode())
    if done.returncode:
        return {"error": said(done.stderr.decode().strip().splitlines()[-1])}
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        members = {member.name: archive.extractfile(member) for member in archive if member.isreg()}
        contents = {name: file.read() for name, file in members.items() if file is not None}

    def blob(descriptor: Any) -> bytes:
        return contents[f"blobs/sha256/{descriptor['digest'][7:]}"]

    manifest = json.loads(blob(json.loads(contents["index.json"])["manifests"][0]))
    found = image(json.loads(blob(manifest["config"])))
    found["files"] = {}
    for layer in manifest["layers"] or []:
        with tarfile.open(fileobj=io.BytesIO(blob(layer))) as archive:
            for one in archive:
                file = archive.extractfile(one) if one.isreg() else None
                content = file.read().decode("utf-8", "replace") if file else None
                found["files"][one.name] = [one.mode, content]
    return found


def image(config: Any) -> Outcome:
    """Return what counts of an image's configuration."""
    run = {k: v for k, v in (config.get("config") or {}).items() if v and k != "ArgsEscaped"}
    run["Env"] = [one for one in run.get("Env", ()) if not one.startswith("PATH=/usr")]
    run = {k: v for k, v in run.items() if v and (k, v) != ("WorkingDir", "/")}
    history = [one.get("created_by", "") for one in config.get("history") or []]
    return {
        "config": run,
        "history": [re.sub("^(EXPOSE|HEALTHCHECK) .*", r"\1", line) for line in history],
    }


def said(error: str) -> str:
    """Return a message as far as it is the same in all versions."""
    error = re.sub(r"^ERROR: failed to (solve|build): ", "", error)
    return re.sub(r" \(did you mean .*\)|dockerfile parse error on line \d+: ", "", error).lower()


def recorded() -> dict[str, Outcome]:
    """Return what a modern BuildKit makes of them."""
    found: dict[str, Outcome] = json.loads((RECORDED / "odd-dockerfiles.json").read_text())
    return found


def record(made: dict[str, Outcome]) -> None:
    """Keep that, a line for each."""
    lines = [f"{json.dumps(text)}: {json.dumps(made[text], sort_keys=True)}" for text in made]
    (RECORDED / "odd-dockerfiles.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
