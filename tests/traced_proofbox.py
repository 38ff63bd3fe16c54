"""The command `proofbox` with a tracer that writes every span into the file that SPANS_FILE names."""

import os

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from proofbox.server.cli import main

if __name__ == "__main__":
    with open(os.environ["SPANS_FILE"], "a", encoding="utf-8") as file:
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=file)))
        trace.set_tracer_provider(provider)
        main()
