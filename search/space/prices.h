#ifndef VIDUR_SEARCH_PRICES_H
#define VIDUR_SEARCH_PRICES_H

#include "base/yaml.h"

#include <vidur/error.h>
#include <vidur/space.h>

/*
 * Price files: what a provider asks for a GPU and hour, on what terms, when that was so
 * and where it stands. Those of data/prices can be named, others are paths.
 *
 *   provider: lambda
 *   source: https://...        # where the prices stand
 *   read_in: https://...       # the copy of it that was read, where it was not that
 *   date: 2026-09-20           # when they stood there
 *   prices:
 *     - {sku: h100, usd_per_gpu_hour: 3.99, term: on_demand}
 *
 * A price may have a source, a date and a read_in of its own, and a note.
 */

struct price_list {
    struct vidur_price *prices;
    int count;
};

/* "on_demand", "spot", "reserved", and NULL; by enum vidur_price_term. */
extern const char *const price_term_names[];

/* What a price may be of beside the devices of data/skus. */
struct price_devices {
    const char *const *names;
    int count;
};

/* Adds the prices of a file to the list: `reference` is a name in data/prices or a
 * path. Release the list also after a failure. */
int price_list_read(struct price_list *list, const char *reference,
                    const struct price_devices *more, struct vidur_error *err);
/* All of data/prices, in the order of their names. */
int price_list_read_all(struct price_list *list, struct vidur_error *err);
void price_list_release(struct price_list *list);

/* The least price of a device that the selector fits (its empty provider fits all);
 * of equal ones the first. NULL: none. */
const struct vidur_price *price_find(const struct price_list *list, const char *sku,
                                     const struct vidur_price_selector *selector);

/* "lambda on_demand, coreweave spot": what there is of a device; "" where nothing is.
 * Texts that are too long end with "...". */
void price_describe(const struct price_list *list, const char *sku, char *text,
                    size_t size);

#endif
