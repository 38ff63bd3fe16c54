"""What comes in from GitHub: only what is signed, new, wanted and small; each becomes a job with a report."""

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
from review_samples import HELD, PROOF, evidence, pull
from starlette.types import ASGIApp, Message

from proofbox.server.cli.webhook_app import MAX_BYTES, Receiver, Wish, application, signed
from proofbox.server.cli.webhook_deliveries import Deliveries, Delivery
from proofbox.server.cli.webhook_work import Worker
from proofbox.server.sandbox import SandboxBusy, SandboxUnavailable
from proofbox.tools._app import App
from proofbox.tools.check_pr.checked import Checked
from proofbox.tools.check_pr.request import PrRequest
from proofbox.tools.check_pr.review.report import PrReport
from proofbox.tools.check_pr.review.reporting import report_of

SECRET = b"a secret of a webhook"
HEAD = "a" * 40


def payload(number: int = 7, *, head: str = HEAD, repo: str = "octo/app", **more: Any) -> bytes:
    """The body of a pull request's event, with more in it than is needed, as GitHub's have."""
    facts = {
        "action": "opened",
        "number": number,
        "pull_request": {"number": number, "head": {"sha": head, "ref": "feature"}, "draft": False},
        "repository": {"full_name": repo, "id": 1},
        "sender": {"login": "contributor"},
    }
    return json.dumps({**facts, **more}).encode()


def headers(body: bytes, delivery: str = "delivery-1", *, secret: bytes = SECRET) -> dict[str, str]:
    """Those that GitHub sends with it."""
    return {
        "content-type": "application/json",
        "x-github-event": "pull_request",
        "x-github-delivery": delivery,
        "x-hub-signature-256": f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}",
    }


class Desk:
    """Starts nothing, and remembers what it should have started."""

    def __init__(self) -> None:
        self.started: list[tuple[Wish, Delivery]] = []
        self.trouble: Exception | None = None

    async def start(self, wish: Wish, delivery: Delivery) -> str:
        if self.trouble is not None:
            raise self.trouble
        self.started.append((wish, delivery))
        return f"job-{len(self.started)}"


@pytest.fixture
def desk() -> Desk:
    """What jobs are started at."""
    return Desk()


@pytest.fixture
async def client(desk: Desk, tmp_path: Path) -> AsyncGenerator[httpx2.AsyncClient]:
    """A client of the application, which lets octo/app in."""
    with Deliveries(tmp_path / "webhook.sqlite3") as deliveries:
        app = application(Receiver(SECRET, ["Octo/App"], deliveries, desk.start))
        async with client_of(app) as client:
            yield client


def client_of(app: ASGIApp) -> httpx2.AsyncClient:
    """A client of an application in this process."""
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hook.test")


async def post(
    client: httpx2.AsyncClient, body: bytes, delivery: str = "delivery-1", **changed: str
) -> httpx2.Response:
    """Deliver a body; `changed` are headers, with `_` for `-`, empty for none."""
    given = headers(body, delivery) | {
        key.replace("_", "-"): value for key, value in changed.items()
    }
    sent = {key: value for key, value in given.items() if value}
    return await client.post("/webhook", content=body, headers=sent)


async def test_a_new_commit_is_taken_at_once(client: httpx2.AsyncClient, desk: Desk) -> None:
    """A signed event of a listed repository is answered with the id of its job."""
    answer = await post(client, payload())

    assert (answer.status_code, answer.json()) == (202, {"job_id": "job-1"})
    [(wish, delivery)] = desk.started
    assert wish == Wish("octo/app", 7, HEAD)
    assert delivery == Delivery("delivery-1", "octo/app#7", HEAD)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "sha256=",
        "sha256=" + "0" * 64,
        hmac.new(SECRET, payload(), hashlib.sha256).hexdigest(),
        "sha1=" + hmac.new(SECRET, payload(), hashlib.sha1).hexdigest(),
        "sha256=" + hmac.new(b"another secret", payload(), hashlib.sha256).hexdigest(),
        "sha256=" + hmac.new(SECRET, payload() + b" ", hashlib.sha256).hexdigest(),
        "sha256=ü",
    ],
)
async def test_what_is_not_signed_is_refused(
    client: httpx2.AsyncClient, desk: Desk, signature: str
) -> None:
    """Without the signature of these very bytes nothing is done, and the id of the delivery stays free."""
    body = payload()
    sent = [(name.encode(), value.encode()) for name, value in headers(body).items()][:-1]
    if signature:
        sent.append((b"x-hub-signature-256", signature.encode()))
    refused = await client.post("/webhook", content=body, headers=sent)

    assert refused.status_code == 401
    assert desk.started == []
    assert (await post(client, body)).status_code == 202


def test_a_signature_is_of_the_bytes_as_they_came() -> None:
    """The same JSON with another space is another body; the published example of GitHub holds."""
    known = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

    assert signed(b"It's a Secret to Everybody", b"Hello, World!", known)
    assert not signed(b"It's a Secret to Everybody", b"Hello, World! ", known)


async def test_a_replay_is_refused(client: httpx2.AsyncClient, desk: Desk) -> None:
    """A delivery that came before is refused; the same body under another id checks no commit again."""
    answers = [
        await post(client, payload(), delivery)
        for delivery in ("delivery-1",) * 2 + ("delivery-2",)
    ]

    assert [answer.status_code for answer in answers] == [202, 409, 200]
    assert len(desk.started) == 1


@pytest.mark.parametrize("repo", ["octo/other", "octo/app2", "evil/app", "octo/app.git"])
async def test_another_repository_is_refused(
    client: httpx2.AsyncClient, desk: Desk, repo: str
) -> None:
    """Only those that are listed are checked, whoever knows the secret."""
    answer = await post(client, payload(repo=repo))

    assert answer.status_code == 403
    assert desk.started == []


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (payload(action="closed"), {}),
        (payload(action="labeled"), {}),
        (payload(), {"x_github_event": "push"}),
        (b'{"zen": "Keep it logically awesome."}', {"x_github_event": "ping"}),
        (payload(), {"x_github_event": ""}),
    ],
)
async def test_other_events_are_nothing_to_do(
    client: httpx2.AsyncClient, desk: Desk, body: bytes, changed: dict[str, str]
) -> None:
    """Only opened, synchronize and reopened bring a new commit."""
    answer = await post(client, body, **changed)

    assert (answer.status_code, answer.content) == (204, b"")
    assert desk.started == []


@pytest.mark.parametrize("action", ["opened", "synchronize", "reopened"])
async def test_each_event_with_a_new_commit_counts(
    client: httpx2.AsyncClient, desk: Desk, action: str
) -> None:
    """As GitHub names them."""
    assert (await post(client, payload(action=action))).status_code == 202
    assert len(desk.started) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"payload=%7B%7D",
        b"\xff\xfe",
        payload(head="main; rm -rf /"),
        payload(repo="octo/app/../../x"),
        payload(number=0),
        payload(pull_request=None),
        b"[" * 100_000,
    ],
)
async def test_what_is_no_event_is_refused(
    client: httpx2.AsyncClient, desk: Desk, body: bytes
) -> None:
    """Signed nonsense is an answer, not a crash."""
    assert (await post(client, body)).status_code == 400
    assert desk.started == []


@pytest.mark.parametrize("delivery", ["", "short", "x" * 101, "a b c d e f"])
async def test_a_delivery_without_a_name_is_refused(
    client: httpx2.AsyncClient, desk: Desk, delivery: str
) -> None:
    """What cannot be remembered could be replayed."""
    assert (await post(client, payload(), x_github_delivery=delivery)).status_code == 400
    assert desk.started == []


async def test_a_huge_body_is_refused_while_it_comes(desk: Desk, tmp_path: Path) -> None:
    """A body without an end is given up, one that is announced as too long or not signed is not read at all."""
    with Deliveries(tmp_path / "webhook.sqlite3") as deliveries:
        app = application(Receiver(SECRET, ["octo/app"], deliveries, desk.start))

        for sent, expected, most in (
            ({"x-hub-signature-256": "sha256=0"}, 413, 4 * MAX_BYTES + 2**20),
            ({"x-hub-signature-256": "sha256=0", "content-length": str(2**40)}, 413, 0),
            ({}, 401, 0),
        ):
            status, read = await endless(app, sent)
            assert status == expected
            assert read <= most

    assert desk.started == []


async def endless(app: ASGIApp, sent: dict[str, str]) -> tuple[int, int]:
    """Post a body without an end; the status of the answer, and how many bytes were read before it."""
    answers: list[Message] = []
    read = 0

    async def receive() -> Message:
        nonlocal read
        assert not answers
        read += 2**20
        return {"type": "http.request", "body": b" " * 2**20, "more_body": True}

    async def send(message: Message) -> None:
        answers.append(message)

    raw = [(key.encode(), value.encode()) for key, value in sent.items()]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/webhook",
        "headers": raw,
        "query_string": b"",
    }
    with anyio.fail_after(20):
        await app(scope, receive, send)
    return answers[0]["status"], read


async def test_without_room_it_may_come_again(client: httpx2.AsyncClient, desk: Desk) -> None:
    """A delivery that no job was started for is told so, and not remembered."""
    for trouble in (SandboxBusy("Too many jobs."), SandboxUnavailable("It is stopping.")):
        desk.trouble = trouble
        answer = await post(client, payload())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")

    desk.trouble = None
    assert (await post(client, payload())).status_code == 202


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/webhook", 405), ("GET", "/healthz", 200), ("GET", "/", 404), ("POST", "/x", 401)],
)
async def test_there_is_one_address(
    client: httpx2.AsyncClient, method: str, path: str, status: int
) -> None:
    """And one for whoever keeps the service running."""
    assert (await client.request(method, path)).status_code == status


class Office:
    """A worker whose checks end when they are told to, and what became of them."""

    def __init__(self, app: App, deliveries: Deliveries, at_once: int = 2) -> None:
        self.deliveries = deliveries
        self.asked: list[PrRequest] = []
        self.told: list[tuple[str, str]] = []
        self.running = self.most = 0
        self.go = anyio.Event()
        self.outcome: Callable[[], PrReport] = lambda: report_of(
            pull(), [Checked("", pull(), evidence=evidence(*HELD, PROOF))]
        )
        self.worker = Worker(
            app,
            deliveries,
            lambda wish: PrRequest(wish.repository, wish.number),
            self.publish,
            check=self.check,
            at_once=at_once,
        )
        self.receiver = Receiver(SECRET, ["octo/app"], deliveries, self.worker.start)
        self.app = app

    async def check(
        self, app: App, who: str, request: PrRequest, tell: Callable[[str], None]
    ) -> PrReport:
        self.asked.append(request)
        self.running += 1
        self.most = max(self.most, self.running)
        tell("Running")
        await self.go.wait()
        self.running -= 1
        assert who == "webhook:octo/app"
        return self.outcome()

    async def publish(self, wish: Wish, report: PrReport) -> None:
        self.told.append((f"{wish.name} {wish.head[:4]}", report.verdict))

    async def ended(self, delivery: str, job_id: str) -> str:
        """The verdict in the job's report, once it has ended."""
        state = await self.app.jobs.wait(f"webhook:{delivery}", job_id, 20)
        assert state.report is not None, state
        return state.report["verdict"]


async def test_ten_deliveries_at_once_are_ten_reports(app: App, tmp_path: Path) -> None:
    """All are answered before any is checked, two are checked at a time, and each comes to its report."""
    with Deliveries(tmp_path / "webhook.sqlite3") as deliveries:
        office = Office(app, deliveries)
        answers: dict[str, httpx2.Response] = {}

        async def deliver(number: int) -> None:
            name = f"delivery-{number}"
            body = payload(number, head=f"{number:040x}")
            answers[name] = await post(client, body, name)

        async with client_of(application(office.receiver)) as client:
            with anyio.fail_after(20):
                async with anyio.create_task_group() as tasks:
                    for number in range(1, 11):
                        tasks.start_soon(deliver, number)
                office.go.set()
                verdicts = [
                    await office.ended(name, answer.json()["job_id"])
                    for name, answer in answers.items()
                ]

    assert [answer.status_code for answer in answers.values()] == [202] * 10
    assert verdicts == ["passed"] * 10
    assert len({told for told, _ in office.told}) == 10
    assert Counter(request.pr for request in office.asked) == Counter(range(1, 11))
    assert office.most == 2


async def test_a_newer_commit_takes_the_place_of_one_that_waits(app: App, tmp_path: Path) -> None:
    """What nobody needs any more is not checked; what is being checked goes on."""
    with Deliveries(tmp_path / "webhook.sqlite3") as deliveries:
        office = Office(app, deliveries, at_once=1)
        wishes = [(Wish("octo/app", 7, letter * 40), Delivery(f"delivery-{letter}", "octo/app#7",
                   letter * 40)) for letter in "abc"]  # fmt: skip

        with anyio.fail_after(20):
            first = await office.worker.start(*wishes[0])
            while not office.asked:
                await anyio.lowlevel.checkpoint()
            rest = [await office.worker.start(*each) for each in wishes[1:]]
            second = await office.ended("delivery-b", rest[0])
            office.go.set()
            verdicts = [await office.ended("delivery-a", first), second]
            verdicts.append(await office.ended("delivery-c", rest[1]))

    assert verdicts == ["passed", "skipped", "passed"]
    assert len(office.asked) == 2


async def test_what_was_not_decided_may_be_delivered_again(app: App, tmp_path: Path) -> None:
    """A check that our side failed to do is told as errored and not taken for done."""

    def lost() -> PrReport:
        raise SandboxUnavailable("The sandbox was lost.")

    with Deliveries(tmp_path / "webhook.sqlite3") as deliveries:
        office = Office(app, deliveries)
        office.go.set()
        delivery = Delivery("delivery-1", "octo/app#7", HEAD)
        with anyio.fail_after(20):
            for outcome, verdict, after in (
                (lost, "errored", "new"),
                (office.outcome, "passed", "replay"),
            ):
                office.outcome = outcome
                assert deliveries.take(delivery) == "new"
                job_id = await office.worker.start(Wish("octo/app", 7, HEAD), delivery)
                assert await office.ended("delivery-1", job_id) == verdict
                claim = deliveries.take(delivery)
                assert claim == after
                deliveries.give_back(delivery)

    assert [verdict for _, verdict in office.told] == ["errored", "passed"]


async def test_a_report_that_could_not_be_told_is_errored(app: App, tmp_path: Path) -> None:
    """The job says what the verdict was and why nobody heard of it."""
    with Deliveries(tmp_path / "webhook.sqlite3") as deliveries:
        office = Office(app, deliveries)
        office.go.set()

        async def refuse(wish: Wish, report: PrReport) -> None:
            raise SandboxUnavailable("GitHub says 403.")

        worker = Worker(app, deliveries, lambda wish: PrRequest(wish.repository, wish.number),
                        refuse, check=office.check, at_once=1)  # fmt: skip
        with anyio.fail_after(20):
            job_id = await worker.start(
                Wish("octo/app", 7, HEAD), Delivery("delivery-1", "x#7", HEAD)
            )
            state = await app.jobs.wait("webhook:delivery-1", job_id, 20)

    assert state.report is not None
    assert state.report["verdict"] == "errored"
    assert "passed" in state.report["reason"]
    assert "GitHub says 403." in state.report["reason"]
