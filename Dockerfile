# The HTTP service. docs/docker.md says how to run it, and what privileges sandboxes on the same machine need.
FROM python:3.13-slim-trixie AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 UV_LINK_MODE=copy UV_PROJECT_ENVIRONMENT=/opt/proofbox
WORKDIR /src
RUN pip install "uv>=0.9,<1"
# What is locked changes less often than the source.
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-dev --all-extras --no-cache --no-install-project --python "$(command -v python3)"
COPY server server
COPY tools tools
COPY prompts prompts
RUN uv sync --frozen --no-dev --all-extras --no-cache --no-editable --compile-bytecode --python "$(command -v python3)"

FROM python:3.13-slim-trixie
# check_pr reads repositories by git; bubblewrap comes as a wheel.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --shell /usr/sbin/nologin proofbox \
    && install -d -o proofbox -g proofbox -m 700 /var/lib/proofbox /var/cache/proofbox
COPY --from=build /opt/proofbox /opt/proofbox
ENV PATH=/opt/proofbox/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PROOFBOX_DATA_DIR=/var/lib/proofbox \
    PROOFBOX_CACHE_DIR=/var/cache/proofbox
USER 10001
WORKDIR /home/proofbox
VOLUME ["/var/lib/proofbox", "/var/cache/proofbox"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ.get(\"PROOFBOX_PORT\") or 8000}/healthz', timeout=4)"]
ENTRYPOINT ["proofbox"]
# It refuses to start on this address without authentication and allowed hosts.
CMD ["serve", "--http", "--host", "0.0.0.0"]
