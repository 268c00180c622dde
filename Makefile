# Two targets are enough to begin: `make run` and `make test`.

GO        ?= go
VERSION   := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LINT      := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
KILLS     ?= 30
MESSAGES  ?= 100000
TROUBLES  ?= kill,deploy,stop,clock,receivers,power,disk
SESSIONS  ?= 15000
SEEDS     ?= 1000
SIMTIME   ?= 10m
FUZZTIME  ?= 10s

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Try Kabar out: accounts, an instance and a feed to play with, in a temporary folder.
	$(GO) run ./cmd/kabar demo

.PHONY: test
test: deps fmt ## Test everything, with the race detector, a real browser and real clients.
	$(GO) vet ./...
	@# -count=1: some tests build the programs themselves, which go's cache of results does not see.
	@# -p 4: most tests wait more than they compute.
	$(GO) test -race -count=1 -p 4 -timeout 20m ./...
	@# Whole servers on machines that do not exist, by the thousand, and broken ones that must be found out.
	$(GO) test -count=1 -run Simulator -timeout 20m ./cmd/kabar -seeds $(SEEDS)
	@# What things cost in memory is counted without the race detector, which has costs of its own.
	$(GO) test -count=1 -run 'Alloc|Size|Idle' ./internal/...
	@# The other way of reading connections (internal/ws/reader.go).
	$(GO) test -race -count=1 -p 4 -tags goroutinereader -timeout 20m ./internal/ws ./internal/gateway/...
	$(GO) test -race -count=1 -tags goroutinereader -timeout 20m -run ThreeKills ./internal/checker
	@# The benchmarks need Linux.
	if [ "$$(uname)" = Linux ]; then cd bench && $(GO) vet ./... && $(GO) test -count=1 ./...; fi

.PHONY: deps
deps: ## Install what the tests need (a C compiler, Node, npm packages, Chromium), or say how to.
	@scripts/deps.sh

.PHONY: fmt
fmt: ## Say which files gofmt would change.
	@scripts/gofmt.sh

.PHONY: lint
lint: ## Run the linters of .golangci.yml. The first time they are downloaded and built.
	$(GO) run $(LINT) run

.PHONY: soak
soak: ## Kill the server KILLS times (30) under load, with all other TROUBLES, until each gateway has acknowledged MESSAGES (100000), and reconcile them all; simulate for SIMTIME (10m).
	$(GO) test -count=1 -v -run 'TestSimulator$$' -timeout 24h ./cmd/kabar -first 0 -time $(SIMTIME)
	$(GO) run ./cmd/kabar-checker --kills $(KILLS) --messages $(MESSAGES) --troubles $(TROUBLES)

.PHONY: drain
drain: ## Stop a server under SESSIONS connections (15000) and start it again: all come back in their time, and miss nothing.
	$(GO) run ./cmd/kabar-checker --drain $(SESSIONS)

.PHONY: churn
churn: ## Let connections come and go for ten minutes with each way of reading, and count what is left.
	$(GO) test -count=1 -v -run Churn -timeout 1h ./internal/ws -churn 10m

.PHONY: bench
bench: ## Measure against the floor and against libraries, and draw the plots; 25 minutes.
	cd bench && $(GO) run . -docs ../docs

.PHONY: bench-quick
bench-quick: ## The same in three minutes, with fewer candidates and without plots.
	cd bench && $(GO) run . -quick

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME (10s).
	@scripts/fuzz.sh $(FUZZTIME)

.PHONY: build
build: ## Build the programs into bin/, static.
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ ./cmd/...

.PHONY: clean
clean: ## Take away what was built and installed here.
	rm -rf bin bench/bin bench/tmp e2e/node_modules
