# srwatchd in a container; docs/container.md says how to run it.
#
#   docker build --tag srwatchd .
#
# Two stages: the first has pip and builds the wheel (the weights are in it), the second has only the result.

FROM python:3.12-slim-bookworm AS build

WORKDIR /build
# The requirements first: they change less often than the code, and are the slow part. They are read from pyproject.toml.
COPY pyproject.toml constraints.txt ./
RUN python -m venv /opt/srwatchd \
 && python -c "import tomllib; print('\n'.join(tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies']))" > requirements.txt \
 && /opt/srwatchd/bin/pip install --no-cache-dir --no-compile --constraint constraints.txt --requirement requirements.txt
COPY . .
# The folders of the container's own configuration, so that a volume that is mounted there has the right owner at once.
RUN /opt/srwatchd/bin/pip install --no-cache-dir --constraint constraints.txt . \
 && mkdir -p /made/data /made/var/lib/srwatchd /made/etc/srwatchd \
 && printf '%s\n' \
    'state_dir: /var/lib/srwatchd' \
    'folders:' \
    '  - {id: pictures, inbox: /data/in, done: /data/done, error: /data/error, archive: /data/archive, model: fsrcnn_x3}' \
    > /made/etc/srwatchd/srwatchd.yaml \
 && /opt/srwatchd/bin/srwatchd check-config /made/etc/srwatchd/srwatchd.yaml \
 && /opt/srwatchd/bin/srwatchd models verify


FROM python:3.12-slim-bookworm

RUN groupadd --gid 10001 srwatchd \
 && useradd --uid 10001 --gid 10001 --home-dir /var/lib/srwatchd --no-create-home --shell /usr/sbin/nologin srwatchd
COPY --from=build /opt/srwatchd /opt/srwatchd
COPY --from=build --chown=10001:10001 /made/data /data
COPY --from=build --chown=10001:10001 /made/var/lib/srwatchd /var/lib/srwatchd
COPY --from=build /made/etc/srwatchd /etc/srwatchd

ENV PATH=/opt/srwatchd/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/srwatchd
VOLUME ["/data", "/var/lib/srwatchd"]

# 5 (no daemon answers) and 7 (a person is needed) both become 1, the one status that means unhealthy.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD srwatchd status --config /etc/srwatchd/srwatchd.yaml --json || exit 1
STOPSIGNAL SIGTERM
ENTRYPOINT ["srwatchd"]
CMD ["run", "--config", "/etc/srwatchd/srwatchd.yaml"]
