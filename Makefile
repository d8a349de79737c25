# Everything here runs inside the environment that ./with-env finds or makes (docs/environment.md).
# ENV=next takes Debian unstable's newer DOLFINx, and treats deprecation warnings as errors.
SCENARIO := balloon-vs-vertebroplasty
WITH_ENV := ./with-env
PYTEST   := python -m pytest

ifdef ENV
export SACROFEM_ENV := $(ENV)
endif
ifeq ($(ENV),next)
PYTEST += -W error::DeprecationWarning
endif

.PHONY: run test verify validate cluster-show lint format lock env clean clean-cache

run:
	$(WITH_ENV) sacrofem run scenarios/$(SCENARIO).yaml --out results/$(SCENARIO)

# Files are spread over two processes: a test is one process at a time, and its solves one thread.
test: lint
	$(WITH_ENV) $(PYTEST) -n 2 --dist loadfile tests
	$(WITH_ENV) mpirun -n 2 $(PYTEST) -p no:cacheprovider -m mpi tests

# Known answers against the package's; writes docs/verification.md in some minutes.
verify:
	$(WITH_ENV) python docs/verify.py

# Published numbers beside the model's; writes docs/validation.md in some minutes.
validate:
	$(WITH_ENV) python docs/validate.py

# A study under kills, on this machine and through a real Slurm; writes docs/cluster-show.md.
cluster-show:
	$(WITH_ENV) python docs/cluster_show.py

lint:
	$(WITH_ENV) ruff format --check .
	$(WITH_ENV) ruff check .
	$(WITH_ENV) mypy

format:
	$(WITH_ENV) ruff format .
	$(WITH_ENV) ruff check --fix .

# Newer versions of the Python packages: make lock LOCK=--upgrade (needs uv)
lock:
	env/lock.sh $(LOCK)

env:
	$(WITH_ENV) true

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache solver/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The Debian trees and conda environments of all clones; the next call makes them anew.
clean-cache:
	rm -rf --one-file-system "$${XDG_CACHE_HOME:-$$HOME/.cache}/sacrofem"
