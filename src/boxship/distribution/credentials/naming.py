"""What clients call the registry whose credentials they keep or ask for.

All call a registry by its host, but the hub: Docker's client by an address that it had once, podman
and skopeo by the name that stands in references.
"""

HUB = "docker.io"
HUB_KEY = "https://index.docker.io/v1/"
HUB_NAMES = (HUB, "index.docker.io", "registry-1.docker.io")
HUB_PATHS = ("", "v1", "v2")  # others name something else that is kept, such as a token


def one_name(server: str) -> str:
    """Return the one name under which a server's secret is kept, whatever a client calls it."""
    host, _, path = server.removeprefix("https://").partition("/")
    return HUB_KEY if host in HUB_NAMES and path.strip("/") in HUB_PATHS else server
