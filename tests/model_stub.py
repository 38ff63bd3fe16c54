"""A server on loopback that speaks the APIs of model vendors: Anthropic's Messages and OpenAI's chat.

    with ModelStub() as stub:
        stub.behave("429", "529")          # what the next questions meet; after that they are answered
        client = AsyncAnthropic(base_url=stub.url, api_key=stub.key)

With a script (see `model_talk`) it uses tools: `ModelStub(script=careful)`. `asked` has every question that came in, answered or not.
"""

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any

from loopback import Loopback
from model_talk import Script, Threads, blocks_of, heard, problem_of, reply_of
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

USAGE = {"input_tokens": 120, "output_tokens": 80}
CHAT_USAGE = {"prompt_tokens": 120, "completion_tokens": 80, "total_tokens": 200}
FINISH = {"refusal": "content_filter", "max_tokens": "length"}
MODELS = ("claude-haiku-5-5", "claude-opus-5-5", "tiny", "folder/tiny")

Answer = Callable[[str], str]


def wrong_code(prompt: str) -> str:
    """An answer that is code, at least."""
    del prompt
    return "```python\nx = 1\n```"


class ModelStub(Loopback):
    """The running stub.

    Attributes:
        asked: the prompt of each question. answered: how many streams came to their end. most_at_once: how many were under way at one time, or a few more.
        bodies: the requests as they came in, with what the server held of their thread. authorised: their keys.
        gate: an answer's first piece waits for it after the stream has begun.
        batches: the requests of each batch, by its id.
    """

    key = "sk-stub"

    def __init__(self, answer: Answer = wrong_code, *, script: Script | None = None) -> None:
        self.answer = answer
        self.script = script
        self.asked: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.authorised: set[str] = set()
        self.most_at_once = 0
        self.answered = 0
        self.gate = threading.Event()
        self.gate.set()
        self.batches: dict[str, list[dict[str, Any]]] = {}
        self.batch_status = "ended"
        self.on_ask: Callable[[str], None] = lambda prompt: None
        self._threads = Threads()
        self._at_once = 0
        self._next: deque[str] = deque()
        super().__init__()

    def __exit__(self, *error: object) -> None:
        self.gate.set()
        super().__exit__(*error)

    def behave(self, *behaviours: str) -> None:
        """What the next questions meet: a status (with `429:7`, to be tried again after 7 s), `refusal`,
        `max_tokens`, `broken` (no JSON), `cut` (the stream ends in the middle), `overloaded` (an error within
        the stream), `no_usage`, `answer`."""
        self._next.extend(behaviours)

    def routes(self) -> list[Route]:
        post, get = ["POST"], ["GET"]
        return [
            Route("/v1/messages", self._messages, methods=post),
            Route("/v1/messages/batches", self._batch, methods=post),
            Route("/v1/messages/batches/{id}", self._batch_state, methods=get),
            Route("/v1/messages/batches/{id}/results", self._batch_results, methods=get),
            Route("/v1/chat/completions", self._chat, methods=post),
            Route("/v1/models", self._models, methods=get),
            Route("/v1/models/{id}", self._model, methods=get),
        ]

    async def _ask(self, request: Request) -> tuple[str, str, Response | None]:
        """The prompt, how to behave, and the answer of a question that is turned away at once."""
        body = self._threads.whole(await request.json())
        prompt: str = heard(body).said[0]
        self.bodies.append(body)
        self.authorised.add(request.headers["authorization"])
        self.asked.append(prompt)
        self.on_ask(prompt)
        behaviour, _, seconds = (self._next.popleft() if self._next else "answer").partition(":")
        if problem := problem_of(body):
            error = {"type": "invalid_request_error", "message": problem}
            return prompt, behaviour, JSONResponse({"type": "error", "error": error}, 400)
        if not behaviour.isdigit():
            return prompt, behaviour, None
        kind = {"429": "rate_limit_error", "529": "overloaded_error"}.get(behaviour, "api_error")
        error = {"type": kind, "message": f"stub says {behaviour}"}
        headers = {"retry-after": seconds} if seconds else {}
        return (
            prompt,
            behaviour,
            JSONResponse({"type": "error", "error": error}, int(behaviour), headers),
        )

    async def _messages(self, request: Request) -> Response:
        prompt, behaviour, refused = await self._ask(request)
        body = self.bodies[-1]
        if refused is not None:
            return refused
        if body.get("stream"):
            events = self._events(self._message(body, behaviour, prompt), behaviour)
            return StreamingResponse(events, media_type="text/event-stream")
        return JSONResponse(self._message(body, behaviour, prompt))

    def _message(self, body: dict[str, Any], behaviour: str, prompt: str) -> dict[str, Any]:
        stop = behaviour if behaviour in {"refusal", "max_tokens"} else "end_turn"
        if self.script is not None and stop == "end_turn":
            content = blocks_of(self.script(heard(body)), len(self.bodies))
            stop = "tool_use" if content[0]["type"] == "tool_use" else stop
        else:
            text = self.answer(prompt)
            if stop != "end_turn":
                text = text[: len(text) // 2] if stop == "max_tokens" else ""
            content = [{"type": "text", "text": text}]
        message: dict[str, Any] = {
            "id": f"msg_{len(self.bodies)}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": content,
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": USAGE,
        }
        self._threads.keep(body, message)
        return message

    async def _events(self, message: dict[str, Any], behaviour: str) -> AsyncGenerator[str]:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            text = message["content"][0]["text"]
            start: dict[str, Any] = {**message, "content": [], "stop_reason": None}
            yield _event("message_start", message=start)
            block = {"type": "text", "text": ""}
            yield _event("content_block_start", index=0, content_block=block)
            await asyncio.to_thread(self.gate.wait)
            half = len(text) // 2
            if behaviour == "broken":
                yield "event: content_block_delta\ndata: {broken\n\n"
            if behaviour == "overloaded":
                error = {"type": "overloaded_error", "message": "Overloaded"}
                yield _event("error", error=error)
                return
            for piece in (text[:half], text[half:]):
                delta = {"type": "text_delta", "text": piece}
                yield _event("content_block_delta", index=0, delta=delta)
                if behaviour == "cut":
                    return
            yield _event("content_block_stop", index=0)
            delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
            yield _event("message_delta", delta=delta, usage={"output_tokens": 80})
            self.answered += 1
            yield _event("message_stop")
        finally:
            self._at_once -= 1

    async def _batch(self, request: Request) -> Response:
        requests = (await request.json())["requests"]
        name = f"msgbatch_{len(self.batches) + 1}"
        self.batches[name] = requests
        self.asked += [one["params"]["messages"][0]["content"] for one in requests]
        return JSONResponse(self._batch_facts(name))

    async def _batch_state(self, request: Request) -> Response:
        return JSONResponse(self._batch_facts(request.path_params["id"]))

    def _batch_facts(self, name: str) -> dict[str, Any]:
        counts = {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        return {
            "id": name,
            "type": "message_batch",
            "processing_status": self.batch_status,
            "request_counts": counts,
            "created_at": "2026-11-23T00:00:00Z",
            "expires_at": "2026-11-24T00:00:00Z",
            "results_url": f"{self.url}/v1/messages/batches/{name}/results",
        }

    async def _batch_results(self, request: Request) -> Response:
        lines: list[str] = []
        for number, one in enumerate(reversed(self.batches[request.path_params["id"]])):
            prompt = one["params"]["messages"][0]["content"]
            message = self._message(one["params"], "answer", prompt)
            result: dict[str, Any] = {"type": "succeeded", "message": message}
            if self._next and number == 0:
                result = {"type": self._next.popleft()}
            lines.append(json.dumps({"custom_id": one["custom_id"], "result": result}))
        return PlainTextResponse("\n".join(lines), media_type="application/x-jsonl")

    async def _chat(self, request: Request) -> Response:
        prompt, behaviour, refused = await self._ask(request)
        if refused is not None:
            return refused
        body = self.bodies[-1]
        if behaviour == "no_usage" and "stream_options" in body:
            error = {"message": "stream_options is not supported", "type": "invalid_request_error"}
            self.behave("no_usage")
            return JSONResponse({"error": error}, 400)
        if not body.get("stream"):
            return JSONResponse(self._completion(body, behaviour, prompt))
        return StreamingResponse(
            self._chunks(body, behaviour, prompt), media_type="text/event-stream"
        )

    def _completion(self, body: dict[str, Any], behaviour: str, prompt: str) -> dict[str, Any]:
        turn = self.answer(prompt) if self.script is None else self.script(heard(body))
        finish = "stop" if isinstance(turn, str) else "tool_calls"
        message = reply_of(turn, len(self.bodies))
        if behaviour in FINISH:
            finish, message = FINISH[behaviour], reply_of("", 0)
        return {
            "id": "chat_1",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": CHAT_USAGE,
        }

    async def _chunks(
        self, body: dict[str, Any], behaviour: str, prompt: str
    ) -> AsyncGenerator[str]:
        text = self.answer(prompt)
        finish = FINISH.get(behaviour, "stop")
        common: dict[str, Any] = {
            "id": "chat_1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": body["model"],
        }

        def chunk(delta: dict[str, Any], reason: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            return f"data: {json.dumps({**common, 'choices': [choice]})}\n\n"

        yield chunk({"role": "assistant", "content": ""})
        await asyncio.to_thread(self.gate.wait)
        if behaviour == "broken":
            yield "data: {broken\n\n"
        yield chunk({"content": "" if behaviour == "refusal" else text})
        if behaviour == "cut":
            return
        yield chunk({}, finish)
        if "stream_options" in body:
            yield f"data: {json.dumps({**common, 'choices': [], 'usage': CHAT_USAGE})}\n\n"
        yield "data: [DONE]\n\n"

    async def _models(self, request: Request) -> Response:
        data = [
            {"id": name, "object": "model", "created": 1, "owned_by": "stub"} for name in MODELS
        ]
        return JSONResponse({"object": "list", "data": data})

    async def _model(self, request: Request) -> Response:
        name = request.path_params["id"]
        if self.key not in request.headers["authorization"]:
            error = {"type": "authentication_error", "message": "invalid key"}
            return JSONResponse({"type": "error", "error": error}, 401)
        if name not in MODELS:
            error = {"type": "not_found_error", "message": f"model: {name}"}
            return JSONResponse({"type": "error", "error": error}, 404)
        created = "2026-10-01T00:00:00Z"
        facts = {"id": name, "type": "model", "display_name": name, "created_at": created}
        return JSONResponse(facts)


def _event(kind: str, **facts: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **facts})}\n\n"
