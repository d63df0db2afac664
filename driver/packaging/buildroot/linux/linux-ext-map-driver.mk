################################################################################
#
# A kernel with Rust, for the package map-driver
#
################################################################################

# SPDX-License-Identifier: MIT OR Apache-2.0

ifeq ($(BR2_PACKAGE_MAP_DRIVER),y)
# Its configuration asks for them already.
# check-package disable TypoInPackageVariable
LINUX_KCONFIG_DEPENDENCIES += host-rustc host-rust-bindgen
# It compiles the source of Rust's core library.
# check-package disable TypoInPackageVariable
LINUX_MAKE_ENV += \
	LIBCLANG_PATH=$(HOST_DIR)/lib \
	RUST_LIB_SRC=$(HOST_RUST_DIR)/library
# It calls HOSTCC as the linker of rustc, which takes one word, where linux.mk
# has flags.
# check-package disable TypoInPackageVariable
LINUX_MAKE_FLAGS += \
	HOSTCC="$(HOSTCC_NOCCACHE)" \
	HOSTCFLAGS="$(subst -I/,-isystem /,$(subst -I /,-isystem /,$(HOST_CFLAGS)))" \
	HOSTLDFLAGS="$(HOST_LDFLAGS)"
# Only its configuration must not see the flags, as linux.mk explains.
# check-package disable TypoInPackageVariable
LINUX_KCONFIG_OPTS += HOSTCFLAGS= HOSTLDFLAGS=
endif
