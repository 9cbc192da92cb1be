# Everything runs in .venv, which is made when it is missing or out of date.
VENV := .venv
BIN := $(VENV)/bin
export HF_HUB_DISABLE_TELEMETRY := 1
export TOKENIZERS_PARALLELISM := false
export OMP_WAIT_POLICY := passive

.PHONY: help demo test test-constraints test-files test-batch-long check docs reference format test-vllm sample \
	bench bench-batch bench-evaluate evaluate audit licences lock clean

help: ## Show this help.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

demo: $(VENV)/.ready ## Recommend for three users of the bundled sample, with the embedded models.
	@$(BIN)/rag-rec demo

test: $(VENV)/.ready ## Run the tests.
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

test-batch-long: $(VENV)/.ready ## Kill trials, ten thousand faulty users, Ray (half an hour).
	@$(BIN)/python -m pytest -m long -s $(ARGS)

check: $(VENV)/.ready ## Format, lint, types, import contracts, layout, generated pages.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_layout.py
	$(BIN)/python scripts/write_architecture.py --check
	$(BIN)/python scripts/write_cli.py --check
	$(BIN)/python scripts/write_schemas.py --check

docs: $(VENV)/.ready ## Build the documentation site into .cache/site; a warning is an error.
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "see .cache/site/index.html"

reference: $(VENV)/.ready ## Write the generated pages of the documentation again.
	@$(BIN)/python scripts/write_architecture.py
	@$(BIN)/python scripts/write_cli.py
	@$(BIN)/python scripts/write_schemas.py

format: $(VENV)/.ready ## Format the code and mend what the linter can.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.ready ## The measurements of the README: index building and request overhead.
	@$(BIN)/python benchmarks/index_throughput.py
	@$(BIN)/python benchmarks/index_memory.py
	@$(BIN)/python benchmarks/request_overhead.py

evaluate: $(VENV)/.ready ## Every prompt with the embedded model on the sample (an hour; goes on where it stopped).
	@$(BIN)/rag-rec evaluate run eval/sample.toml --out indexes/eval-sample

bench-evaluate: $(VENV)/.ready ## The harness itself: A/A 200 times, and its own cost at 1,000 users.
	@$(BIN)/python benchmarks/evaluate_aa.py
	@$(BIN)/python benchmarks/evaluate_overhead.py

test-constraints: $(VENV)/.ready ## Constraints and list types against 10,000 hostile replies each (a quarter of an hour).
	@RAG_REC_CASES=10000 $(BIN)/python -m pytest tests/constraints tests/list_types -k hostile --timeout 7200 $(ARGS)

test-files: $(VENV)/.ready ## 5,000 damaged catalogs and other files (minutes).
	@RAG_REC_CASES=5000 $(BIN)/python -m pytest tests/data/test_damaged.py --timeout 3600 $(ARGS)

bench-batch: $(VENV)/.ready ## Batches: throughput beside a loop and LangChain, growth to 100,000 users.
	@$(BIN)/python benchmarks/batch_throughput.py
	@$(BIN)/python benchmarks/batch_growth.py

test-vllm: ## vLLM on the CPU in an environment of its own, with the real SmolLM2 (minutes).
	@scripts/vllm_env.sh
	@.venv-vllm/bin/python scripts/smollm2_to_hf.py
	@.venv-vllm/bin/python -W ignore -m pytest tests/vllm_env -rs

sample: $(VENV)/.ready ## Write the bundled sample again from its seed.
	@$(BIN)/python -m scripts.make_sample

lock: $(VENV)/.ready ## Write requirements.lock and constraints.txt again; ARGS="-P NAME" or --upgrade raises pins.
	@$(BIN)/python scripts/write_lock.py $(ARGS)

audit: $(VENV)/.ready ## Known vulnerabilities of what is installed; exit 3 says that the database is out of reach.
	@$(BIN)/python scripts/audit.py

licences: $(VENV)/.ready ## Licences of what is installed, to .cache/licences.csv; fails for GPL, and where none is told.
	@mkdir -p .cache
	@$(BIN)/pip-licenses --from=mixed --partial-match --fail-on="GPL;General Public;UNKNOWN" \
		--format=csv --output-file .cache/licences.csv

clean: ## Remove the environments, caches and built indexes.
	rm -rf .venv .venv-vllm .cache dist indexes/*/ .ruff_cache .hypothesis

$(VENV)/.ready: pyproject.toml requirements.lock scripts/torch-cpu.lock scripts/install.sh
	@scripts/install.sh
	@touch $@
