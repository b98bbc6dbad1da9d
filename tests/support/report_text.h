#ifndef VIDUR_TEST_REPORT_TEXT_H
#define VIDUR_TEST_REPORT_TEXT_H

#include "report/report.h"

#include <stdio.h>

typedef int report_printer(FILE *out, const struct vidur_results *results,
                           const struct vidur_report_options *options,
                           struct vidur_error *err);

/* What a report function prints; the caller frees it. NULL when it fails. */
char *report_text(report_printer *print, const struct vidur_results *results,
                  const struct vidur_report_options *options, struct vidur_error *err);

#endif
