"""What one client of `http_load.py` asks of the service, and what it must be told.

It has a number that nobody else has. It puts that into sessions, files, documents and tests, and every answer must
have its own and none of the others'.
"""

import json
import random
import re
import time
from base64 import b64decode
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp import Client

Facts = dict[str, Any]

_NUMBER = re.compile(r"777\d{12}777")
# What an answer beyond a limit says of when to come back.
_LATER = re.compile(
    r"(?:or )?in (?P<seconds>\d+) seconds|in a (?P<minute>minute)|(?P<soon>Wait until one has ended)"
)
_MOST_REFUSALS = 40
DEADLINE = 150.0

PLOT = """
import matplotlib.pyplot as plt
figure = plt.figure(figsize=({width} / 100, 1), dpi=100)
figure.savefig("own.png")
plt.close(figure)
with open("own.txt", "w") as file:
    _ = file.write("{number}")
"""
SOURCE = "def number():\n    return {number}\n"
TESTS = "from shop import number\n\n\ndef test_number():\n    assert number() == {expected}\n"


class WrongAnswer(Exception):
    """A promise of the service is broken."""


@dataclass
class Seen:
    """What the clients of a process have seen. Times in milliseconds, by tool."""

    times: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list[float]))
    wrong: list[str] = field(default_factory=list[str])
    refused: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    vanished: int = 0
    cancelled: int = 0
    lost: int = 0


class Agent:
    """Does one thing after another by whatever client it is given. `review`: it has pull requests checked, too."""

    def __init__(self, index: int, seen: Seen, *, review: bool) -> None:
        self.chance = random.Random(index)
        self._index = index
        self._seen = seen
        self._number = 777_000_000_000_000_777 + self.chance.randrange(10**12) * 1000
        self._session = ""
        self._count = 0
        self._actions: list[tuple[Callable[[Client], Awaitable[None]], int]] = [
            (self._go_on, 40),
            (self._plot, 6),
            (self._validate, 8),
            (self._true_tests, 4),
            (self._false_tests, 4),
            (self._job, 5),
            (self._end_job, 3),
            (self._compare, 2),
            (self._mistake, 3),
            (self._cancel, 6),
            (self._close, 2),
        ]
        if review:
            self._actions.append((self._review, 4))

    async def act(self, client: Client) -> None:
        """Do something, and note what was wrong with the answer."""
        actions, weights = zip(*self._actions, strict=True)
        (action,) = self.chance.choices(actions, weights)
        try:
            with anyio.fail_after(DEADLINE):
                await action(client)
        except WrongAnswer as error:
            self._note_wrong(action.__name__, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the service owed an answer
            self._note_wrong(action.__name__, f"{type(error).__name__}: {error}")

    def _note_wrong(self, action: str, what: str) -> None:
        self._seen.wrong.append(f"client {self._index}, {action}: {what[:1500]}")

    async def touch(self, client: Client) -> None:
        """A session, a run of tests and a job, all over: what is kept of them for the next is there then."""
        await self._go_on(client)
        await self._close(client)
        await self._true_tests(client)
        await self._job(client)

    def hanging(self) -> tuple[str, Facts]:
        """A call to vanish in the middle of; what was known of a session is not, after that."""
        self._session = ""
        return self.chance.choice(
            [
                ("execute_code", {"code": "import time\ntime.sleep(5)"}),
                ("execute_code", {"code": "while True: pass", "timeout_seconds": 3}),
                ("validate_snippets", {"text": self._document()}),
                (
                    "run_generated_tests",
                    {
                        "source": {"shop.py": SOURCE.format(number=1)},
                        "tests": {"test_shop.py": TESTS.format(expected=1)},
                    },
                ),
            ]
        )

    async def _call(self, client: Client, tool: str, **arguments: Any) -> Any:
        """The answer, once there is one: what is over a limit is tried again when the answer says."""
        text = ""
        for _ in range(_MOST_REFUSALS):
            began = time.perf_counter()
            result = await client.call_tool(tool, arguments)
            text = "\n".join(part.text for part in result.content if part.type == "text")
            self._check_own(result.model_dump_json())
            later = _LATER.search(text) if result.is_error else None
            if later is None:
                self._seen.times[tool].append((time.perf_counter() - began) * 1000)
                return result
            self._seen.refused[tool] += 1
            wait = float(later["seconds"] or (60 if later["minute"] else 1))
            await anyio.sleep(wait * self.chance.uniform(1, 1.5))
        raise WrongAnswer(f"{tool} was refused {_MOST_REFUSALS} times: {text}")

    def _check_own(self, shown: str) -> None:
        others = set(_NUMBER.findall(shown)) - {str(self._number), str(self._number + 1)}
        if others:
            raise WrongAnswer(f"somebody else's number: {others} in {shown}")

    async def _facts(self, client: Client, tool: str, **arguments: Any) -> Facts:
        result = await self._call(client, tool, **arguments)
        if result.structured_content is None:
            raise WrongAnswer(f"{tool}: {result.content}")
        return result.structured_content

    async def _in_session(self, client: Client, code: str) -> Facts | None:
        """Run code where the number is known; None if that was lost, as the answer says."""
        if not self._session:
            facts = await self._facts(
                client, "execute_code", code=f"number, count = {self._number}, 0"
            )
            _expect(facts, verdict="passed", session="new")
            self._session, self._count = facts["session_id"], 0
        result = await self._call(client, "execute_code", code=code, session_id=self._session)
        facts = result.structured_content
        if facts is None:
            if "There is no such session" not in str(result.content):
                raise WrongAnswer(str(result.content))
        elif facts["session"] == "continued":
            return facts
        elif facts["verdict"] == "passed":
            raise WrongAnswer(f"variables of a session that was reset: {facts}")
        self._session = ""
        self._seen.lost += 1
        return None

    async def _go_on(self, client: Client) -> None:
        facts = await self._in_session(client, "count += 1\nprint(count)\nnumber")
        if facts is not None:
            self._count += 1
            _expect(facts, verdict="passed", value=str(self._number), stdout=f"{self._count}\n")

    async def _plot(self, client: Client) -> None:
        width = 100 + self._index
        code = PLOT.format(width=width, number=self._number)
        if await self._in_session(client, code) is None:
            return
        text = await self._call(client, "read_artifact", session_id=self._session, name="own.txt")
        picture = await self._call(
            client, "read_artifact", session_id=self._session, name="own.png"
        )
        if "There is no such session" in str(text.content) + str(picture.content):
            self._session = ""
            self._seen.lost += 1
            return
        shown = text.content[0].text
        if shown != str(self._number):
            raise WrongAnswer(f"own.txt: {shown!r}")
        found = int.from_bytes(b64decode(picture.content[0].data)[16:20], "big")
        if found != width:
            raise WrongAnswer(f"own.png is {found} pixels wide, not {width}")

    def _document(self) -> str:
        good = f"```python\nassert {self._number} % 2\n```\n"
        return f"{good}\nand\n\n```python\nraise ValueError('{self._number}')\n```\n"

    def _expect_broken(self, report: Facts) -> None:
        _expect(report, verdict="failed", total_snippets=2, valid_snippets=1)
        if f"ValueError: {self._number}" not in json.dumps(report):
            raise WrongAnswer(f"without the error: {report}")

    async def _validate(self, client: Client) -> None:
        self._expect_broken(
            await self._facts(client, "validate_snippets", text=self._document(), wait_seconds=120)
        )

    async def _tests(self, client: Client, expected: int) -> Facts:
        return await self._facts(
            client,
            "run_generated_tests",
            source={"shop.py": SOURCE.format(number=self._number)},
            tests={"test_shop.py": TESTS.format(expected=expected)},
            mutation="off",
            repeat=1,
            wait_seconds=120,
        )

    async def _true_tests(self, client: Client) -> None:
        _expect(await self._tests(client, self._number), verdict="passed", keep=1)

    async def _false_tests(self, client: Client) -> None:
        facts = await self._tests(client, self._number + 1)
        _expect(facts, verdict="failed", mend=1)
        if str(self._number) not in json.dumps(facts):
            raise WrongAnswer(f"without the value: {facts}")

    async def _started(self, client: Client) -> str:
        facts = await self._facts(
            client, "validate_snippets", text=self._document(), wait_seconds=0
        )
        _expect(facts["job"], state="running")
        return facts["job"]["job_id"]

    async def _job(self, client: Client) -> None:
        job_id = await self._started(client)
        facts = await self._facts(client, "get_job", job_id=job_id, wait_seconds=120)
        _expect(facts, state="finished", kind="validate_snippets")
        self._expect_broken(facts["report"])

    async def _end_job(self, client: Client) -> None:
        job_id = await self._started(client)
        facts = await self._facts(client, "get_job", job_id=job_id, cancel=True)
        if facts["state"] not in {"cancelled", "finished"}:
            raise WrongAnswer(str(facts))

    async def _compare(self, client: Client) -> None:
        facts = await self._facts(
            client,
            "benchmark_model",
            models=["file:right.jsonl", "file:wrong.jsonl"],
            first=1,
            timing_runs=1,
            wait_seconds=120,
        )
        _expect(facts, verdict="passed")
        if [model["passed"] for model in facts["models"]] != [1, 0]:
            raise WrongAnswer(str(facts))

    async def _review(self, client: Client) -> None:
        facts = await self._facts(
            client, "check_pr", repo="project", base="main", head="change", wait_seconds=140
        )
        _expect(facts, verdict="failed")
        _expect(facts["projects"][0], counts={"pass_to_fail": 1})

    async def _mistake(self, client: Client) -> None:
        result = await self._call(client, "execute_code", cod="1")
        if not result.is_error or "cod" not in result.content[0].text:
            raise WrongAnswer(str(result))

    async def _close(self, client: Client) -> None:
        if self._session:
            handle, self._session = self._session, ""
            await self._call(client, "close_session", session_id=handle)

    async def _cancel(self, client: Client) -> None:
        """By the notification in the older era, by closing the stream in the new one: the SDK knows."""
        with anyio.move_on_after(self.chance.uniform(0.05, 1.5)) as scope:
            await self._in_session(client, "import time\ntime.sleep(20)\ncount = -1")
        if scope.cancelled_caught:
            self._seen.cancelled += 1
        elif self._session:
            raise WrongAnswer("a call that takes 20 seconds was answered before")
        await self._go_on(client)


def _expect(facts: Facts, **values: Any) -> None:
    found = {name: facts.get(name) for name in values}
    if found != values:
        raise WrongAnswer(f"{values} expected, but {json.dumps(facts)}")
