#ifndef VIDUR_SEARCH_CATALOG_H
#define VIDUR_SEARCH_CATALOG_H

#include "base/text.h"

#include <vidur/error.h>

/*
 * What a search can name: the specs, prices and traces of the data folder, the
 * schedulers and routers that are built in.
 */

/* Adds a table of what there is of a kind, a header and a line each, ordered by name.
 * `kind` is one of CATALOG_KINDS; an unknown one is an error that names
 * them. The caller frees `out`, also after a failure. */
int catalog_write(const char *kind, struct vidur_text *out, struct vidur_error *err);

/* "models|devices|...", for --help. */
#define CATALOG_KINDS "models|devices|nodes|prices|schedulers|routers|traces|formats"

#endif
