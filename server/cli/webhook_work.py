"""What a delivery becomes: a job that checks the pull request and tells GitHub what came out."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from ...tools._app import App
from ...tools._verdict import Verdict
from ...tools.check_pr.request import PrRequest
from ...tools.check_pr.review.markdown import markdown
from ...tools.check_pr.review.plain import one_line
from ...tools.check_pr.review.report import PrReport, RefsReport
from ..jobs import Progress, Report
from ..sandbox import ProofboxError
from .webhook_app import Wish
from .webhook_deliveries import Deliveries, Delivery

logger = logging.getLogger(__name__)

Check = Callable[[App, str, PrRequest, Callable[[str], None]], Awaitable[PrReport]]
Publish = Callable[[Wish, PrReport], Awaitable[None]]
"""Tells of a report where that is configured; raises ProofboxError where it could not."""


@dataclass(slots=True)
class _Turn:
    """A delivery that waits for its turn. `waiting` is cancelled where a newer commit takes its place."""

    delivery: Delivery
    waiting: anyio.CancelScope


class Worker:
    """Starts a job a delivery; `at_once` of them work, the others wait for their turn.

    `request` makes what is to be checked of a pull request, `check` is what does it.
    """

    def __init__(
        self,
        app: App,
        deliveries: Deliveries,
        request: Callable[[Wish], PrRequest],
        publish: Publish,
        *,
        check: Check,
        at_once: int,
    ) -> None:
        self._app = app
        self._deliveries = deliveries
        self._request = request
        self._publish = publish
        self._check = check
        self._turns = anyio.CapacityLimiter(at_once)
        self._waiting: dict[str, _Turn] = {}

    async def start(self, wish: Wish, delivery: Delivery) -> str:
        """Start the job of a delivery and give its id.

        Raises:
            SandboxBusy, SandboxUnavailable: there is no room for it; nothing was started.
        """

        async def work(progress: Progress) -> Report:
            report = await self._done(wish, delivery, progress)
            return report.model_dump(mode="json", exclude_defaults=True)

        # A principal of its own: deliveries do not compete with each other for their number of jobs.
        return await self._app.jobs.start(f"webhook:{delivery.id}", "check_pr", work)

    async def _done(self, wish: Wish, delivery: Delivery, progress: Progress) -> PrReport:
        decided = False
        try:
            if not await self._my_turn(delivery, progress):
                decided = True
                return _without(wish, "skipped", "A newer commit came before its turn.")
            try:
                report = await self._checked(wish, progress)
            finally:
                self._turns.release_on_behalf_of(delivery)
            decided = report.verdict != "errored"
            logger.info("%s at %s: %s: %s", wish.name, wish.head, report.verdict, report.reason)
            return report
        finally:
            # What was not decided may be asked for again; in a word, or it would not come to it.
            (self._deliveries.done if decided else self._deliveries.give_back)(delivery)

    async def _my_turn(self, delivery: Delivery, progress: Progress) -> bool:
        """Wait for it; False if a newer commit of the pull request came meanwhile."""
        turn = _Turn(delivery, anyio.CancelScope())
        if (before := self._waiting.get(delivery.pull)) is not None:
            before.waiting.cancel()
        self._waiting[delivery.pull] = turn
        progress.report(0, None, "Waiting for its turn")
        try:
            with turn.waiting:
                await self._turns.acquire_on_behalf_of(delivery)
        finally:
            if self._waiting.get(delivery.pull) is turn:
                del self._waiting[delivery.pull]
        return not turn.waiting.cancelled_caught

    async def _checked(self, wish: Wish, progress: Progress) -> PrReport:
        def tell(said: str) -> None:
            progress.report(0, None, said)

        try:
            who = f"webhook:{wish.repository.lower()}"
            report = await self._check(self._app, who, self._request(wish), tell)
        except ProofboxError as error:
            report = _without(wish, "errored", str(error))
        try:
            await self._publish(wish, report)
        except ProofboxError as error:
            logger.warning("Nobody was told of %s at %s: %s", wish.name, wish.head, error)
            return report.model_copy(
                update={
                    "verdict": "errored",
                    "reason": f"The verdict is {report.verdict} ({report.reason}), but it could not be "
                    f"told: {error}",
                }
            )
        return report


def _without(wish: Wish, verdict: Verdict, reason: str) -> PrReport:
    """The report where nothing ran."""
    refs = RefsReport(name=wish.name, head=wish.head)
    report = PrReport(verdict=verdict, reason=one_line(reason, 2000), refs=refs)
    return report.model_copy(update={"review": markdown(report)})
