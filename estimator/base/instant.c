#include "base/instant.h"

#include "base/text.h"

#include <math.h>
#include <string.h>

static const int64_t ns_per_s = 1000000000;

int64_t vidur_instant_unit_ns(const char *unit)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"s", 1000000000}, {"ms", 1000000}, {"us", 1000}, {"ns", 1}};
    for (int i = 0; i < 4; i++)
        if (strcmp(unit, units[i].name) == 0)
            return units[i].ns;
    return 0;
}

bool vidur_instant_of_int64(int64_t value, int64_t unit_ns, int64_t *ns)
{
    return !__builtin_mul_overflow(value, unit_ns, ns);
}

bool vidur_instant_of_double(double value, int64_t unit_ns, int64_t *ns)
{
    const double scaled = value * (double)unit_ns;
    if (!(fabs(scaled) < 0x1p63))
        return false;
    *ns = (int64_t)llround(scaled);
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits behind a point, as a share of `unit_ns`; cut at whole nanoseconds. */
static int64_t read_fraction(const char **at, int64_t unit_ns)
{
    int64_t sum = 0;
    for (int64_t scale = unit_ns / 10; is_digit(**at); (*at)++, scale /= 10)
        sum += (**at - '0') * scale;
    return sum;
}

static bool parse_decimal(const char *text, int64_t unit_ns, int64_t *ns)
{
    const bool negative = text[0] == '-';
    const char *at = text + negative;
    int64_t whole = 0, sum;
    if (!is_digit(*at))
        return false;
    for (; is_digit(*at); at++)
        if (__builtin_mul_overflow(whole, (int64_t)10, &whole) ||
            __builtin_add_overflow(whole, (int64_t)(*at - '0'), &whole))
            return false;
    if (__builtin_mul_overflow(whole, unit_ns, &sum))
        return false;
    if (*at == '.') {
        at++;
        if (!is_digit(*at) ||
            __builtin_add_overflow(sum, read_fraction(&at, unit_ns), &sum))
            return false;
    }
    *ns = negative ? -sum : sum;
    return *at == 0;
}

/* Exactly `count` digits, of a number from `least` to `most`. */
static bool read_digits(const char **at, int count, int least, int most, int *out)
{
    *out = 0;
    for (int i = 0; i < count; i++, (*at)++) {
        if (!is_digit(**at))
            return false;
        *out = 10 * *out + (**at - '0');
    }
    return *out >= least && *out <= most;
}

static bool read_char(const char **at, char wanted)
{
    if (**at != wanted)
        return false;
    (*at)++;
    return true;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Days from 1970-01-01. */
static int64_t days_of_date(int year, int month, int day)
{
    int64_t days = 0;
    for (int m = 1; m < month; m++)
        days += days_of_month(year, m);
    const int64_t before = year - 1;
    return before * 365 + before / 4 - before / 100 + before / 400 + days + day - 1 -
           719162;
}

/* "Z", "+02:00", "+0200", "+02" or nothing. */
static bool read_zone(const char *at, int64_t *offset_s)
{
    int hours = 0, minutes = 0;
    *offset_s = 0;
    if (*at == 0)
        return true;
    if (*at == 'Z' || *at == 'z')
        return at[1] == 0;
    if (*at != '+' && *at != '-')
        return false;
    const int sign = *at++ == '-' ? -1 : 1;
    if (!read_digits(&at, 2, 0, 23, &hours))
        return false;
    if (*at) {
        read_char(&at, ':');
        if (!read_digits(&at, 2, 0, 59, &minutes))
            return false;
    }
    *offset_s = sign * (hours * 3600 + minutes * 60);
    return *at == 0;
}

static bool parse_date(const char *at, int64_t *ns)
{
    int year, month, day, hour, minute, second = 0;
    int64_t fraction = 0, offset_s;
    if (!read_digits(&at, 4, 1970, 2261, &year) || !read_char(&at, '-') ||
        !read_digits(&at, 2, 1, 12, &month) || !read_char(&at, '-') ||
        !read_digits(&at, 2, 1, days_of_month(year, month), &day) ||
        !(read_char(&at, 'T') || read_char(&at, ' ')) ||
        !read_digits(&at, 2, 0, 23, &hour) || !read_char(&at, ':') ||
        !read_digits(&at, 2, 0, 59, &minute))
        return false;
    if (read_char(&at, ':') && !read_digits(&at, 2, 0, 60, &second))
        return false;
    if (read_char(&at, '.') || read_char(&at, ',')) {
        if (!is_digit(*at))
            return false;
        fraction = read_fraction(&at, ns_per_s);
    }
    read_char(&at, ' ');
    if (!read_zone(at, &offset_s))
        return false;
    const int64_t seconds = days_of_date(year, month, day) * 86400 + hour * 3600 +
                            minute * 60 + second - offset_s;
    *ns = seconds * ns_per_s + fraction;
    return true;
}

bool vidur_instant_parse(const char *text, int64_t unit_ns, int64_t *ns)
{
    double number;
    if (parse_decimal(text, unit_ns, ns) || parse_date(text, ns))
        return true;
    return vidur_text_double(text, &number) &&
           vidur_instant_of_double(number, unit_ns, ns);
}
