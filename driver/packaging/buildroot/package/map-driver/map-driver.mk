################################################################################
#
# map-driver
#
################################################################################

# SPDX-License-Identifier: MIT OR Apache-2.0

MAP_DRIVER_VERSION = 0.1.0
MAP_DRIVER_SOURCE = map-$(MAP_DRIVER_VERSION).tar.gz
MAP_DRIVER_SITE = $(call qstrip,$(BR2_PACKAGE_MAP_SITE))
MAP_DRIVER_DL_SUBDIR = map
MAP_DRIVER_LICENSE = GPL-2.0
MAP_DRIVER_LICENSE_FILES = docs/licenses/GPL-2.0.txt
MAP_DRIVER_INSTALL_STAGING = YES

define MAP_DRIVER_LINUX_CONFIG_FIXUPS
	$(call KCONFIG_ENABLE_OPT,CONFIG_RUST)
endef

# The kernel's configuration drops it without a word if something excludes it.
define MAP_DRIVER_CHECK_KERNEL
	@test -e $(LINUX_DIR)/rust/libkernel.rmeta || { \
		echo "map-driver: the kernel's configuration lacks CONFIG_RUST=y" >&2; \
		exit 1; \
	}
endef
MAP_DRIVER_PRE_BUILD_HOOKS += MAP_DRIVER_CHECK_KERNEL

define MAP_DRIVER_INSTALL_STAGING_CMDS
	$(INSTALL) -D -m 0644 $(@D)/driver/uapi/map.h \
		$(STAGING_DIR)/usr/include/linux/map.h
endef

$(eval $(kernel-module))
$(eval $(generic-package))
