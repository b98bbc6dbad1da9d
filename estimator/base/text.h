#ifndef VIDUR_BASE_TEXT_H
#define VIDUR_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
