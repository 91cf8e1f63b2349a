# Bare make prints the targets.
GO ?= go
BIN ?= bin/metaxy-delta
PYTHON ?= python3
FUZZTIME ?= 30s
BENCH ?= .
BENCHTIME ?= 100ms
METAXY_SHARED ?= ../shared

.PHONY: help
help: ## print the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 18

.PHONY: build
build: ## the program, static, into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/metaxy-delta

.PHONY: check
check: ## everything a change must pass: format, build, vet, tests (the house rules are one of them), clean tree
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "gofmt these:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	./.ci/run
	@git diff --exit-code --stat

.PHONY: test
test: ## all tests
	$(GO) test ./...

.PHONY: race
race: ## all tests with the race detector
	$(GO) test -race -timeout 30m ./...

# The servers that tests use where they are installed. Azurite needs npm and is left out without it; the dot keeps its files from Go.
SERVERS := bin/versitygw bin/fake-gcs-server $(if $(shell command -v npm),bin/.azurite/node_modules/.bin/azurite-blob)

.PHONY: servers
servers: $(SERVERS) ## servers of S3, GCS and Azure for the tests, into bin/ (1 minute of processor time; Azure's needs npm)
	@command -v npm >/dev/null || echo "Azurite left out: there is no npm"

bin/versitygw:
	GOBIN=$(CURDIR)/bin $(GO) install github.com/versity/versitygw/cmd/versitygw@v1.8.0

bin/fake-gcs-server:
	GOBIN=$(CURDIR)/bin $(GO) install github.com/fsouza/fake-gcs-server@v1.56.1

bin/.azurite/node_modules/.bin/azurite-blob:
	npm install --silent --no-audit --no-fund --prefix bin/.azurite azurite@3.37.0 || echo "Azurite left out: npm could not install it"

.PHONY: fuzz
fuzz: ## every fuzz target of every package for FUZZTIME (30s)
	@$(GO) list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./... | while read -r pkg; do \
		list=$$($(GO) test -list '^Fuzz' $$pkg </dev/null) || exit 1; \
		for name in $$(echo "$$list" | grep '^Fuzz'); do \
			echo "== $$pkg $$name"; $(GO) test $$pkg -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x </dev/null || exit 1; \
		done; \
	done

.PHONY: bench
bench: ## micro-benchmarks beside the code and the workloads of bench/, each for BENCHTIME (100ms); BENCH chooses (10 million rows: go test ./bench -bench Resolve -large)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem ./...

.PHONY: conformance
conformance: build ## the black-box judges over the conformance data in METAXY_SHARED (needs Python with pyarrow)
	$(PYTHON) $(METAXY_SHARED)/judge/scenarios.py $(BIN) $(METAXY_SHARED)/scenarios --replay
	$(PYTHON) $(METAXY_SHARED)/judge/tables.py $(BIN) $(METAXY_SHARED)/tables

.PHONY: golden
golden: ## pack the recorded data of METAXY_SHARED into testdata/ again (say in the commit which Metaxy recorded it)
	tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C $(METAXY_SHARED) -cf - vectors | gzip -9n > testdata/vectors.tar.gz
	tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C $(METAXY_SHARED) -cf - scenarios | gzip -9n > testdata/scenarios.tar.gz
	tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C $(METAXY_SHARED) -cf - tables/spark tables/vectors.json | gzip -9n > testdata/tables-spark.tar.gz

.PHONY: wheel
wheel: ## the Python package with the program, for this machine, into python/dist/ (needs Python with hatchling; python/build_wheels.py --all cross-builds every platform)
	$(PYTHON) python/build_wheels.py --go $(GO)

.PHONY: python
python: ## the Python package: its wheel in a virtual environment, ruff, mypy, tests (needs Python 3.10, and the network once)
	PYTHON=$(PYTHON) python/check.sh

.PHONY: spark-tests
spark-tests: build ## resolves on Spark's executors, killed and doubled, equal to one process (SPARK_PYTHON=a Python with python/tests_spark/requirements.txt; Java; 15 minutes)
	METAXY_DELTA_BIN=$(CURDIR)/$(BIN) SPARK_PYTHON=$(SPARK_PYTHON) python/tests_spark/run.sh

.PHONY: metaxy-tests
metaxy-tests: build ## Metaxy's own tests over the Python package's store, beside its own (METAXY=checkout of its repository; 25 minutes of processor time)
	METAXY_DELTA_BIN=$(CURDIR)/$(BIN) PYTHON=$(PYTHON) python/metaxy_tests/run.sh $(METAXY)

.PHONY: interop
interop: build ## a store written here, read and resolved by Metaxy and deltalake, files of rows read as Polars and DuckDB do (needs their Python packages); with SPARK_PYTHON=... tables shared with delta-spark
	$(PYTHON) internal/interop/interop.py $(BIN)
	$(PYTHON) internal/interop/rowfiles.py $(BIN)
	$(if $(SPARK_PYTHON),$(SPARK_PYTHON) internal/interop/upkeep.py $(BIN) && $(SPARK_PYTHON) internal/interop/spark.py $(BIN),@echo "interop with Spark left out: SPARK_PYTHON names no Python with pyspark and delta-spark")

.PHONY: corpora
corpora: build ## read the test files and tables of CORPORA="DIR ..." (checkouts of apache/parquet-testing, apache/arrow-testing, delta-io/delta, delta-rs) and compare with pyarrow and deltalake
	$(PYTHON) -W ignore internal/interop/corpora.py $(BIN) $(CORPORA)

.PHONY: differential
differential: build ## random operations by Metaxy and by this program on copies of one store, equal after every step; SEQUENCES=500 SEED=1, MAPS=1 for versions in maps (needs Python with metaxy[delta])
	$(PYTHON) -W ignore internal/interop/differential.py $(BIN) --sequences $(or $(SEQUENCES),100) --seed $(or $(SEED),1) $(if $(MAPS),--maps)

.PHONY: compare
compare: build ## time Metaxy, DuckDB and this program on stores that Metaxy makes (needs their Python packages; COMPARE="--rows ... --dir ...")
	$(GO) build -o bin/compare ./bench/compare
	$(PYTHON) bench/compare/compare.py --bin $(BIN) --collector bin/compare $(COMPARE)
