"""Tests of /diagnostics, published once a second, and of its fields."""

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from policy_fixtures import checkpoint, policy, robot_file, world  # noqa: F401
from thinkvla.msg import ArmStatus

EXPECTED = {
    "policy_node: policy": {"state", "latency_p50_ms", "latency_p95_ms", "chunks", "failures", "answers", "answer_step_max_ms"},
    "policy_node: camera top": {"rate_hz", "age_s", "frozen", "unusable_images"},
    "policy_node: camera wrist": {"rate_hz", "age_s", "frozen", "unusable_images"},
    "policy_node: arm": {"chunk_underruns", "clamps", "refusals", "driver_error", "driver_api"},
}


def figures(reports):
    return {status.name: ({value.key: value.value for value in status.values}, status) for status in reports[-1].status}


def test_every_part_reports_once_a_second(ros, policy, world):
    world.start()
    world.status.clamps, world.status.underruns = 12, 3
    policy(autostart=True)
    reports = ros.collect(DiagnosticArray, "/diagnostics")
    ros.wait_for(lambda: reports and figures(reports)["policy_node: policy"][0]["chunks"] not in ("0", ""), "a chunk")
    first = len(reports)
    ros.wait_for(lambda: len(reports) >= first + 4, "four more reports")
    stamps = [report.header.stamp.sec + 1e-9 * report.header.stamp.nanosec for report in reports[first - 1:first + 4]]
    assert abs((stamps[-1] - stamps[0]) / 4 - 1.0) < 0.1
    parts = figures(reports)
    for name, keys in EXPECTED.items():
        values, status = parts[name]
        assert keys <= set(values), name
        assert status.hardware_id == "rm75"
    assert float(parts["policy_node: policy"][0]["latency_p95_ms"]) >= float(
        parts["policy_node: policy"][0]["latency_p50_ms"]) > 0
    assert parts["policy_node: arm"][0]["clamps"] == "12" and parts["policy_node: arm"][0]["chunk_underruns"] == "3"


def test_what_was_never_heard_of_is_stale(ros, policy):
    policy()
    reports = ros.collect(DiagnosticArray, "/diagnostics")
    ros.wait_for(lambda: reports, "a report")
    assert figures(reports)["policy_node: arm"][1].level == DiagnosticStatus.STALE


def test_a_driver_error_is_shown_with_its_reason(ros, policy, world):
    world.status.mode, world.status.reason = ArmStatus.FAULT, "driver error 0x1003: unreachable"
    world.start()
    policy()
    reports = ros.collect(DiagnosticArray, "/diagnostics")

    def shown():
        status = figures(reports)["policy_node: arm"][1] if reports else None
        return status and status.level == DiagnosticStatus.ERROR and "0x1003" in status.message

    ros.wait_for(shown, "the driver error")
