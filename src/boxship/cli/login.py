"""Authenticate to a registry."""

from __future__ import annotations

from boxship.cli.asking import ask, ask_hidden
from boxship.cli.command import Command, Flag
from boxship.cli.credentials import keep, key_of, lookup
from boxship.cli.notes import note
from boxship.client.errors import CannotConnect, EngineError
from boxship.distribution.credentials.naming import HUB, HUB_KEY
from boxship.errors import BoxshipError, InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="login [OPTIONS] [SERVER]",
    summary="Authenticate to a registry",
    details=(
        "Authenticate to a registry.\nDefaults to Docker Hub if no server is specified.\n\n"
        "What is given is kept encrypted: by the helper that the configuration names, or else by\n"
        "docker-credential-boxship."
    ),
    names=("login",),
    flags=(
        Flag("password", "p", "Password or access token", "string"),
        Flag("password-stdin", "", "Read the password or access token from standard input"),
        Flag("plain-text", "", "Keep the password unencrypted in config.json, as Docker does"),
        Flag("username", "u", "Username", "string"),
    ),
    at_most=1,
)
UNATTENDED = "Error: Cannot perform an interactive login from a non TTY device"
ANOTHER = "To login with a different account, run 'boxship logout' followed by 'boxship login'"
LONGEST = 64 * 1024


def run(
    shell: Shell,
    words: list[str],
    *,
    password: str | None,
    password_stdin: bool,
    plain_text: bool,
    username: str | None,
) -> int:
    """Have the engine try what is known or asked for, and keep what is accepted."""
    if password_stdin and password is not None:
        problem = "conflicting options: cannot specify both --password and --password-stdin"
        return shell.report(problem)
    if password_stdin and username is None:
        return shell.report("the --password-stdin option requires --username to be set")
    if username == "":
        return shell.report("username is empty")
    if password == "":
        return shell.report("password is empty")
    if password:
        shell.say("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
    if password_stdin:
        password = _from_input()
    key = key_of(words[0] if words else "")
    # Asked in any case: where a helper fails, nothing may go out to a registry.
    known = lookup(shell, key)
    if username or password:
        known = {}
    if known and (said := _with_known(shell, key, known, plain=plain_text)) is not None:
        shell.out.line(said)
        return 0
    given = _given(shell, key, username or "", password or "", known.get("username", ""))
    shell.out.line(_log_in(shell, key, given, plain=plain_text))
    return 0


def _from_input() -> str:
    import posix

    data = b""
    while len(data) < LONGEST and (piece := posix.read(0, LONGEST)):
        data += piece
    return data.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")


def _with_known(shell: Shell, key: str, known: dict[str, str], *, plain: bool) -> str | None:
    """Try what is kept already; None when the registry does not take it."""
    who = f" [Username: {known['username']}]" if known.get("username") else ""
    shell.say(f"Authenticating with existing credentials...{who}")
    shell.say("")
    note(shell.err, ANOTHER)
    shell.say("\n")
    try:
        return _log_in(shell, key, known, plain=plain)
    except EngineError as error:
        if error.status == 401:
            shell.say("Stored credentials invalid or expired")
        else:
            shell.say(f"Login did not succeed, error: {error}")
        return None


def _given(shell: Shell, key: str, username: str, password: str, known: str) -> dict[str, str]:
    """Return username and password, asking for what was not given."""
    if not (username and password) and not shell.input_is_terminal():
        raise InvalidRequest(UNATTENDED)
    if not username:
        if key == HUB_KEY:
            shell.out.line("Log in with your Docker ID, or an e-mail address, and an access token.")
        username = ask(shell, f"Username ({known}): " if known else "Username: ") or known
        if not username:
            raise InvalidRequest("error: username is required")
    if not password:
        password = ask_hidden(shell, "Password: ")
        if not password:
            raise InvalidRequest("error: password is required")
    return {"username": username, "password": password}


def _log_in_here(shell: Shell, key: str, given: dict[str, str]) -> str:
    """Ask the registry itself, where no engine can; return its identity token, if it gives one."""
    from boxship.cli.libraries import find_libraries

    find_libraries()
    from boxship.cli.manifest.remote import log_in

    return log_in(shell, HUB if key == HUB_KEY else key, given)


def _log_in(shell: Shell, key: str, given: dict[str, str], *, plain: bool) -> str:
    """Have the engine try credentials; keep those that the registry takes."""
    try:
        answer = shell.client.system.log_in({**given, "serveraddress": key})
    except CannotConnect:
        answer = {"IdentityToken": _log_in_here(shell, key, given)}
    kept = given
    if token := answer.get("IdentityToken"):
        kept = {"username": given.get("username", ""), "identitytoken": token}
    try:
        keep(shell, key, kept, plain=plain)
    except OSError as error:
        raise BoxshipError(f"error saving credentials: {error}") from error
    return str(answer.get("Status") or "Login Succeeded")
