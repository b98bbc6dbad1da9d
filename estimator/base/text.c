#define _GNU_SOURCE /* strcasestr */

#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* strtod() alone would also take hexadecimal, "inf", "nan" and leading blanks. */
static bool looks_decimal(const char *text)
{
    const char *p = text + (*text == '-' || *text == '+');
    bool digits = false;
    for (; isdigit((unsigned char)*p) || *p == '.'; p++)
        digits = digits || *p != '.';
    if (!digits)
        return false;
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '-' || *p == '+';
        if (!isdigit((unsigned char)*p))
            return false;
        while (isdigit((unsigned char)*p))
            p++;
    }
    return *p == '\0';
}

bool vidur_text_double(const char *text, double *out)
{
    if (!looks_decimal(text))
        return false;
    char *end;
    const double value = strtod(text, &end);
    if (*end != '\0' || !isfinite(value))
        return false;
    *out = value;
    return true;
}

bool vidur_text_int64(const char *text, int64_t *out)
{
    const char *digits = text + (*text == '-' || *text == '+');
    if (!isdigit((unsigned char)*digits))
        return false;
    char *end;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (*end != '\0' || errno == ERANGE)
        return false;
    *out = value;
    return true;
}

bool vidur_text_bool(const char *text, bool digits_ok, bool *out)
{
    static const char *const words[][2] = {
        {"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};
    for (int i = 0; i < (digits_ok ? 4 : 3); i++)
        for (int value = 0; value < 2; value++)
            if (strcasecmp(text, words[i][value]) == 0) {
                *out = value;
                return true;
            }
    return false;
}

enum { MAX_WORD = 63 };

static int smallest(int a, int b, int c)
{
    const int ab = a < b ? a : b;
    return ab < c ? ab : c;
}

static int lower(char c)
{
    return tolower((unsigned char)c);
}

int vidur_text_distance(const char *a, const char *b)
{
    const int m = (int)strnlen(a, MAX_WORD), n = (int)strnlen(b, MAX_WORD);
    int rows[3][MAX_WORD + 1]; /* the last three of the table, i modulo 3 */
    for (int j = 0; j <= n; j++)
        rows[0][j] = j;
    for (int i = 1; i <= m; i++) {
        int *row = rows[i % 3];
        const int *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            const int differ = lower(a[i - 1]) != lower(b[j - 1]);
            row[j] = smallest(last[j] + 1, row[j - 1] + 1, last[j - 1] + differ);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1]) && before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
    }
    return rows[m % 3][n];
}

enum role { NO_ROLE, PROMPT, OUTPUT };

static enum role role_of(const char *name)
{
    static const struct {
        const char *word;
        enum role role;
    } words[] = {
        {"prefill", PROMPT}, {"prompt", PROMPT},   {"input", PROMPT},
        {"context", PROMPT}, {"decode", OUTPUT},   {"output", OUTPUT},
        {"generat", OUTPUT}, {"completi", OUTPUT}, {"response", OUTPUT},
    };
    enum role role = NO_ROLE;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!strcasestr(name, words[i].word))
            continue;
        if (role != NO_ROLE && role != words[i].role)
            return NO_ROLE; /* a ratio of both, or so */
        role = words[i].role;
    }
    return role;
}

bool vidur_text_same_role(const char *a, const char *b)
{
    return role_of(a) != NO_ROLE && role_of(a) == role_of(b);
}

bool vidur_text_other_role(const char *a, const char *b)
{
    return role_of(a) != NO_ROLE && role_of(b) != NO_ROLE && role_of(a) != role_of(b);
}

const char *vidur_text_nearest(const char *word, const char *const *known, int count)
{
    const char *best = NULL;
    int best_distance = 0;
    for (int i = 0; i < count; i++) {
        const int distance = vidur_text_distance(word, known[i]);
        if (vidur_text_other_role(word, known[i]))
            continue;
        if (!best || distance < best_distance) {
            best = known[i];
            best_distance = distance;
        }
    }
    return best;
}

void vidur_text_list(const char *const *words, int count, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < count && used < size; i++)
        used +=
            (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", words[i]);
}

void vidur_text_unknown(const char *word, const char *const *known, int count,
                        char *out, size_t size)
{
    char list[384];
    const char *nearest = vidur_text_nearest(word, known, count);
    vidur_text_list(known, count, list, sizeof list);
    snprintf(out, size, "'%.60s' is not known; the nearest is '%s' of %s", word,
             nearest ? nearest : "", list);
}

size_t vidur_text_mark(const char *text, size_t size)
{
    return size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

int vidur_text_utf8_length(const char *start, size_t left)
{
    const unsigned char *text = (const unsigned char *)start;
    int length = text[0] < 0x80                       ? 1
                 : text[0] >= 0xC2 && text[0] <= 0xDF ? 2
                 : (text[0] & 0xF0) == 0xE0           ? 3
                 : text[0] >= 0xF0 && text[0] <= 0xF4 ? 4
                                                      : 0;
    for (int i = 1; i < length; i++) {
        if ((size_t)i >= left || text[i] == 0)
            return -1;
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    }
    if (length < 3)
        return length;
    unsigned lead = text[0], next = text[1];
    bool wrong = (lead == 0xE0 && next < 0xA0) || (lead == 0xED && next >= 0xA0) ||
                 (lead == 0xF0 && next < 0x90) || (lead == 0xF4 && next >= 0x90);
    return wrong ? 0 : length;
}

/* The code point of a character of `length` bytes. */
static unsigned decode(const char *text, int length)
{
    static const unsigned char lead_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    unsigned code = (unsigned char)text[0] & lead_bits[length];
    for (int i = 1; i < length; i++)
        code = code << 6 | ((unsigned char)text[i] & 0x3F);
    return code;
}

/* C0, DEL and C1; the line and paragraph separators and what turns the direction. */
static bool is_control(unsigned code)
{
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x061C ||
           code == 0x200E || code == 0x200F || (code >= 0x2028 && code <= 0x202E) ||
           (code >= 0x2066 && code <= 0x2069);
}

/* How one character, or a byte that is none, is shown; returns the bytes it takes. */
static int show_one(const char *text, char *shown, size_t size)
{
    const int length = vidur_text_utf8_length(text, SIZE_MAX);
    const unsigned code = length > 0 ? decode(text, length) : 0;
    if (length <= 0)
        snprintf(shown, size, "\\x%02x", (unsigned char)text[0]);
    else if (!is_control(code))
        snprintf(shown, size, "%.*s", length, text);
    else if (code == '\n' || code == '\r' || code == '\t')
        snprintf(shown, size, "\\%c", code == '\n' ? 'n' : code == '\r' ? 'r' : 't');
    else if (code < 0x80)
        snprintf(shown, size, "\\x%02x", code);
    else
        snprintf(shown, size, "\\u{%x}", code);
    return length > 0 ? length : 1;
}

char *vidur_text_escape(const char *text, char *out, size_t size)
{
    size_t used = 0;
    while (*text) {
        char shown[16];
        text += show_one(text, shown, sizeof shown);
        const size_t length = strlen(shown);
        if (used + length >= size)
            break;
        memcpy(out + used, shown, length);
        used += length;
    }
    out[used] = '\0';
    return out;
}

struct vidur_text_shown vidur_text_show(const char *text)
{
    struct vidur_text_shown shown;
    vidur_text_escape(text, shown.text, sizeof shown.text);
    return shown;
}

struct vidur_text_count vidur_text_counted(int64_t count, const char *noun)
{
    struct vidur_text_count counted;
    snprintf(counted.text, sizeof counted.text, "%lld %s%s", (long long)count, noun,
             count == 1 ? "" : "s");
    return counted;
}

bool vidur_text_is_formula(const char *text)
{
    return text[0] != '\0' && strchr("=+-@\t\r\n", text[0]) != NULL;
}

void vidur_text_add(struct vidur_text *text, const char *more, size_t length)
{
    if (text->failed)
        return;
    if (length >= text->capacity - text->length) {
        size_t capacity = text->capacity ? 2 * text->capacity : 256;
        while (capacity <= text->length + length)
            capacity *= 2;
        char *data = realloc(text->data, capacity);
        if (!data) {
            text->failed = true;
            return;
        }
        text->data = data;
        text->capacity = capacity;
    }
    memcpy(text->data + text->length, more, length);
    text->length += length;
    text->data[text->length] = '\0';
}

void vidur_text_adds(struct vidur_text *text, const char *more)
{
    vidur_text_add(text, more, strlen(more));
}
