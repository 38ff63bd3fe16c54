"""What is written down is there again, whatever happened to the process that wrote it."""

from pathlib import Path

import anyio

from proofbox.tools.benchmark_model.journal import Journal, hash_of


async def test_what_was_added_is_there_when_the_journal_is_opened_again(tmp_path: Path) -> None:
    """By its kind and key; another model or other parameters have another file."""
    with Journal(tmp_path, "anthropic:m/x", {"max_tokens": 5}) as journal:
        await journal.add("reply", "k", {"text": "ü\n\ud800"})
        await journal.add("verdict", "k", {"outcome": "passed"})
    with Journal(tmp_path, "anthropic:m/x", {"max_tokens": 5}) as again:
        found = again.get("reply", "k"), again.get("verdict", "k"), again.get("reply", "other")
        keys = list(again.keys("reply"))
    with Journal(tmp_path, "anthropic:m/x", {"max_tokens": 6}) as other:
        nothing = list(other.keys("reply"))

    assert found == ({"text": "ü\n\ud800"}, {"outcome": "passed"}, None)
    assert (keys, nothing) == (["k"], [])
    assert journal.path.stat().st_mode & 0o077 == 0


async def test_a_line_that_was_torn_is_passed_over_and_spoils_no_other(tmp_path: Path) -> None:
    """At whatever byte the crash came."""
    with Journal(tmp_path, "m", {}) as journal:
        await journal.add("reply", "first", {"n": 1})
        whole = journal.path.read_bytes()
        await journal.add("reply", "torn", {"n": 2})
        both = journal.path.read_bytes()
    for length in range(len(whole), len(both) - 1):
        journal.path.write_bytes(both[:length])
        with Journal(tmp_path, "m", {}) as again:
            assert list(again.keys("reply")) == ["first"]
            await again.add("reply", "next", {"n": 3})
            assert again.get("reply", "next") == {"n": 3}
        with Journal(tmp_path, "m", {}) as last:
            assert sorted(last.keys("reply")) == ["first", "next"]
            assert last.get("reply", "next") == {"n": 3}


async def test_many_at_a_time_are_all_written(tmp_path: Path) -> None:
    """Though they share writes."""
    with Journal(tmp_path, "m", {}) as journal:
        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(journal.add, "reply", str(number), {"n": number})
        inside = [journal.get("reply", str(number)) for number in range(200)]
    with Journal(tmp_path, "m", {}) as again:
        outside = [again.get("reply", str(number)) for number in range(200)]

    assert inside == outside == [{"n": number} for number in range(200)]


async def test_two_processes_may_write_to_one_journal(tmp_path: Path) -> None:
    """Each sees its own at once and the other's when it opens it; the last of a key holds."""
    with Journal(tmp_path, "m", {}) as one, Journal(tmp_path, "m", {}) as two:
        await one.add("reply", "a", {"by": 1})
        await two.add("reply", "a", {"by": 2})
        await two.add("reply", "b", {"by": 2})
        await one.add("reply", "c", {"by": 1})
        seen = one.get("reply", "c"), two.get("reply", "b")
    with Journal(tmp_path, "m", {}) as again:
        found = {key: again.get("reply", key) for key in ("a", "b", "c")}

    assert seen == ({"by": 1}, {"by": 2})
    assert found == {"a": {"by": 2}, "b": {"by": 2}, "c": {"by": 1}}


async def test_what_is_forgotten_or_only_remembered_is_so_for_this_time(tmp_path: Path) -> None:
    """A fresh run forgets; a fault of ours is remembered no longer than the run."""
    with Journal(tmp_path, "m", {}) as journal:
        await journal.add("reply", "old", {"n": 1})
        journal.forget()
        forgotten = journal.get("reply", "old")
        journal.remember("verdict", "v", {"n": 2})
        remembered = journal.get("verdict", "v")
        counted = ("verdict", "v") in journal
        await journal.add("reply", "old", {"n": 3})
    with Journal(tmp_path, "m", {}) as again:
        found = again.get("reply", "old"), again.get("verdict", "v")

    assert (forgotten, remembered, counted) == (None, {"n": 2}, False)
    assert found == ({"n": 3}, None)


def test_hashes_tell_samples_apart() -> None:
    """By each of their parts, and whatever the order of parameters."""
    facts = [("m", {"a": 1, "b": 2}, "p", 0), ("n", {"a": 1, "b": 2}, "p", 0)]
    facts += [("m", {"a": 1, "b": 3}, "p", 0), ("m", {"a": 1, "b": 2}, "q", 0)]
    facts += [("m", {"a": 1, "b": 2}, "p", 1), ("m", {}, "p", 0)]

    assert len({hash_of(*one) for one in facts}) == len(facts)
    assert hash_of("m", {"b": 2, "a": 1}) == hash_of("m", {"a": 1, "b": 2})
