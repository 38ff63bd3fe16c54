"""Edits of JSON with comments and of TOML: what is added looks like its neighbours, what is not named stays."""

import random

import pytest

from proofbox.server.cli.hosts import jsonc_edits, toml_edits
from proofbox.server.cli.hosts.formats import Entry, JsonFormat
from proofbox.server.cli.hosts.jsonc import Unreadable, parse

ADDED = {
    "nothing": ("{}", '{\n  "s": {\n    "p": 1\n  }\n}'),
    "empty": ('{\n\t"s": {}\n}', '{\n\t"s": {\n\t\t"p": 1\n\t}\n}'),
    "one line": ('{"a":1,"s":{"b":2}}', '{"a":1,"s":{"b":2,"p":1}}'),
    "one line with blanks": ('{"s": {"b": 2,}}', '{"s": {"b": 2, "p": 1,}}'),
    "one line of several": ('{\n  "s": {"b": 2}\n}', '{\n  "s": {"b": 2, "p": 1}\n}'),
    "last comma": ('{\n  "s": {\n    "b": 2,\n  },\n}', '{\n  "s": {\n    "b": 2,\n    "p": 1,\n  },\n}'),
    "line comment": (
        '{\n  "s": {\n    "b": 2 // two, }\n  }\n}',
        '{\n  "s": {\n    "b": 2, // two, }\n    "p": 1\n  }\n}',
    ),
    "only a comment": ('{\n  "s": { /* none */ }\n}', '{\n  "s": { /* none */\n    "p": 1\n  }\n}'),
    "line ends": ('{\r\n  "s": {\r\n    "b": 2\r\n  }\r\n}', '{\r\n  "s": {\r\n    "b": 2,\r\n    "p": 1\r\n  }\r\n}'),
    "quotes": (r'{"s":{"\"}, //":"\\"}}', r'{"s":{"\"}, //":"\\","p":1}}'),
}  # fmt: skip

DROPPED = {
    "first": ('{\n  "p": 1, // ours\n  "b": 2\n}', '{\n  // ours\n  "b": 2\n}'),
    "middle": ('{\n  "a": 1, // one\n  "p": 1,\n  "b": 2\n}', '{\n  "a": 1, // one\n  "b": 2\n}'),
    "last": ('{\n  "a": 1, // one\n  "p": 1\n}', '{\n  "a": 1 // one\n}'),
    "last with comma": ('{\n  "a": 1,\n  "p": 1,\n}', '{\n  "a": 1,\n}'),
    "only": ('{\n  "p": {"x": [1, 2]}\n}', "{}"),
    "only with a comment": ('{\n  // ours\n  "p": 1\n}', "{\n  // ours\n}"),
    "in one line": ('{"a": 1, "p": 1, "b": 2}', '{"a": 1, "b": 2}'),
    "after a comment in its line": ('{"a": 1, // one\n "p": 1}', '{"a": 1 // one\n }'),
}


@pytest.mark.parametrize(("before", "after"), ADDED.values(), ids=ADDED)
def test_a_member_is_added_as_its_neighbours_are(before: str, after: str) -> None:
    """And found again."""
    assert jsonc_edits.put(before, ("s", "p"), 1) == after
    assert parse(after).root.value["s"]["p"] == 1
    assert jsonc_edits.put(after, ("s", "p"), 1) == after


@pytest.mark.parametrize(("before", "after"), DROPPED.values(), ids=DROPPED)
def test_a_member_is_dropped_with_its_comma(before: str, after: str) -> None:
    """Comments of others stay."""
    assert jsonc_edits.drop(before, ("p",)) == after
    assert parse(after).root.value == {
        key: value for key, value in parse(before).root.value.items() if key != "p"
    }


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"a" 1}', '{"a": }', '{"a": 1 "b": 2}', '{,}', '{"a": 01}', '{"a": NaN}', '{"a": "\\x"}',
     '{"a": 1} {}', "{/* }", '{"a": "b\n"}', '{"a": +1}', '{a: 1}', "[1,,2]", '{"a": tru}'],
)  # fmt: skip
def test_what_is_no_json_is_refused(text: str) -> None:
    """With the place."""
    with pytest.raises(Unreadable, match=r"^line \d+, column \d+: "):
        parse(text)


def test_whatever_is_there_stays_when_an_entry_comes_and_goes() -> None:
    """Over texts of all shapes, by chance but always the same: values, comments, and that it is JSON."""
    form = JsonFormat("servers")
    ours = Entry({"command": "/p", "env": {"K": "${input:proofbox-k}"}}, ({"id": "proofbox-k"},))
    for seed in range(60):
        text = _whole(random.Random(seed))
        added = form.with_entry(text, ours)
        dropped = form.without_entry(added)

        assert form.entry(added) == ours
        assert form.with_entry(added, ours) == added
        assert form.entry(dropped) is None
        assert form.others(text) == form.others(added) == form.others(dropped)
        assert _comments(text) == _comments(added) == _comments(dropped)
        assert form.shown(added).count("\n") == added.count("\n")


def _comments(text: str) -> list[str]:
    return [text[start:end] for start, end in parse(text).comments]


def _whole(chance: random.Random) -> str:
    gaps = ["", " ", "\n", "\r\n  ", "\t", ' // c " } ,\n', "/* { , */"]
    gaps = gaps if chance.random() < 0.8 else ["", " "]

    def gap() -> str:
        return chance.choice(gaps)

    def value(depth: int, kinds: str = "{[.") -> str:
        kind = chance.choice(kinds) if depth else "."
        if kind == ".":
            return chance.choice(
                ["1", "-2.5e3", "null", '"// no"', '"{\\"x\\": [1,]}"', '"\\u00e9"']
            )
        names = [
            f'"k{at}"{gap()}:{gap()}' if kind == "{" else "" for at in range(chance.randint(0, 3))
        ]
        return joined(kind, [f"{gap()}{name}{value(depth - 1)}{gap()}" for name in names])

    def joined(kind: str, parts: list[str]) -> str:
        end = "," if parts and "\n" in gaps and chance.random() < 0.3 else ""
        return kind + (",".join(parts) + end or gap()) + ("}" if kind == "{" else "]")

    parts = [f'"servers"{gap()}:{value(2, "{")}', f'"inputs":{value(1, "[")}', f'"z":{value(3)}']
    chance.shuffle(parts)
    return (
        gap()
        + joined("{", [gap() + part + gap() for part in parts[: chance.randint(0, 3)]])
        + gap()
    )


def test_a_table_is_put_at_the_end_and_changed_in_its_place() -> None:
    """Comments between and beside stay, also where strings and arrays take several lines."""
    text = '# top\na = [ # ]\n  "#", \n]\n[s.q] # other\nx = """\n[s.p]\n"""\n'
    added = toml_edits.append_table(
        text, ("s", "p"), {"c": "C:\\p", "n": [1, "two"], "t": {"u": True}}
    )

    assert added == text + '\n[s.p]\nc = "C:\\\\p"\nn = [1, "two"]\nt = { u = true }\n'
    changed = toml_edits.put(added.replace("two", "three"), ("s", "p"), "c", "new")
    changed = toml_edits.put(changed.replace('"new"', '"new" # mine'), ("s", "p"), "c", "newer")
    assert 'c = "newer" # mine\n' in changed
    assert toml_edits.put(text, ("s", "q"), "y", 1) == text + "y = 1\n"
    assert toml_edits.drop(added, ("s", "p")) == text
    assert toml_edits.drop(added, ("s", "p", "n")) == added.replace('n = [1, "two"]\n', "")


def test_what_follows_a_table_stays_when_that_is_dropped() -> None:
    """A comment above the next table is the next one's; tables below go along."""
    text = "[s.p]\nc = 1\n\n# of b\n[b]\nx = 1\n\n[s.p.env]\nK = 'v'\n\n[[s.p.more]]\nz = 1\n"

    assert toml_edits.drop(text, ("s", "p")) == "\n# of b\n[b]\nx = 1\n"
