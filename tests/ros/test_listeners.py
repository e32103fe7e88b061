"""Tests of the network sockets of nodes: with the shipped profile for one machine, none is reachable from outside."""

import os
import re
import socket
import struct
from pathlib import Path

import pytest
from conftest import ROOT

LISTEN, LOOPBACK = "0A", "127.0.0.1"
EPHEMERAL_PORTS = 32768  # from here on Linux numbers sockets that only send


def sockets(process, protocol) -> list:
    """(address, port, state) of a process's IPv4 and IPv6 sockets."""
    inodes = set()
    for fd in Path(f"/proc/{process.popen.pid}/fd").iterdir():
        try:
            inodes |= set(re.findall(r"socket:\[(\d+)\]", os.readlink(fd)))
        except OSError:  # closed in the meantime
            continue
    found = []
    for family in ("", "6"):
        for line in Path(f"/proc/{process.popen.pid}/net/{protocol}{family}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                address, port = fields[1].split(":")
                shown = address if family else socket.inet_ntoa(struct.pack("=I", int(address, 16)))
                found.append((shown, int(port, 16), fields[3]))
    return found


@pytest.fixture
def running(ros, nodes, tmp_path):
    env = {"FASTRTPS_DEFAULT_PROFILES_FILE": str(ROOT / "config" / "dds" / "fastdds_localhost.xml")}
    started = [nodes.start(name, params=params, env=env) for name, params in [
        ("sim_node", {"camera_rate_hz": 0.0}), ("arm_node", {}), ("teleop_node", {"mapping": "gamepad"}),
        ("policy_node", {}), ("record_node", {"dataset": str(tmp_path / "dataset")}),
        ("finetune_node", {"runs": str(tmp_path / "runs")})]]
    ros.wait_for_nodes(*(process.name for process in started))
    return started


def test_no_node_listens_to_tcp(running):
    for process in running:
        listening = [entry for entry in sockets(process, "tcp") if entry[2] == LISTEN]
        assert not listening, process.name


def test_nodes_of_one_machine_receive_on_its_loopback_alone(running):
    for process in running:
        receiving = [entry for entry in sockets(process, "udp") if entry[1] < EPHEMERAL_PORTS]
        assert receiving, process.name
        assert {address for address, _, _ in receiving} == {LOOPBACK}, (process.name, receiving)
