# The commands of a developer; plain `make` lists them. They need Go, git, bash and a C compiler (race detector).
# Tools are built into bin/ from the versions in tools/go.mod and tools/lint/go.mod, never taken from PATH.

FUZZTIME ?= 10s
BASE     ?= origin/HEAD
LINT_OS  ?= linux darwin freebsd netbsd openbsd windows
MODULES  := $(dir $(wildcard ./go.mod ./bench/go.mod))

SHELL := bash
unexport GOOS GOARCH # else tools would be built for the target, and die of "exec format error"

# $(call silent,COMMAND) fails if COMMAND prints anything: some tools exit 0 whatever they find.
silent = out=$$($(1)) && { [ -z "$$out" ] || { printf '%s:\n%s\n' '$(1)' "$$out"; exit 1; }; }

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' Makefile

test: ## run the tests
	go test ./...

race: ## run the tests under the race detector
	go test -race ./...

degraded: ## run the tests with fewer offloads
	@for offload in none batch nogso nogro; do \
	  echo "DATAGRAM_OFFLOAD=$$offload"; DATAGRAM_OFFLOAD=$$offload go test . || exit 1; \
	done

emulated: ## run the tests as 386, arm64 and s390x, under qemu-user where needed; ARGS goes to go test
	tools/emulated.sh $(ARGS)

lint: bin/golangci-lint bin/deadcode ## golangci-lint for each of LINT_OS; functions that no test reaches
	@for os in $(LINT_OS); do \
	  echo "golangci-lint for $$os"; GOOS=$$os bin/golangci-lint run ./... || exit 1; \
	done
	@$(call silent,bin/deadcode -test ./...)
	@[ ! -e bench/go.mod ] || { echo "golangci-lint for bench"; cd bench && ../bin/golangci-lint run ./...; }

fmt: bin/gofumpt ## format the code
	bin/gofumpt -w .

fmt-check: bin/gofumpt ## fail if fmt would change something
	@$(call silent,bin/gofumpt -l .)

cross: ## build and vet, tests included, for every supported platform
	tools/cross.sh

examples: ## build the examples, run the quickstart
	go build -o bin/examples/ ./examples/...
	go run ./examples/quickstart

modules: ## check that go.mod is tidy and builds from an empty module cache
	@for m in $(MODULES); do (cd $$m && go mod tidy -diff) || exit 1; done
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && GOMODCACHE=$$dir go build -modcacherw ./...

fuzz: ## run every fuzz target for FUZZTIME
	tools/fuzz.sh $(FUZZTIME)

mutate: ## make mistakes in the code, one at a time, that the tests must notice; ARGS picks files
	go -C tools run ./mutate $(ARGS)

vulncheck: bin/govulncheck ## look for known vulnerabilities, in a database on the network
	bin/govulncheck ./...

bench: ## measure against other ways to use UDP; ARGS goes to the program
	go -C bench run . $(ARGS)

api: bin/apidiff ## show how the exported API changed since the revision BASE
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && git archive $(BASE) | tar -x -C "$$dir" && \
	(cd "$$dir" && $(CURDIR)/bin/apidiff -m -w api example.com/datagram) && \
	bin/apidiff -m "$$dir/api" example.com/datagram

ci: ## everything that a change must pass
	.ci/run

clean: ## remove what was built
	rm -rf bin

bin/golangci-lint: tools/lint/go.mod
	go -C tools/lint build -o ../../bin/ tool
	@touch $@

bin/%: tools/go.mod
	go -C tools build -o ../bin/ $$(go -C tools list tool | grep '/$*$$')
	@touch $@

.PHONY: help test race degraded emulated lint fmt fmt-check cross examples modules fuzz mutate vulncheck bench api ci clean
