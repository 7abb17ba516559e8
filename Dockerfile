# Two images. The portal's (the last, so `docker build .` makes it) is for web, worker, ticker and migrate; the command
# decides which (docker-compose.yml). `--target lab` adds the lab and moto, which are half of its size.
FROM python:3.12-slim AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.txt constraints.txt /tmp/
# pip compiles what it installs.
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install -c /tmp/constraints.txt -r /tmp/requirements.txt

FROM packages AS lab-packages
COPY requirements-lab.txt /tmp/
RUN /opt/venv/bin/pip install -c /tmp/constraints.txt -r /tmp/requirements.txt -r /tmp/requirements-lab.txt

FROM python:3.12-slim AS product
# The same as portal.__version__; a test compares them.
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Private WebSocket edge portal" \
      org.opencontainers.image.description="Self-service portal for private WebSocket endpoints behind CloudFront VPC origins" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.licenses=Apache-2.0
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DJANGO_SETTINGS_MODULE=portal.settings \
    STATIC_ROOT=/app/staticfiles
RUN groupadd --system --gid 10001 portal \
    && useradd --system --uid 10001 --gid 10001 --create-home --home-dir /home/portal portal \
    && install -d -o portal -g portal /state
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY manage.py pyproject.toml LICENSE NOTICE ./
COPY templates templates
COPY static static
COPY provisioning provisioning
COPY checks checks
COPY portal portal
# The user may not write bytecode, so every start of a process would compile everything.
RUN SECRET_KEY=only-to-collect-files python manage.py collectstatic --no-input -v 0 \
    && python -m compileall -q provisioning checks portal \
    && chown -R root:root /app && chmod -R a+rX /app
# By number: Kubernetes cannot see that a name is not root.
USER 10001:10001
EXPOSE 8000
CMD ["uvicorn", "portal.asgi:application", "--host", "0.0.0.0", "--port", "8000", \
     "--ws-per-message-deflate", "false", "--ws-max-size", "65536", "--http", "portal.http_protocol:BoundedH11Protocol", "--ws", "portal.websocket_protocol:QuietWebSocketProtocol", "--no-proxy-headers", "--lifespan", "off", "--no-access-log", "--timeout-graceful-shutdown", "20"]

FROM product AS lab
USER root
COPY --from=lab-packages /opt/venv /opt/venv
COPY lab lab
RUN python -m compileall -q lab && chmod -R a+rX lab
USER 10001:10001

FROM product AS portal
