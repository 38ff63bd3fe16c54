"""How pages are sent: what a browser may make of them, and which cookies it gets."""

import json
from functools import cache
from importlib import resources
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ...tools._html import document
from ...tools._html.markup import Part, tag

# Over TLS only the service itself can set a cookie of this name, no neighbour below the same domain.
SAFE_COOKIE, PLAIN_COOKIE = "__Host-proofbox", "proofbox"

_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_NOTHING = "default-src 'none'; sandbox; frame-ancestors 'none'"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not `no-referrer`: forms would come without their origin, by which they are known to be ours.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
# While something runs, without JavaScript.
_REFRESH_SECONDS = 5


def page(
    title: str,
    main: Part,
    *,
    root: str,
    top: Part = None,
    live: bool = False,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    """A page. `root` is the way from it to the overview; `live`: it is to be looked at again soon."""
    head: list[Part] = [
        tag("link", rel="icon", href=f"{root}page/icon.svg", type="image/svg+xml"),
        tag("link", rel="stylesheet", href=f"{root}page/style.css"),
    ]
    if live:
        refresh = tag("meta", http_equiv="refresh", content=f"{_REFRESH_SECONDS}")
        head += [tag("noscript", refresh), tag("script", src=f"{root}page/live.js", defer=True)]
    text = document.page(title, main, head=head, top=top)
    return _sent(text, "text/html; charset=utf-8", _POLICY, status, headers or {})


def download(content: bytes, name: str, mime_type: str) -> Response:
    """A file that the browser keeps and does not show."""
    # Names are ours, or pass `is_plain`.
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return _sent(content, mime_type, _NOTHING, 200, headers)


def picture(content: bytes, mime_type: str) -> Response:
    """A picture whose bytes have been looked at."""
    return _sent(content, mime_type, _NOTHING, 200, {})


def own_file(name: str) -> Response:
    """A file of the page itself."""
    mime_type, content = _own_files()[name]
    headers = {"Cache-Control": "max-age=300"}
    return _sent(content, mime_type, _NOTHING, 200, headers)


def moved(to: str) -> Response:
    """Look there instead, with GET."""
    return _sent("", "text/plain", _NOTHING, 303, {"Location": to})


def plain(text: str, status: int, headers: dict[str, str] | None = None) -> Response:
    """A sentence."""
    return _sent(f"{text}\n", "text/plain; charset=utf-8", _NOTHING, status, headers or {})


def as_json(data: Any, name: str) -> Response:
    """Data as a file."""
    return download(json.dumps(data, indent=1).encode(), name, "application/json")


def cookie_of(request: Request) -> str:
    """The cookie of a visit; empty if there is none."""
    return request.cookies.get(SAFE_COOKIE) or request.cookies.get(PLAIN_COOKIE) or ""


def set_cookie(response: Response, value: str, *, safe: bool, seconds: float) -> None:
    """Give the cookie of a visit; `safe`: the browser came by TLS. An empty one takes it away."""
    response.set_cookie(
        SAFE_COOKIE if safe else PLAIN_COOKIE,
        value,
        max_age=int(seconds) if value else 0,
        path="/",
        secure=safe,
        httponly=True,
        samesite="strict",
    )


def is_from_our_page(request: Request) -> bool:
    """Whether a form is one of ours: every browser says whose page it was sent from."""
    origins = request.headers.getlist("origin")
    host = request.headers.get("host", "").lower()
    return len(origins) == 1 and origins[0].lower() in {f"http://{host}", f"https://{host}"}


def is_by_tls(request: Request) -> bool:
    """Whether the browser came by TLS, of which we know only what it says."""
    return request.headers.get("origin", "").lower().startswith("https://")


@cache
def _own_files() -> dict[str, tuple[str, bytes]]:
    script = resources.files(__package__ or "").joinpath("live.js").read_bytes()
    return {
        "style.css": ("text/css; charset=utf-8", document.sheet().encode()),
        "icon.svg": ("image/svg+xml", document.ICON.encode()),
        "live.js": ("text/javascript; charset=utf-8", script),
    }


def _sent(
    content: str | bytes, mime_type: str, policy: str, status: int, headers: dict[str, str]
) -> Response:
    every = {"Cache-Control": "no-store", "Content-Security-Policy": policy, **_HEADERS, **headers}
    return Response(content, status, every | {"Content-Type": mime_type})
