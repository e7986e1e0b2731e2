"""Where this process runs, as far as it can tell: in a container or not, behind which gateway,
on which network, and which ports somebody listens on.

Read from files of the kernel and the container runtimes; nothing is sent. Elsewhere than on Linux
there is nothing to read, and nothing is claimed.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

_GATEWAY = 0x2  # RTF_GATEWAY of <linux/route.h>
_LISTEN = "0A"  # TCP_LISTEN of <net/tcp_states.h>
_RUNTIMES = ("docker", "podman", "libpod", "kubepods", "containerd", "lxc")


class Surroundings(msgspec.Struct, frozen=True):
    """container: the runtime ("docker", "podman", "kubernetes", "container" for an unknown one),
    "" outside of one. wsl: Linux under Windows. gateways: addresses of the default gateways, the
    preferred one first. networks: the networks that this machine is on, such as 172.17.0.0/16."""

    container: str = ""
    wsl: bool = False
    gateways: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()

    @property
    def inside(self) -> bool:
        """Whether `localhost` is not the machine that the person means by it."""
        return bool(self.container) or self.wsl


def look(environ: Mapping[str, str] | None = None, root: Path = Path("/")) -> Surroundings:
    """Look around. root: where the file system begins."""
    gateways, networks = _routes(root)
    return Surroundings(
        container=_container(os.environ if environ is None else environ, root),
        wsl="microsoft" in _text(root / "proc/sys/kernel/osrelease").lower(),
        gateways=gateways,
        networks=networks,
    )


def _container(environ: Mapping[str, str], root: Path) -> str:
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    if (root / "run/.containerenv").exists():
        return "podman"
    if (root / ".dockerenv").exists():
        return "docker"
    if name := environ.get("container", ""):  # set by systemd-nspawn, podman and LXC
        return name if name in _RUNTIMES else "container"
    groups = _text(root / "proc/1/cgroup")
    for runtime in _RUNTIMES:
        if f"/{runtime}" in groups or f"{runtime}-" in groups:
            return {"libpod": "podman", "kubepods": "kubernetes"}.get(runtime, runtime)
    return ""


def _routes(root: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Default gateways by metric, and networks reached directly.

    /proc/net/route: interface, destination, gateway, flags, …, metric, mask; addresses in
    hexadecimal, in the byte order of the machine. /proc/net/ipv6_route: destination, its prefix
    length, source, its prefix length, next hop, metric, …; plain hexadecimal.
    """
    gateways: list[tuple[int, str]] = []
    networks = []
    for line in _text(root / "proc/net/route").splitlines()[1:]:
        with suppress(ValueError, IndexError):
            field = line.split()
            destination, gateway, mask = (_ipv4(field[n]) for n in (1, 2, 7))
            if int(field[3], 16) & _GATEWAY and int(destination) == 0 and int(mask) == 0:
                gateways.append((int(field[6]), str(gateway)))
            elif int(gateway) == 0 and int(mask) != 0:
                networks.append(str(ipaddress.ip_network(f"{destination}/{mask}", strict=False)))
    for line in _text(root / "proc/net/ipv6_route").splitlines():
        with suppress(ValueError, IndexError):
            field = line.split()
            hop = ipaddress.IPv6Address(bytes.fromhex(field[4]))
            # A link-local address is good on one interface only; no server is named by it.
            if int(field[0], 16) == 0 and field[1] == "00" and int(hop) and not hop.is_link_local:
                gateways.append((int(field[5], 16), str(hop)))
    return tuple(dict.fromkeys(address for _, address in sorted(gateways))), tuple(networks)


class Listener(msgspec.Struct, frozen=True):
    """A TCP port that somebody on this machine accepts connections on, and at which address."""

    address: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine itself can reach it."""
        return ipaddress.ip_address(self.address).is_loopback


def listeners(root: Path = Path("/")) -> list[Listener]:
    """Every listening TCP socket of this network namespace; in a container, its own only."""
    found = []
    for name in ("tcp", "tcp6"):
        for line in _text(root / f"proc/net/{name}").splitlines()[1:]:
            with suppress(ValueError, IndexError):
                field = line.split()
                address, _, port = field[1].partition(":")
                if field[3] == _LISTEN:
                    ip = _ipv4(address) if name == "tcp" else _ipv6(address)
                    found.append(Listener(str(ip), int(port, 16)))
    return found


def is_own_address(address: str) -> bool:
    """Whether an IP address is one of this machine's."""
    try:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except (OSError, ValueError):
        return False
    return True


def _ipv4(text: str) -> ipaddress.IPv4Address:
    if len(text) != 8:
        raise ValueError(text)
    return ipaddress.IPv4Address(int(text, 16).to_bytes(4, sys.byteorder))


def _ipv6(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Four words, each in the byte order of the machine; an IPv4 address in it comes out."""
    words = [int(text[n : n + 8], 16).to_bytes(4, sys.byteorder) for n in range(0, 32, 8)]
    address = ipaddress.IPv6Address(b"".join(words))
    return address.ipv4_mapped or address


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""
