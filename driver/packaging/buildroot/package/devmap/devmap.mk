################################################################################
#
# devmap
#
################################################################################

# SPDX-License-Identifier: MIT OR Apache-2.0

DEVMAP_VERSION = 0.1.0
DEVMAP_SOURCE = map-$(DEVMAP_VERSION).tar.gz
DEVMAP_SITE = $(call qstrip,$(BR2_PACKAGE_MAP_SITE))
DEVMAP_DL_SUBDIR = map
# The first two are those of the project. Of the crates in it, `make dist`
# checks that all offer MIT.
DEVMAP_LICENSE = MIT or Apache-2.0 (devmap), MIT (crates)
DEVMAP_LICENSE_FILES = docs/licenses/MIT.txt docs/licenses/Apache-2.0.txt

# The crates are in the archive, and cargo compares their hashes with Cargo.lock.
DEVMAP_SUBDIR = userspace/cli
# As the profile `small` in Cargo.toml, which the infrastructure cannot be told
# to use.
DEVMAP_CARGO_ENV = \
	CARGO_PROFILE_RELEASE_LTO=true \
	CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1

define DEVMAP_INSTALL_COMPLETIONS
	mkdir -p $(TARGET_DIR)/usr/share
	cp -dpfr $(@D)/share/. $(TARGET_DIR)/usr/share/
endef
DEVMAP_POST_INSTALL_TARGET_HOOKS += DEVMAP_INSTALL_COMPLETIONS

ifeq ($(BR2_PACKAGE_DEVMAP_DEVMEM2),y)
define DEVMAP_INSTALL_DEVMEM2
	ln -sf devmap $(TARGET_DIR)/usr/bin/devmem2
endef
DEVMAP_POST_INSTALL_TARGET_HOOKS += DEVMAP_INSTALL_DEVMEM2
endif

$(eval $(cargo-package))
