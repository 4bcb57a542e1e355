"""From where a request really comes, and under which name the console was reached."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.datastructures import Headers
    from starlette.types import Scope

__all__ = ["Addresses", "host_name", "plain_address"]

_HOST: Final = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_FORWARDED: Final = ("x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded")


def host_name(told: Sequence[str]) -> str | None:
    """The name in the one Host header, without its port, in lower case; None for anything else."""
    if len(told) != 1:
        return None
    found = _HOST.fullmatch(told[0].lower())
    return None if found is None else found[1].rstrip(".")


class Addresses:
    """Believes the proxies of ``trusted`` (addresses or networks), and nobody else."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._trusted = [ipaddress.ip_network(each, strict=False) for each in trusted]

    def apply(self, scope: Scope, headers: Headers) -> bool:
        """Put the client's address and scheme into ``scope`` as a trusted proxy tells them.

        Returns whether anybody says that the request was forwarded. Of several addresses the last one counts that is no
        trusted proxy: what stands before it anybody can have written.
        """
        client = scope.get("client")
        if client is not None:
            client = scope["client"] = (plain_address(str(client[0])), client[1])
        if client is not None and self._trusts(str(client[0])):
            told = [each.strip() for each in ",".join(headers.getlist("x-forwarded-for")).split(",") if each.strip()]
            for address in reversed(told):
                if not _is_address(address):
                    break
                scope["client"] = (address, 0)
                if not self._trusts(address):
                    break
            scheme = headers.get("x-forwarded-proto", "").lower()
            if scheme in ("http", "https"):
                scope["scheme"] = scheme
        return any(name in headers for name in _FORWARDED)

    def _trusts(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed.version == each.version and parsed in each for each in self._trusted)


def plain_address(address: str) -> str:
    """An address of IPv4 that a socket for both kinds shows as one of IPv6, as what it is."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return address if mapped is None else str(mapped)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
