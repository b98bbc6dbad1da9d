#include "report_text.h"

#include "test.h"

#include <stdlib.h>

char *report_text(report_printer *print, const struct vidur_results *results,
                  const struct vidur_report_options *options, struct vidur_error *err)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    const int failed = print(out, results, options, err);
    fclose(out);
    if (!failed)
        return text;
    free(text);
    return NULL;
}
