"""One question beside chunks at full size: how long an action waits for a step of the answer."""
import json, os, time, statistics
import pytest, yaml, shutil
from diagnostic_msgs.msg import DiagnosticArray
from policy_fixtures import robot_file, world  # noqa
import policy_fixtures
from rclpy.qos import QoSProfile
from thinkvla.msg import ActionChunk, AnswerPiece
from thinkvla.srv import Ask

@pytest.mark.timeout(1200)
def test_measure(ros, nodes, robot_file, world):
    ckpt = os.environ["CKPT"]
    contract = yaml.safe_load(open(ckpt + "/contract.yaml"))
    cams = contract["robot"]["cameras"]
    for c in cams:
        world.images[c["name"]] = policy_fixtures.image(c["name"], c["width"], c["height"])
    policy_fixtures.RATE_HZ = 5.0
    world.start()
    nodes.start("policy_node", params={
        "checkpoint": ckpt, "robot": str(robot_file), "threads": 2, "instruction": "pick up the cube", "autostart": True,
        "inference_limit": 60.0, "camera_age_limit": 3.0, "rate_tolerance": 1.0, "activation_timeout": 60.0, "replan_steps": 1})
    ros.wait_for(lambda: ros.state("policy_node") == "active", "active", 300)
    stamps = []
    chunks = ros.collect(ActionChunk, "/chunk", 10, stamps=stamps)
    ros.wait_for(lambda: len(chunks) >= 22, "chunks", 200)
    out = {}
    def figures(a, b):
        gaps = [1000*(y - x) for x, y in zip(stamps[a:b], stamps[a+1:b])]
        inf = [c.inference_ms for c in chunks[a:b]]
        return {"gap_p50": statistics.median(gaps), "gap_max": max(gaps), "inf_p50": statistics.median(inf), "inf_max": max(inf), "n": len(gaps)}
    out["alone"] = figures(2, len(stamps))
    client = ros.node.create_client(Ask, "/policy_node/ask")
    ros.wait_for(client.service_is_ready, "service")
    said = []
    pieces = ros.collect(AnswerPiece, "/policy_node/answer", QoSProfile(depth=2000), stamps=said)
    a = len(stamps)
    t0 = time.monotonic()
    future = client.call_async(Ask.Request(question="what is on the table?", max_tokens=24))
    ros.wait_for(future.done, "answer", 400)
    b = len(stamps)
    ans = future.result()
    out["asked"] = figures(a, b)
    out["answer"] = {"ok": ans.ok, "tokens": ans.tokens, "seconds": ans.seconds, "message": ans.message, "wall": time.monotonic()-t0}
    first = next((i for i, s in enumerate(stamps) if said and s > said[0]), b)
    out["prompt"] = figures(a, first + 1); out["tokens"] = figures(first, b)
    reports = ros.collect(DiagnosticArray, "/diagnostics")
    def step():
        for r in reports:
            for s in r.status:
                if s.name == "policy_node: policy":
                    v = {x.key: x.value for x in s.values}
                    if v.get("answers") == "1": return v
    v = ros.wait_for(step, "diag", 30)
    out["answer_step_max_ms"] = v["answer_step_max_ms"]
    c = len(stamps)
    ros.wait_for(lambda: len(stamps) >= c + 20, "chunks", 200)
    out["after"] = figures(c, len(stamps))
    print(json.dumps(out, indent=1))
    open(os.environ["OUTFILE"], "w").write(json.dumps(out, indent=1))
