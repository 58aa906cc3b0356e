# A server of one model: docker build -t twofold . && docker run -p 8900:8900 -v ./model:/model -e KEY=… twofold
FROM python:3.12-slim AS build
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY core core
COPY integrations integrations
RUN pip install --no-cache-dir build && python -m build --wheel --outdir /wheels

FROM python:3.12-slim
COPY constraints.txt /tmp/constraints.txt
COPY --from=build /wheels /wheels
# torch's build for CPUs is far smaller than the one for GPUs; give TORCH_INDEX="" for the latter.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt ${TORCH_INDEX:+--extra-index-url $TORCH_INDEX} \
        "$(echo /wheels/*.whl)[server,local,hosted,cli]" \
    && rm -r /wheels /tmp/constraints.txt \
    && useradd --create-home twofold
USER twofold
WORKDIR /home/twofold
ENV TWOFOLD_HOST=0.0.0.0 TWOFOLD_PORT=8900 TWOFOLD_MODEL=/model TWOFOLD_API_KEY_ENV=KEY
EXPOSE 8900
HEALTHCHECK --interval=5s --start-period=120s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8900/.well-known/ready')"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["twofold"]
CMD ["serve"]
