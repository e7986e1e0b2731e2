"""Where this process runs: read from files that the kernel and container runtimes write."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millstream.models.surroundings import Listener, is_own_address, listeners, look

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="the samples are little-endian")

ROUTES = """\
Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
wlan0	00000000	0101A8C0	0003	0	0	600	00000000	0	0	0
eth0	00000000	010011AC	0003	0	0	0	00000000	0	0	0
eth0	000011AC	00000000	0001	0	0	0	0000FFFF	0	0	0
"""
ROUTES6 = (
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "fd000000000000000000000000000001 00000400 00000002 00000000 00000003     eth0\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "fe800000000000000000000000000001 00000400 00000002 00000000 00000003     eth0\n"
    "00000000000000000000000000000001 80 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000000 00000002 00000000 80200001       lo\n"
)
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2CAA 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0
   2: 0100007F:2CAA 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 3 1 0
"""
TCP6 = """\
  sl  local_address                         remote_address                        st
   0: 00000000000000000000000001000000:04D2 00000000000000000000000000000000:0000 0A 0 0 0
   1: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A 0 0 0
"""


def put(root: Path, name: str, text: str = "") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_an_ordinary_machine(tmp_path):
    put(tmp_path, "proc/1/cgroup", "0::/init.scope\n")
    put(tmp_path, "proc/sys/kernel/osrelease", "6.8.0-45-generic\n")
    around = look({}, tmp_path)
    assert around.container == ""
    assert around.inside is False


@pytest.mark.parametrize(
    ("file", "text", "runtime"),
    [
        (".dockerenv", "", "docker"),
        ("run/.containerenv", "", "podman"),
        ("proc/1/cgroup", "0::/docker/8f3a\n", "docker"),
        ("proc/1/cgroup", "12:cpu:/kubepods/burstable/pod1/8f3a\n", "kubernetes"),
        ("proc/1/cgroup", "0::/system.slice/docker-8f3a.scope\n", "docker"),
        ("proc/1/cgroup", "0::/machine.slice/libpod-8f3a.scope\n", "podman"),
        ("proc/1/cgroup", "1:name=systemd:/lxc/box\n", "lxc"),
    ],
)
def test_each_runtime_leaves_its_mark(tmp_path, file, text, runtime):
    put(tmp_path, file, text)
    assert look({}, tmp_path).container == runtime
    assert look({}, tmp_path).inside is True


def test_the_environment_tells_too(tmp_path):
    assert look({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path).container == "kubernetes"
    assert look({"container": "podman"}, tmp_path).container == "podman"
    assert look({"container": "systemd-nspawn"}, tmp_path).container == "container"


def test_linux_under_windows_is_a_machine_inside_another(tmp_path):
    put(tmp_path, "proc/sys/kernel/osrelease", "5.15.153.1-microsoft-standard-WSL2\n")
    around = look({}, tmp_path)
    assert (around.wsl, around.container, around.inside) == (True, "", True)


def test_gateways_by_metric_and_the_networks(tmp_path):
    put(tmp_path, "proc/net/route", ROUTES)
    put(tmp_path, "proc/net/ipv6_route", ROUTES6)
    around = look({}, tmp_path)
    assert around.gateways == ("172.17.0.1", "192.168.1.1", "fd00::1")
    assert around.networks == ("172.17.0.0/16",)


def test_who_listens_where(tmp_path):
    put(tmp_path, "proc/net/tcp", TCP)
    put(tmp_path, "proc/net/tcp6", TCP6)
    assert [(found.address, found.port, found.loopback) for found in listeners(tmp_path)] == [
        ("127.0.0.1", 11434, True),
        ("0.0.0.0", 22, False),
        ("::1", 1234, True),
        ("127.0.0.1", 8080, True),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_real_listener_is_seen():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert Listener("127.0.0.1", server.getsockname()[1]) in listeners()


def test_own_addresses():
    assert is_own_address("127.0.0.1")
    assert not is_own_address("192.0.2.213")  # reserved for documentation
    assert not is_own_address("nonsense")


def test_without_any_file_nothing_is_claimed(tmp_path):
    around = look({}, tmp_path)
    assert (around.gateways, around.networks, around.inside) == ((), (), False)
    assert listeners(tmp_path) == []


@given(st.sampled_from([ROUTES, ROUTES6, TCP, TCP6]), st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_damaged_tables_are_read_as_far_as_they_go(tmp_path, text, data):
    at = data.draw(st.integers(0, len(text)))
    junk = data.draw(st.text(alphabet="0123FXx: \n\t\xff", max_size=6))
    text = text[:at] + junk + text[at + data.draw(st.integers(0, 9)) :]
    for name in ("route", "ipv6_route", "tcp", "tcp6"):
        put(tmp_path, f"proc/net/{name}", text)
    look({}, tmp_path)
    assert all(0 <= found.port <= 0xFFFFFF for found in listeners(tmp_path))
