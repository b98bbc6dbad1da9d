#ifndef VIDUR_ERROR_H
#define VIDUR_ERROR_H

/*
 * How the library reports failure.
 *
 * A function that can fail returns 0 or -1 (or a pointer or NULL) and takes a
 * `struct vidur_error *` as its last parameter. The caller owns that struct; it is
 * written on failure only and may be NULL when the caller does not care. The text is
 * one line that names the object and the remedy, without a trailing newline; control
 * characters of the names in it are escaped (a newline is \n).
 * No function prints, exits or leaves a message in global state. Thread-safe.
 */

enum vidur_error_code {
    VIDUR_OK = 0,
    VIDUR_EINVAL,   /* a value, key or combination that cannot be right */
    VIDUR_EPARSE,   /* a file whose text does not follow its format */
    VIDUR_EIO,      /* the operating system refused: missing file, full disk */
    VIDUR_ENOMEM,   /* out of memory */
    VIDUR_ECORRUPT, /* a binary file that is damaged, truncated or foreign */
    VIDUR_EINTR     /* stopped on request; the work can be resumed */
};

struct vidur_error {
    enum vidur_error_code code;
    char text[1024];
};

#if defined(__GNUC__)
#define VIDUR_PRINTF(fmt_index, first_arg)                                             \
    __attribute__((format(printf, fmt_index, first_arg)))
#else
#define VIDUR_PRINTF(fmt_index, first_arg)
#endif

/* Fills *err (if not NULL) and returns -1, so that a function can end with
 * `return vidur_fail(err, VIDUR_EINVAL, "%s:%d: ...", file, line);`. */
int vidur_fail(struct vidur_error *err, enum vidur_error_code code, const char *fmt,
               ...) VIDUR_PRINTF(3, 4);
#ifdef __clang_analyzer__ /* sees one file at a time: this is what is returned */
#define vidur_fail(...) (vidur_fail(__VA_ARGS__), -1)
#endif

/* Puts "PREFIX: " in front of the text already in *err; returns -1. */
int vidur_fail_prefix(struct vidur_error *err, const char *fmt, ...) VIDUR_PRINTF(2, 3);

#endif
