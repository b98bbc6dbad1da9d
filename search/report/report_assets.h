#ifndef VIDUR_SEARCH_REPORT_ASSETS_H
#define VIDUR_SEARCH_REPORT_ASSETS_H

#include <stddef.h>

/* The files of search/report/ and the chart library, as embedded by the build:
 * "template.html", "report.css", "chart.js" and others. */
struct vidur_asset {
    const char *name;
    const unsigned char *data;
    size_t size;
};

/* NULL where the build had no such file: the chart library is optional. */
const struct vidur_asset *vidur_report_asset(const char *name);

#endif
