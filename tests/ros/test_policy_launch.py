"""Tests that a launch with invalid parameters ends, with the message of the node that refused them."""

import os
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT, binaries
from policy_fixtures import checkpoint  # noqa: F401

WAITS = "#!/bin/sh\ntrap 'exit 0' INT TERM\nwhile :; do sleep 0.05; done\n"


@pytest.fixture
def launch(tmp_path, domain):
    """Returns a function that runs policy.launch.py with the real policy node, and an arm node that only waits for its
    end."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "policy_node").symlink_to(binaries() / "policy_node")
    (programs / "arm_node").write_text(WAITS)
    (programs / "arm_node").chmod(0o755)

    def run(*arguments):
        command = [sys.executable, str(ROOT / "tools" / "check" / "mini_launch.py"), "--bin-dir", str(programs),
                   str(ROOT / "launch" / "policy.launch.py"), *arguments]
        return subprocess.run(command, env={**os.environ, "ROS_DOMAIN_ID": str(domain)}, capture_output=True, text=True,
                              timeout=120)

    return run


def test_an_impossible_parameter_ends_the_launch(launch, checkpoint, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump({"/**": {"ros__parameters": {"camera_age_limit": 60.0}}}))
    ended = launch(f"checkpoint:={checkpoint}", f"params_file:={params}")
    assert ended.returncode == 1
    assert "parameter camera_age_limit: expected 0.02 .. 5 s, found 60" in ended.stdout + ended.stderr
    assert "policy_node refused to start" in ended.stdout


def test_a_checkpoint_that_is_not_there_ends_the_launch(launch):
    ended = launch("checkpoint:=/no/such/checkpoint")
    assert ended.returncode == 1
    assert "/no/such/checkpoint" in ended.stdout + ended.stderr
