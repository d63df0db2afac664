# SPDX-License-Identifier: GPL-2.0
"""What programs do with the node of a window that know nothing of it: `programs.py NODE`."""

import mmap
import os
import sys

import numpy

node = sys.argv[1]
with open(node, "r+b", buffering=0) as file:
    size = file.seek(0, os.SEEK_END)
    assert size == 2 << 20, size
    # The offset of a mapping, and of read and write, is that in the window.
    with mmap.mmap(file.fileno(), 8192, offset=4096) as memory:
        memory[100:104] = b"four"
        memory.flush()
        assert memory.find(b"four") == 100
    assert os.pread(file.fileno(), 4, 4196) == b"four"
    assert os.pwrite(file.fileno(), b"more", size - 4) == 4
    assert os.pread(file.fileno(), 100, size - 4) == b"more"

words = numpy.memmap(node, dtype="<u4", mode="r+")
assert words.size == size // 4, words.size
words[:] = numpy.arange(words.size, dtype="<u4")
words.flush()
del words
again = numpy.fromfile(node, dtype="<u4")
assert (again == numpy.arange(size // 4, dtype="<u4")).all()
half = numpy.memmap(node, dtype="<u2", mode="r", offset=size // 2, shape=(16, 4))
assert half[1, 0] == (size // 8 + 2) & 0xFFFF, half
