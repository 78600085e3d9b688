# The line, a target a verb: recipes call the CLI or a script, logic never lives here.
# `make` or `make help` lists every target with its variables.

PYTHON  ?= python3
FAMILY  ?= dcgan
PRESET  ?= toy32
DATA    ?= runs/toy32
SOURCE  ?= photos
RESOLUTION ?= 64
RUN     ?= runs/$(FAMILY)-$(PRESET)
PORT    ?= 8080
SEEDS   ?= 0-15
BUDGET_MINUTES ?= 10
FUZZ_MINUTES ?= 10
PICTURES ?=
ARGS    ?=
# What local-test runs, and how: local, or local_gpu where Docker has GPUs.
TRAINING_IMAGE  ?= facegan-training:local
INFERENCE_IMAGE ?= facegan-inference:local
INSTANCE_TYPE   ?= local
# Where pip finds torch, if not on its usual index (PyTorch's CPU index saves gigabytes on Linux).
TORCH_INDEX ?=
# The images: cuda or cpu; their bases; how a build reaches packages (docker/README.md).
VARIANT    ?= cuda
BASE       ?=
BUILD_BASE ?=
PIP_INDEX  ?=
PIP_CONF   ?=
CA         ?=
OFFLINE    ?=
LOCK       ?=
REPOSITORY ?= facegan

VENV    := .venv
BIN     := $(VENV)/bin
LOCAL   := .venv-local
STUDIO  := .venv-studio
ENGINE  := PYTHONPATH=src $(PYTHON)
STARTED := $(shell date +%s)
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check \
           --constraint constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.DEFAULT_GOAL := help
.PHONY: help demo test setup data prepare train evaluate report generate serve faces notebook lint check format release bench-train bench-steps bench-quality bench-modes bench-resume bench-distributed bench-toy bench-data bench-prepare bench-serve bench-calls bench-overload bench-bodies bench-backends studio test-studio local-data local-test fuzz broken-pictures clean base lock wheels build push test-images sbom bench-images docs test-docs rooms bench-gpu

##— Two commands —
demo: $(VENV)/.installed    ## The whole line on this machine: data, training, serving, faces (ARGS="--minutes 1 --images 5000")
	@$(BIN)/python local_test/demo.py --started-at $(STARTED) $(ARGS)

# A process a core, up to four, each with one thread: more would wait for one another.
test: $(VENV)/.installed-dev ## All tests that need nothing but this machine (ARGS="-k resume"; one after another: ARGS="-n 0")
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

##— On this machine, step by step —
setup: $(VENV)/.installed-dev ## Install the package and the tools into .venv

data: $(VENV)/.installed    ## Draw synthetic cartoon faces into DATA
	@$(BIN)/facegan data toy --out $(DATA) --images 20000 --resolution 32 $(ARGS)

prepare: $(VENV)/.installed ## Pictures in SOURCE (a folder, zip, tar, CelebA) → squares in DATA (SOURCE=photos DATA=runs/photos64 RESOLUTION=64)
	@$(BIN)/facegan data prepare $(SOURCE) --out $(DATA) --resolution $(RESOLUTION) $(ARGS)

train: $(VENV)/.installed   ## Train FAMILY's PRESET on the pictures in DATA, into RUN
	@$(BIN)/facegan train --data $(DATA) --out $(RUN) --family $(FAMILY) --preset $(PRESET) $(ARGS)

evaluate: $(VENV)/.installed ## Measure RUN's model against the pictures in DATA (ARGS="--samples 2000")
	@$(BIN)/facegan evaluate $(RUN)/model.tar.gz --data $(DATA) $(ARGS)

report: $(VENV)/.installed  ## One HTML page about the run in RUN, into RUN/report.html (ARGS="--watch 30")
	@$(BIN)/facegan report $(RUN) $(ARGS)

generate: $(VENV)/.installed ## Draw SEEDS with RUN's model, without a server, into RUN/faces.png
	@$(BIN)/facegan generate $(RUN)/model.tar.gz --seeds $(SEEDS) --out $(RUN)/faces.png $(ARGS)

serve: $(VENV)/.installed   ## Serve RUN's model on localhost:PORT
	@$(BIN)/facegan serve $(RUN)/model.tar.gz --port $(PORT) $(ARGS)

faces: $(VENV)/.installed   ## Ask the running server for SEEDS through boto3, into faces.png
	@$(BIN)/facegan invoke --endpoint-url http://localhost:$(PORT) --seeds $(SEEDS) --out faces.png $(ARGS)

notebook: $(VENV)/.installed ## Run notebooks/face_generation.ipynb from top to bottom, into runs/notebook (ARGS="--minutes 1"; --save keeps outputs)
	@$(PIP) --editable '.[notebook]'
	@$(BIN)/python notebooks/execute.py $(ARGS)

studio: $(STUDIO)/.installed ## A page to look at RUN's model with (ARGS="--data runs/toy32" adds a quiz)
	@$(STUDIO)/bin/facegan studio --model $(RUN)/model.tar.gz $(ARGS)

test-studio: $(STUDIO)/.installed-test ## The studio in headless Chromium, which is to be on the PATH (PICTURES=docs/pictures)
	@FACEGAN_STUDIO_PICTURES='$(PICTURES)' $(STUDIO)/bin/python -m pytest -m studio tests/studio $(ARGS)

##— Measured, side by side —
bench-train: $(VENV)/.installed ## Our trainer against the article's loop: images/s and their ratio
	@$(BIN)/python benchmarks/bench_train.py $(ARGS)

bench-steps: $(VENV)/.installed ## A training step of today against one before steps were made faster: each family's ratio (ARGS="--only r3gan")
	@$(BIN)/python benchmarks/bench_steps.py $(ARGS)

bench-quality: $(VENV)/.installed ## Quality by minutes of training, against the article and the standard DCGAN (BUDGET_MINUTES=10)
	@$(BIN)/python benchmarks/bench_quality.py --minutes $(BUDGET_MINUTES) $(ARGS)

bench-modes: $(VENV)/.installed ## Modes of stacked MNIST by minutes of training: r3gan, the classic loss, stylegan2, dcgan (BUDGET_MINUTES=20, each)
	@$(PIP) --editable '.[modes]'
	@$(BIN)/python benchmarks/bench_modes.py --minutes $(BUDGET_MINUTES) $(ARGS)

bench-resume: $(VENV)/.installed ## Kill training runs at random moments, resume, compare every bit
	@$(BIN)/python benchmarks/bench_resume.py $(ARGS)

bench-distributed: $(VENV)/.installed ## Two processes against one: time of a step, difference of the weights
	@$(BIN)/python benchmarks/bench_distributed.py $(ARGS)

bench-toy: $(VENV)/.installed ## How fast the toy faces are drawn
	@$(BIN)/python benchmarks/bench_toy_faces.py $(ARGS)

bench-data: $(VENV)/.installed-dev ## Images/s that reach a training step: packed shards, ImageFolder, a stream
	@$(BIN)/python benchmarks/bench_data.py $(ARGS)

bench-prepare: $(VENV)/.installed ## Preparing against bare decoding: pictures/s, their ratio; memory by pictures
	@$(BIN)/python benchmarks/bench_prepare.py $(ARGS)

bench-serve: $(VENV)/.installed ## Our server against LitServe, BentoML and Flask; needs wrk (ARGS="--headline", "--tune")
	@$(BIN)/python benchmarks/bench_serve.py --torch-index '$(TORCH_INDEX)' $(ARGS)

bench-calls: $(VENV)/.installed ## Calls of our code in one request of four seeds: calls, changes of file, levels (ARGS=--tree)
	@$(BIN)/python benchmarks/count_request_calls.py $(ARGS)

bench-overload: $(VENV)/.installed ## A minute at ten times our server's capacity; needs wrk (ARGS="--images 4")
	@$(BIN)/python benchmarks/bench_overload.py $(ARGS)

bench-bodies: $(VENV)/.installed ## /ping while 16 connections post bodies of 6 MB in a loop (ARGS="--seconds 30")
	@$(BIN)/python benchmarks/bench_bodies.py $(ARGS)

bench-backends: $(VENV)/.installed ## The generator on torch, ONNX Runtime and OpenVINO: speed, start, memory, pixels
	@$(BIN)/python benchmarks/bench_backends.py --torch-index '$(TORCH_INDEX)' $(ARGS)

bench-gpu: $(VENV)/.installed ## Training and serving on one GPU in at most 8 minutes: speed, memory, precision (ARGS=--dry: on a CPU)
	@$(BIN)/python benchmarks/bench_gpu.py $(ARGS)

bench-images: $(VENV)/.installed ## Sizes of the images that are here, and how fast they build, start and stop
	@PYTHONPATH=docker:tests/container $(BIN)/python benchmarks/bench_images.py \
	    $(if $(BASE),--base $(BASE)) $(if $(BUILD_BASE),--build-base $(BUILD_BASE)) $(if $(OFFLINE),--offline) $(ARGS)

##— Images, with Docker —
base:                       ## Base images from Debian's packages, where no registry is reached
	@docker/base

build:                      ## Both images, by VERSION, commit and `local` (VARIANT=cpu BASE=facegan-base BUILD_BASE=facegan-build-base)
	@$(ENGINE) docker/build.py --variant $(VARIANT) $(if $(BASE),--base $(BASE)) \
	    $(if $(BUILD_BASE),--build-base $(BUILD_BASE)) $(if $(PIP_INDEX),--index $(PIP_INDEX)) \
	    $(if $(TORCH_INDEX),--torch-index $(TORCH_INDEX)) $(if $(PIP_CONF),--pip-conf $(PIP_CONF)) \
	    $(if $(CA),--ca $(CA)) $(if $(OFFLINE),--offline) $(if $(LOCK),--lock $(LOCK)) $(ARGS)

test-images: $(VENV)/.installed-dev ## The images' contract, container by container (after `make build`)
	@$(BIN)/python -m pytest -m container tests/container $(ARGS)

push: $(VENV)/.installed    ## Push both images to ECR, into REPOSITORY-training and REPOSITORY-inference (ARGS=--dry-run)
	@$(BIN)/facegan cloud push --repository $(REPOSITORY) --variant $(VARIANT) $(ARGS)

lock: $(VENV)/.installed-dev ## Resolve docker/requirements/*.lock anew, with hashes
	@$(BIN)/python docker/lock.py --torch-index '$(TORCH_INDEX)' $(ARGS)

wheels:                     ## Fetch all that VARIANT's images are made of into docker/wheels, for a build with OFFLINE=1
	@docker/fetch $(VARIANT)

sbom: $(VENV)/.installed    ## What is in the images and what is known against it, into runs/sbom
	@$(PIP) 'cyclonedx-bom>=7,<8' 'pip-audit>=2.9,<3'
	@$(BIN)/python docker/sbom.py --variant $(VARIANT) $(ARGS)

##— In the containers, as SageMaker runs them (local_test/README.md) —
local-data:                 ## Toy faces for local_test/train_local.sh, drawn by TRAINING_IMAGE
	@local_test/make_data.sh $(TRAINING_IMAGE)

local-test: $(LOCAL)/.installed ## SageMaker's local mode: one host, two, an endpoint, faces (INSTANCE_TYPE=local_gpu PORT=8081 ARGS="--set preset=toy32")
	@test -d runs/local-mode/data/training || local_test/make_data.sh $(TRAINING_IMAGE) runs/local-mode/data/training
	@$(LOCAL)/bin/python local_test/local_mode.py --training-image $(TRAINING_IMAGE) \
	    --inference-image $(INFERENCE_IMAGE) --instance-type $(INSTANCE_TYPE) --port $(PORT) $(ARGS)
	@$(LOCAL)/bin/python local_test/model_trainer.py --hosts 2 --training-image $(TRAINING_IMAGE) \
	    --instance-type $(INSTANCE_TYPE) $(ARGS)

##— Hostile callers —
fuzz: $(VENV)/.installed-dev ## Random requests, sockets and bodies for FUZZ_MINUTES, on top of those in the tests
	@$(BIN)/python tests/fuzz/fuzz.py --minutes $(FUZZ_MINUTES) $(ARGS)

broken-pictures: $(VENV)/.installed-dev ## Fetch Pillow's own broken pictures (47 MB), which the tests then prepare too
	@version=$$($(BIN)/python -c 'import PIL; print(PIL.__version__)'); \
	test -f "runs/pillow-sdist/pillow-$$version.tar.gz" \
	|| $(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps \
	    --no-binary pillow --dest runs/pillow-sdist "pillow==$$version" \
	|| { echo "Error: Pillow's source distribution could not be fetched (pip says why above): its broken pictures are NOT tested."; exit 1; } >&2

##— The documents —
docs: $(VENV)/.installed-docs ## The documents and the reference as web pages, into runs/site (a dead link fails)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict $(ARGS)
	@echo runs/site/index.html

test-docs: $(VENV)/.installed-dev ## Every shell block of the documents, example of a help and printed next step, run (minutes)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m documents -n auto --maxprocesses 4 --dist worksteal tests/documents $(ARGS)

rooms:                      ## Draw the picture of rooms anew, after a change to tests/test_rooms.py
	@$(PYTHON) docs/site/draw_rooms.py

##— Before you commit —
lint: $(VENV)/.installed-dev ## Lint, format, types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

# The tree that passed is noted: `make release` asks for it.
check: lint test            ## All of CI that takes minutes at most: lint, and the tests
	@$(if $(ARGS),,tree=$$(git rev-parse 'HEAD^{tree}' 2>/dev/null) && test -z "$$(git status --porcelain)" \
	    && mkdir -p runs && echo "$$tree" > runs/checked || true)

format: $(VENV)/.installed-dev ## Format the code and mend what the linter can
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

##— To others —
release: $(VENV)/.installed-dev ## Changelog, version, wheel tried in a clean environment; prints the tag (VERSION=1.2.3 ARGS=--dry-run)
	@test -n '$(VERSION)' || { echo "Error: which version? make release VERSION=1.2.3"; exit 1; } >&2
	@$(PIP) 'build>=1.2,<2' 'twine>=6,<8'
	@$(BIN)/python .ci/release.py '$(VERSION)' $(ARGS)

##— Around —
clean:                      ## Delete the environments and the caches; runs/ stays
	rm -rf $(VENV) $(LOCAL) $(STUDIO) .pytest_cache .mypy_cache .ruff_cache build src/*.egg-info

help:                       ## This list
	@awk -F':.*## ' '/^##—/ {print "\n" substr($$0, 3)} /^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' Makefile

# --- the environment --------------------------------------------------------------------------

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "facegan needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12")'
	@echo "Making the environment in $(VENV) (once; torch is large) …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@$(PIP) --editable '.[training,serving-gpu,cloud]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@$(PIP) --editable '.[dev]'
	@$(PIP) --editable '.[container]' || echo "sagemaker-training cannot be built here (it needs Linux and a C compiler): its tests are skipped."
	@touch $@

# In the same environment: the reference of commands is what the commands say of themselves.
$(VENV)/.installed-docs: $(VENV)/.installed
	@$(PIP) --editable '.[docs]'
	@touch $@

# Of its own: SageMaker's SDK wants older packages than training and serving do.
$(LOCAL)/.installed: pyproject.toml
	@echo "Making the environment of SageMaker's SDK in $(LOCAL) (once; about 1 GB) …"
	@$(PYTHON) -m venv $(LOCAL)
	@$(LOCAL)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[local]'
	@touch $@

# Of its own: Gradio wants an older Pillow than the rest.
$(STUDIO)/.installed: pyproject.toml
	@echo "Making the environment of the studio in $(STUDIO) (once) …"
	@$(PYTHON) -m venv $(STUDIO)
	@$(STUDIO)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[studio]'
	@touch $@

$(STUDIO)/.installed-test: $(STUDIO)/.installed
	@echo "… and torch, pytest and Playwright, for its tests …"
	@$(STUDIO)/bin/python -m pip install --quiet --disable-pip-version-check \
	    $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --editable '.[studio,studio-test]'
	@touch $@
