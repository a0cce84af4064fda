# Everything is in course.py, which also runs where there is no make.
PYTHON ?= python3

.PHONY: lab test long bench doctor refresh setup clean
lab test bench doctor refresh setup:
	$(PYTHON) course.py $@ $(ARGS)
long:
	$(PYTHON) course.py test --long $(ARGS)
clean:
	rm -rf .venv .venv.lock .pytest_cache .ruff_cache
