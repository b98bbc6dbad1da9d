#ifndef VIDUR_BASE_TEXT_H
#define VIDUR_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The room estimator/base. What all floors share: errors, files and formats in and
 * out, random numbers, logging. It knows nothing of models and machines; each outside
 * library is behind one file.
 */

/* Words and numbers in text. Pure functions. */

/* Strict numbers: the whole text, in the C locale's form, no nan or inf, no overflow,
 * no leading blanks. False when the text is something else. */
bool vidur_text_double(const char *text, double *out);
bool vidur_text_int64(const char *text, int64_t *out);

/* true false yes no on off (and 1 0 where digits_ok), in any case. */
bool vidur_text_bool(const char *text, bool digits_ok, bool *out);

/* Length of the UTF-8 byte order mark that the text starts with: 3 or 0. */
size_t vidur_text_mark(const char *text, size_t size);

/* Least number of insertions, deletions, substitutions and swaps of neighbours that
 * turn one word into the other, letter case ignored; words beyond 63 bytes are cut. */
int vidur_text_distance(const char *a, const char *b);

/* Names of a request's prompt (prefill, prompt, input, context) and of its output
 * (decode, output, generated, completion, response) have roles. Whether both names have
 * one: the same, or one each. */
bool vidur_text_same_role(const char *a, const char *b);
bool vidur_text_other_role(const char *a, const char *b);

/* The known word nearest to `word`, never one of the other role; NULL when there is
 * none. Ties: the first. */
const char *vidur_text_nearest(const char *word, const char *const *known, int count);
/* "a, b, c", cut where it is too long. */
void vidur_text_list(const char *const *words, int count, char *out, size_t size);
/* "'x' is not known; the nearest is 'y' of a, b, c" */
void vidur_text_unknown(const char *word, const char *const *known, int count,
                        char *out, size_t size);

/* Bytes of the UTF-8 character at `text`, with `left` bytes of room; 0: not one;
 * -1: the beginning of one that the room, or a NUL, cuts. */
int vidur_text_utf8_length(const char *text, size_t left);

/*
 * Text as a terminal or a line of Markdown may get it, whatever file or configuration
 * it comes from: control characters (of ASCII and of Unicode, and those that turn the
 * direction of writing) become \n, \t, \r, \xHH or \u{HEX}, and so do bytes that are
 * not UTF-8. Everything else stays. `out` is cut between characters at `size` bytes
 * and ends with a NUL. Returns `out`.
 */
char *vidur_text_escape(const char *text, char *out, size_t size);

/* The same by value, for an argument of printf: cut at 2047 bytes. */
struct vidur_text_shown {
    char text[2048];
};
struct vidur_text_shown vidur_text_show(const char *text);

/* "1 replica", "2 replicas": for nouns that take an s. */
struct vidur_text_count {
    char text[80];
};
struct vidur_text_count vidur_text_counted(int64_t count, const char *noun);

/* Whether a spreadsheet would take a cell with this text for a formula: it begins with
 * = + - @ or a tab, a carriage return or a line feed. */
bool vidur_text_is_formula(const char *text);

/* Growing text; zero-initialise. After a failed allocation `failed` is set and further
 * additions do nothing. The caller frees `data`, which is NUL-terminated or NULL. */
struct vidur_text {
    char *data;
    size_t length, capacity;
    bool failed;
};

void vidur_text_add(struct vidur_text *text, const char *more, size_t length);
void vidur_text_adds(struct vidur_text *text, const char *more);

#endif
