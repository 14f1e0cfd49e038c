"""Completion for the shells, made from the commands' own data."""

from __future__ import annotations

from boxship.cli.command import Command
from boxship.cli.index import GROUPS, SHORT, commands_of, module_of
from boxship.cli.kinds import KINDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from boxship.cli.shell import Shell

SHELLS = ("bash", "fish", "zsh")
COMMAND = Command(
    usage="completion bash|zsh|fish",
    summary="Print completion for a shell",
    names=("completion",),
    at_least=1,
    at_most=1,
)
# How the shell finds names of each sort.
LISTS = {
    "container": "boxship ps -a --format '{{.Names}}'",
    "image": "boxship images --format '{{.Repository}}:{{.Tag}}'",
    "network": "boxship network ls --format '{{.Name}}'",
    "volume": "boxship volume ls -q",
}


def run(shell: Shell, words: list[str]) -> int:
    """Print the script; it is to be read by the shell as `source <(boxship completion bash)`."""
    makers = {"bash": bash, "zsh": zsh, "fish": fish}
    if words[0] not in makers:
        return shell.report(f"unknown shell: {words[0]}; one of {', '.join(SHELLS)} is expected")
    shell.out.write(makers[words[0]]())
    return 0


def all_commands() -> Iterator[tuple[str, Command]]:
    """Yield every command with the words that call it."""
    from boxship.cli.main import load

    for name in sorted(SHORT):
        yield name, load(SHORT[name]).COMMAND
    for group in sorted(GROUPS):
        for name in commands_of(group):
            command: Command = load(f"{module_of(group, name)}").COMMAND
            if not command.hidden:
                yield f"{group} {name}", command


def _options(command: Command) -> str:
    return " ".join(f"--{flag.name}" for flag in command.flags if not flag.hidden)


def bash() -> str:
    cases: list[str] = []
    for name, command in all_commands():
        listing = LISTS.get(command.words, "")
        cases.append(f'    "{name}") options="{_options(command)}"; names="{listing}" ;;\n')
    groups = "|".join(sorted(GROUPS))
    firsts = " ".join(sorted({*SHORT, *GROUPS}))
    seconds = "".join(
        f'    {group}) options="{" ".join(commands_of(group))}" ;;\n' for group in sorted(GROUPS)
    )
    return f"""# bash completion for boxship
_boxship() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" command="" options="" names="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "${{COMP_WORDS[i]}}" in
      -*) ;;
      *) command="${{COMP_WORDS[i]}}"; break ;;
    esac
  done
  case "$command" in
    {groups}) if ((i + 1 < COMP_CWORD)); then command="$command ${{COMP_WORDS[i + 1]}}"; fi ;;
  esac
  case "$command" in
    "") options="{firsts}" ;;
{seconds}{"".join(cases)}  esac
  if [[ "$word" != -* && -n "$names" ]]; then
    options="$(eval "$names" 2>/dev/null)"
  fi
  COMPREPLY=($(compgen -W "$options" -- "$word"))
}}
complete -o default -F _boxship boxship
"""


def zsh() -> str:
    return "#compdef boxship\nautoload -U +X bashcompinit && bashcompinit\n" + bash()


def fish() -> str:
    lines = ["# fish completion for boxship", "complete -c boxship -f"]
    names = " ".join(sorted({*SHORT, *GROUPS}))
    for name, command in all_commands():
        first, _, second = name.partition(" ")
        summary = _quoted(command.summary)
        if second:
            others = " ".join(commands_of(first))
            condition = (
                f"__fish_seen_subcommand_from {first}; and not __fish_seen_subcommand_from {others}"
            )
            lines.append(f"complete -c boxship -n '{condition}' -a {second} -d {summary}")
            here = f"__fish_seen_subcommand_from {first}; and __fish_seen_subcommand_from {second}"
        else:
            condition = f"not __fish_seen_subcommand_from {names}"
            lines.append(f"complete -c boxship -n '{condition}' -a {name} -d {summary}")
            here = f"__fish_seen_subcommand_from {name}"
        for flag in command.flags:
            if flag.hidden:
                continue
            short = f" -s {flag.short}" if flag.short else ""
            value = " -r" if KINDS[flag.kind].title else ""
            usage = _quoted(flag.usage.partition("\n")[0])
            lines.append(f"complete -c boxship -n '{here}' -l {flag.name}{short}{value} -d {usage}")
        if command.words in LISTS:
            lines.append(f"complete -c boxship -n '{here}' -a \"({LISTS[command.words]})\"")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
