# syntax is the builder's own: no frontend is fetched, so that a build needs no registry but for its base.
# The training image: what SageMaker starts as `docker run IMAGE train`. docker/README.md says how to build it.

# Python and no CUDA: torch's wheels bring CUDA's libraries, the host its driver (decision 12).
ARG BASE=python:3.11-slim-bookworm
# The same Python with a C compiler, which stays behind: sagemaker-training has no wheel.
ARG BUILD_BASE=python:3.11-bookworm

# --- the packages of one lock file, in a layer of their own -----------------------------------
FROM ${BUILD_BASE} AS packages
ARG LOCK=training.cuda
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_NO_INDEX
RUN --mount=type=bind,source=docker/install,target=/tmp/install \
    --mount=type=bind,source=docker/requirements,target=/tmp/requirements \
    --mount=type=bind,source=docker/wheels,target=/tmp/wheels \
    --mount=type=secret,id=pip_conf --mount=type=secret,id=ca \
    --mount=type=cache,target=/root/.cache/pip \
    sh /tmp/install /tmp/requirements/${LOCK}.lock /opt/venv

# --- our code: the rooms that a training job walks through, compiled --------------------------
FROM packages AS program
COPY src/facegan/*.py /opt/program/src/facegan/
COPY src/facegan/hyperparameters /opt/program/src/facegan/hyperparameters
COPY src/facegan/gans /opt/program/src/facegan/gans
COPY src/facegan/data /opt/program/src/facegan/data
COPY src/facegan/metrics /opt/program/src/facegan/metrics
COPY src/facegan/model_files /opt/program/src/facegan/model_files
COPY src/facegan/synthesis /opt/program/src/facegan/synthesis
COPY src/facegan/training /opt/program/src/facegan/training
COPY src/facegan/report /opt/program/src/facegan/report
COPY src/facegan/cli /opt/program/src/facegan/cli
COPY container/training /opt/program/training
COPY --chmod=755 container/entry /opt/program/bin/
# Not by date: a layer's files get new ones. Nobody else than root may write here at run time.
RUN /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/program

# --- the image --------------------------------------------------------------------------------
FROM ${BASE}
COPY --from=packages /opt/venv /opt/venv
COPY --from=program /opt/program /opt/program
# HOME, USER: some libraries ask for them, and an arbitrary user has none. NVIDIA_*: what CUDA's
# own base images tell the container toolkit.
ENV PATH=/opt/program/bin:/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/program/src:/opt/program/training \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp USER=facegan \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    SAGEMAKER_TRAINING_MODULE=train:main
WORKDIR /opt/program
ENTRYPOINT ["entry"]
# For those who give no command, as the SDK's local trainer.
CMD ["train"]
ARG SOURCE VERSION REVISION
LABEL org.opencontainers.image.title="facegan training" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
