# Everything a newcomer needs is `make dry-run` and `make test`; the rest is for developers.

PYTHON ?= python3
BIN := .venv/bin
FINDING ?= tests/samples/cloud-run-service.json
PYTEST_WORKERS ?= auto
# Run compiled: without bytecode every start of the function imports for seconds.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

.PHONY: help
help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

.PHONY: setup
setup: .venv/ready ## Make the virtual environment, with what is locked and nothing else

.venv/ready: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "Python's venv module is missing; on Debian: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements-dev.txt)"
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --compile-bytecode --require-hashes requirements-dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --offline --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: dry-run
dry-run: setup ## Run the sample finding through the real function, on the emulator
	$(BIN)/python -m emulator run $(FINDING)

.PHONY: test
test: setup ## Run all tests
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal

.PHONY: check
check: setup ## Check format, lint, types, import contracts, locks and generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	BIN=$(BIN) sh tests/locks_in_sync.sh
	$(BIN)/python -m incident.policy.schema | diff deploy/policy.schema.json - || \
		{ echo "deploy/policy.schema.json is not what the policy's types say; run: make generate" >&2; exit 1; }
	$(BIN)/python -m incident.playbook.schema | diff deploy/playbook.schema.json - || \
		{ echo "deploy/playbook.schema.json is not what the playbook's types say; run: make generate" >&2; exit 1; }
	$(BIN)/python -m incident.readiness.policy_cases | diff deploy/policy_test.schema.json - || \
		{ echo "deploy/policy_test.schema.json is not what its types say; run: make generate" >&2; exit 1; }
	$(BIN)/python -m tests.deploy.module_docs --check
	$(BIN)/python -m tests.reference.tables --check
	$(BIN)/python -m tests.reference.samples --check
	$(BIN)/cloud-run-responder policy test deploy/policy_test.yaml deploy/policies/*_test.yaml

.PHONY: format
format: setup ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: generate
generate: setup ## Write the generated files
	$(BIN)/python -m incident.policy.schema > deploy/policy.schema.json
	$(BIN)/python -m incident.readiness.policy_cases > deploy/policy_test.schema.json
	$(BIN)/python -m incident.playbook.schema > deploy/playbook.schema.json
	$(BIN)/python -m tests.deploy.module_docs
	$(BIN)/python -m tests.reference.tables
	$(BIN)/python -m tests.reference.samples

.PHONY: screenshots
screenshots: setup ## Draw the README's pictures of page and terminal, with Chromium
	$(BIN)/python -m tests.reference.screenshots

.PHONY: package
package: ## Write function.zip: what the functions run, as committed
	sh deploy/package.sh function.zip

.PHONY: terraform
terraform: ## Validate and test Terraform with its provider, which it downloads
	sh deploy/terraform-checks.sh

.PHONY: release
release: ## Write dist/threat-responder-VERSION.tar.gz, as committed: make release VERSION=1.0.0
	sh deploy/release.sh "$(VERSION)"

.PHONY: bench
bench: setup ## Measure start, bursts, memory: make bench AGAINST=COMMIT QUICK=1; takes long without QUICK
	$(BIN)/python -m benchmarks.measure $(if $(AGAINST),--against $(AGAINST)) $(if $(QUICK),--quick)

.PHONY: lock
lock: setup ## Write the locked requirements anew, keeping the versions that still fit
	BIN=$(BIN) sh tests/lock.sh .
