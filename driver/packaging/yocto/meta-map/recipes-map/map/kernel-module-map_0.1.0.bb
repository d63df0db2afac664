# SPDX-License-Identifier: MIT OR Apache-2.0

SUMMARY = "Kernel driver that gives programs a window onto physical memory"
DESCRIPTION = "Programs mmap reserved RAM and device registers through /dev/map. A parameter or the \
               device tree lists the windows that may be mapped; System RAM never is."
SECTION = "kernel"
LICENSE = "GPL-2.0-only"
LIC_FILES_CHKSUM = "file://docs/licenses/GPL-2.0.txt;md5=b234ee4d69f5fce4486a80fdaf4a4263"

require map-source.inc

inherit module-rust

# The class expects a Makefile that calls the kernel's. The kernel's can be called at once.
EXTRA_OEMAKE += "-C ${STAGING_KERNEL_DIR} M=${S}"
# nooelint: oelint.vars.mispell.unknown - module.bbclass has it
MAKE_TARGETS = "modules"

# The kernel's configuration drops CONFIG_RUST without a word if something excludes it.
do_compile:prepend() {
    [ -e ${STAGING_KERNEL_BUILDDIR}/rust/libkernel.rmeta ] ||
        bbfatal "the kernel has no Rust metadata: its configuration lacks CONFIG_RUST=y"
}

COMPATIBLE_HOST = "(x86_64|aarch64).*-linux"
