# SPDX-License-Identifier: MIT OR Apache-2.0
#
# The doors of the project: `make help` lists them. What happens behind them is in qemu/ (map-qemu) and in driver/.

# The guest's architecture: x86_64, arm64, riscv64 or arm. Without it, x86_64, and `make test` tests the first two.
ARCH ?=
# The flavour of the guest's kernel: plain, debug or kobject; kcsan of x86_64, short of arm, 64k and 16k of arm64. Without it,
# plain, and `make test` tests the first three.
FLAVOUR ?=
# Its kernel: 7.3 or 7.2, built from the source, or debian, which Debian has built. Without it, 7.3; `make run` prefers
# debian, which is ready sooner, and `make test` takes that for x86_64's flavour plain.
KERNEL ?=
GUEST = $(if $(ARCH),--arch $(ARCH)) $(if $(KERNEL),--kernel $(KERNEL)) $(if $(FLAVOUR),--flavour $(FLAVOUR))

# A prepared kernel tree with Rust, for `make modules` and `make install`.
KDIR ?= /lib/modules/$(shell uname -r)/build
# Where modules go below DESTDIR; as in the kernel's own Makefile it ends in the kernel's release.
MODLIB ?= /lib/modules/$(RELEASE)
PREFIX ?= /usr
# What the installed tools are compiled for, as rustc calls it: what the kernel in KDIR is for, else this machine.
TARGET ?= $(or $(TARGET_$(KARCH)),$(shell rustc -vV | sed -n 's/^host: //p'))
TARGET_x86 = x86_64-unknown-linux-gnu
TARGET_arm64 = aarch64-unknown-linux-gnu
TARGET_riscv = riscv64gc-unknown-linux-gnu
TARGET_arm = armv7-unknown-linux-gnueabihf
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER ?= aarch64-linux-gnu-gcc
export CARGO_TARGET_RISCV64GC_UNKNOWN_LINUX_GNU_LINKER ?= riscv64-linux-gnu-gcc
export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER ?= arm-linux-gnueabihf-gcc
# For ARMv6. Debian's C library of the first one is for ARMv7, so there it takes another one.
export CARGO_TARGET_ARM_UNKNOWN_LINUX_GNUEABIHF_LINKER ?= arm-linux-gnueabihf-gcc
export CARGO_TARGET_ARM_UNKNOWN_LINUX_GNUEABI_LINKER ?= arm-linux-gnueabi-gcc
# The mode of the node that `make install` makes.
NODE_MODE ?= 0600

MODULE_OUT = $(CURDIR)/target/module/kdir$(KARCH:%=-%)
CONFIG = $(KDIR)/include/config/auto.conf
# What the kernel calls its architecture.
KARCH = $(strip $(foreach arch,X86_64:x86 ARM64:arm64 RISCV:riscv ARM:arm,$(if $(call config,$(firstword $(subst :, ,$(arch)))),$(lastword $(subst :, ,$(arch))))))
config = $(shell grep -s '^CONFIG_$1=y' $(CONFIG))
RELEASE = $(shell cat $(KDIR)/include/config/kernel.release 2>/dev/null)
MAP_QEMU = cargo run --quiet --profile harness --locked --package map-qemu --

# Where everything is kept that takes long to make and does not depend on this clone.
CACHE = $(or $(MAP_CACHE),$(and $(XDG_CACHE_HOME),$(XDG_CACHE_HOME)/map),$(and $(HOME),$(HOME)/.cache/map))
# What cargo makes on the way to its results: a fresh clone finds its dependencies compiled. A cargo that does not know
# the variable (before 1.91) has it all in target/. The wrapper keeps the crates of different clones apart.
ifneq ($(CACHE),)
ifndef CARGO_BUILD_BUILD_DIR
export CARGO_BUILD_BUILD_DIR := $(CACHE)/cargo
export RUSTC_WORKSPACE_WRAPPER := $(CURDIR)/qemu/rustc.sh
endif
endif

.DEFAULT_GOAL := help
.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: rust ## Boot a guest, load the driver, write through it, look from outside
	@$(MAP_QEMU) run $(GUEST)

.PHONY: test
test: rust ## Run all tests: of the host, and in guests
	@$(MAP_QEMU) test $(GUEST)

.PHONY: test-all
test-all: rust ## Run all tests, on every kernel, and those of the packages and recipes
	@$(MAP_QEMU) test --all $(GUEST)

# Random operations: a failure names the seed of its sequence.
SEED ?= $(shell date +%s)
OPERATIONS ?= 1000000
.PHONY: fuzz
fuzz: rust ## Do OPERATIONS random ones from SEED on, for about SECONDS at most, and compare each with a model
	@$(MAP_QEMU) test --arch x86_64 --kernel 7.3 --flavour debug --suite model --seed $(SEED) \
		--operations $(OPERATIONS) $(addprefix --seconds ,$(SECONDS))

.PHONY: bench
bench: rust ## Measure the driver beside its peers, in instructions; keeps figures and charts in docs/benchmarks
	@$(MAP_QEMU) bench --write docs/benchmarks
	@$(MAKE) --no-print-directory pictures

.PHONY: bench-check
bench-check: rust ## Compare with these figures: fails if one is 5 % worse
	@$(MAP_QEMU) bench --check docs/benchmarks

.PHONY: mutants
mutants: rust ## Plant bugs, one after the other: fails if a test does not notice one (an hour)
	@$(MAP_QEMU) mutants

# The same for every function of what runs on this machine. MUTANTS has options of cargo-mutants, as --file or --shard.
MUTANTS ?=
.PHONY: mutants-host
mutants-host: rust ## Change every function of decisions and crate: fails if no test here notices one (hours)
	@qemu/mutants.sh "$(or $(CACHE),$(CURDIR)/target)" $(MUTANTS)

# How long each target of the fuzzer runs.
FUZZ_SECONDS ?= 60
.PHONY: fuzz-host
fuzz-host: rust ## Fuzz what reads texts, structures and arguments, on this machine, FUZZ_SECONDS each
	@qemu/fuzz.sh "$(or $(CACHE),$(CURDIR)/target)" "$(FUZZ_SECONDS)"

.PHONY: advisories
advisories: rust ## Look whether an advisory is known against a dependency, by a database on this machine
	@qemu/advisories.sh "$(or $(CACHE),$(CURDIR)/target)"

.PHONY: shell
shell: rust ## Get a shell in a guest with the driver loaded
	@$(MAP_QEMU) shell $(GUEST)

.PHONY: setup
setup: rust ## Install and build all that a guest needs; the targets above do it as well
	@$(MAP_QEMU) setup $(GUEST)

.PHONY: modules
modules: ## Build the driver against the kernel tree KDIR
	@tree=$$(MAP_CACHE="$(CACHE)" driver/kdir.sh "$(KDIR)") && mkdir -p "$(MODULE_OUT)" && set -x && \
		$(MAKE) $$tree M="$(CURDIR)" MO="$(MODULE_OUT)" modules
	@echo "The driver is $(MODULE_OUT)/driver/map.ko"

.PHONY: tools
tools: rust ## Build the command line and the example, static, for TARGET
	RUSTFLAGS='-C target-feature=+crt-static $(RELR) $(REMAP)' \
		cargo build --quiet --profile small --locked --target $(TARGET) --package devmap --package devmap-cli --bins --examples

# Relocations in two bits each instead of 24 bytes. A static program does its own, which it can since glibc 2.36. A
# linker that cannot write them ignores the option.
RELR = $(shell $(or $(LINKER_$(TARGET)),cc) -E -dM -include features.h -xc /dev/null 2>/dev/null | \
	awk '$$2 == "__GLIBC_MINOR__" && $$3 >= 36 { print "-C link-arg=-Wl,-z,pack-relative-relocs" }')
LINKER_aarch64-unknown-linux-gnu = $(CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER)
LINKER_riscv64gc-unknown-linux-gnu = $(CARGO_TARGET_RISCV64GC_UNKNOWN_LINUX_GNU_LINKER)
LINKER_armv7-unknown-linux-gnueabihf = $(CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER)
LINKER_arm-unknown-linux-gnueabihf = $(CARGO_TARGET_ARM_UNKNOWN_LINUX_GNUEABIHF_LINKER)
LINKER_arm-unknown-linux-gnueabi = $(CARGO_TARGET_ARM_UNKNOWN_LINUX_GNUEABI_LINKER)

# More options for rustc: a package replaces its paths, so that its bytes do not depend on them.
REMAP =
TOOLS = target/$(TARGET)/small
# The program that writes its own documentation runs here, not on the target.
DEVMAP = cargo run --quiet --release --locked --package devmap-cli --

# Where shells look for what packages bring.
COMPLETIONS = bash-completion/completions fish/vendor_completions.d zsh/vendor-completions

# It leaves the memtool and rwmem that are there: they also know PHYs, I2C and the names of registers.
.PHONY: install
install: modules install-tools ## Install driver, tools and node below DESTDIR
	install -D -m 0644 $(MODULE_OUT)/driver/map.ko "$(DESTDIR)$(MODLIB)/extra/map.ko"
	! grep -qs '^CONFIG_CONFIGFS_FS=[ym]' $(CONFIG) || \
		install -D -m 0644 $(MODULE_OUT)/driver/map_config.ko "$(DESTDIR)$(MODLIB)/extra/map_config.ko"
	install -D -m 0755 $(TOOLS)/examples/sdram "$(DESTDIR)$(PREFIX)/bin/sdram"
	ln -sf devmap "$(DESTDIR)$(PREFIX)/bin/devmem2"
	cd "$(DESTDIR)$(PREFIX)/bin" && for name in memtool rwmem; do \
		test -e $$name -o -h $$name || ln -s devmap $$name || exit; done
	install -D -m 0644 driver/uapi/map.h "$(DESTDIR)$(PREFIX)/include/linux/map.h"
	install -D -m 0644 driver/60-map.rules "$(DESTDIR)$(PREFIX)/lib/udev/rules.d/60-map.rules"
	install -d "$(DESTDIR)/dev"
	rm -f "$(DESTDIR)/dev/map"
	mknod -m $(NODE_MODE) "$(DESTDIR)/dev/map" c 126 0

# What a package has of them: it brings other names and the node in its own way.
.PHONY: install-tools
install-tools: tools
	install -D -m 0755 $(TOOLS)/devmap "$(DESTDIR)$(PREFIX)/bin/devmap"
	install -d "$(DESTDIR)$(PREFIX)/share/man/man1" $(COMPLETIONS:%="$(DESTDIR)$(PREFIX)/share/%")
	$(DEVMAP) man "$(DESTDIR)$(PREFIX)/share/man/man1"
	$(DEVMAP) completions bash > "$(DESTDIR)$(PREFIX)/share/bash-completion/completions/devmap"
	$(DEVMAP) completions fish > "$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/devmap.fish"
	$(DEVMAP) completions zsh > "$(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_devmap"

.PHONY: pictures
pictures: rust ## Draw the pictures of the documentation
	@cargo run --quiet --locked --package map-pictures

.PHONY: dist
dist: rust ## Make the archive that Yocto and Buildroot build from (docs/images.md)
	driver/packaging/dist.sh target/dist

.PHONY: recipes
recipes: ## Write the version and the licences' hashes into their recipes
	driver/packaging/recipes.sh

# Valgrind sees the accesses of the assembly as well, which no sanitizer does. It refuses some system calls by rules of its
# own, so the tests of what the kernel answers are left out: those of descriptors, and of lengths that no process has.
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
RUNNER = CARGO_TARGET_$(shell echo $(HOST) | tr a-z- A-Z_)_RUNNER
.PHONY: test-memory
test-memory: rust ## Run the unit tests under AddressSanitizer, and under valgrind
	@command -v valgrind >/dev/null || { echo "install Debian's package valgrind" >&2; exit 1; }
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo test --quiet --locked --package map-core --package devmap \
		--all-features --lib --tests --target $(HOST)
	PROPTEST_CASES=8 $(RUNNER)="valgrind --quiet --error-exitcode=9" cargo test --quiet --locked --package devmap \
		--all-features --lib --test bulk --test driver --test file --test parts --test single -- \
		--skip lengths_that_no_process_has_are_refused

# Miri interprets the unit tests, and finds undefined behaviour that no sanitizer does. Only nightly compilers have it.
MIRI ?= cargo +nightly miri
.PHONY: miri
miri: ## Run the unit tests in Miri, if it is installed
	@$(MIRI) --version >/dev/null 2>&1 || { \
		echo "Miri is not installed: \`rustup toolchain install nightly --component miri,rust-src\` does that; \
	or MIRI names another one than \`$(MIRI)\`" >&2; exit 1; }
	env -u CARGO_BUILD_BUILD_DIR -u RUSTC_WORKSPACE_WRAPPER MIRIFLAGS=-Zmiri-disable-isolation PROPTEST_CASES=4 \
		$(MIRI) test --locked --package map-core --package devmap --all-features --lib --test '*'

.PHONY: test-images
test-images: ## Check those recipes: of Yocto, and of Buildroot if BUILDROOT names its tree
	driver/packaging/check.sh "$(or $(CACHE),target)/oelint"

.PHONY: packages
packages: rust ## Build Debian packages of tools and driver in target/packages
	@driver/packaging/debian/build.sh target/packages

.PHONY: test-packages
test-packages: rust ## Test them: built twice, installed in and removed from a clean Debian 13
	@driver/packaging/debian/test.sh

# The crates refer to each other's versions, so they are checked together; cargo can do that since 1.90. It unpacks and
# builds them as those of a registry, which never change: what an earlier run has left is not to be taken for them. With
# BASELINE, a tag or commit, cargo-semver-checks compares the library's interface with what it was there.
.PHONY: test-publish
test-publish: rust ## Check that the crates can be published; and against BASELINE=TAG, that their version says what changed
	rm -rf target/publish "$${CARGO_HOME:-$$HOME/.cargo}"/registry/src/-*/map-core-* \
		"$${CARGO_HOME:-$$HOME/.cargo}"/registry/src/-*/devmap-*
	CARGO_BUILD_BUILD_DIR="$(CURDIR)/target/publish" \
		cargo publish --dry-run --locked --quiet --package map-core --package devmap --package devmap-cli
	$(if $(BASELINE),cargo semver-checks --package map-core --package devmap --baseline-rev $(BASELINE))

.PHONY: test-targets
test-targets: rust ## Test library and tools for processors of boards, on QEMU's emulator of programs
	@$(MAP_QEMU) processors

.PHONY: clean
clean: ## Remove what was built here
	rm -rf target

.PHONY: distclean
distclean: clean ## Remove the cache of kernels and tools as well
	rm -rf "$(CACHE)"

# Everything else needs cargo and a linker, so they come first.
.PHONY: rust
rust:
	@qemu/toolchain.sh
