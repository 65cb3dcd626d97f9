# Two stages: wheels are built in the first, the second has neither compiler nor cache, and no root.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md ./
COPY server ./server
RUN pip wheel --no-cache-dir --wheel-dir /wheels .

FROM python:3.12-slim
RUN useradd --uid 10001 --create-home retag && mkdir /data && chown retag /data
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-index --find-links /wheels retag && rm -r /wheels
USER retag
VOLUME /data
EXPOSE 8000
ENV RETAG_DATABASE=sqlite:////data/retag.db RETAG_HOST=0.0.0.0 RETAG_PORT=8000
HEALTHCHECK --interval=10s --timeout=3s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["retag", "serve"]
