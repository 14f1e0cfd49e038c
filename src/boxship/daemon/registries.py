"""What the configuration and the environment say about registries."""

from __future__ import annotations

from collections.abc import Mapping

from boxship.daemon.config import Config
from boxship.distribution.settings import Proxies, Settings, read_hosts
from boxship.spec.product import VERSION


def registry_settings(config: Config, environment: Mapping[str, str]) -> Settings:
    """Return how registries are reached."""
    return Settings(
        hosts=read_hosts(config.values["registries"], config.list("registry_mirrors")),
        insecure=tuple(word.lower() for word in config.list("insecure_registries")),
        proxies=proxies(config, environment),
        attempts=config.number("max_download_attempts"),
        downloads=config.number("max_concurrent_downloads"),
        uploads=config.number("max_concurrent_uploads"),
        user_agent=f"boxship/{VERSION}",
    )


def proxies(config: Config, environment: Mapping[str, str]) -> Proxies:
    """Return the way out: what is configured comes before the environment."""

    def said(option: str) -> str:
        upper = option.upper()
        return config.text(option) or environment.get(upper) or environment.get(option, "")

    return Proxies(said("http_proxy"), said("https_proxy"), said("no_proxy"))
