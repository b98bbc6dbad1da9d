#include "space/prices.h"

#include <vidur/paths.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const price_term_names[] = {"on_demand", "spot", "reserved", NULL};

/* A file's own keys, as read. */
struct price_file {
    struct vidur_price all; /* what its prices have unless they say otherwise */
    struct vidur_price *prices;
    int num_prices;
};

static const int days_of_month[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

/* YYYY-MM-DD; 29 February of any year. */
static int read_date(const struct vidur_yaml_node *node, void *out,
                     struct vidur_error *err)
{
    char *date = out;
    const char *text = vidur_yaml_scalar(node);
    int month = 0, day = 0;
    bool good = text && strlen(text) == 10;
    for (int i = 0; good && i < 10; i++)
        good = i == 4 || i == 7 ? text[i] == '-' : text[i] >= '0' && text[i] <= '9';
    if (good) {
        month = 10 * (text[5] - '0') + text[6] - '0';
        day = 10 * (text[8] - '0') + text[9] - '0';
    }
    if (month < 1 || month > 12 || day < 1 || day > days_of_month[month - 1])
        return vidur_yaml_fail(node, err, "'%s' is not a date; write it YYYY-MM-DD",
                               text ? text : "");
    snprintf(date, sizeof((struct vidur_price *)0)->date, "%s", text);
    return 0;
}

#define PRICE(key, kind, member) VIDUR_YAML_KEY(key, kind, struct vidur_price, member)
#define DATE_AND_SOURCE                                                                \
    {PRICE("source", STRING, source), .flags = VIDUR_YAML_FILLED},                     \
        {.key = "date",                                                                \
         .type = VIDUR_YAML_CUSTOM,                                                    \
         VIDUR_YAML_AT(struct vidur_price, date),                                      \
         .read = read_date},                                                           \
    {                                                                                  \
        .key = "read_in", .type = VIDUR_YAML_ELSEWHERE                                 \
    }

static const struct vidur_yaml_field price_fields[] = {
    {PRICE("sku", STRING, sku), .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED},
    {PRICE("usd_per_gpu_hour", DOUBLE, usd_per_gpu_hour),
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_ABOVE, .min = 0},
    {PRICE("term", ENUM, term), .names = price_term_names},
    {.key = "note", .type = VIDUR_YAML_ELSEWHERE},
    DATE_AND_SOURCE,
    {0}};
static const struct vidur_yaml_field price_element = {.key = "",
                                                      .type = VIDUR_YAML_MAPPING,
                                                      .size =
                                                          sizeof(struct vidur_price),
                                                      .fields = price_fields};

static const struct vidur_yaml_field all_fields[] = {
    {PRICE("provider", STRING, provider),
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED},
    DATE_AND_SOURCE,
    {0}};

static const struct vidur_yaml_field *all_part(void)
{
    return all_fields;
}

static const struct vidur_yaml_field file_fields[] = {
    {VIDUR_YAML_KEYS(struct price_file, all, all_part)},
    {.key = "prices",
     .type = VIDUR_YAML_SEQUENCE,
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED,
     VIDUR_YAML_LIST(struct price_file, prices, num_prices),
     .element = &price_element},
    {0}};

static int check_device(const struct vidur_yaml_node *item,
                        const struct vidur_price *price,
                        const struct price_devices *more, struct vidur_error *err)
{
    struct vidur_path path;
    struct vidur_error why;
    for (int i = 0; more && i < more->count; i++)
        if (strcmp(more->names[i], price->sku) == 0)
            return 0;
    if (vidur_path_spec(NULL, "skus/devices", price->sku, &path, &why) == 0)
        return 0;
    return vidur_yaml_fail_key(item, "sku", err, "%s", why.text);
}

/* What it leaves out is the file's. */
static int complete(const struct vidur_yaml_node *item, const struct price_file *file,
                    struct vidur_price *price, struct vidur_error *err)
{
    memcpy(price->provider, file->all.provider, sizeof price->provider);
    if (!price->source[0])
        memcpy(price->source, file->all.source, sizeof price->source);
    if (!price->date[0])
        memcpy(price->date, file->all.date, sizeof price->date);
    if (!price->source[0] || !price->date[0])
        return vidur_yaml_fail_key(
            item, price->source[0] ? "date" : "source", err,
            "missing; a price needs its source and date, here or "
            "for the whole file");
    return 0;
}

static int complete_all(const struct vidur_yaml_node *root, struct price_file *file,
                        const struct price_devices *more, struct vidur_error *err)
{
    const struct vidur_yaml_node *items = vidur_yaml_get(root, "prices");
    for (int i = 0; i < file->num_prices; i++) {
        struct vidur_price *price = &file->prices[i];
        const struct vidur_yaml_node *item = vidur_yaml_item(items, i);
        if (check_device(item, price, more, err) != 0 ||
            complete(item, file, price, err) != 0)
            return -1;
        for (int j = 0; j < i; j++)
            if (strcmp(file->prices[j].sku, price->sku) == 0 &&
                file->prices[j].term == price->term)
                return vidur_yaml_fail_key(item, "sku", err,
                                           "%s has a price for %s already; keep one",
                                           price->sku, price_term_names[price->term]);
    }
    return 0;
}

static int append(struct price_list *list, const struct price_file *file,
                  struct vidur_error *err)
{
    const size_t count = (size_t)list->count + (size_t)file->num_prices;
    struct vidur_price *more = realloc(list->prices, count * sizeof *more);
    if (!more)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for prices");
    memcpy(more + list->count, file->prices,
           (size_t)file->num_prices * sizeof *file->prices);
    list->prices = more;
    list->count = (int)count;
    return 0;
}

int price_list_read(struct price_list *list, const char *reference,
                    const struct price_devices *more, struct vidur_error *err)
{
    struct price_file file = {.prices = NULL};
    struct vidur_path path;
    if (vidur_path_spec(NULL, "prices", reference, &path, err) != 0)
        return -1;
    struct vidur_yaml *doc = vidur_yaml_load(path.text, err);
    if (!doc)
        return -1;
    const struct vidur_yaml_node *root = vidur_yaml_root(doc);
    int status = vidur_yaml_read(root, file_fields, &file, err);
    if (status == 0)
        status = complete_all(root, &file, more, err);
    if (status == 0)
        status = append(list, &file, err);
    vidur_yaml_release(file_fields, &file);
    vidur_yaml_free(doc);
    return status;
}

/* What a walk over data/prices hands on. */
struct visit {
    struct price_list *list;
    struct vidur_error *err;
};

static int read_one(void *context, const char *name)
{
    struct visit *visit = context;
    return price_list_read(visit->list, name, NULL, visit->err);
}

int price_list_read_all(struct price_list *list, struct vidur_error *err)
{
    struct visit visit = {list, err};
    return vidur_path_each_spec("prices", read_one, &visit, err);
}

void price_list_release(struct price_list *list)
{
    free(list->prices);
    *list = (struct price_list){0};
}

const struct vidur_price *price_find(const struct price_list *list, const char *sku,
                                     const struct vidur_price_selector *selector)
{
    const struct vidur_price *best = NULL;
    for (int i = 0; i < list->count; i++) {
        const struct vidur_price *price = &list->prices[i];
        if (strcmp(price->sku, sku) != 0 || price->term != selector->term ||
            (selector->provider[0] && strcmp(price->provider, selector->provider) != 0))
            continue;
        if (!best || price->usd_per_gpu_hour < best->usd_per_gpu_hour)
            best = price;
    }
    return best;
}

void price_describe(const struct price_list *list, const char *sku, char *text,
                    size_t size)
{
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < list->count; i++) {
        const struct vidur_price *price = &list->prices[i];
        if (strcmp(price->sku, sku) != 0)
            continue;
        const int length =
            snprintf(text + used, size - used, "%s%s %s", used ? ", " : "",
                     price->provider, price_term_names[price->term]);
        if (length < 0 || used + (size_t)length >= size) {
            if (size > 4)
                memcpy(text + size - 4, "...", 4);
            return;
        }
        used += (size_t)length;
    }
}
