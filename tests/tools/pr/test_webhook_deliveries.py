"""Deliveries that were taken are remembered, across restarts and in bounds."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from proofbox.server.cli.webhook_deliveries import Claim, Deliveries, Delivery
from proofbox.server.values import SettingsError

ONE = Delivery("11111111-aaaa", "octo/app#1", "a" * 40)
SAME_HEAD = Delivery("22222222-aaaa", "octo/app#1", "a" * 40)
OTHER = Delivery("33333333-aaaa", "octo/app#1", "b" * 40)


def test_a_delivery_is_taken_once_and_a_commit_too(tmp_path: Path) -> None:
    """The same id is a replay; another id for the same commit is known; another commit is new."""
    with Deliveries(tmp_path / "new" / "webhook.sqlite3") as deliveries:
        claims = [deliveries.take(each) for each in (ONE, ONE, SAME_HEAD, SAME_HEAD, OTHER)]

    assert claims == ["new", "replay", "known", "replay", "new"]
    assert stat.S_IMODE((tmp_path / "new" / "webhook.sqlite3").stat().st_mode) == 0o600


def test_what_is_done_survives_a_restart_and_what_was_not_can_come_again(tmp_path: Path) -> None:
    """A process that ended in the middle of a check leaves nothing that could never be checked."""
    path = tmp_path / "webhook.sqlite3"
    with Deliveries(path) as deliveries:
        deliveries.take(ONE)
        deliveries.take(OTHER)
        deliveries.done(ONE)

    with Deliveries(path) as deliveries:
        assert deliveries.take(ONE) == "replay"
        assert deliveries.take(SAME_HEAD) == "known"
        assert deliveries.take(OTHER) == "new"


def test_what_is_given_back_may_be_taken_again(tmp_path: Path) -> None:
    """The delivery itself, and others for its commit."""
    with Deliveries(tmp_path / "webhook.sqlite3") as deliveries:
        deliveries.take(ONE)
        deliveries.take(SAME_HEAD)
        deliveries.give_back(ONE)

        assert [deliveries.take(each) for each in (SAME_HEAD, ONE)] == ["new", "known"]


def test_no_more_are_remembered_than_there_is_room_for(tmp_path: Path) -> None:
    """The oldest are forgotten, but for those that are being checked."""
    with Deliveries(tmp_path / "webhook.sqlite3", most=5) as deliveries:
        deliveries.take(ONE)
        for number in range(20):
            each = Delivery(f"delivery-{number:03}", f"octo/app#{number + 2}", "c" * 40)
            assert deliveries.take(each) == "new"
            deliveries.done(each)

        assert len(deliveries) == 6
        assert deliveries.take(ONE) == "replay"


def test_of_many_at_one_moment_one_takes_a_commit(tmp_path: Path) -> None:
    """Threads and processes that share the file do not both win."""
    each = [Delivery(f"delivery-{number:03}", "octo/app#1", "a" * 40) for number in range(24)]
    path = tmp_path / "webhook.sqlite3"
    with Deliveries(path) as one, Deliveries(path) as two, ThreadPoolExecutor(8) as threads:

        def take(number: int) -> Claim:
            return (one if number % 2 else two).take(each[number])

        claims = list(threads.map(take, range(len(each))))

    assert sorted(claims) == ["known"] * 23 + ["new"]


def test_without_memory_it_does_not_start(tmp_path: Path) -> None:
    """Where deliveries cannot be remembered, they could be replayed."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "webhook.sqlite3").write_text("no database " * 100)

    for path in (tmp_path / "file" / "webhook.sqlite3", tmp_path / "webhook.sqlite3"):
        with pytest.raises(SettingsError, match="cannot be remembered"):
            Deliveries(path)
