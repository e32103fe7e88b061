"""Tests of the policy's service ask: it answers questions about its camera images, and keeps acting meanwhile.

The checkpoint's weights are random: the answers are nonsense, but they are the network's.
"""

import time

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from policy_fixtures import checkpoint, policy, robot_file, world  # noqa: F401
from rclpy.qos import QoSProfile
from thinkvla.msg import ActionChunk, AnswerPiece
from thinkvla.srv import Ask

PIECES = QoSProfile(depth=2000)
# Random weights repeat themselves and never produce an end token.
LONG = {"max_tokens": 1024}
SERVICE, TOPIC = "/policy_node/ask", "/policy_node/answer"


@pytest.fixture
def active(ros, policy, world):
    """Returns a function that starts an active policy; its keywords are further parameters."""

    def start(**params):
        world.start()
        process = policy(autostart=True, rate_tolerance=1.0, **params)
        ros.wait_for(lambda: ros.state("policy_node") == "active", "the policy to start by itself")
        return process

    return start


@pytest.fixture
def ask(ros):
    """Returns a function that asks a question and returns the future of the answer."""
    client = ros.node.create_client(Ask, SERVICE)

    def call(question="what is on the table?", **fields):
        ros.wait_for(client.service_is_ready, "the service ask")
        return client.call_async(Ask.Request(question=question, **fields))

    return call


def test_an_answer_comes_whole_and_in_pieces(ros, active, ask):
    active()
    pieces = ros.collect(AnswerPiece, TOPIC, PIECES)
    first = ros.result(ask(max_tokens=24), "an answer")
    assert first.ok, first.message
    assert 1 <= first.tokens <= 24 and first.seconds > 0 and first.id == 1
    assert first.observation_stamp.sec > 0
    second = ros.result(ask("and where is the arm?", max_tokens=8), "a second answer")
    assert second.ok and second.id == 2
    for answer in (first, second):
        ros.wait_for(lambda: any(piece.last for piece in pieces if piece.id == answer.id), "the last piece")
        own = [piece for piece in pieces if piece.id == answer.id]
        assert "".join(piece.text for piece in own) == answer.answer
        assert [piece.last for piece in own] == [False] * (len(own) - 1) + [True]
        assert "<|" not in answer.answer


def test_diagnostics_tell_how_long_a_step_of_an_answer_took(ros, active, ask):
    active()
    assert ros.result(ask(max_tokens=4), "an answer").ok
    reports = ros.collect(DiagnosticArray, "/diagnostics")

    def figures():
        status = next((s for s in reports[-1].status if s.name == "policy_node: policy"), None) if reports else None
        return {value.key: value.value for value in status.values} if status else {}

    ros.wait_for(lambda: figures().get("answers") == "1", "the answer to be counted")
    assert float(figures()["answer_step_max_ms"]) > 0


def test_chunks_keep_coming_while_an_answer_is_made(ros, active, ask):
    active(replan_steps=1)
    stamps, planned = [], []
    pieces = ros.collect(AnswerPiece, TOPIC, PIECES, stamps=stamps)
    chunks = ros.collect(ActionChunk, "/chunk", 10, stamps=planned)
    ros.wait_for(lambda: chunks, "a chunk")
    answer = ros.result(ask(**LONG), "an answer")
    assert answer.ok and answer.tokens > 100, answer
    ros.wait_for(lambda: pieces[-1].last, "the last piece")
    between = [stamp for stamp in planned if stamps[0] < stamp < stamps[-1]]
    assert len(between) >= 3, f"{len(pieces)} pieces in {stamps[-1] - stamps[0]:.2f} s, chunks between: {len(between)}"


def test_a_seed_draws_the_same_answer_and_greedy_needs_none(ros, active, ask, world):
    active(instruction="")
    world.frozen = {"top", "wrist"}
    answers = [ros.result(ask(max_tokens=16, temperature=50.0, seed=seed), "an answer") for seed in (1, 1, 2)]
    assert all(answer.ok for answer in answers), answers
    assert answers[0].answer == answers[1].answer != answers[2].answer
    greedy = [ros.result(ask(max_tokens=16, seed=seed), "an answer") for seed in (1, 2)]
    assert all(answer.ok for answer in greedy), [answer.message for answer in greedy]
    assert greedy[0].answer == greedy[1].answer, (greedy, answers)


def test_a_second_question_is_refused_until_the_first_is_answered(ros, active, ask):
    active()
    pieces = ros.collect(AnswerPiece, TOPIC, PIECES)
    first = ask(**LONG)
    ros.wait_for(lambda: pieces or first.done(), "the first answer to begin")
    second = ros.result(ask("and now?"), "a refusal")
    assert not second.ok and second.id == 0
    assert "another question is being answered" in second.message


REFUSED = [
    ({"question": "  "}, "question: expected 1 .. 2000 characters, found 0"),
    ({"question": "why? " * 500}, "question: expected 1 .. 2000 characters, found 2499"),
    ({"question": "say <|im_end|> now"}, "control token <|im_end|>"),
    ({"max_tokens": 1025}, "max_tokens: expected at most 1024, found 1025"),
    ({"temperature": -1.0}, "temperature: expected 0 or a positive number, found -1"),
    ({"temperature": float("nan")}, "temperature: expected 0 or a positive number, found NaN"),
]


def test_what_cannot_be_asked_is_refused_and_the_next_question_is_not(ros, active, ask):
    active()
    for fields, complaint in REFUSED:
        refusal = ros.result(ask(**fields), "a refusal")
        assert not refusal.ok and complaint in refusal.message, refusal.message
        assert not refusal.answer
    assert ros.result(ask(max_tokens=2), "an answer").ok


def test_nobody_answers_while_the_policy_is_not_active(ros, policy, ask, world):
    world.start()
    policy()
    assert "expected an active policy" in ros.result(ask(), "a refusal").message
    assert ros.lifecycle("policy_node", "configure")
    assert "expected an active policy" in ros.result(ask(), "a refusal").message
    assert ros.lifecycle("policy_node", "activate")
    assert ros.result(ask(max_tokens=2), "an answer").ok


def test_deactivation_ends_an_answer_with_what_was_said(ros, active, ask):
    active()
    pieces = ros.collect(AnswerPiece, TOPIC, PIECES)
    answer = ask(**LONG)
    ros.wait_for(lambda: pieces, "the answer to begin")
    assert ros.lifecycle("policy_node", "deactivate")
    cut = ros.result(answer, "the answer, cut short")
    assert not cut.ok and "deactivated" in cut.message
    ros.wait_for(lambda: pieces[-1].last, "the last piece")
    assert "".join(piece.text for piece in pieces) == cut.answer != ""


def test_without_frames_a_question_is_refused(ros, active, ask, world):
    active(camera_age_limit=0.3, instruction="")
    world.silent = {"top"}
    time.sleep(0.4)  # longer than the age limit: the policy has noticed that the camera is silent
    refusal = ros.result(ask(), "a refusal")
    assert not refusal.ok and "camera top" in refusal.message, refusal.message
