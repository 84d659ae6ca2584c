# One image for everything; the command picks what runs: `python -m services.inventory` and the
# other services, `python -m gateway`, or, as here by default, all of it on one machine.
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/tillbridge
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY services services
COPY gateway gateway
COPY protos protos
RUN /opt/tillbridge/bin/pip install --no-cache-dir --disable-pip-version-check \
        --constraint requirements.lock .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --user-group --no-create-home tillbridge \
    && install --directory --owner=tillbridge --group=tillbridge --mode=0700 /data
COPY --from=build /opt/tillbridge /opt/tillbridge
ENV PATH=/opt/tillbridge/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TILLBRIDGE_DATA_DIR=/data
USER tillbridge
WORKDIR /data
VOLUME /data
# The gateway, and the services' gRPC.
EXPOSE 8080 50051 50052 50053 50054
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["tillbridge", "health", "gateway"]
CMD ["tillbridge", "up"]
