#ifndef VIDUR_SEARCH_RESULTS_SEAL_H
#define VIDUR_SEARCH_RESULTS_SEAL_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The last line of results.h5, after what HDF5 wrote and ignored by HDF5's readers: the
 * SHA-256 of everything before it. HDF5's own checksums leave holes, and HDF5 1.10 may
 * crash on damage that falls into one; damage is found here first. A program that
 * changes the file through HDF5 removes the line.
 */

/* The bytes of a file with their seal; takes `bytes` over, and *size grows. The caller
 * frees the result; NULL when out of memory. */
char *results_seal(void *bytes, size_t *size);

enum results_seal { RESULTS_SEALED, RESULTS_NOT_SEALED, RESULTS_SEAL_BROKEN };

/* *size becomes that of the bytes that are sealed. */
enum results_seal results_check_seal(const char *bytes, size_t *size);

/* Runs a function in a child process, whose output is dropped: 1: it came back; 0: it
 * crashed, or took the processor for longer than `limit_s`; -1: no child could be made.
 * For functions that may do so on damaged input, before they are called in earnest. */
int results_try_in_child(void (*run)(void *context), void *context, unsigned limit_s);

#endif
