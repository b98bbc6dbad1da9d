/* CSV: whatever is read has finite numbers, ascending lines, and strings that are
 * there. */

#include "fuzz.h"

#include <vidur/csv.h>

#include <math.h>
#include <string.h>

static const struct vidur_csv_column columns[] = {
    {"d", VIDUR_CSV_DOUBLE, VIDUR_CSV_POSITIVE},
    {"i", VIDUR_CSV_INT64, VIDUR_CSV_OPTIONAL | VIDUR_CSV_NOT_NEGATIVE},
    {"b", VIDUR_CSV_BOOL, VIDUR_CSV_OPTIONAL},
    {"s", VIDUR_CSV_STRING, VIDUR_CSV_OPTIONAL},
    {"e", VIDUR_CSV_DOUBLE, VIDUR_CSV_OPTIONAL | VIDUR_CSV_EMPTY_OK},
};
enum { D, I, B, S, E, NUM_COLUMNS };

static void check_row(const struct vidur_csv *csv, int64_t row)
{
    VIDUR_FUZZ_REQUIRE(isfinite(vidur_csv_doubles(csv, D)[row]));
    VIDUR_FUZZ_REQUIRE(vidur_csv_doubles(csv, D)[row] > 0);
    VIDUR_FUZZ_REQUIRE(row == 0 ||
                       vidur_csv_line(csv, row) >= vidur_csv_line(csv, row - 1));
    if (vidur_csv_has(csv, I))
        VIDUR_FUZZ_REQUIRE(vidur_csv_int64s(csv, I)[row] >= 0);
    if (vidur_csv_has(csv, S)) {
        const char *text = vidur_csv_string(csv, vidur_csv_string_ids(csv, S)[row]);
        VIDUR_FUZZ_REQUIRE(text && text[0]);
    }
    if (vidur_csv_has(csv, E))
        VIDUR_FUZZ_REQUIRE(!isinf(vidur_csv_doubles(csv, E)[row]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int drop = 0; drop < 2; drop++) {
        const struct vidur_csv_schema schema = {columns, NUM_COLUMNS, drop};
        struct vidur_error err = {0};
        struct vidur_csv *csv =
            vidur_csv_parse("f", (const char *)data, size, &schema, &err);
        VIDUR_FUZZ_REQUIRE(csv || strncmp(err.text, "f:", 2) == 0);
        for (int64_t row = 0; csv && row < vidur_csv_rows(csv); row++)
            check_row(csv, row);
        VIDUR_FUZZ_REQUIRE(!csv || drop || vidur_csv_duplicates(csv) == 0);
        vidur_csv_free(csv);
    }
    return 0;
}
