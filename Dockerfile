# Two stages: the first builds into /opt/retag, the second has neither compiler nor cache, and no root.
# With what act-alike audiences need: docker build --build-arg EXTRAS=[actalike] -t retag .
FROM python:3.12-slim AS build
ARG EXTRAS=""
WORKDIR /src
COPY pyproject.toml README.md ./
COPY server ./server
RUN pip wheel --no-cache-dir --wheel-dir /wheels ".$EXTRAS" \
 && python -m venv /opt/retag \
 && /opt/retag/bin/pip install --no-cache-dir --no-index --find-links /wheels "retag$EXTRAS"

FROM python:3.12-slim
RUN useradd --uid 10001 --no-create-home retag && install --directory --owner retag --group retag /data
COPY --from=build /opt/retag /opt/retag
USER retag
WORKDIR /data
VOLUME /data
EXPOSE 8000
ENV PATH=/opt/retag/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    RETAG_DATABASE=sqlite:////data/retag.db RETAG_HOST=0.0.0.0 RETAG_PORT=8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"RETAG_PORT\"]}/healthz', timeout=2)"]
CMD ["retag", "serve"]
