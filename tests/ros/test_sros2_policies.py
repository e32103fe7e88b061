"""Tests that the SROS2 profile of each node names exactly what the node opens in the graph: with less it could not work
under enforcement, with more it would have unnecessary permissions."""

from xml.etree import ElementTree

import pytest
from conftest import ROOT
from policy_fixtures import checkpoint, policy, robot_file, world  # noqa: F401
from rclpy.action import get_action_client_names_and_types_by_node, get_action_server_names_and_types_by_node

POLICIES = ElementTree.parse(ROOT / "config" / "sros2" / "policies.xml").getroot()
NODES = ["arm_node", "policy_node", "teleop_node", "record_node", "finetune_node", "sim_node"]
RIGHTS = {"publish", "subscribe", "reply", "request", "execute", "call"}


def absolute(name, node, namespace):
    if name.startswith("~/"):
        name = f"{node}/{name[2:]}"
    return name if name.startswith("/") else f"{namespace.rstrip('/')}/{name}"


def allowed(node, namespace="/") -> set:
    """Permissions of a node in this namespace by its profile, as (right, name)."""
    [profile] = POLICIES.findall(f".//profile[@node='{node}']")
    return {(right, absolute(entry.text, node, namespace))
            for rule in profile for right in RIGHTS & set(rule.attrib) for entry in rule}


def opened(ros, node, namespace="/") -> set:
    """Endpoints of the node in the graph, as (right, name). The topics and services of an action belong to the
    action."""
    def names(found):
        return [name for name, _ in found if "/_action/" not in name]

    reader = ros.node
    try:
        edges = {
            "publish": names(reader.get_publisher_names_and_types_by_node(node, namespace)),
            "subscribe": names(reader.get_subscriber_names_and_types_by_node(node, namespace)),
            "reply": names(reader.get_service_names_and_types_by_node(node, namespace)),
            "request": names(reader.get_client_names_and_types_by_node(node, namespace)),
            "execute": [name for name, _ in get_action_server_names_and_types_by_node(reader, node, namespace)],
            "call": [name for name, _ in get_action_client_names_and_types_by_node(reader, node, namespace)],
        }
    except RuntimeError:  # rclpy's NodeNameNonExistentError: not discovered yet
        return set()
    return {(right, name) for right, found in edges.items() for name in found}


def plain(edges, namespace):
    """The same endpoints as if the node ran in the root namespace."""
    return {(right, name.removeprefix(namespace)) for right, name in edges}


def require_exact(ros, node, namespaces):
    """Asserts that the variants of a node in these namespaces together open exactly what its profile allows."""
    expected = allowed(node)

    def seen():
        return set().union(*(plain(opened(ros, node, namespace), namespace.rstrip("/")) for namespace in namespaces))

    def complete():
        return expected <= seen()

    try:
        ros.wait_for(complete, f"what the profile of {node} allows")
    except pytest.fail.Exception as failure:
        raise AssertionError(f"{node} does not open {sorted(expected - seen())}: expected in the graph because "
                             f"config/sros2/policies.xml allows it") from failure
    assert not seen() - expected, f"config/sros2/policies.xml does not allow {node} what it opens"


def test_every_node_has_an_enclave_of_its_own():
    enclaves = POLICIES.findall("./enclaves/enclave")
    assert [enclave.get("path") for enclave in enclaves] == [f"/thinkvla/{node}" for node in NODES]
    for enclave, node in zip(enclaves, NODES):
        assert [(profile.get("ns"), profile.get("node")) for profile in enclave.iter("profile")] == [("/", node)]
        assert all(set(rule.attrib.values()) == {"ALLOW"} for rule in enclave.find("profiles/profile"))


def test_arm_and_simulation_open_what_they_may(ros, nodes):
    for namespace, api, command in [("/one", "v1", "joint"), ("/two", "v2", "cartesian")]:
        nodes.start("sim_node", params={"driver_api": api, "expert": True}, remaps={"__ns": namespace})
        nodes.start("arm_node", params={"dry_run": False, "command": command}, remaps={"__ns": namespace})
    require_exact(ros, "arm_node", ["/one", "/two"])
    require_exact(ros, "sim_node", ["/one", "/two"])


def test_an_operator_opens_what_they_may(ros, nodes):
    mappings = ["gamepad", "spacemouse", "leader", "vr"]
    for mapping in mappings:
        nodes.start("teleop_node", params={"mapping": mapping}, remaps={"__ns": f"/{mapping}"})
    require_exact(ros, "teleop_node", [f"/{mapping}" for mapping in mappings])


def test_recorder_and_trainer_open_what_they_may(ros, nodes, tmp_path):
    nodes.start("record_node", params={"dataset": str(tmp_path / "dataset")})
    nodes.start("finetune_node", params={"runs": str(tmp_path / "runs")})
    require_exact(ros, "record_node", ["/"])
    require_exact(ros, "finetune_node", ["/"])


def test_a_policy_opens_what_it_may(ros, policy, world):
    world.start()
    policy(publish_geometry=True, autostart=True)
    require_exact(ros, "policy_node", ["/"])
