# What a newcomer can guess. Every target is plain commands: copy them if you have no make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install check test quick soak smoke docs run bench lock

install: ## a virtual environment with everything, tests and checks included
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --require-hashes -r requirements-test.lock

check: ## lint, format, types
	$(BIN)/python -m tests check

test: ## checks and every test, as .ci/run does
	$(BIN)/python -m tests

quick: ## unit and smoke tests, for the loop
	$(BIN)/python -m tests quick

soak: ## random requests, kills and migrations at full size
	$(BIN)/python -m tests soak

smoke: ## every line of curl.txt against a server of its own
	./test.sh

docs: ## rewrite what is made from the code: .env.example and the tables
	$(BIN)/python -m tools.document

run: ## serve
	$(BIN)/python main.py

bench: ## the numbers of the readme; needs wrk
	$(BIN)/python -m bench

LOCK := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

lock: ## resolve the requirements again
	$(BIN)/pip install -q uv
	$(LOCK) requirements.txt -o requirements.lock
	$(LOCK) requirements-test.txt -o requirements-test.lock
	$(LOCK) requirements-pytest.txt -o requirements-pytest.lock
