"""The section ``console`` of the configuration: how ``srwatchd console`` is reached, and what it may take."""

import re
from ipaddress import ip_network
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from srwatchd.config.kinds import Duration, ModelName, PlacePath, Size
from srwatchd.config.section import Section

__all__ = ["Console", "Renditions", "Tls", "Upload", "Upscale"]

_MIB: Final = 1 << 20
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]")


def _names(value: object) -> object:
    """A list as it is, one text as a list of it."""
    return (value,) if isinstance(value, str) else value


def _host(value: str) -> str:
    name = value.lower()
    if _HOST.fullmatch(name) is None:
        raise ValueError(f"{value!r} is no host name; write it without a port, for example pictures.example.org")
    return name


def _network(value: str) -> str:
    try:
        return str(ip_network(value, strict=False))
    except ValueError:
        raise ValueError(f"{value!r} is no address; write for example 127.0.0.1 or 10.0.0.0/8") from None


_TEXTS: Final = WithJsonSchema({"type": ["array", "string"], "items": {"type": "string", "minLength": 1}})
Hosts = Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], BeforeValidator(_names), _TEXTS]
Networks = Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], BeforeValidator(_names), _TEXTS]


class Tls(Section):
    """PEM files for https without a proxy; both or none."""

    certificate: PlacePath | None = None
    key: PlacePath | None = None


class Upload(Section):
    """What may be dropped through the console."""

    max_size: Size = Field(default=1 << 30, ge=1)
    """Of one file; the folder's own max_size holds as well."""
    at_once: int = Field(default=64, ge=1, le=4096)
    """Further ones are told to come again."""


class Renditions(Section):
    """Pictures made for pages, kept in state_dir/console/renditions."""

    max_size: Size = Field(default=256 * _MIB, ge=_MIB)


class Upscale(Section):
    """POST /api/v1/upscale: a picture in, the enlarged one out."""

    models: Annotated[tuple[ModelName, ...], BeforeValidator(_names)] = ()
    """The models that are offered. Empty: none."""
    in_flight: int = Field(default=4, ge=1, le=256)
    timeout: Duration = Field(default=300.0, ge=1, le=86400)
    """Then the answer is 504; the job goes on."""


class Console(Section):
    """The web console, which is a process of its own: ``srwatchd console``."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """Listening elsewhere than on this machine takes a user or a token."""
    port: int = Field(default=8470, ge=0, le=65535)
    allowed_hosts: Hosts = ()
    """Further names that it is reached by."""
    trusted_proxies: Networks = ()
    """Addresses whose X-Forwarded-For and -Proto are believed."""
    tls: Tls = Field(default_factory=Tls)
    upload: Upload = Field(default_factory=Upload)
    renditions: Renditions = Field(default_factory=Renditions)
    memory_limit: Size = Field(default=512 * _MIB, ge=192 * _MIB)
    """For the console and the workers that make its pictures."""
    upscale: Upscale = Field(default_factory=Upscale)
