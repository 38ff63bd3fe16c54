"""The review as one comment, which is written over whenever there is a newer one."""

from contextlib import aclosing
from typing import Any

from ....server.sandbox import SandboxRejected
from ..pull.github import GitHub
from ..review.markdown import LIMIT, MARKER, markdown
from ..review.report import PrReport


async def comment(github: GitHub, repository: str, number: int, report: PrReport) -> str:
    """Write the review to a pull request, over our own comment of before if there is one; its address.

    Raises:
        ProofboxError: GitHub did not take it.
    """
    body = {"body": markdown(report, LIMIT)}
    own = await _own(github, repository, number)
    if own is not None:
        if own.get("body") == body["body"]:
            return str(own.get("html_url", ""))
        path = f"/repos/{repository}/issues/comments/{own['id']}"
        made = await github.call("PATCH", path, body)
    else:
        made = await github.call("POST", f"/repos/{repository}/issues/{number}/comments", body)
    return str(made.get("html_url", ""))


async def _own(github: GitHub, repository: str, number: int) -> dict[str, Any] | None:
    """Our comment: anybody may write the marker, so the author counts as well."""
    login = await _viewer(github)
    async with aclosing(github.every(f"/repos/{repository}/issues/{number}/comments")) as every:
        async for one in every:
            author = one["user"]["login"] if one.get("user") else ""
            if str(one.get("body") or "").startswith(MARKER) and author == login:
                return one
    return None


async def _viewer(github: GitHub) -> str:
    """Whose token it is. Of Actions and Apps, GitHub answers this in no other way."""
    answer = await github.call("POST", "/graphql", {"query": "query { viewer { login } }"})
    try:
        return str(answer["data"]["viewer"]["login"])
    except (TypeError, KeyError):
        # Else whoever wrote the marker first would be taken for us.
        raise SandboxRejected(
            "GitHub does not say whose token it is, so no comment can be known to be ours, and none was written."
        ) from None
