# Commands for developers; plain `make` lists them. They need Go, git, bash and a C compiler (for the race detector).
# Tools are built into bin/ at the versions in tools/go.mod and tools/lint/go.mod, never taken from PATH.

FUZZTIME ?= 10s
LINT_OS  ?= linux darwin freebsd netbsd openbsd windows
ROOT_TESTS := . ./internal/systemtest ./internal/libuvtest
# The modules but for those of the tools. Nested ones have dependencies that users of the root must not get.
MODULES  := $(sort $(dir $(shell find . -name go.mod -not -path './tools/*')))
NESTED   := $(filter-out ./,$(MODULES))

SHELL := bash
unexport GOOS GOARCH # otherwise tools would be built for the target, and fail with "exec format error"

# $(call silent,COMMAND) fails if COMMAND prints anything, since some tools exit 0 whatever they find.
silent = out=$$($(1)) && { [ -z "$$out" ] || { printf '%s:\n%s\n' '$(1)' "$$out"; exit 1; }; }

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' Makefile

test: ## run the tests; print how many were skipped, and why
	@tools/test.sh ./...

nested: ## run the tests of the nested modules
	@for m in $(NESTED); do echo "$$m"; tools/test.sh -C $$m ./... || exit 1; done

race: ## run the tests under the race detector
	go test -race ./...

degraded: ## run the tests with fewer offloads
	@for offload in none batch nogso nogro; do \
	  echo "DATAGRAM_OFFLOAD=$$offload"; DATAGRAM_OFFLOAD=$$offload go test $(ROOT_TESTS) || exit 1; \
	done

emulated: ## run the tests as 386, arm64 and s390x, under qemu-user where needed; ARGS goes to go test
	tools/emulated.sh $(ARGS)

lint: bin/golangci-lint bin/deadcode ## run golangci-lint for each of LINT_OS, and find functions that no test reaches; the first time builds it, for minutes
	@tools/lint.sh $(LINT_OS)
	@$(call silent,bin/deadcode -test ./...)
	@for m in $(NESTED); do \
	  echo "golangci-lint for $$m"; (cd $$m && $(CURDIR)/bin/golangci-lint run --disable depguard ./...) || exit 1; \
	done

fmt: bin/gofumpt ## format the code
	bin/gofumpt -w .

fmt-check: bin/gofumpt ## fail if fmt would change something
	@$(call silent,bin/gofumpt -l .)

cross: ## build and vet for every supported system, type-check for every platform, tests included
	tools/cross.sh

examples: ## build the examples, run the quickstart
	go build -o bin/examples/ ./examples/...
	go run ./examples/quickstart

modules: ## check that go.mod is tidy and suffices to build with an empty module cache
	@for m in $(MODULES); do (cd $$m && go mod tidy -diff) || exit 1; done
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && cache=$$(go env GOMODCACHE)/cache/download && \
	GOPROXY="file://$$cache,$$(go env GOPROXY)" GOMODCACHE=$$dir go build -modcacherw ./...

fuzz: ## run every fuzz target for FUZZTIME
	tools/fuzz.sh $(FUZZTIME)

mutate: ## make mistakes in the code, one at a time, that the tests must detect; ARGS selects files
	go -C tools run ./mutate $(ARGS)

vulncheck: bin/govulncheck ## look for known vulnerabilities, in an online database
	bin/govulncheck ./...

bench: ## measure against other ways to use UDP; ARGS goes to the program
	go -C bench run . $(ARGS)

api: ## compare the exported API with the last release; fail if something is gone or has changed
	@go -C tools run ./api $(ARGS) api/$(notdir $(wildcard tools/api/v*.txt))

rename: bin/gofumpt ## change the path of the module to NEW
	go -C tools run ./rename "$(NEW)"
	bin/gofumpt -w .

renamed: bin/golangci-lint bin/gofumpt ## check that a renamed copy builds, and passes vet and the import rules
	tools/renamed.sh

docs: ## check the links in Markdown files and doc comments, and the code in Markdown files
	go -C tools run ./links
	go -C tools run ./snippets $(addprefix ../,$(wildcard *.md docs/*.md))

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

.PHONY: help test nested race degraded emulated lint fmt fmt-check cross examples modules fuzz mutate vulncheck bench api rename renamed docs ci clean
