# SPDX-License-Identifier: MIT OR Apache-2.0

SUMMARY = "Command line that reads and writes physical memory through /dev/map"
DESCRIPTION = "devmap maps ranges of physical memory and accesses them exactly: every access has the \
               width that was asked for. Called devmem2 it takes the arguments of that program."
SECTION = "utils"
# The project's, and that of the crates: `make dist` checks that all of them offer MIT.
LICENSE = "(MIT OR Apache-2.0) AND MIT"
LIC_FILES_CHKSUM = "file://docs/licenses/Apache-2.0.txt;md5=3b83ef96387f14655fc854ddc3c6bd57 \
                    file://docs/licenses/MIT.txt;md5=0728b87c9886e7e727559d10c232a72e"

require map-source.inc

inherit cargo bash-completion

# cargo compares the hashes of the crates in the archive with Cargo.lock.
CARGO_VENDORING_DIRECTORY = "${S}/VENDOR"
CARGO_BUILD_FLAGS += "--package devmap --package devmap-cli --bins --examples"

# As in the profile `small` of Cargo.toml, which also strips; here Yocto does.
export CARGO_PROFILE_RELEASE_LTO = "true"
export CARGO_PROFILE_RELEASE_CODEGEN_UNITS = "1"

do_install() {
    built=${B}/target/${CARGO_TARGET_SUBDIR}
    install -D -m 0755 $built/devmap ${D}${bindir}/devmap
    ln -s devmap ${D}${bindir}/devmem2
    install -D -m 0755 $built/examples/sdram ${D}${bindir}/sdram
    install -D -m 0644 ${S}/driver/uapi/map.h ${D}${includedir}/linux/map.h
    install -d ${D}${datadir}
    cp -R --no-preserve=ownership ${S}/share/. ${D}${datadir}/
}

# A package for itself, because there is another program of this name.
PACKAGE_BEFORE_PN += "${PN}-devmem2 ${PN}-examples ${PN}-fish-completion ${PN}-zsh-completion"

FILES:${PN}-devmem2 += "${bindir}/devmem2"
FILES:${PN}-examples += "${bindir}/sdram"
FILES:${PN}-fish-completion += "${datadir}/fish"
FILES:${PN}-zsh-completion += "${datadir}/zsh"

RDEPENDS:${PN}-devmem2 += "${PN}"
RPROVIDES:${PN}-devmem2 += "devmem2"
RCONFLICTS:${PN}-devmem2 += "devmem2"
