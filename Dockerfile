# srwatchd in a container, for x86-64 and arm64; docs/container.md says how to run it, compose.yaml is an example. The command
# "console" instead of "run" is the web console.
#
#   docker build --tag srwatchd .
#
# BASE may be the same image by its digest (python@sha256:...), from another registry, or any with Python 3.11 to 3.13 and
# glibc 2.35 or newer. Everything else that is downloaded is pinned by hash in packaging/*.lock.
ARG BASE=docker.io/library/python:3.13-slim-trixie

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# What changes seldom and takes long comes first. No step may choose a version: not for what is installed, not for what
# builds it (--no-build-isolation). EXTRA=onnx adds the engine onnxruntime (docs/engines.md).
ARG EXTRA=""
COPY packaging/*.lock packaging/
RUN python3 -m venv tools \
 && tools/bin/pip install --require-hashes --requirement packaging/build.lock \
 && tools/bin/pip wheel --no-build-isolation --require-hashes --requirement packaging/runtime.lock \
        ${EXTRA:+--requirement "packaging/$EXTRA.lock"} --wheel-dir wheels \
 && python3 -m venv --without-pip /opt/srwatchd \
 && tools/bin/pip --python /opt/srwatchd/bin/python install --no-compile --no-index --no-deps wheels/*.whl

# "all" keeps OpenVINO's plugins for GPUs and NPUs, for an image derived from this one that adds their drivers; "cpu" leaves
# them out. packaging/trim.sh says what goes in any case.
ARG DEVICES=all
COPY packaging/trim.sh packaging/
RUN packaging/trim.sh /opt/srwatchd "$DEVICES"

COPY . .
# Compiled once and here, for the root is read-only later; "unchecked", for nothing in it changes.
RUN tools/bin/pip wheel --no-build-isolation --no-deps --wheel-dir own . \
 && tools/bin/pip --python /opt/srwatchd/bin/python install --no-compile --no-index --no-deps own/*.whl \
 && /opt/srwatchd/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/srwatchd/lib \
 && /opt/srwatchd/bin/srwatchd check-config packaging/container.yaml \
 && /opt/srwatchd/bin/srwatchd models verify


FROM ${BASE}
LABEL org.opencontainers.image.title="srwatchd" \
      org.opencontainers.image.description="An unattended, offline super-resolution daemon for hot folders" \
      org.opencontainers.image.licenses="Apache-2.0 AND CC-BY-SA-4.0"

# Folders with the right owner, so that new named volumes on them have it too.
RUN groupadd --gid 10001 srwatchd \
 && useradd --uid 10001 --gid 10001 --home-dir /var/lib/srwatchd --no-create-home --shell /usr/sbin/nologin srwatchd \
 && install --directory --owner=10001 --group=10001 --mode=2775 /data/in /data/done /data/error /data/archive \
 && install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/srwatchd /var/lib/srwatchd/console \
    /var/lib/srwatchd/models /var/lib/srwatchd/origins
COPY packaging/container.yaml /etc/srwatchd/srwatchd.yaml
COPY --from=build /opt/srwatchd /opt/srwatchd

ENV PATH=/opt/srwatchd/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/srwatchd

# Unhealthy means one thing: the daemon does not answer, and a restart may help. Where a person is needed (7), or the
# configuration is being edited (78), it would not.
HEALTHCHECK --interval=60s --timeout=30s --start-period=10m --retries=3 \
    CMD srwatchd status --config /etc/srwatchd/srwatchd.yaml; case $? in 0|7|78) exit 0;; *) exit 1;; esac
STOPSIGNAL SIGTERM
ENTRYPOINT ["srwatchd"]
CMD ["run", "--config", "/etc/srwatchd/srwatchd.yaml"]
