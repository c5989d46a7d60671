# make demo    a prediction by the shipped model: video and picture in out/
# make test    the tests
# make check   style, types, floors

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check wheel clean

demo: $(READY)
	$(BIN)/framecast demo --out out

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal

check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

# The wheel, in an environment of its own, away from the checkout.
wheel: $(READY)
	rm -rf build
	$(BIN)/python -m build --wheel --outdir build .
	$(PYTHON) -m venv build/venv
	build/venv/bin/pip install -q -c constraints.txt torch
	build/venv/bin/pip install -q -c constraints.txt build/*.whl
	mkdir -p build/away
	cd build/away && ../venv/bin/framecast demo --out out && ../venv/bin/framecast predict \
		out/demo.mp4 --horizon 5 --out again.mp4 && test -s again.mp4

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt torch
	$(BIN)/pip install -q -c constraints.txt -e ".[data,detect,dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist out .pytest_cache .ruff_cache .hypothesis
