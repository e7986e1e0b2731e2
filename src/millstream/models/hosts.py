"""Hosts: which are near, which are far, and through which proxy the far ones are reached.

Near is this machine and its private network. A name is judged by its form where that is enough,
else by what it resolves to. Nothing here opens a connection.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit, urlunsplit

from millstream.base import NotHere, is_web_address


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL, without user, password, path or query; "" for a text that
    is no URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def without_secrets(url: str) -> str:
    """A URL without user, password and query."""
    try:
        parts = urlsplit(url)
    except ValueError:  # half an IPv6 address, say
        return re.sub("//[^/]*@", "//", re.split("[?#]", url)[0])
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def is_local_name(host: str) -> bool:
    """Whether a host means "this machine": localhost, 127.0.0.0/8, ::1 or 0.0.0.0."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def is_private(host: str) -> bool | None:
    """Whether a host is on this machine or its private network; None where only its address
    could tell. A name without a dot is a neighbour's (a compose service, say)."""
    try:
        return is_private_address(host)
    except ValueError:
        pass
    if is_local_name(host) or "." not in host or host.endswith((".local", ".internal")):
        return True
    return None


def is_private_address(text: str) -> bool:
    """Whether an IP address is loopback, link-local, private, or carrier-grade NAT (which is
    also Tailscale). 198.18.0.0/15 is not: proxies hand it out in place of public addresses.
    Raises ValueError for a text that is no address."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if isinstance(address, ipaddress.IPv4Address):
        if address in _FAKE_IP:
            return False
        if address in _SHARED:
            return True
    return address.is_private or address.is_loopback or address.is_link_local


_FAKE_IP = ipaddress.ip_network("198.18.0.0/15")
_SHARED = ipaddress.ip_network("100.64.0.0/10")


async def resolves_privately(host: str) -> bool:
    """Whether all addresses of a name are private; False for a name that nobody knows."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None)
    except OSError:
        return False
    return bool(found) and all(is_private_address(str(entry[4][0])) for entry in found)


async def is_outside(url: str) -> bool:
    """Whether an address is beyond this machine and its private network."""
    host = urlsplit(url).hostname or ""
    near = is_private(host)
    return not (await resolves_privately(host) if near is None else near)


class Proxies:
    """The proxies that the environment names, and the hosts for which there is none."""

    def __init__(self, environ: Mapping[str, str], proxy: str = "") -> None:
        lower = {name.lower(): value for name, value in environ.items() if value}
        # Under CGI, HTTP_PROXY is a header that the client sent.
        if "REQUEST_METHOD" in environ:
            lower.pop("http_proxy", None)
        self._by_scheme = {
            scheme: proxy or lower.get(f"{scheme}_proxy") or lower.get("all_proxy")
            for scheme in ("http", "https")
        }
        names = re.split(r"[\s,]+", lower.get("no_proxy", ""))
        self._bypassed: Sequence[str] = [name.lower().lstrip("*.") for name in names if name]
        self._never = "*" in names

    def of(self, scheme: str, host: str) -> str | None:
        proxy = self._by_scheme.get(scheme)
        if not proxy or self._never or any(_matches(host, name) for name in self._bypassed):
            return None
        if "://" not in proxy:
            proxy = "http://" + proxy
        if proxy.startswith("socks"):
            raise NotHere("models.socks", proxy=without_secrets(proxy))
        if not is_web_address(proxy):
            raise NotHere("models.bad-proxy", proxy=without_secrets(proxy))
        return proxy


def _matches(host: str, name: str) -> bool:
    """Whether an entry of NO_PROXY covers a host: itself, a domain above it, or a network."""
    name = name.partition(":")[0] if name.count(":") == 1 else name
    if host == name or host.endswith("." + name):
        return True
    if "/" not in name:
        return False
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False
