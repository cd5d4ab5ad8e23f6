# Targets: `grayplane` (the default) is the control plane; `sample` is the service of the compose demo.

ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# Wheels of all that is locked; dependencies that come as source are built with the locked build tools.
COPY requirements-build.lock requirements-runtime.lock ./
RUN python3 -m venv /build \
 && /build/bin/pip install --require-hashes --requirement requirements-build.lock \
 && /build/bin/pip wheel --require-hashes --no-build-isolation --wheel-dir /wheels --requirement requirements-runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY config config
COPY envoy envoy
COPY xds xds
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .
# Bytecode is compiled here: the file system of a running container is read-only.
RUN python3 -m venv /opt/grayplane \
 && /opt/grayplane/bin/pip install --no-index --no-deps --no-compile /wheels/*.whl \
 && /opt/grayplane/bin/pip uninstall --yes pip \
 && /opt/grayplane/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/grayplane/lib

FROM ${PYTHON_IMAGE} AS grayplane
COPY --from=build /opt/grayplane /opt/grayplane
ENV PATH=/opt/grayplane/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    GRAYPLANE_STATE_DIR=/var/lib/grayplane
RUN useradd --system --uid 65532 --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin grayplane \
 && install -d -o 65532 -g 65532 /var/lib/grayplane
USER 65532:65532
VOLUME /var/lib/grayplane
EXPOSE 18000 18080
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:18080/ready', timeout=2)"]
ENTRYPOINT ["grayplane"]
CMD ["serve"]

FROM grayplane AS sample
USER root
# For the one service of the demo whose calls are intercepted rather than sent to its sidecar.
RUN command -v iptables \
 || (apt-get update && apt-get install --yes --no-install-recommends iptables && rm -rf /var/lib/apt/lists/*)
USER 65532:65532
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "xds.demo.sample"]
CMD []

FROM grayplane
