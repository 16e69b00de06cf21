# `make serve` and `make test` set everything up themselves; running them again is quick.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed
DEV    := $(VENV)/.installed-dev
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DATA   ?= ../shared/data
CORPUS ?= ../shared/corpus
COUNT  ?= 100000
SEED   ?= 1
ROWS   ?= all
PINNED := configs/docker/requirements.txt
CUDA   := configs/docker/requirements.cuda.txt

.PHONY: help install serve test check bench bench-gpu corpus fuzz chaos eval train requirements audit clean

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make install   create .venv and install the service into it, for CPU
install: $(READY)

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[openvino]'
	$(BIN)/cvunet info  # makes the engine's graph of the checkpoint, so that the first start is quick
	touch $@

$(DEV): $(READY)
	$(PIP) --editable '.[dev]'
	touch $@

## make serve     start the service on http://127.0.0.1:8000
serve: $(READY)
	$(BIN)/cvunet serve serve_config.yaml

## make test      run every test
test: $(DEV)
	$(BIN)/python -m pytest

## make check     lint, format, types; alert rules (promtool: apt-get install prometheus); image, manifests
check: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd configs/monitoring && promtool check config prometheus.yml && promtool test rules alerts.test.yml
	$(BIN)/hadolint configs/docker/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec configs/docker/compose*.yaml
	$(BIN)/check-jsonschema --schemafile tests/schemas/rayservice.schema.json configs/kuberay/rayservice.yaml
	$(BIN)/kubernetes-validate --strict --quiet configs/kuberay/access.yaml configs/kuberay/redis.yaml

## make bench     what the README's figures come from, half an hour on a quiet machine
bench: $(DEV)
	$(BIN)/python -m benchmarks.engines
	$(BIN)/python -m benchmarks.ladder
	$(BIN)/python -m benchmarks.ladder --network unet32 --seconds 4
	$(BIN)/python -m benchmarks.stages
	$(BIN)/python -m benchmarks.serving --env RAY_SERVE_ENABLE_HA_PROXY=1
	$(BIN)/python -m benchmarks.ramp
	$(BIN)/python -m benchmarks.cost
	$(BIN)/python -m benchmarks.peers
	$(BIN)/python -m benchmarks.bulk --layouts fused staged --kills 10
	$(BIN)/python -m benchmarks.report

## make bench-gpu the same on a GPU: the roofline, load, engines and the ladder
bench-gpu: $(DEV)
	$(BIN)/python -m benchmarks.roofline
	$(BIN)/python -m benchmarks.serving --config configs/serve.gpu.yaml --clients 1 8 32 64 --json benchmarks/results/serving_gpu.json
	$(BIN)/python -m benchmarks.engines --device cuda --compile --json benchmarks/results/engines_gpu.json
	$(BIN)/python -m benchmarks.ladder --device cuda --json benchmarks/results/ladder_gpu.json
	$(BIN)/python -m benchmarks.report

## make corpus    odd, corrupt and hostile files against a service; CORPUS=folder with MANIFEST.tsv
corpus: $(DEV)
	$(BIN)/python -m benchmarks.corpus --corpus $(CORPUS)

## make eval      score the checkpoint against presets, peers and baselines; DATA=folder
eval: $(DEV)
	$(PIP) --editable '.[eval]'
	$(BIN)/python -m benchmarks.quality --data $(DATA)

## make fuzz      mutated files and requests; COUNT=100000 SEED=1, goes on where it was broken off
fuzz: $(DEV)
	$(BIN)/python -m benchmarks.fuzz --count $(COUNT) --seed $(SEED)

## make chaos     faults, overload and long runs; ROWS='kill-unet soak', FULL=--full for the record
chaos: $(DEV)
	$(BIN)/python -m benchmarks.chaos $(FULL) $(ROWS)

## make train     train a checkpoint; DATA=folder of photos and mattes, CONFIG=configs/train.gpu.yaml
CONFIG := configs/train.yaml
train: $(DEV)
	$(BIN)/python -m training --config $(CONFIG) --data $(DATA) --out runs/$(shell date +%Y%m%d-%H%M%S)

## make requirements   pin and hash what the images install: the newest that constraints.txt allows
COMPILE = $(BIN)/uv pip compile pyproject.toml --extra openvino --extra tracing \
	    --constraint constraints.txt --python-version 3.11 \
	    --python-platform x86_64-manylinux_2_28 --generate-hashes --no-annotate --no-header --quiet
requirements: $(DEV)
	$(COMPILE) --torch-backend cpu --output-file $(PINNED)
	sed -i '1i # What the image installs, and nothing else; made by `make requirements`.' $(PINNED)
	sed -i '2i #   uv pip install --require-hashes --torch-backend cpu -r requirements.txt' $(PINNED)
	$(COMPILE) --output-file $(CUDA)
	sed -i '1i # What the image for NVIDIA GPUs installs, and nothing else; made by `make requirements`.' $(CUDA)
	sed -i '2i #   uv pip install --require-hashes -r requirements.cuda.txt' $(CUDA)

## make audit     look the image's packages up among the known vulnerabilities
audit: $(DEV)
	$(BIN)/uv tool run pip-audit --disable-pip --require-hashes -r $(PINNED)

## make clean     remove what the above made
clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
