"""Create a volume."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.options import check_label, labels_of, pairs_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="create [OPTIONS] [VOLUME]",
    summary="Create a volume",
    names=("volume create",),
    flags=(
        Flag("driver", "d", "Driver of the volume", "string", "local"),
        Flag("label", "", "Set labels", "list", check=check_label),
        Flag("opt", "o", "Options of the driver", "map"),
    ),
    at_most=1,
    words="",
)


def run(shell: Shell, words: list[str], *, driver: str, label: list[str], opt: list[str]) -> int:
    """Print the new volume's name."""
    body = {
        "Name": words[0] if words else "",
        "Driver": driver,
        "DriverOpts": pairs_of(opt),
        "Labels": labels_of(label),
    }
    shell.out.line(shell.client.volumes.create(body))
    return 0
