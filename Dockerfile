# voxwire in a container.
#
#   docker build -t voxwire .                            the embedded voice
#   docker run -p 6006:6006 -e VOXWIRE_API_KEY=choose-one voxwire
#
#   docker build -t voxwire:neural --build-arg VARIANT=cuda .
#   docker run --gpus all -p 6006:6006 -e VOXWIRE_API_KEY=choose-one -v "$PWD/weights:/app/weights:ro" \
#     -v voxwire-voices:/app/voices -v voxwire-cache:/home/voxwire/.cache voxwire:neural
#
# The second has torch with CUDA, and speaks a checkpoint from weights/; without --gpus it does so on the CPU. The two
# volumes keep added voices and what was made of them.
# `docker stop` kills after 10 s, while speech under way may take VOXWIRE_DRAIN_MS (20 s) to its end: run it with
# --stop-timeout 30.
#
# It listens on every address of the container, and therefore refuses to start without VOXWIRE_API_KEY.

FROM python:3.12-slim-bookworm AS packages
ARG VARIANT=cpu
WORKDIR /app
COPY pyproject.toml constraints.txt ./
# The dependencies alone, so that this layer outlives every change of the source. torch from the package index brings
# the CUDA libraries with it; of the host only the driver is needed.
RUN python -m venv /opt/venv \
 && case "$VARIANT" in cpu) extra= ;; cuda) extra=voxcpm ;; *) echo "VARIANT is cpu or cuda, not $VARIANT" >&2; exit 1 ;; esac \
 && EXTRA=$extra python -c 'import os, tomllib; \
p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
print(*p["dependencies"], *p["optional-dependencies"].get(os.environ["EXTRA"], []), sep="\n")' > requirements.txt \
 && /opt/venv/bin/python -m pip install --no-cache-dir -r requirements.txt -c constraints.txt

FROM python:3.12-slim-bookworm
RUN apt-get update \
 && apt-get install -y --no-install-recommends libopus0 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --create-home voxwire \
 && install -d -o voxwire /home/voxwire/.cache
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY . .
RUN install -d -o voxwire /app/voices
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    VOXWIRE_HOST=0.0.0.0 \
    VOXWIRE_LOG_FORMAT=json \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER voxwire
EXPOSE 6006
HEALTHCHECK --interval=10s --timeout=5s --start-period=180s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:%s/readyz' % os.environ.get('VOXWIRE_PORT', 6006), timeout=4)"]
ENTRYPOINT ["python", "-m", "streaming_server"]
CMD ["serve"]
