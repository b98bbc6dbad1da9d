#ifndef VIDUR_SEARCH_REPORT_JSON_H
#define VIDUR_SEARCH_REPORT_JSON_H

#include "report/report_model.h"

/*
 * What the HTML report shows, as JSON that is safe inside a script element (no '<').
 * Numbers are exact; null is "not known". The caller frees the text; NULL on failure.
 * Its shape: see report_json.c; its reader is search/report/report.js.
 */
char *vidur_report_json(const struct vidur_report_model *model,
                        const struct vidur_report_options *options,
                        struct vidur_error *err);

#endif
