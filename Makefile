# Two commands: `make demo` shows what this does, `make check` proves it.
# Portable make. Both set up what they need; an ordinary user is told what to install.

VENV = .venv
BIN = $(VENV)/bin

.PHONY: demo check nightly lint types test coverage bench docs clean

demo:
	@sh .ci/setup demo
	@PATH="$$PWD/$(BIN):$$PATH" sh .ci/demo

check:
	@sh .ci/setup check
	@$(MAKE) lint types test

# besides, what takes a quarter of an hour or more: a day in build VMs, a bisect of Linux; and a browser
nightly:
	@sh .ci/setup nightly
	LABTASKS_LONG=1 $(BIN)/pytest -n 2 --dist worksteal -rs

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types:
	$(BIN)/mypy --platform linux
	$(BIN)/mypy --platform darwin
	$(BIN)/mypy --platform freebsd13

test:
	$(BIN)/pytest -n 2 --dist worksteal -rs

coverage:
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2 --dist worksteal
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --skip-covered

docs:
	@sh .ci/setup docs
	$(BIN)/labtasks reference > docs/lab.md
	$(BIN)/python .ci/refusals.py > docs/refusals.md
	$(BIN)/mkdocs build --strict --quiet

bench:
	$(BIN)/python bench/run.py

clean:
	rm -rf $(VENV) site .mypy_cache .ruff_cache .hypothesis .coverage* .doit.db*
