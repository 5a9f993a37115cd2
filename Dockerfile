# Two stages: the first builds the wheel and installs it at the versions of requirements.lock, the
# second is what runs. `docker build .`, or `docker compose up` for a whole installation.
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/fleetgraph && /opt/fleetgraph/bin/pip install --quiet --upgrade "pip>=25.1"
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY core core
COPY models models
COPY resolvers resolvers
COPY schema schema
COPY rest_compat rest_compat
COPY workers workers
COPY fleetgraph fleetgraph
COPY hatch_build.py ./
COPY dashboard dashboard
RUN /opt/fleetgraph/bin/pip wheel --quiet --no-deps --wheel-dir /wheels . \
    && /opt/fleetgraph/bin/pip install --quiet --no-cache-dir -c requirements.lock /wheels/*.whl \
    && test -f /opt/fleetgraph/lib/python3.11/site-packages/dashboard/static/STAMP

FROM python:3.11-slim
# Folders that volumes are mounted on belong to the program: a new volume takes that over.
RUN useradd --system --uid 10001 --home-dir /var/lib/fleetgraph fleetgraph \
    && install -d -o fleetgraph -g fleetgraph -m 0700 /var/lib/fleetgraph \
    && install -d -o fleetgraph -g fleetgraph -m 0755 /accounts
COPY --from=build /opt/fleetgraph /opt/fleetgraph
ENV PATH=/opt/fleetgraph/bin:$PATH PYTHONUNBUFFERED=1 FLEETGRAPH_DATA_DIR=/var/lib/fleetgraph
USER fleetgraph
EXPOSE 3002
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:3002/health', timeout=2)"]
ENTRYPOINT ["fleetgraph"]
CMD ["serve", "--host", "0.0.0.0", "--port", "3002"]
