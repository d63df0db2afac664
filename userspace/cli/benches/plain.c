// SPDX-License-Identifier: MIT OR Apache-2.0

// The same work as plain C, which the benchmark `instructions` counts for comparison.
//
//   plain volatile OPERATION LENGTH   a loop over volatile values of 64 bits
//   plain libc OPERATION LENGTH       the C library's function for it, on ordinary memory
//   plain devmem2 FILE ADDRESS        a reading of 32 bits, in the steps and lines of devmem2

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LONGEST = 1 << 20 };

// Page aligned, as mappings are. `device` stands for the mapped memory.
static _Alignas(4096) unsigned char device[2 * LONGEST], memory[LONGEST];

static int by_volatile(const char *operation, size_t length)
{
	volatile uint64_t *mapped = (volatile uint64_t *)device;
	volatile uint64_t *other = (volatile uint64_t *)(device + LONGEST);
	uint64_t *plain = (uint64_t *)memory;
	size_t i, count = length / sizeof(*plain);

	if (!strcmp(operation, "fill")) {
		for (i = 0; i < count; i++)
			mapped[i] = 0x5a5a5a5a5a5a5a5a;
	} else if (!strcmp(operation, "load")) {
		for (i = 0; i < count; i++)
			mapped[i] = plain[i];
	} else if (!strcmp(operation, "save")) {
		for (i = 0; i < count; i++)
			plain[i] = mapped[i];
	} else if (!strcmp(operation, "compare")) {
		for (i = 0; i < count; i++)
			if (mapped[i] != plain[i])
				return 1;
	} else if (!strcmp(operation, "copy")) {
		for (i = 0; i < count; i++)
			other[i] = mapped[i];
	} else if (!strcmp(operation, "read")) {
		uint64_t sum = 0;

		for (i = 0; i < count; i++)
			sum += mapped[i];
		plain[0] = sum;
	} else {
		return 2;
	}
	return 0;
}

static int by_libc(const char *operation, size_t length)
{
	if (!strcmp(operation, "fill"))
		memset(device, 0x5a, length);
	else if (!strcmp(operation, "load"))
		memcpy(device, memory, length);
	else if (!strcmp(operation, "save"))
		memcpy(memory, device, length);
	else if (!strcmp(operation, "compare"))
		return memcmp(device, memory, length) != 0;
	else if (!strcmp(operation, "copy"))
		memcpy(device + LONGEST, device, length);
	else
		return 2;
	return 0;
}

static int devmem2(const char *path, off_t address)
{
	long page = sysconf(_SC_PAGESIZE);
	off_t within = address % page;
	int file = open(path, O_RDWR | O_SYNC);
	unsigned char *start;

	if (file < 0) {
		perror(path);
		return 1;
	}
	printf("%s opened.\n", path);
	start = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, file, address - within);
	if (start == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	printf("Memory mapped at address %p.\n", (void *)start);
	printf("Value at address 0x%llX (%p): 0x%X\n", (unsigned long long)address, (void *)(start + within),
	       *(volatile uint32_t *)(start + within));
	munmap(start, page);
	close(file);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "devmem2"))
		return devmem2(argv[2], strtoull(argv[3], NULL, 0));
	if (argc == 4 && strtoull(argv[3], NULL, 0) <= LONGEST) {
		if (!strcmp(argv[1], "volatile"))
			return by_volatile(argv[2], strtoull(argv[3], NULL, 0));
		if (!strcmp(argv[1], "libc"))
			return by_libc(argv[2], strtoull(argv[3], NULL, 0));
	}
	fprintf(stderr, "plain: wrong arguments\n");
	return 2;
}
